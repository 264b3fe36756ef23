"""Rules about an annotator's habits: unusual sizes, speed, pre-annotations that are never touched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import Boxes, FloatArray, IntArray, codes_of, is_proposal
from pinpoint_data.validation.view import WorkspaceView

# A median absolute deviation times this estimates the standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826
# Where an annotator's boxes are nearly all of one size, ordinary ones must not look unusual: e^0.25 = 1.28.
_LEAST_SIGMA = 0.25
_PRELABELLED = ("accepted", "moved", "new")


def _log_shares(boxes: Boxes) -> FloatArray:
    """(n,) log of each box's share of its page's area; NaN for broken boxes and unknown pages."""
    # Sums of logs: the product of two huge sides would overflow.
    sides = np.where(boxes.whole[:, None], boxes.sides, np.nan)
    shares: FloatArray = np.log(sides).sum(axis=1) - np.log(boxes.page_size).sum(axis=1)
    return shares


def _box_size(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    """Sizes are shares of the page, held against the same annotator's boxes of the same role and source."""
    boxes = view.layers[0].boxes
    shares, sources = _log_shares(boxes), codes_of(view.questions["source"])
    rows = np.flatnonzero(np.isfinite(shares) & (boxes.question >= 0))
    keys = np.column_stack([codes_of(boxes.annotator)[rows], sources[boxes.question[rows]], codes_of(boxes.role)[rows]])
    _, kind = np.unique(keys, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    for ours in np.split(rows[np.argsort(kind, kind="stable")], np.cumsum(np.bincount(kind))[:-1]):
        if len(ours) < limits.sample:
            continue
        middle = np.median(shares[ours])
        sigma = max(_MAD_TO_SIGMA * float(np.median(np.abs(shares[ours] - middle))), _LEAST_SIGMA)
        z = (shares[ours] - middle) / sigma
        for row, score in zip(ours[np.abs(z) > limits.size_z], z[np.abs(z) > limits.size_z], strict=True):
            text = f"covers {np.exp(shares[row]):.3g} of its page, {np.exp(shares[row] - middle):.3g} times the median"
            yield boxes.hit(int(row), f"{text} of this annotator's {len(ours)} boxes of the source (z {score:+.1f})")


def _fast(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    verdicts = view.layers[0].verdicts
    open_ = pc.fill_null(pc.is_in(verdicts.status, value_set=pa.array(["skipped", "unfinished"])), False).to_numpy()
    known = np.isfinite(verdicts.lead_time_s) & (verdicts.lead_time_s > 0) & ~open_ & ~is_proposal(verdicts.annotator)
    medians: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, rows in _by_name(verdicts.annotator, np.flatnonzero(known)):
        if len(rows) >= limits.sample:
            medians[name], counts[name] = float(np.median(verdicts.lead_time_s[rows])), len(rows)
    for name, median in medians.items():
        others = [value for other, value in medians.items() if other != name]
        usual = float(np.median(others)) if others else 0.0
        if median * limits.speed_ratio < usual:
            text = f"takes {median:.3g} s a question ({counts[name]} timed), the others {usual:.3g} s: medians"
            yield Hit(table="annotations", annotator=name, message=text)


def _accepts_all(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    boxes = view.layers[0].boxes
    told = pc.fill_null(pc.is_in(boxes.origin, value_set=pa.array(_PRELABELLED)), False).to_numpy()
    touched = pc.fill_null(pc.not_equal(boxes.origin, "accepted"), True).to_numpy()
    for name, rows in _by_name(boxes.annotator, np.flatnonzero(told)):
        if len(rows) >= limits.sample and not touched[rows].any():
            text = f"all {len(rows)} boxes are pre-annotations that were left as they were; none moved, none drawn"
            yield Hit(table="annotations", annotator=name, message=text)


def _by_name(names: pa.ChunkedArray, rows: IntArray) -> Iterator[tuple[str, IntArray]]:
    """The rows of each annotator, in the order of the names' first rows."""
    codes, unique = codes_of(names), pc.unique(names).to_pylist()
    for code in np.unique(codes[rows]):
        yield unique[code], rows[codes[rows] == code]


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="box-size-unusual",
        severity="info",
        what="the box is far larger or smaller than the same annotator's others of that source and role",
        why="Single boxes of another scale are often slips, or drawn with the page zoomed out.",
        remedy="look at the box; nothing to do where the evidence is that large or small",
        function=_box_size,
    ),
    FunctionRule(
        code="annotator-fast",
        severity="info",
        what="an annotator takes less than a quarter of the others' time a question",
        why="Fast work is often work not looked at; or the questions were easier.",
        remedy="hold some of the annotator's questions against another's work",
        function=_fast,
    ),
    FunctionRule(
        code="annotator-accepts-all",
        severity="info",
        what="an annotator left every pre-annotated box as it was and drew none",
        why="Then the boxes are the proposals' and agreement with others who did so is no evidence. (Boxes that were"
        " deleted are not counted.)",
        remedy="give the annotator some tasks without pre-annotations and compare",
        function=_accepts_all,
    ),
)
