"""The crash campaign in short; `python -m tests.campaigns.crash OUT` is all of it."""

from __future__ import annotations

import random

import pytest

from tests.campaigns.crash import disks, kills, together
from tests.campaigns.crash.chain import STEPS, Chain, Step, differences

QUICK = [step for step in STEPS if step.name in ("ingest", "words", "propose")]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    chain = Chain(tmp_path_factory.mktemp("crash"))
    chain.prepare(documents=6, seed=1, steps=QUICK)
    return chain


@pytest.mark.parametrize("step", QUICK, ids=lambda step: step.name)
def test_a_rerun_after_a_kill_leaves_what_an_undisturbed_run_leaves(chain: Chain, step: Step) -> None:
    result = kills.kill_step(chain, step, 4, random.Random(3))
    assert result.kills == 4
    assert result.begun
    assert not result.faults


def test_a_disk_that_cannot_be_written_is_told_and_loses_nothing(chain: Chain) -> None:
    if not disks.can_mount(chain.out / "mount"):
        pytest.skip("this process may not mount a file system")
    (result,) = disks.run_disks(chain, 1, seed=1, only=("words",))
    assert (result.full, result.read_only, result.faults) == (1, 1, [])


def test_one_of_two_commands_works_and_the_other_says_who_does(chain: Chain) -> None:
    (result,) = together.run_together(chain, 2, only=("propose",))
    assert (result.worked + result.refused, result.faults) == (2, [])
    assert not together.lock_of_the_dead(chain)


def test_the_comparison_sees_what_is_lost_left_over_or_other() -> None:
    found, expected = {"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "0", "d": "4"}
    assert differences(found, expected) == ["lost: d", "left over: a", "not the same: c"]
