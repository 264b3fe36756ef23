"""What the page shows of the questions in its list, and what is counted on the way to it.

Gold, proposals and adjudicated boxes of all questions stream by once: statistics and votes count them all, and those of
the listed questions are kept.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from annotation.judgements import Judgement, box_fault, iter_judgements
from annotation.report.campaign import Campaign, Row
from annotation.report.statistics import Statistics
from pinpoint_data.errors import Problem
from pinpoint_data.schema import ROLES
from pinpoint_data.tables import iter_part
from pinpoint_data.workspace import Workspace

_QUESTION_COLUMNS = (
    *("question_id", "source", "split", "doc_id", "page_ids", "question", "answers"),
    *("answer_types", "evidence_types", "answer_page_index"),
)
_PAGE_COLUMNS = ("page_id", "source", "path", "pdf_page", "dpi", "width", "height")
_QUAD_COLUMNS = ("question_id", "annotator", "region_id", "quad")


@dataclass(eq=False)
class Listed:
    """The questions of the list.

    Attributes:
        rows: Rows of `questions`, in the order of the list.
        pages: Page id -> row of `pages`, of the pages of these questions.
        references: Question id -> what gold and proposals say, by name.
        quads: (question id, annotator, region id) -> corners (8 page pixels) of regions that are rotated.
        evidence: Question id -> adjudicated boxes.
        votes: Votes -> adjudicated boxes with so many, over all decided questions.
        problems: Regions and boxes of all questions that are left out, and why.
    """

    rows: list[Row]
    pages: dict[str, Row]
    references: dict[str, list[Judgement]] = field(default_factory=dict)
    quads: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    evidence: dict[str, list[Row]] = field(default_factory=dict)
    votes: Counter[int] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def read_listed(campaign: Campaign, places: Sequence[int], statistics: Statistics) -> Listed:
    """Read what the page shows of some questions.

    Args:
        campaign: The campaign.
        places: The questions to list, as places in the table.
        statistics: Takes the gold, the proposals and the adjudicated boxes of all questions.
    """
    workspace = campaign.workspace
    rows = _at(workspace, places)
    ids = {row["question_id"] for row in rows}
    page_ids = {page_id for row in rows for page_id in row["page_ids"]}
    pages = {row["page_id"]: row for row in _matching(workspace, "pages", _PAGE_COLUMNS, "page_id", page_ids)}
    listed = Listed(rows, pages)
    if campaign.references:
        names = [glob.escape(name) for name in campaign.references]
        for judgement in iter_judgements(workspace, names, listed.problems):
            statistics.add_judgement(judgement, reference=True)
            if judgement.question_id in ids:
                listed.references.setdefault(judgement.question_id, []).append(judgement)
    for row in _matching(workspace, "annotations", _QUAD_COLUMNS, "question_id", ids):
        quad = row["quad"]
        if quad is not None and len(quad) == 8 and None not in quad and np.isfinite(quad).all():
            listed.quads[row["question_id"], row["annotator"], row["region_id"]] = quad
    _read_evidence(campaign, ids, listed, statistics)
    return listed


def _at(workspace: Workspace, places: Sequence[int]) -> list[Row]:
    """Rows of `questions` at some places, in the order of the places."""
    found: dict[int, Row] = {}
    wanted = np.sort(np.array(places, np.int64))
    start = 0
    for part in workspace.parts("questions"):
        for batch in iter_part("questions", workspace.part_path("questions", part), _QUESTION_COLUMNS):
            first, beyond = np.searchsorted(wanted, [start, start + batch.num_rows])
            mine = wanted[first:beyond]
            found |= zip(mine.tolist(), batch.take(pa.array(mine - start)).to_pylist(), strict=True)
            start += batch.num_rows
    return [found[place] for place in places]


def _matching(
    workspace: Workspace, table: str, columns: Sequence[str], key: str, values: set[str]
) -> list[dict[str, Any]]:
    """Rows of a table with one of some values in a column, in the order of the table."""
    rows = []
    for part in workspace.parts(table):
        for batch in iter_part(table, workspace.part_path(table, part), columns):
            # Not `is_in`, which takes up all the values anew for every batch.
            mine = [value in values for value in batch[key].to_pylist()]
            rows += batch.filter(pa.array(mine, pa.bool_())).to_pylist()
    return rows


def _read_evidence(campaign: Campaign, ids: set[str], listed: Listed, statistics: Statistics) -> None:
    for row in campaign.workspace.iter_rows("evidence"):
        question_id = row["question_id"]
        box = [row[name] for name in ("x0", "y0", "x1", "y1")]
        if box_fault(box) or row["page_index"] < 0 or row["role"] not in ROLES:
            record = f"{question_id}, box {row['evidence_id']}"
            message = f"has no area, page or role: {box} on page {row['page_index']} as {row['role']!r}"
            listed.problems.append(
                Problem("bad-region", "evidence", record, message, "run `pinpoint adjudicate` again")
            )
            continue
        statistics.add_evidence(row)
        verdict = campaign.verdicts.get(question_id)
        if verdict is not None and verdict.reason is None and question_id in campaign.questions:
            listed.votes[row["votes"]] += 1
        if question_id in ids:
            listed.evidence.setdefault(question_id, []).append(row)
