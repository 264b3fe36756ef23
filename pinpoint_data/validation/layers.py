"""Boxes and verdicts as arrays: the annotators' own, and the adjudicated ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.validation.findings import Hit

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

XYXY = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Place:
    """Where rows of a table stand on disk.

    Attributes:
        parts: Names of the table's parts.
        part: (n,) int, place of each row's part in `parts`.
        row: (n,) int, 0-based number of each row inside its part.
    """

    parts: tuple[str, ...]
    part: IntArray
    row: IntArray

    def part_of(self, row: int) -> str:
        """The name of the part that one row stands in."""
        return self.parts[int(self.part[row])]

    def chosen(self, mask: BoolArray) -> Place:
        """The same for the rows where `mask` is True."""
        return Place(self.parts, self.part[mask], self.row[mask])


@dataclass(frozen=True)
class Boxes:
    """The boxes of one table, one row each.

    Attributes:
        table: `annotations` or `evidence`.
        question_id: (n,) strings.
        annotator: (n,) strings, null in `evidence`.
        region_id: (n,) strings.
        role: (n,) strings.
        group: (n,) int; equal for equal question and annotator, in the layer's verdicts too.
        question: (n,) int, row of the view's questions, -1 if unknown.
        page_index: (n,) int, -1 if missing.
        page: (n,) int, row of the view's pages, -1 if unknown.
        xyxy: (n, 4) float64 pixels, NaN if missing.
        page_size: (n, 2) float64, width and height of the page, NaN if unknown.
        origin: (n,) strings, null in `evidence`.
        rotated: (n,) True where the region has corners of its own (`quad`) and the box is only their envelope.
        place: Where the rows stand.
    """

    table: str
    question_id: pa.ChunkedArray
    annotator: pa.ChunkedArray
    region_id: pa.ChunkedArray
    role: pa.ChunkedArray
    group: IntArray
    question: IntArray
    page_index: IntArray
    page: IntArray
    xyxy: FloatArray
    page_size: FloatArray
    origin: pa.ChunkedArray
    rotated: BoolArray
    place: Place

    @cached_property
    def sides(self) -> FloatArray:
        """(n, 2) width and height of the boxes; negative where corners are swapped."""
        return self.xyxy[:, 2:] - self.xyxy[:, :2]

    @cached_property
    def whole(self) -> BoolArray:
        """(n,) True for finite boxes of positive size."""
        return np.asarray(np.isfinite(self.xyxy).all(axis=1) & (self.sides > 0).all(axis=1))

    def hit(self, row: int, message: str) -> Hit:
        """A hit at one box."""
        page_index = int(self.page_index[row])
        return Hit(
            table=self.table,
            part=self.place.part_of(row),
            message=message,
            question_id=self.question_id[row].as_py(),
            annotator=self.annotator[row].as_py(),
            region_id=self.region_id[row].as_py(),
            page_index=None if page_index < 0 else page_index,
        )


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on questions that go with a layer's boxes, one row each.

    Attributes:
        table: `annotations` or `verdicts`.
        question_id: (n,) strings.
        annotator: (n,) strings, null in `verdicts`.
        status: (n,) strings.
        group: (n,) int, see `Boxes.group`.
        has_box: (n,) bool, True for a row of `annotations` that holds coordinates but no region_id.
        lead_time_s: (n,) float64 seconds that the annotator took, NaN if unknown.
        place: Where the rows stand.
    """

    table: str
    question_id: pa.ChunkedArray
    annotator: pa.ChunkedArray
    status: pa.ChunkedArray
    group: IntArray
    has_box: BoolArray
    lead_time_s: FloatArray
    place: Place

    def hit(self, row: int, message: str) -> Hit:
        """A hit at one verdict."""
        question_id, annotator = self.question_id[row].as_py(), self.annotator[row].as_py()
        part = self.place.part_of(row)
        return Hit(table=self.table, part=part, message=message, question_id=question_id, annotator=annotator)


@dataclass(frozen=True)
class Layer:
    """Boxes and the verdicts that belong to them: the annotators' own, or the adjudicated ones."""

    boxes: Boxes
    verdicts: Verdicts


def coordinates(rows: pa.Table) -> FloatArray:
    """(n, 4) corners of the rows, NaN where missing."""
    return np.column_stack([rows[c].to_numpy().astype(np.float64) for c in XYXY])


def codes_of(texts: pa.ChunkedArray) -> IntArray:
    """Equal texts, equal numbers from 0."""
    codes: IntArray = pc.index_in(texts, value_set=pc.unique(texts)).to_numpy().astype(np.int64)
    return codes


def starts_of(keys: IntArray | FloatArray) -> BoolArray:
    """(n,) True for the first of equal keys (n, k) that stand together."""
    starts = np.ones(len(keys), dtype=np.bool_)
    starts[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return starts


def runs(keys: IntArray) -> Iterator[slice]:
    """Slices of equal keys (n, k) that stand together."""
    starts = np.flatnonzero(starts_of(keys)).tolist()
    for start, end in pairwise([*starts, len(keys)]):
        yield slice(start, end)


def is_person(annotators: pa.ChunkedArray) -> BoolArray:
    """(n,) True for annotators that are neither programs nor the truth that came with a source (`gold:<source>`)."""
    gold: BoolArray = pc.fill_null(pc.starts_with(annotators, "gold:"), False).to_numpy()
    return ~gold & ~is_proposal(annotators)


def is_proposal(annotators: pa.ChunkedArray) -> BoolArray:
    """(n,) True for annotators that are programs (`proposal:<method>`), whose boxes say nothing about people."""
    found: BoolArray = pc.fill_null(pc.starts_with(annotators, "proposal:"), False).to_numpy()
    return found
