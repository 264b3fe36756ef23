"""The ledger: a signal is made once, and whoever uses it is charged what making it took."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from training.ledger import Cost, Ledger


class Clock:
    """Stands still but for what is said to take time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float, what: str = "made") -> Callable[[], str]:
        def work() -> str:
            self.now += seconds
            return what

        return work


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock)


def test_the_second_user_of_a_signal_is_charged_like_the_first(ledger: Ledger, clock: Clock) -> None:
    def choose() -> str:
        clock.taking(2)()
        return ledger.once("vision", clock.taking(5, "signal"), flops=7)

    for _ in range(2):
        assert ledger.charged(choose) == ("signal", 2, {"vision": Cost(5, 7)})
    assert clock.now == 9, "it is made once"
    assert ledger.charged(clock.taking(1)) == ("made", 1, {}), "who does not use it is charged nothing"


def test_a_signal_made_of_another_costs_what_it_adds(ledger: Ledger, clock: Clock) -> None:
    def outer() -> str:
        clock.taking(1)()
        ledger.once("inner", clock.taking(10))
        return clock.taking(2, "outer")()

    result, own, signals = ledger.charged(lambda: ledger.once("outer", outer, flops=3))
    assert (result, own) == ("outer", 0)
    assert signals == {"inner": Cost(10), "outer": Cost(3, 3)}


def test_parts_of_a_group_are_summed_up(ledger: Ledger, clock: Clock) -> None:
    def walk() -> None:
        for layer in (0, 1, 2):
            ledger.once(f"decoder.{layer}", clock.taking(layer), flops=10)

    walk()
    _, own, signals = ledger.charged(lambda: (ledger.once("decoder.2", str), ledger.once("decoder.1", str)))
    assert (own, signals) == (0, {"decoder": Cost(3, 20)})


def test_costs_may_be_told_by_the_signal_or_by_who_made_it(ledger: Ledger, clock: Clock) -> None:
    ledger.once("counted", clock.taking(4, "four"), flops=len)
    ledger.once("told", clock.taking(4), lambda: Cost(100, 200))
    assert ledger.costs == {"counted": Cost(4, 4), "told": Cost(100, 200)}


def test_work_that_fails_leaves_the_time_in_order(ledger: Ledger, clock: Clock) -> None:
    def fail() -> str:
        clock.taking(50)()
        raise ValueError("no")

    def choose() -> str:
        with pytest.raises(ValueError, match="no"):
            ledger.once("broken", fail)
        return clock.taking(1)()

    with pytest.raises(ValueError, match="no"):
        ledger.charged(lambda: ledger.once("broken", fail))
    assert ledger.charged(choose) == ("made", 1, {}), "a signal that is not there costs nothing"
    assert ledger.once("broken", clock.taking(5, "now")) == "now" and ledger.costs["broken"] == Cost(5)


def test_what_was_forgotten_is_made_again_at_its_first_price(ledger: Ledger, clock: Clock) -> None:
    ledger.once("hidden", clock.taking(5), flops=1)
    ledger.forget("hidden")
    ledger.forget("never there")
    result, own, signals = ledger.charged(lambda: ledger.once("hidden", clock.taking(8, "again"), flops=9))
    assert (result, own, signals) == ("again", 0, {"hidden": Cost(5, 1)})
