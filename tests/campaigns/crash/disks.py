"""A disk that is full, and one that cannot be written: what commands say, and what a rerun makes of it afterwards.

A small file system in memory is mounted over the folder that commands work in, so root is needed.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns.crash.chain import STEPS, Chain, Ended, Step, fingerprint
from tests.campaigns.crash.kills import check_rerun

_BALLAST = "ballast"
_FULL = ("No space left on device", "free some space")  # some say so before they begin
_READ_ONLY = ("Read-only file system",)


@dataclass
class Disks:
    """What became of one step.

    Attributes:
        step: Its name.
        full: Runs on a disk with too little room that ended with exit code 1 and one line about it.
        read_only: The same of runs on a disk that cannot be written.
        said: What the last one said.
        faults: What went wrong, a line each.
    """

    step: str
    full: int = 0
    read_only: int = 0
    said: str = ""
    faults: list[str] = field(default_factory=list)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with mounted(folder, 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system in memory of this size over a folder."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def run_disks(chain: Chain, rounds: int, seed: int, only: tuple[str, ...] = ()) -> Iterator[Disks]:
    """Every step on a disk that is full after some more bytes, `rounds` times, and once on one that is read-only."""
    with mounted(chain.work, 512):
        for number, step in enumerate(step for step in STEPS if not only or step.name in only):
            yield run_step(chain, step, rounds, random.Random(seed * 1000 + number))


def run_step(chain: Chain, step: Step, rounds: int, rng: random.Random) -> Disks:
    """One step; the room on the full disk is drawn from what its result takes."""
    result = Disks(step.name)
    chain.restore(step)
    before = _free(chain.work)
    chain.run(step.arguments)
    needed = max(4096, before - _free(chain.work))
    for _ in range(rounds):
        chain.restore(step)
        room = rng.randrange(needed)
        with _filled(chain.work, room):
            ended = chain.run(step.arguments)
            result.full += _refused(result, ended, _FULL, f"{room:,} bytes of {needed:,} free")
        result.faults += [
            f"{step.name}, room again after {room:,} bytes: {fault}" for fault in check_rerun(chain, step)
        ]
    chain.restore(step)
    untouched = fingerprint(chain.work)
    with _read_only(chain.work):
        ended = chain.run(step.arguments)
        result.read_only += _refused(result, ended, _READ_ONLY, "read-only")
    if fingerprint(chain.work) != untouched:
        result.faults.append(f"{step.name}, read-only: the folder is not what it was")
    result.faults += [f"{step.name}, writable again: {fault}" for fault in check_rerun(chain, step)]
    return result


def _refused(result: Disks, ended: Ended, messages: tuple[str, ...], where: str) -> bool:
    """Whether a run ended as one should that cannot write; if not, that is a fault."""
    result.said = ended.output.strip().rpartition("\n")[2]
    if ended.code == 1 and any(text in ended.output for text in messages) and "Traceback" not in ended.output:
        return True
    result.faults.append(f"{result.step}, {where}: exit code {ended.code}: {ended.output.strip()[-500:]}")
    return False


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@contextmanager
def _filled(folder: Path, room: int) -> Iterator[None]:
    """A disk with so many bytes free."""
    ballast = folder / _BALLAST
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, _free(folder) - room))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True, capture_output=True)


def table(results: list[Disks]) -> str:
    """A Markdown table, a step a row."""
    lines = [
        "| command | full disk: said so | read-only: said so | faults | what it said last |",
        "|---|---:|---:|---:|---|",
    ]
    for one in results:
        lines.append(f"| {one.step} | {one.full} | {one.read_only} | {len(one.faults)} | `{one.said}` |")
    return "\n".join(lines)
