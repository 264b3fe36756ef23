"""Commands on one workspace at the same time: one works, the others say who does, and the end is the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.campaigns.crash.chain import STEPS, Chain, Step, differences, expect, fingerprint

_IN_USE = ("is in use by", "is being trained by another command")
_PATIENCE_SECONDS = 120.0


@dataclass
class Together:
    """What became of one step that was started several times at once.

    Attributes:
        step: Its name.
        started: How many were started together.
        worked: How many of them did their work.
        refused: How many said that another one holds the folder.
        faults: What went wrong, a line each.
    """

    step: str
    started: int
    worked: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def run_together(chain: Chain, number: int, only: tuple[str, ...] = ()) -> Iterator[Together]:
    """Start every step so many times at once."""
    for step in STEPS:
        if not only or step.name in only:
            yield run_step(chain, step, number)


def run_step(chain: Chain, step: Step, number: int) -> Together:
    """Start one step several times at once, and see that its result is that of one."""
    chain.restore(step)
    result = Together(step.name, number)
    processes = [chain.start(step.arguments) for _ in range(number)]
    outputs = [process.communicate(timeout=_PATIENCE_SECONDS)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode in (1, 2) and any(text in output for text in _IN_USE) and "Traceback" not in output:
            result.refused += 1
        elif process.returncode in step.ok:
            result.worked += 1
        else:
            result.faults.append(f"{step.name}: exit code {process.returncode}: {output.strip()[-500:]}")
    if not result.worked:
        result.faults.append(f"{step.name}: none of {number} did the work")
    if step.tidied:  # several may write at once, and then some of their work is there twice
        expect(chain.run(step.tidied), step.tidied)
        (chain.work / "features" / ".prune.lock").unlink(missing_ok=True)
    result.faults += [
        f"{step.name}: {fault}" for fault in differences(fingerprint(chain.work), chain.expected[step.name])
    ]
    return result


def lock_of_the_dead(chain: Chain) -> list[str]:
    """Kill a command while it holds the workspace; what keeps the next one from working at once."""
    step = next(step for step in STEPS if step.name == "propose")
    chain.restore(step)
    holder = chain.work / "ws" / ".lock.json"
    with chain.start(step.arguments) as process:
        while process.poll() is None and not holder.exists():
            time.sleep(0.002)
        process.kill()
        process.wait()
    if not holder.exists():
        return ["the command ended before it was killed"]
    ended = chain.run(step.arguments)
    if ended.code not in step.ok:
        return [f"after a kill: exit code {ended.code}: {ended.output.strip()[-500:]}"]
    return differences(fingerprint(chain.work), chain.expected[step.name])


def table(results: list[Together]) -> str:
    """A Markdown table, a step a row."""
    lines = ["| command | at once | worked | refused by the lock | faults |", "|---|---:|---:|---:|---:|"]
    for one in results:
        lines.append(f"| {one.step} | {one.started} | {one.worked} | {one.refused} | {len(one.faults)} |")
    return "\n".join(lines)
