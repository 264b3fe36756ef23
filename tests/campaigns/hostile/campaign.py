"""The campaign: so many cases of every kind, what fell, and the table of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.campaigns.hostile import forks
from tests.campaigns.hostile.cases import Case, Kind, fresh, prepare
from tests.campaigns.hostile.forks import Done, Server
from tests.campaigns.hostile.verdicts import disk_fault, fault_of, state


@dataclass
class Tally:
    """What happened to the cases of one kind; kept as JSON, so that a kind can be run again alone.

    Attributes:
        kind: Its name.
        cases: How many were run.
        commands: How many commands they ran.
        accepted: Cases whose first command ended with 0.
        partly: Those in which it refused some records and went on.
        refused: Those that it refused with a line.
        faults: Number, file and fault of the others.
        seconds: CPU time of the slowest command.
        bytes: Memory of the largest.
    """

    kind: str
    cases: int = 0
    commands: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    bytes: int = 0

    def add(self, case: Case, done: Sequence[Done], fault: str | None) -> None:
        """Count a case."""
        self.cases += 1
        self.commands += len(done)
        if fault:
            self.faults.append(f"{case.number} ({case.file}, {case.how}): {fault}")
        elif not done[0].code:
            self.accepted += 1
        elif done[0].stdout.strip():
            self.partly += 1
        else:
            self.refused += 1
        self.seconds = max(self.seconds, *(one.seconds for one in done))
        self.bytes = max(self.bytes, *(one.bytes for one in done))

    def save(self, out: Path) -> None:
        """Keep it in a folder."""
        file = out / f"{_slug(self.kind)}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def load_all(cls, out: Path) -> list[Tally]:
        """All that are kept in a folder."""
        return [cls(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(out.glob("*.json"))]


def run_case(case: Case, server: Server) -> tuple[list[Done], str | None]:
    """Run a case's commands; a fault of one ends it."""
    before = state(case.folder.parent / "outside")
    ended = []
    for arguments in case.commands():
        done = server.run(case.folder, arguments)
        ended.append(done)
        if fault := fault_of(case, done) or disk_fault(case, before):
            return ended, f"pinpoint {' '.join(arguments)}: {fault}"
    return ended, None


def shares(kinds: Sequence[Kind], cases: int) -> dict[str, int]:
    """How many cases each kind gets of `cases` in all."""
    total = sum(kind.share for kind in kinds)
    given = {kind.name: int(cases * kind.share / total) for kind in kinds}
    for kind in kinds[: cases - sum(given.values())]:
        given[kind.name] += 1
    return given


def make_bases(kinds: Sequence[Kind], out: Path) -> dict[str, Path]:
    """Fill the folder of every base, in a child each, so that the process that is forked stays as it is."""
    made = {}
    for kind in kinds:
        folder = out / "bases" / kind.base.__name__
        if not folder.exists():
            folder.mkdir(parents=True)
            forks.in_children(lambda kind=kind, folder=folder: kind.base(folder))  # type: ignore[misc]
        made[kind.name] = folder
    return made


def run_kind(kind: Kind, base: Path, out: Path, seed: int, numbers: Sequence[int], say: Callable[[str], None]) -> Tally:
    """All cases of one kind; the input of each that falls is kept in `out/faults`."""
    # A place of the kind's own, which also is the same whatever runs beside it: workspaces remember where they are.
    tally, place = Tally(kind.name), out / "cases" / _slug(kind.name)
    with Server() as server:
        _check_base(kind, base, place, server)
        for number in numbers:
            case = prepare(kind, base, place, seed, number)
            done, fault = run_case(case, server)
            tally.add(case, done, fault)
            if fault:
                server.fresh()
                say(f"{kind.name} {tally.faults[-1]}")
                _keep(kind, base, place, out / "faults", seed, number)
    return tally


def run_kinds(kinds: Sequence[Kind], jobs: int, run: Callable[[Kind], None]) -> None:
    """Run kinds in so many processes, of which each takes the next kind when it is done with one."""
    queue, end = os.pipe()
    largest_first = sorted(kinds, key=lambda kind: -kind.share)
    os.write(end, bytes(range(len(kinds))))
    os.close(end)

    def work() -> None:
        while place := os.read(queue, 1):
            run(largest_first[place[0]])

    forks.in_children(work, jobs)
    os.close(queue)


def _slug(kind: str) -> str:
    return kind.replace(" ", "-")


def _check_base(kind: Kind, base: Path, place: Path, server: Server) -> None:
    """Refuse a base that is refused itself: cases made of it would prove nothing."""
    folder = fresh(base, place)
    for command in kind.commands:
        done = server.run(folder, command.split())
        if not done.stdout.strip():
            raise RuntimeError(f"{kind.name}: pinpoint {command} fails on its base: {done.stderr.decode()}")


def _keep(kind: Kind, base: Path, place: Path, faults: Path, seed: int, number: int) -> None:
    """Make the case anew and put its input aside, as it was before its commands ran."""
    case = prepare(kind, base, place, seed, number)
    kept = faults / f"{_slug(kind.name)}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    case.folder.parent.rename(kept)


def table(tallies: Sequence[Tally]) -> Iterator[str]:
    """The Markdown table, line by line."""
    yield "| file | cases | commands | accepted | in part | refused | faults | slowest command | most memory |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for tally in sorted(tallies, key=lambda tally: tally.kind):
        yield _row(tally.kind, [tally])
    yield _row("**all**", tallies)


def _row(name: str, tallies: Sequence[Tally]) -> str:
    columns = ("cases", "commands", "accepted", "partly", "refused")
    numbers = [sum(getattr(tally, column) for tally in tallies) for column in columns]
    numbers.append(sum(len(tally.faults) for tally in tallies))
    seconds, memory = max(tally.seconds for tally in tallies), max(tally.bytes for tally in tallies)
    cells = [name, *(f"{number:,}" for number in numbers), f"{seconds:.1f} s", f"{memory / 2**20:,.0f} MiB"]
    return f"| {' | '.join(cells)} |"
