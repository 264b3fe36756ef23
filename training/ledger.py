"""Signals made once and shared, with what each of them cost: who uses one is charged for it, whoever asked first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

Signal = TypeVar("Signal")


@dataclass(frozen=True)
class Cost:
    """What something took.

    Attributes:
        seconds: Wall clock.
        flops: Floating-point operations, as `training.flops` counts them.
    """

    seconds: float = 0.0
    flops: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.flops + other.flops)


class Ledger:
    """Signals by name.

    Args:
        clock: Seconds, read once the device has done what it was given.

    Attributes:
        costs: Of each signal, without those of other signals that it was made from.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.costs: dict[str, Cost] = {}
        self._made: dict[str, Any] = {}
        self._used: set[str] = set()
        self._inner = 0.0

    def once(
        self,
        name: str,
        make: Callable[[], Signal],
        cost: Callable[[], Cost] | None = None,
        *,
        flops: float | Callable[[Signal], float] = 0.0,
    ) -> Signal:
        """The signal of a name, made if it is not there; it counts as used either way.

        Args:
            name: Of the signal; `decoder.3`, say, is summed up under `decoder`.
            make: Makes it.
            cost: What it took, asked once it is made; the seconds of making it and `flops` by default.
            flops: Operations of making it, or what tells them from it.
        """
        if name not in self._made:
            made, own = self._timed(make)
            self._made[name] = made
            if name not in self.costs:
                self.costs[name] = Cost(own, flops(made) if callable(flops) else flops) if cost is None else cost()
        self._used.add(name)
        found: Signal = self._made[name]
        return found

    def holds(self, name: str) -> bool:
        """Whether a signal is there, neither missing nor let go of."""
        return name in self._made

    def forget(self, name: str) -> None:
        """Let go of a signal. It is made again when it is asked for again, at what it cost the first time."""
        self._made.pop(name, None)

    def charge(self, names: Iterable[str]) -> None:
        """Count signals as used that were made before, without asking for them."""
        self._used.update(names)

    def charged(self, work: Callable[[], Signal]) -> tuple[Signal, float, dict[str, Cost]]:
        """Do some work, and say what it took.

        Returns:
            Its result, the seconds without signals, and the costs of the signals it used, made now or before.
        """
        self._used = set()
        result, own = self._timed(work)
        signals: dict[str, Cost] = {}
        for name in sorted(self._used):
            group = name.partition(".")[0]
            signals[group] = signals.get(group, Cost()) + self.costs[name]
        return result, own, signals

    def _timed(self, work: Callable[[], Signal]) -> tuple[Signal, float]:
        """The result, and the seconds without those of signals made meanwhile."""
        outer, self._inner = self._inner, 0.0
        started = self.clock()
        try:
            result = work()
        finally:
            elapsed = self.clock() - started
            own, self._inner = elapsed - self._inner, outer + elapsed
        return result, own
