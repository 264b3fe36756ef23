"""Floating-point operations by component, in the order they happen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class FlopCount(Mapping[str, int]):
    """Components and their FLOPs, in order; one multiply-add is 2 FLOPs.

        count = FlopCount(linear=10, attention=2).under("prefill") + FlopCount({"decode.linear": 5})
        count.total, count["prefill.linear"], count.stages()   # 17, 10, {"prefill": 12, "decode": 5}

    `dict(count)` is JSON-ready. Equal counts have equal components in any order.
    """

    def __init__(self, components: Mapping[str, int] | Iterable[tuple[str, int]] = (), **more: int) -> None:
        self._components = dict(components, **more)

    def __getitem__(self, name: str) -> int:
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)

    def __repr__(self) -> str:
        return f"FlopCount({self._components})"

    def __add__(self, other: Mapping[str, int]) -> FlopCount:
        """Components of both; those of one name are added."""
        names = dict.fromkeys((*self, *other))
        return FlopCount((name, self.get(name, 0) + other.get(name, 0)) for name in names)

    @property
    def total(self) -> int:
        """The sum of all components."""
        return sum(self._components.values())

    def under(self, stage: str) -> FlopCount:
        """The same with every component named `stage.component`."""
        return FlopCount((f"{stage}.{name}", flops) for name, flops in self.items())

    def stages(self) -> dict[str, int]:
        """Sums by what stands before the first point of a component's name."""
        sums: dict[str, int] = {}
        for name, flops in self.items():
            stage = name.partition(".")[0]
            sums[stage] = sums.get(stage, 0) + flops
        return sums
