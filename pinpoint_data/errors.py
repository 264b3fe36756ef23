"""The exception tree, and the record of what a run refused.

    PinpointError
     +- UsageError        a command or function was asked for something impossible (exit code 2)
     +- WorkspaceError    a workspace or one of its tables is missing, damaged or newer than this version
     +- SourceError       a source file cannot be read as what it claims to be
     +- PageError         a page image or PDF cannot be used
     +- GeometryError     boxes or grids that make no sense (also a ValueError)
     +- DatasetError      a published dataset folder is not what it should be
     +- TrainingError     a run, a checkpoint or its configuration cannot be used

An exception ends a command. A `Problem` does not: it is one record that was left out, named and counted in
an `Outcome`, while the rest goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class PinpointError(Exception):
    """A failure that names its file, its record and the remedy in one line.

    Args:
        message: What is wrong, without a final full stop.
        file: The file it was found in.
        record: The record inside the file (an id, a line, a page).
        remedy: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, file: object = None, record: object = None, remedy: str | None = None) -> None:
        self.message = message
        self.file = None if file is None else str(file)
        self.record = None if record is None else str(record)
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        where = ": ".join(shortened(part) for part in (self.file, self.record) if part)
        message = shortened(self.message)
        line = f"{where}: {message}" if where else message
        return one_line(f"{line} ({self.remedy})" if self.remedy else line)


class UsageError(PinpointError):
    """The caller asked for something impossible; nothing was done."""

    exit_code = 2


class WorkspaceError(PinpointError):
    """A workspace or one of its tables cannot be used."""


class SourceError(PinpointError):
    """A source file cannot be read as what it claims to be."""


class PageError(PinpointError):
    """A page image or PDF cannot be used.

    `code` is stable and is counted in summaries: `missing-image`, `unreadable-image`, `wrong-type`,
    `path-escapes-root`, `decompression-bomb`, `page-out-of-range`, `unreadable-pdf`, `encrypted-pdf`.
    """

    def __init__(self, code: str, message: str, **where: Any) -> None:
        super().__init__(message, **where)
        self.code = code


class GeometryError(PinpointError, ValueError):
    """Boxes, grids or windows that make no sense."""


class DatasetError(PinpointError):
    """A published dataset folder is not what it should be."""


class TrainingError(PinpointError):
    """A run, a checkpoint or its configuration cannot be used."""


def one_line(text: str) -> str:
    """`text` on one line, with control characters (also terminal escapes) made visible."""
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else repr(c)[1:-1] for c in text)


def shortened(text: str, most: int = 1000) -> str:
    """`text`, or its beginning: a message may repeat a value that a stranger made as long as a book."""
    return text if len(text) <= most else f"{text[:most]}..."


@dataclass(frozen=True)
class Problem:
    """One record that was refused while the rest went on.

    Attributes:
        code: Stable name of the kind of problem, for example `missing-image`.
        file: The file the record stands in, relative to the source root where possible.
        record: The record's id, or its place in the file.
        message: What is wrong.
        remedy: What to do about it.
    """

    code: str
    file: str
    record: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, error: PinpointError, *, code: str, file: object, record: object) -> Problem:
        """The problem behind an exception; the exception's own code and place win."""
        return cls(
            code=getattr(error, "code", code),
            file=error.file or str(file),
            record=str(record),
            message=error.message,
            remedy=error.remedy or "",
        )

    def __str__(self) -> str:
        text = f"{self.code}: {shortened(self.file)}: {shortened(self.record)}: {shortened(self.message)}"
        return one_line(f"{text} ({self.remedy})" if self.remedy else text)


@dataclass
class Outcome:
    """What a run did: counts of the good, and every refused record by kind.

    Only the first `keep` problems are held in memory, the counts are complete.
    """

    counts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    keep: int = 1000

    def refuse(self, problem: Problem) -> None:
        """Count a problem and keep it while there is room."""
        self.refused[problem.code] += 1
        if len(self.problems) < self.keep:
            self.problems.append(problem)

    def merge(self, found: Mapping[str, Any]) -> None:
        """Add what another outcome's `to_json` says, as a finished chunk or part keeps it."""
        self.counts.update(found["counts"])
        self.refused.update(found["refused"])
        room = self.keep - len(self.problems)
        self.problems += [Problem(**problem) for problem in found["problems"][:room]]

    @property
    def exit_code(self) -> int:
        """0 when nothing was refused, else 1."""
        return 1 if self.refused else 0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "refused": dict(sorted(self.refused.items())),
            "problems": [asdict(p) for p in self.problems],
            "problems_listed": len(self.problems),
            "problems_total": self.refused.total(),
        }

    def text(self, shown: int = 20) -> str:
        """A summary for people: counts, kinds of refusal, the first problems by name."""
        lines = [", ".join(f"{n:,} {name}" for name, n in self.counts.items()) or "nothing done"]
        if self.refused:
            kinds = ", ".join(f"{n:,} {code}" for code, n in sorted(self.refused.items()))
            lines.append(f"refused {self.refused.total():,}: {kinds}")
            lines += [f"  {problem}" for problem in self.problems[:shown]]
            if self.refused.total() > shown:
                lines.append(f"  ... and {self.refused.total() - shown:,} more (--json lists up to {self.keep:,})")
        return "\n".join(lines)
