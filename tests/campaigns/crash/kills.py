"""SIGKILL at random moments and at random file operations: what a rerun then makes of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns.crash.chain import STEPS, Chain, Step, differences, expect, fingerprint, writers_leftovers

LAUNCH = ("-m", "tests.campaigns.crash.launch")
_GONE_SECONDS = 10.0
_KILLED_AGAIN = 0.25
"""How often the rerun is killed as well."""


@dataclass
class Kills:
    """What became of the kills of one step.

    Attributes:
        step: Its name.
        operations: File operations of an undisturbed run.
        at_operation: Kills right before one of them.
        at_moment: Kills of the whole process group at a moment between the first one and the end.
        begun: Kills after which something was there that the rerun could take up or had to clear away.
        faults: What went wrong, a line each.
    """

    step: str
    operations: int
    at_operation: int = 0
    at_moment: int = 0
    begun: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All."""
        return self.at_operation + self.at_moment


def run_kills(chain: Chain, kills: int | None, seed: int, only: tuple[str, ...] = ()) -> Iterator[Kills]:
    """Kill every step so often, half of the time at an operation and half at a moment; None: at every operation too."""
    for number, step in enumerate(step for step in STEPS if not only or step.name in only):
        yield kill_step(chain, step, kills, random.Random(seed * 1000 + number))


def kill_step(chain: Chain, step: Step, kills: int | None, rng: random.Random) -> Kills:
    """Kill one step again and again, each time from the state that it starts from."""
    moments = count_operations(chain, step)
    result = Kills(step.name, len(moments))
    half = len(moments) if kills is None else kills // 2
    # Spread over all operations: one from each of as many equal parts.
    for index in range(half):
        number = 1 + int((index + (0 if kills is None else rng.random())) * len(moments) / half)
        before = _start_over(chain, step)
        # Where threads work, a run may have fewer operations than the one that they were counted in.
        if kill_at_operation(chain, step, number):
            result.at_operation += 1
            _check(chain, step, result, before, f"operation {number} of {len(moments)}")
    wanted = result.kills + half if kills is None else kills
    while result.kills < wanted:
        before = _start_over(chain, step)
        at = rng.uniform(moments[0], moments[-1])
        where = f"{at:.2f} s"
        if not kill_at_moment(chain, step.arguments, at):
            continue
        result.at_moment += 1
        at = rng.uniform(moments[0], moments[-1])
        if result.kills < wanted and rng.random() < _KILLED_AGAIN and kill_at_moment(chain, step.arguments, at):
            result.at_moment += 1
            where += f", and the rerun at {at:.2f} s"
        _check(chain, step, result, before, where)
    return result


def _start_over(chain: Chain, step: Step) -> dict[str, str]:
    chain.restore(step)
    return fingerprint(chain.work)


def _check(chain: Chain, step: Step, result: Kills, before: dict[str, str], where: str) -> None:
    result.begun += fingerprint(chain.work) != before
    result.faults += [f"{step.name}, killed at {where}: {fault}" for fault in check_rerun(chain, step)]


def check_rerun(chain: Chain, step: Step) -> list[str]:
    """Run a disturbed step to its end, and once more: what is wrong with what is there then."""
    ended = chain.finish(step)
    faults = []
    if ended.code not in step.ok or "Traceback" in ended.output:
        faults.append(f"the rerun ended with {ended.code}: {ended.output.strip()[-500:]}")
    faults += differences(fingerprint(chain.work), chain.expected[step.name])
    if step.tidied:
        expect(chain.run(step.tidied), step.tidied)
        faults += [f"left over, and not tidied up: {name}" for name in writers_leftovers(chain.work)]
    return faults


def count_operations(chain: Chain, step: Step) -> list[float]:
    """When, in seconds after the start, an undisturbed run does something to a file."""
    chain.restore(step)
    log = chain.out / f"{step.name}.operations"
    ended = chain.run((str(log), *step.arguments), *LAUNCH, "count")
    if ended.code not in step.ok:
        raise RuntimeError(f"{step.name}: exit code {ended.code}\n{ended.output}")
    return [float(line.split()[0]) for line in log.read_text(encoding="utf-8").splitlines()]


def kill_at_operation(chain: Chain, step: Step, number: int) -> bool:
    """Run a step until right before its n-th operation; whether it came so far."""
    with chain.start((str(number), *step.arguments), *LAUNCH, "kill") as process:
        process.communicate()
    wait_until_gone(process)
    return process.returncode == -signal.SIGKILL


def kill_at_moment(chain: Chain, arguments: tuple[str, ...], seconds: float) -> bool:
    """Kill a command and all its processes so many seconds after its start; whether it was still running."""
    with chain.start(arguments) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return False
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def wait_until_gone(process: subprocess.Popen[str]) -> None:
    """Workers of a killed command end by themselves.

    Raises:
        RuntimeError: They do not, though it was killed some seconds ago.
    """
    end = time.monotonic() + _GONE_SECONDS
    while left := group_members(process.pid):
        if time.monotonic() > end:
            raise RuntimeError(f"processes of a killed command go on: {left}")
        time.sleep(0.05)


def group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, own = status.read_text().rpartition(")")[2].split()[:3]
            if int(own) == group and state != "Z":
                found.append(int(status.parent.name))
    return found


def table(results: list[Kills]) -> str:
    """A Markdown table, a step a row."""
    lines = [
        "| command | operations of a run | killed at an operation | at a moment | with work begun | not identical |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        row = (one.operations, one.at_operation, one.at_moment, one.begun, len(one.faults))
        lines.append(f"| {one.step} | " + " | ".join(f"{value:,}" for value in row) + " |")
    totals = Counter[str]()
    for one in results:
        totals.update(ops=one.operations, a=one.at_operation, b=one.at_moment, c=one.begun, d=len(one.faults))
    return "\n".join([*lines, "| **all** | " + " | ".join(f"**{value:,}**" for value in totals.values()) + " |"])
