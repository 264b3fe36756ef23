"""Rows of `annotations` by question and annotator: Arrow in memory, as Python objects only a few thousand at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pinpoint_data.schema import TABLES
from pinpoint_data.tables import iter_part
from pinpoint_data.workspace import Workspace

Row = dict[str, Any]

_COLUMNS = (
    *("question_id", "annotator", "region_id", "page_index", "x0", "y0", "x1", "y1"),
    *("role", "status", "origin", "lead_time_s", "created_at", "raw"),
)
_ROWS_AT_ONCE = 4096
_KEY = itemgetter("question_id", "annotator")


class Works:
    """What annotators did, one work a question and annotator, sorted by both.

    Args:
        workspace: Where the annotations are.
        wanted: Whose rows are kept; asked once a name.

    Attributes:
        seen: Everybody who has a row in the workspace -> whether their rows were kept.
    """

    def __init__(self, workspace: Workspace, wanted: Callable[[str], bool]) -> None:
        self.seen: dict[str, bool] = {}
        self._wanted = wanted
        self._parts = workspace.parts("annotations")
        kept = [self._batches(workspace, number) for number in range(len(self._parts))]
        fields = [TABLES["annotations"].field(name) for name in _COLUMNS[:-1]]
        schema = pa.schema([*fields, ("deleted", pa.int64()), ("part", pa.int32())])
        table = pa.Table.from_batches([batch for batches in kept for batch in batches], schema=schema)
        del kept
        # Taking rows out of many chunks costs a search each.
        self._rows = table.combine_chunks()
        question, annotator = (_ranks(self._rows[name]) for name in ("question_id", "annotator"))
        self._order = np.lexsort((annotator, question))
        changes = np.diff(question[self._order]).astype(bool) | np.diff(annotator[self._order]).astype(bool)
        self._ends = np.append(np.flatnonzero(changes) + 1, len(self._order))

    def __iter__(self) -> Iterator[tuple[str, str, dict[str, list[Row]]]]:
        """(question, annotator, part of the table -> rows in its order); parts are sorted."""
        start = 0
        while start < len(self._order):
            # Whole works, and one at least.
            first, beyond = np.searchsorted(self._ends, [start, start + _ROWS_AT_ONCE], "right")
            end = int(self._ends[max(first, beyond - 1)])
            rows = self._rows.take(pa.array(self._order[start:end])).to_pylist()
            for (question_id, annotator), work in groupby(rows, _KEY):
                found: dict[str, list[Row]] = {}
                for row in work:
                    found.setdefault(self._parts[row.pop("part")], []).append(row)
                yield question_id, annotator, found
            start = end

    def _batches(self, workspace: Workspace, number: int) -> list[pa.RecordBatch]:
        """The wanted rows of a part; `raw` is read of verdict rows only, as the number of deleted regions."""
        found = []
        for batch in iter_part("annotations", workspace.part_path("annotations", self._parts[number]), _COLUMNS):
            for name in pc.unique(batch["annotator"]).to_pylist():
                if name not in self.seen:
                    self.seen[name] = self._wanted(name)
            names = pa.array([name for name, kept in self.seen.items() if kept], pa.string())
            batch = batch.filter(pc.is_in(batch["annotator"], value_set=names))
            if batch.num_rows:
                raw = pc.if_else(pc.is_null(batch["region_id"]), batch["raw"], pa.scalar(None, pa.string())).to_pylist()
                deleted = pa.array([_deleted(text) for text in raw], pa.int64())
                parts = pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows)
                batch = batch.drop_columns("raw").append_column("deleted", deleted).append_column("part", parts)
                found.append(batch)
        return found


def _ranks(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Places of the values among the different ones, sorted."""
    names = pc.unique(values)
    ranks: NDArray[np.int64] = pc.index_in(values, value_set=names.take(pc.sort_indices(names))).to_numpy()
    return ranks


def _deleted(raw: str | None) -> int:
    if raw is None or '"deleted"' not in raw:
        return 0
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return 0
    deleted = found.get("deleted") if isinstance(found, dict) else None
    return len(deleted) if isinstance(deleted, list) else 0
