"""Everything the report is about, read from a workspace once."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from annotation.judgements import GOLD, PROPOSAL, Judgement, Judgements, load_judgements
from pinpoint_data.errors import Problem
from pinpoint_data.workspace import Workspace

Row = dict[str, Any]

_QUESTION_COLUMNS = (
    *("question_id", "source", "split", "doc_id", "page_ids", "question", "answers"),
    *("answer_types", "evidence_types", "answer_page_index"),
)
_PAGE_COLUMNS = ("page_id", "source", "path", "pdf_page", "dpi", "width", "height")


@dataclass(frozen=True, eq=False)
class Campaign:
    """A workspace as the report sees it.

    Attributes:
        workspace: Where the pages' pixels are looked for.
        questions: Rows of `questions`, in table order.
        pages: Page id -> row of `pages`.
        people: What the annotators that are compared said.
        references: What `gold:*` and `proposal:*` say, where they are not compared themselves.
        quads: (question id, annotator, region id) -> corners (8 page pixels) of regions that are rotated.
        evidence: Question id -> adjudicated boxes.
        verdicts: Question id -> adjudicated verdict.
        problems: Regions and boxes that are left out, and why.
    """

    workspace: Workspace
    questions: list[Row]
    pages: dict[str, Row]
    people: Judgements
    references: Judgements
    quads: dict[tuple[str, str, str], list[float]]
    evidence: dict[str, list[Row]]
    verdicts: dict[str, Row]
    problems: list[Problem]

    def judgements(self) -> Iterator[Judgement]:
        """The people's judgements of known questions, in the order of the questions."""
        for row in self.questions:
            yield from self.people.by_question.get(row["question_id"], ())


def load_campaign(workspace: Workspace, annotators: Sequence[str] = ()) -> Campaign:
    """Read a workspace for the report.

    Args:
        workspace: An open workspace.
        annotators: Names or patterns of those who are compared; by default everybody but `gold:*` and `proposal:*`.

    Raises:
        UsageError: A name or pattern fits nobody.
        WorkspaceError: A table is damaged.
    """
    people = load_judgements(workspace, annotators)
    everybody = pc.unique(workspace.read("annotations", columns=["annotator"])["annotator"]).to_pylist()
    others = [n for n in everybody if n.startswith((GOLD, PROPOSAL)) and n not in people.annotators]
    names = [glob.escape(name) for name in others]
    references = load_judgements(workspace, names) if names else Judgements({}, (), [])
    evidence, problems = _evidence(workspace)
    return Campaign(
        workspace,
        list(workspace.iter_rows("questions", columns=_QUESTION_COLUMNS)),
        {row["page_id"]: row for row in workspace.iter_rows("pages", columns=_PAGE_COLUMNS)},
        people,
        references,
        _quads(workspace),
        evidence,
        {row["question_id"]: row for row in workspace.iter_rows("verdicts")},
        [*people.problems, *references.problems, *problems],
    )


def seconds_of(judgement: Judgement) -> float | None:
    """The lead time, where it is a time."""
    lead = judgement.lead_time_s
    return lead if lead is not None and math.isfinite(lead) and lead >= 0 else None


def _quads(workspace: Workspace) -> dict[tuple[str, str, str], list[float]]:
    table = workspace.read("annotations", columns=["question_id", "annotator", "region_id", "quad"])
    rows = table.filter(pc.is_valid(table["quad"])).to_pylist()
    return {
        (row["question_id"], row["annotator"], row["region_id"]): row["quad"]
        for row in rows
        if len(row["quad"]) == 8 and None not in row["quad"] and np.isfinite(row["quad"]).all()
    }


def _evidence(workspace: Workspace) -> tuple[dict[str, list[Row]], list[Problem]]:
    kept: dict[str, list[Row]] = {}
    problems = []
    for row in workspace.iter_rows("evidence"):
        box = [row[name] for name in ("x0", "y0", "x1", "y1")]
        if np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3] and row["page_index"] >= 0:
            kept.setdefault(row["question_id"], []).append(row)
        else:
            record = f"{row['question_id']}, box {row['evidence_id']}"
            message = f"has no area or no page: {box} on page {row['page_index']}"
            problems.append(Problem("bad-region", "evidence", record, message, "run `pinpoint adjudicate` again"))
    return kept, problems
