"""Rules about an annotator's systematic offset or scale, measured against the boxes of the other annotators.

An annotator's shift against one other is the median over their matched boxes, and the shift of an annotator is the
median of these and of 0, the one against itself: with three or more annotators the one that is off stands out
and the others do not. Then every matched box is held against its partners, whose own shifts are taken off first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import BoolArray, FloatArray, IntArray, runs
from pinpoint_data.validation.matches import Matches, matches
from pinpoint_data.validation.view import WorkspaceView

_PAIR_MATCHES = 5
# Of a sign test: as many boxes to one side as chance brings once in 16,000 times.
_SURE_Z = 4.0
_AXES = (("right", "left", 0, 2), ("down", "up", 1, 3))


@dataclass(frozen=True)
class Deviation:
    """How one annotator's matched boxes differ from those of the others.

    Attributes:
        name: The annotator.
        value: (k,) median deviation of each measure.
        z: (k,) how sure its sign is: sign test, normal approximation with continuity correction.
        only: The other annotator, where nobody else shares questions with either: it may be the one that is off.
        height: Median height of the boxes in pixels.
        rows: (boxes,) rows of the boxes.
        each: (boxes, k) the deviations themselves.
    """

    name: str
    value: FloatArray
    z: FloatArray
    only: str | None
    height: float
    rows: IntArray
    each: FloatArray

    def against(self) -> str:
        """Whom the annotator was held against, with what that leaves open."""
        whom = "the other annotators'" if self.only is None else f"those of {self.only}, who may be the one that is off"
        return f"{len(self.rows)} matched boxes, against {whom}"


def deviations(found: Matches, measure: FloatArray, sample: int) -> Iterator[Deviation]:
    """The deviations of every annotator with enough matched boxes.

    Args:
        found: Matched boxes.
        measure: (m, k) each match's difference, mine less theirs; the reverse match has its negative.
        sample: Annotators with fewer matched boxes are left out.
    """
    own, partner = found.annotator[found.mine], found.annotator[found.theirs]
    pairs = _pair_medians(own, partner, measure)
    partners: dict[int, list[int]] = {}
    for a, b in pairs:
        partners.setdefault(a, []).append(b)
    shift = np.zeros((len(found.names), measure.shape[1]))
    for a, others in partners.items():
        if len(others) > 1:
            shift[a] = np.median([np.zeros(measure.shape[1]), *(pairs[a, b] for b in others)], axis=0)
    counted = np.isin(own * len(found.names) + partner, [a * len(found.names) + b for a, b in pairs])
    rows, each = _by_box(found.mine[counted], (measure + shift[partner])[counted])
    for a, others in partners.items():
        ours = found.annotator[rows] == a
        if ours.sum() >= sample:
            alone = len(others) == 1 and len(partners[others[0]]) == 1
            yield Deviation(
                name=found.names[a],
                value=np.median(each[ours], axis=0),
                z=_sign_z(each[ours]),
                only=found.names[others[0]] if alone else None,
                height=float(np.median(found.boxes.sides[rows[ours], 1])),
                rows=rows[ours],
                each=each[ours],
            )


def _pair_medians(own: IntArray, partner: IntArray, measure: FloatArray) -> dict[tuple[int, int], FloatArray]:
    order = np.lexsort((partner, own))
    codes = np.column_stack([own, partner])[order]
    return {
        (int(codes[run.start, 0]), int(codes[run.start, 1])): np.median(measure[order[run]], axis=0)
        for run in runs(codes)
        if run.stop - run.start >= _PAIR_MATCHES
    }


def _by_box(rows: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Each box once, with the median over its partners: boxes with many partners must not count more."""
    unique, counts = np.unique(rows, return_counts=True)
    first = np.cumsum(counts) - counts
    each = np.empty((len(unique), values.shape[1]))
    for column in range(values.shape[1]):
        ordered = values[np.lexsort((values[:, column], rows)), column]
        each[:, column] = (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]) / 2
    return unique, each


def _sign_z(values: FloatArray) -> FloatArray:
    balance = np.abs((values > 0).sum(axis=0) - (values < 0).sum(axis=0))
    z: FloatArray = (np.maximum(balance - 1, 0)) / np.sqrt(np.maximum((values != 0).sum(axis=0), 1))
    return z


def _offset(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    found = view.once(matches)
    shifts = found.boxes.xyxy[found.mine] - found.boxes.xyxy[found.theirs]
    for one in deviations(found, shifts, limits.sample):
        least = max(1.0, limits.offset_heights * one.height)
        for forward, backward, low, high in _AXES:
            edges = one.value[[low, high]]
            # Both edges must move: a box that only reaches further to one side is a matter of what belongs to it.
            if (np.abs(edges) >= least).all() and edges[0] * edges[1] > 0 and (one.z[[low, high]] >= _SURE_Z).all():
                shift = abs(float(edges.mean()))
                text = f"boxes are {shift:.3g} px ({shift / one.height:.2f} box heights) too far "
                text += f"{forward if edges[0] > 0 else backward}: median of {one.against()}"
                grows = _growth(one, found.boxes.xyxy, low, high)
                yield Hit(table="annotations", annotator=one.name, message=text + grows)


def _growth(one: Deviation, xyxy: FloatArray, low: int, high: int) -> str:
    """A note if the shift grows along the page, as with boxes that were drawn on an image of another size."""
    place, shift = xyxy[one.rows][:, [low, high]].mean(axis=1), one.each[:, [low, high]].mean(axis=1)
    first, last = np.quantile(place, [1 / 3, 2 / 3])
    near, far = place <= first, place >= last
    way = float(np.median(place[far]) - np.median(place[near]))
    rise = float(np.median(shift[far]) - np.median(shift[near]))
    # Less than half the shift itself: rather an offset whose size scatters.
    if way <= 0 or abs(rise) < 0.5 * abs(float(np.median(shift))) or abs(rise) < 0.01 * way:
        return ""
    return f"; it grows by {100 * rise / way:.3g} px per 100 px: was the image of another size?"


def _scale(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    found = view.once(matches)
    sides = np.log(np.where(found.boxes.whole[:, None], found.boxes.sides, 1))
    for one in deviations(found, sides[found.mine] - sides[found.theirs], limits.sample):
        off: BoolArray = (np.abs(one.value) >= np.log(limits.size_ratio)) & (one.z >= _SURE_Z)
        if off.any():
            width, height = np.exp(one.value)
            text = f"boxes are {width:.2f} times as wide and {height:.2f} times as high: median of {one.against()}"
            yield Hit(table="annotations", annotator=one.name, message=text)


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="annotator-offset",
        severity="warning",
        what="one annotator's boxes are systematically shifted against those of the others",
        why="A wrong image size, zoom or rotation shifts every box; agreement falls and no single box looks wrong.",
        remedy="look at some of the boxes; correct the annotator's export, or leave the annotator out",
        function=_offset,
    ),
    FunctionRule(
        code="annotator-scale",
        severity="info",
        what="one annotator's boxes are systematically larger or smaller than those of the others",
        why="Evidence recall rewards large boxes and IoU punishes both; the guideline is read in two ways.",
        remedy="agree on how tight a box is, and show the annotator examples",
        function=_scale,
    ),
)
