"""Boxes of different annotators that mark the same thing, matched so that a systematic shift does not hide them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinpoint_data.validation.layers import Boxes, FloatArray, IntArray, codes_of, is_proposal, starts_of
from pinpoint_data.validation.view import WorkspaceView

# Boxes whose widths or heights differ by more mark different things.
_ALIKE = 3.0
# A page of one question with more boxes than this says little about anybody's habits, and would cost its square.
_CROWD = 200


@dataclass(frozen=True)
class Matches:
    """Pairs of boxes of different annotators, each pair in both directions.

    Attributes:
        boxes: The annotators' boxes.
        mine: (m,) rows of `boxes`.
        theirs: (m,) rows of `boxes`, the box of another annotator that marks the same thing.
        annotator: (n,) number of each box's annotator in `names`.
        names: The annotators.
    """

    boxes: Boxes
    mine: IntArray
    theirs: IntArray
    annotator: IntArray
    names: tuple[str, ...]


def matches(view: WorkspaceView) -> Matches:
    """Match the boxes of every two annotators of a question, page by page.

    Two boxes match if each is the other annotator's nearest by the distance of their centres, and their sides do not
    differ by more than a factor of 3. IoU would not do: a shift by a line height leaves none, and a
    threshold on it cuts off just the shifts that are looked for.
    """
    boxes = view.layers[0].boxes
    names = tuple(boxes.annotator.unique().to_pylist())
    annotator, question = codes_of(boxes.annotator), codes_of(boxes.question_id)
    rows = np.flatnonzero(boxes.whole & ~is_proposal(boxes.annotator))
    order = np.lexsort((boxes.page_index[rows], question[rows]))
    rows = rows[order]
    keys = np.column_stack([question, boxes.page_index])[rows]
    page = np.asarray(np.cumsum(starts_of(keys)), dtype=np.int64)
    few = np.flatnonzero(np.bincount(page)[page] <= _CROWD)
    rows, page = rows[few], page[few]
    one, other = _pairs(rows, page, annotator, np.log(np.where(boxes.whole[:, None], boxes.sides, 1)))
    mine, theirs = _mutual_nearest(boxes, annotator, np.concatenate([one, other]), np.concatenate([other, one]))
    return Matches(boxes, mine, theirs, annotator, names)


def _pairs(rows: IntArray, page: IntArray, annotator: IntArray, log_sides: FloatArray) -> tuple[IntArray, IntArray]:
    """All pairs of rows on one page by different annotators and of similar sides; rows of a page stand together."""
    ones, others = [rows[:0]], [rows[:0]]
    for step in range(1, int(np.bincount(page).max(initial=0))):
        a, b = rows[:-step], rows[step:]
        kept = (page[:-step] == page[step:]) & (annotator[a] != annotator[b])
        a, b = a[kept], b[kept]
        alike = (np.abs(log_sides[a] - log_sides[b]) <= np.log(_ALIKE)).all(axis=1)
        ones.append(a[alike])
        others.append(b[alike])
    return np.concatenate(ones), np.concatenate(others)


def _mutual_nearest(boxes: Boxes, annotator: IntArray, a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
    centre = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
    distance = np.square(centre[a] - centre[b]).sum(axis=1)
    n = len(annotator)
    pair = a * n + annotator[b]
    order = np.lexsort((distance, pair))
    nearest = order[starts_of(pair[order][:, None])]
    a, b = a[nearest], b[nearest]
    mutual = np.isin(a * n + b, b * n + a)
    return a[mutual], b[mutual]
