"""Boxes of one annotator that repeat or hold one another, found in one sweep over all questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinpoint_data.validation.layers import Boxes, FloatArray, IntArray, codes_of, starts_of

# A box is held against this many boxes that begin within its width: a page with thousands of boxes over each other
# stays linear, and no question of any source has so many.
_NEIGHBOURS = 1000


@dataclass(frozen=True)
class Overlaps:
    """How the boxes of a question, annotator, part and page lie over each other; -1 stands for none.

    Attributes:
        original: (n,) row of the first box with the same coordinates and role. Rotated regions are never the same.
        twin: (n,) row of the earlier box with the highest IoU.
        iou: (n,) that IoU.
        peer: (n,) row of the earlier box of the same role with the highest IoU.
        peer_iou: (n,) that IoU.
        holder: (n,) row of the larger box of the same role that holds most of this one.
        held: (n,) share of this box's area that lies in its holder.
        holder_iou: (n,) IoU with the holder.
    """

    original: IntArray
    twin: IntArray
    iou: FloatArray
    peer: IntArray
    peer_iou: FloatArray
    holder: IntArray
    held: FloatArray
    holder_iou: FloatArray


def overlaps(boxes: Boxes) -> Overlaps:
    """Compare the boxes of each question, annotator, part and page; broken boxes are left out.

    Who met a question in two projects judged it twice, in two parts, and only the newer one holds: to drop its boxes
    as repeats of the older one's would take the vote away.

    Boxes are sorted by x0, so that each one only meets those that begin before it ends.
    """
    role = codes_of(boxes.role)
    original = _originals(boxes, role)
    rows = np.flatnonzero(boxes.whole & (original < 0))
    rows = rows[np.lexsort((rows, boxes.xyxy[rows, 0], *_work(boxes)[rows].T))]
    n = len(original)
    nobody, nothing = np.full((3, n), -1, dtype=np.int64), np.zeros((4, n))
    found = Overlaps(original, nobody[0], nothing[0], nobody[1], nothing[1], nobody[2], nothing[2], nothing[3])
    key, x0, x1 = _work(boxes)[rows], boxes.xyxy[rows, 0], boxes.xyxy[rows, 2]
    places, step = np.arange(len(rows)), 0
    while len(places) and step < _NEIGHBOURS:
        step += 1
        places = places[places + step < len(rows)]
        after = places + step
        near = (key[places] == key[after]).all(axis=1) & (x0[after] < x1[places])
        places, after = places[near], after[near]
        _compare(found, boxes, role, rows[places], rows[after])
    return found


def _work(boxes: Boxes) -> IntArray:
    """(n, 3) equal rows for boxes that are compared: page, question and annotator, part."""
    return np.column_stack([boxes.page_index, boxes.group, boxes.place.part])


def _originals(boxes: Boxes, role: IntArray) -> IntArray:
    rows = np.flatnonzero(boxes.whole & ~boxes.rotated)
    keys = np.column_stack([_work(boxes), role, boxes.xyxy])[rows]
    order = np.lexsort((rows, *keys.T))
    rows, keys = rows[order], keys[order]
    starts = starts_of(keys)
    first = rows[starts][np.cumsum(starts) - 1]
    original = np.full(len(role), -1, dtype=np.int64)
    original[rows[~starts]] = first[~starts]
    return original


def _compare(found: Overlaps, boxes: Boxes, role: IntArray, a: IntArray, b: IntArray) -> None:
    """Note how the boxes of rows `a` lie over those of rows `b`; no row stands twice in `a` or in `b`."""
    first, second = boxes.xyxy[a], boxes.xyxy[b]
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    area_a, area_b = np.prod(boxes.sides[a], axis=1), np.prod(boxes.sides[b], axis=1)
    iou = shared / (area_a + area_b - shared)
    earlier, later = np.minimum(a, b), np.maximum(a, b)
    same = role[a] == role[b]
    # A row can be the later one of two pairs, once in each column, so the columns go one after the other.
    for column in (a, b):
        for twin, best, counts in ((found.twin, found.iou, True), (found.peer, found.peer_iou, same)):
            closer = (later == column) & counts & (iou > best[later])
            twin[later[closer]], best[later[closer]] = earlier[closer], iou[closer]
    for small, large, holds in ((a, b, area_a <= area_b), (b, a, area_b < area_a)):
        share = shared / np.minimum(area_a, area_b)
        more = same & holds & (share > found.held[small])
        rows = small[more]
        found.holder[rows], found.held[rows], found.holder_iou[rows] = large[more], share[more], iou[more]
