"""What each annotator said about each question: the input of agreement, adjudication and the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from sys import intern
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation.works import Works
from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.schema import ROLES, STATUSES
from pinpoint_data.tables import iter_part
from pinpoint_data.workspace import Workspace

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

GOLD = "gold:"
PROPOSAL = "proposal:"
"""Prefixes of annotators that are no people: the truth that came with a source, and our own proposals."""

DONE = ("evidence", "no_evidence", "unanswerable", "wrong_answer")
"""Statuses with which an annotator has finished a question; `skipped` and `unfinished` say nothing about it."""

SMALLEST_PX, LARGEST_PX = 1e-6, 1e7
"""No evidence is that small and no page that large: such numbers are damage, and areas of them would not be exact."""

_XYXY = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True, eq=False, slots=True)
class Judgement:
    """One annotator's work on one question. Regions are sorted by page, box, role and id, however they were stored.

    Attributes:
        question_id: The question.
        annotator: Who.
        status: One of `pinpoint_data.schema.STATUSES`; `unfinished` where there are regions but no verdict.
        page: (n,) page index of each region, into the question's own pages.
        xyxy: (n, 4) regions in page pixels.
        roles: n roles, `answer` or `support`.
        origins: n origins: `accepted`, `moved`, `new`, or what a source gave.
        region_ids: n ids, unique inside one judgement.
        lead_time_s: Seconds spent, where known.
        created_at: ISO 8601, where known.
        deleted: Pre-annotations that the annotator removed.
    """

    question_id: str
    annotator: str
    status: str
    page: IntArray
    xyxy: FloatArray
    roles: tuple[str, ...]
    origins: tuple[str, ...]
    region_ids: tuple[str, ...]
    lead_time_s: float | None = None
    created_at: str | None = None
    deleted: int = 0

    @property
    def done(self) -> bool:
        """Whether the annotator came to a verdict."""
        return self.status in DONE

    @property
    def marks(self) -> bool:
        """Whether its regions count as evidence: statuses that deny evidence may still hold prefilled ones."""
        return self.status == "evidence"

    def on_page(self, page: int) -> FloatArray:
        """(m, 4) regions on one page of the question."""
        boxes: FloatArray = self.xyxy[self.page == page]
        return boxes


@dataclass(frozen=True, eq=False)
class Judgements:
    """All judgements of a workspace.

    Attributes:
        by_question: Question id -> its judgements, in the order of the annotators' names.
        annotators: Everybody who judged anything, sorted.
        problems: Regions that were left out, and why.
    """

    by_question: dict[str, list[Judgement]]
    annotators: tuple[str, ...]
    problems: list[Problem]


def load_judgements(workspace: Workspace, annotators: Sequence[str] = (), *, exclude: Sequence[str] = ()) -> Judgements:
    """Read the judgements of some annotators.

    Args:
        workspace: Where the table `annotations` is.
        annotators: Names or patterns (`label-studio:*`); by default everybody but `gold:*` and `proposal:*`.
        exclude: Names or patterns to leave out.

    Raises:
        UsageError: A name or pattern fits nobody: a misspelt `exclude` would count those who are not wanted.
    """
    works = _works(workspace, annotators, exclude)
    problems: list[Problem] = []
    by_question: dict[str, list[Judgement]] = {}
    for judgement in _judgements(works, problems):
        by_question.setdefault(judgement.question_id, []).append(judgement)
    names = {judgement.annotator for found in by_question.values() for judgement in found}
    return Judgements(by_question, tuple(sorted(names)), problems)


def iter_judgements(workspace: Workspace, annotators: Sequence[str], problems: list[Problem]) -> Iterator[Judgement]:
    """The judgements of some annotators one by one, sorted by question and annotator.

    For what only counts them: a million judgements as objects are a gigabyte.

    Args:
        workspace: Where the table `annotations` is.
        annotators: Names or patterns.
        problems: Takes the regions that are left out, and why.

    Raises:
        UsageError: A name or pattern fits nobody.
    """
    return _judgements(_works(workspace, annotators, ()), problems)


def _works(workspace: Workspace, annotators: Sequence[str], exclude: Sequence[str]) -> Works:
    works = Works(workspace, lambda name: _wanted(name, annotators, exclude))
    _check(workspace, works.seen, (*annotators, *exclude))
    return works


def check_annotators(workspace: Workspace, patterns: Sequence[str]) -> set[str]:
    """The names of everybody who has a row of annotations, people or not.

    Raises:
        UsageError: A name or pattern fits nobody.
    """
    names: set[str] = set()
    for part in workspace.parts("annotations"):
        for batch in iter_part("annotations", workspace.part_path("annotations", part), ["annotator"]):
            names.update(pc.unique(batch["annotator"]).to_pylist())
    _check(workspace, names, patterns)
    return names


def _check(workspace: Workspace, names: Iterable[str], patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if not _fits(names, pattern):
            known = ", ".join(sorted(names)) or "none"
            raise UsageError(f"no annotation by {pattern!r}", file=workspace.path, remedy=f"annotators: {known}")


def _judgements(works: Works, problems: list[Problem]) -> Iterator[Judgement]:
    for question_id, annotator, parts in works:
        rows = _newest(question_id, annotator, parts, problems)
        yield _judgement(question_id, intern(annotator), rows, problems)


def _newest(
    question_id: str, annotator: str, parts: dict[str, list[dict[str, Any]]], problems: list[Problem]
) -> list[dict[str, Any]]:
    """The rows of one part: somebody who met a question in two projects has one say, the newest that is no draft."""

    def age(part: str) -> tuple[bool, str, str]:
        verdicts = [row for row in parts[part] if row["region_id"] is None]
        begun = all(row["status"] not in STATUSES or row["status"] == "unfinished" for row in verdicts)
        return not begun, max((row["created_at"] or "" for row in verdicts), default=""), part

    *older, newest = sorted(parts, key=age)
    for part in older:
        problems.append(
            Problem(
                "judged-twice",
                f"annotations/{part}",
                f"{question_id} by {annotator}",
                f"the judgement in {newest} is newer, or the only one that is no draft, and holds",
                "remove the older one where it should not",
            )
        )
    return parts[newest]


def _wanted(name: str, annotators: Sequence[str], exclude: Sequence[str]) -> bool:
    if any(_fits([name], pattern) for pattern in exclude):
        return False
    if annotators:
        return any(_fits([name], pattern) for pattern in annotators)
    return not name.startswith((GOLD, PROPOSAL))


def _fits(names: Iterable[str], pattern: str) -> bool:
    """Whether one of the names is the pattern itself (names may hold brackets) or fits it."""
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)


def _judgement(question_id: str, annotator: str, rows: Sequence[dict[str, Any]], problems: list[Problem]) -> Judgement:
    regions, verdict = [], None
    for row in rows:
        if row["region_id"] is None:
            verdict = row  # the last one holds, as in publication
        elif (fault := _fault(row)) is None:
            regions.append(row)
        else:
            problems.append(
                Problem("bad-region", "annotations", f"{question_id} by {annotator}", fault, "run `pinpoint validate`")
            )
    regions.sort(key=_place)
    status = intern(verdict["status"]) if verdict and verdict["status"] in STATUSES else "unfinished"
    return Judgement(
        question_id,
        annotator,
        status,
        np.array([row["page_index"] for row in regions], np.int64),
        np.array([[row[c] for c in _XYXY] for row in regions], np.float64).reshape(-1, 4),
        # One text for all judgements, instead of a copy each.
        tuple(intern(row["role"] or "answer") for row in regions),
        tuple(intern(row["origin"]) for row in regions),
        tuple(row["region_id"] for row in regions),
        verdict["lead_time_s"] if verdict else None,
        verdict["created_at"] if verdict else None,
        verdict["deleted"] if verdict else 0,
    )


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["page_index"], *(row[c] for c in _XYXY), row["role"] or "answer", row["region_id"]


def box_fault(xyxy: Sequence[float | None]) -> str | None:
    """What makes four numbers no box that can be compared, if anything does."""
    values = [value for value in xyxy if value is not None and math.isfinite(value)]
    if len(values) < 4 or values[2] - values[0] < SMALLEST_PX or values[3] - values[1] < SMALLEST_PX:
        return f"has no area: {list(xyxy)}"
    if max(map(abs, values)) > LARGEST_PX:
        return f"lies on no page: {list(xyxy)}"
    return None


def _fault(row: dict[str, Any]) -> str | None:
    box = [row[name] for name in _XYXY]
    name = f"region {row['region_id']}"
    if fault := box_fault(box):
        return f"{name} {fault}"
    if row["page_index"] is None or row["page_index"] < 0:
        return f"{name} is on page {row['page_index']}"
    if row["role"] is not None and row["role"] not in ROLES:
        return f"{name} has the role {row['role']!r}; expected one of {', '.join(ROLES)}"
    return None
