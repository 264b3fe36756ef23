"""What the report is about, read from a workspace.

Figures are over all questions, which may be a million: of these there is an id and a few numbers each. What the
page shows of a single question is read of the listed ones alone: see `annotation.report.listed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation.judgements import GOLD, PROPOSAL, Judgement, Judgements, load_judgements
from annotation.report.verdicts import Verdict
from pinpoint_data.workspace import Workspace

Row = dict[str, Any]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Questions:
    """Every question of a workspace in the order of the table: id, source and split, and the area of its pages.

    Attributes:
        ids: The ids.
        places: Id -> place in `ids`.
        groups: (source, split) pairs, sorted.
        group: (n,) which of them each question is in.
    """

    def __init__(self, workspace: Workspace) -> None:
        table = workspace.read("questions", columns=["question_id", "source", "split", "page_ids"])
        self.ids: list[str] = table["question_id"].to_pylist()
        self.places = {question_id: place for place, question_id in enumerate(self.ids)}
        names = table.group_by(["source", "split"]).aggregate([]).to_pylist()
        self.groups: list[tuple[str, str]] = sorted((row["source"], row["split"]) for row in names)
        self.group = np.zeros(len(self.ids), np.int64)
        for number, (source, split) in enumerate(self.groups):
            mine = pc.and_(pc.equal(table["source"], source), pc.equal(table["split"], split))
            self.group[mine.to_numpy()] = number
        self._starts, self._areas = _areas(workspace, table["page_ids"])

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, question_id: object) -> bool:
        return question_id in self.places

    def area(self, question_id: str, page: int) -> float:
        """The area of a page of a known question; 0 where there is no such page, or its size is not known."""
        place = self.places[question_id]
        start, end = self._starts[place], self._starts[place + 1]
        return float(self._areas[start + page]) if page < end - start else 0.0


def _areas(workspace: Workspace, page_ids: pa.ChunkedArray) -> tuple[IntArray, FloatArray]:
    """Where each question's pages begin, and the area of each; 0 of a page that the workspace does not know."""
    pages = workspace.read("pages", columns=["page_id", "width", "height"])
    known = pc.unique(pages["page_id"])
    areas = np.zeros(len(known) + 1)
    width, height = (pages[name].to_numpy().astype(np.float64) for name in ("width", "height"))
    areas[pc.index_in(pages["page_id"], value_set=known).to_numpy()] = width * height
    asked = pc.fill_null(pc.index_in(pc.list_flatten(page_ids), value_set=known), len(known)).to_numpy()
    lengths = pc.list_value_length(page_ids).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), areas[asked]


@dataclass(frozen=True, eq=False)
class Campaign:
    """A workspace as the report sees it.

    Attributes:
        workspace: Where the pages' pixels are looked for.
        questions: All of them.
        people: What the annotators that are compared said.
        references: `gold:*` and `proposal:*`, where they are not compared themselves.
        verdicts: Question id -> adjudicated verdict.
    """

    workspace: Workspace
    questions: Questions
    people: Judgements
    references: tuple[str, ...]
    verdicts: dict[str, Verdict]

    def judgements(self) -> Iterator[Judgement]:
        """The people's judgements of known questions, in the order of the questions."""
        found = self.people.by_question
        for question_id in sorted(found.keys() & self.questions.places.keys(), key=self.questions.places.__getitem__):
            yield from found[question_id]


def load_campaign(workspace: Workspace, everybody: Set[str], annotators: Sequence[str] = ()) -> Campaign:
    """Read a workspace for the report.

    Args:
        workspace: An open workspace.
        everybody: Who has a row of annotations, from `check_annotators`.
        annotators: Names or patterns of those who are compared; by default everybody but `gold:*` and `proposal:*`.

    Raises:
        UsageError: A name or pattern fits nobody.
        WorkspaceError: A table is damaged.
    """
    people = load_judgements(workspace, annotators)
    others = {name for name in everybody if name.startswith((GOLD, PROPOSAL))} - set(people.annotators)
    verdicts = {row["question_id"]: Verdict.of(row) for row in workspace.iter_rows("verdicts")}
    return Campaign(workspace, Questions(workspace), people, tuple(sorted(others)), verdicts)


def seconds_of(judgement: Judgement) -> float | None:
    """The lead time, where it is a time."""
    lead = judgement.lead_time_s
    return lead if lead is not None and math.isfinite(lead) and lead >= 0 else None
