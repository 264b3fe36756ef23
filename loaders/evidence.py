"""Which evidence a question is published with: the adjudicated one, else one annotator's."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.schema import ROLES, TABLES
from pinpoint_data.tables import iter_part
from pinpoint_data.workspace import Workspace

GOLD = "gold:"
_BLOCK_ROWS = 128
_REGION = (
    "question_id",
    "annotator",
    "region_id",
    "page_index",
    "x0",
    "y0",
    "x1",
    "y1",
    "role",
    "status",
)


class RowsByKey:
    """Rows of an Arrow table found by the value of a column, in table order.

    Rows become dicts a block at a time and a few blocks are kept: whoever asks in about the order of the table
    decodes each row once, and memory stays that of Arrow. Rows of one key that stand together, as commands write
    them, are one run; runs of a key are chained, so that a key costs one number.
    """

    def __init__(self, table: pa.Table, key: str) -> None:
        self._table = table
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._starts, self._stops, self._next = array("q"), array("q"), array("q")
        done = 0
        for chunk in table[key].chunks:
            runs = pc.run_end_encode(chunk)
            start = 0
            for value, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                self._add(value, done + start, done + stop)
                start = stop
            done += len(chunk)
        self._block = lru_cache(maxsize=64)(self._decode)

    def _add(self, key: str, start: int, stop: int) -> None:
        new = len(self._starts)
        self._starts.append(start)
        self._stops.append(stop)
        self._next.append(-1)
        run = self._first.setdefault(key, new)
        if run != new:
            self._next[self._last.get(key, run)] = new
            self._last[key] = new

    def __contains__(self, key: str) -> bool:
        return key in self._first

    def _decode(self, block: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table.slice(block * _BLOCK_ROWS, _BLOCK_ROWS).to_pylist()
        return rows

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The rows of a key, not to be changed; none if it is unknown."""
        found = []
        run = self._first.get(key, -1)
        while run >= 0:
            for place in range(self._starts[run], self._stops[run]):
                found.append(self._block(place // _BLOCK_ROWS)[place % _BLOCK_ROWS])
            run = self._next[run]
        return found


@dataclass(frozen=True)
class Verdict:
    """What is published about a question.

    Attributes:
        status: One of `pinpoint_data.schema.STATUSES`. `evidence` if and only if there are boxes.
        policy: Who decided: `gold`, `single:<annotator>`, an adjudication's own policy, or `none`.
        boxes: Rows of the column `evidence`.
    """

    status: str
    policy: str
    boxes: list[dict[str, Any]]


class EvidenceIndex:
    """Evidence of every question of a workspace, in Arrow memory.

    Args:
        workspace: Where the tables are.
        annotator: Whose regions stand for a question that was not adjudicated; by default those of `gold:*`.

    Raises:
        UsageError: The annotator has no row in the workspace.
    """

    def __init__(self, workspace: Workspace, annotator: str | None = None) -> None:
        self._annotator = annotator
        self._verdicts = RowsByKey(workspace.read("verdicts"), "question_id")
        self._evidence = RowsByKey(workspace.read("evidence"), "question_id")
        regions, seen = _regions(workspace, annotator)
        if annotator is not None and annotator not in seen:
            raise UsageError(
                f"no annotation by {annotator!r}",
                file=workspace.path,
                remedy=f"annotators: {', '.join(sorted(seen)) or 'none'}",
            )
        self._regions = RowsByKey(regions, "question_id")

    def of(self, question_id: str, source: str, page_count: int) -> tuple[Verdict, list[Problem]]:
        """The verdict on a question, and what had to be left out of it.

        Args:
            question_id: The question.
            source: Its source; `gold:<source>` is taken before any other gold.
            page_count: Number of its pages; a box on another page is refused.

        Raises:
            UsageError: Several gold annotators know the question and none is the source's own.
        """
        if question_id in self._verdicts:
            verdict = self._verdicts.rows(question_id)[-1]
            rows = self._evidence.rows(question_id)
            status, policy, boxes = verdict["status"], verdict["policy"], [_adjudicated(row) for row in rows]
        else:
            status, policy, boxes = self._single(question_id, source)
        if status != "evidence":
            return Verdict(status, policy, []), []
        faults = [_fault(box, page_count) for box in boxes]
        boxes = [box for box, fault in zip(boxes, faults, strict=True) if fault is None]
        problems = [_problem(*fault, question_id) for fault in faults if fault is not None]
        if not boxes:
            message = "its status is evidence, but it has no usable box: published as unfinished"
            problems.append(_problem("evidence-without-boxes", message, question_id))
            return Verdict("unfinished", policy, []), problems
        return Verdict(status, policy, boxes), problems

    def _single(self, question_id: str, source: str) -> tuple[str, str, list[dict[str, Any]]]:
        rows = self._regions.rows(question_id)
        if not rows:
            return "unfinished", "none", []
        name = self._annotator or _gold_annotator(rows, question_id, source)
        mine = [row for row in rows if row["annotator"] == name]
        statuses = [row["status"] for row in mine if row["region_id"] is None and row["status"] is not None]
        # Regions without a verdict are unfinished work; they stay in the config `annotations`.
        status = statuses[-1] if statuses else "unfinished"
        policy = "gold" if name.startswith(GOLD) else f"single:{name}"
        return status, policy, [_region(row) for row in mine if row["region_id"] is not None]


def _gold_annotator(rows: Sequence[dict[str, Any]], question_id: str, source: str) -> str:
    names = {row["annotator"] for row in rows}
    if GOLD + source in names:
        return GOLD + source
    if len(names) > 1:
        raise UsageError(
            f"question {question_id!r} has gold boxes by {', '.join(sorted(names))}", remedy="choose with --annotator"
        )
    return str(names.pop())


def _regions(workspace: Workspace, annotator: str | None) -> tuple[pa.Table, set[str]]:
    """The annotator's rows (those of all gold annotators by default), and the names of all annotators."""
    schema = pa.schema([TABLES["annotations"].field(name) for name in _REGION])
    seen: set[str] = set()
    batches = []
    for part in workspace.parts("annotations"):
        for batch in iter_part("annotations", workspace.part_path("annotations", part), _REGION):
            seen.update(pc.unique(batch["annotator"]).to_pylist())
            wanted = (
                pc.starts_with(batch["annotator"], GOLD)
                if annotator is None
                else pc.equal(batch["annotator"], annotator)
            )
            batches.append(batch.filter(wanted))
    return pa.Table.from_batches(batches, schema=schema), seen


def _xyxy(row: dict[str, Any]) -> list[float]:
    return [row["x0"], row["y0"], row["x1"], row["y1"]]


def _region(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "evidence_id": row["region_id"],
        "page_index": row["page_index"],
        "xyxy": _xyxy(row),
        "role": row["role"] or "answer",
        "text": None,
        "votes": 1,
        "annotators": [row["annotator"]],
        "score": None,
    }


def _adjudicated(row: dict[str, Any]) -> dict[str, Any]:
    same = ("evidence_id", "page_index", "role", "text", "votes", "annotators", "score")
    return {"xyxy": _xyxy(row)} | {name: row[name] for name in same}


def _fault(box: dict[str, Any], page_count: int) -> tuple[str, str] | None:
    x0, y0, x1, y1 = box["xyxy"]
    if box["page_index"] is None or not 0 <= box["page_index"] < page_count:
        return "page-index-out-of-range", f"a box is on page {box['page_index']} of {page_count}"
    values = [value for value in (x0, y0, x1, y1) if value is not None]
    if len(values) < 4 or not all(map(math.isfinite, values)) or x0 >= x1 or y0 >= y1:
        return "box-degenerate", f"a box has no area: {box['xyxy']}"
    if box["role"] not in ROLES:
        return "unknown-value", f"a box has the role {box['role']!r}; expected one of {', '.join(ROLES)}"
    return None


def _problem(code: str, message: str, question_id: str) -> Problem:
    return Problem(code, "annotations", question_id, message, "run `pinpoint validate`")
