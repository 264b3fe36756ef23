"""Pairs of boxes of two annotators on one page, and the best assignment between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.assignment import best_assignment

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Elements of the largest temporary array.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The pairs of boxes that share area, of one page and different owners.

    Attributes:
        first: (n,) the box with the smaller number.
        second: (n,) the other one.
        iou: (n,) in (0, 1].
    """

    first: IntArray
    second: IntArray
    iou: FloatArray

    def at(self, threshold: float) -> Overlaps:
        """Those with an IoU of at least `threshold`."""
        keep = self.iou >= threshold
        return Overlaps(self.first[keep], self.second[keep], self.iou[keep])


def find_overlaps(xyxy: FloatArray, page: IntArray, owner: IntArray) -> Overlaps:
    """All overlaps between boxes of different owners.

    Args:
        xyxy: (n, 4) boxes in page pixels.
        page: (n,) page of each box.
        owner: (n,) who drew it.
    """
    order = np.argsort(page, kind="stable")
    _, starts, counts = np.unique(page[order], return_index=True, return_counts=True)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for count in np.unique(counts):
        same = starts[counts == count]
        step = max(1, _CHUNK // int(count * count))
        # A page with very many boxes is taken in strips.
        strip = max(1, _CHUNK // int(count))
        for low in range(0, len(same), step):
            rows = order[same[low : low + step, None] + np.arange(count)]
            for top in range(0, int(count), strip):
                a, b = np.nonzero(np.arange(top, min(top + strip, count))[:, None] < np.arange(count))
                found.append(_overlaps_in(xyxy, owner, rows[:, a + top].reshape(-1), rows[:, b].reshape(-1)))
    first, second, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sort = np.lexsort([second, first])
    return Overlaps(first[sort], second[sort], iou[sort])


def _overlaps_in(
    xyxy: FloatArray, owner: IntArray, first: IntArray, second: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Those pairs of boxes that overlap and have different owners."""
    sides = np.minimum(xyxy[first, 2:], xyxy[second, 2:]) - np.maximum(xyxy[first, :2], xyxy[second, :2])
    keep = (sides > 0).all(1) & (owner[first] != owner[second])
    first, second = first[keep], second[keep]
    shared = sides[keep].prod(1)
    iou = shared / (_area(xyxy[first]) + _area(xyxy[second]) - shared)
    # A sliver's share can underflow to 0; such a pair shares nothing that counts.
    good = iou > 0
    return np.minimum(first, second)[good], np.maximum(first, second)[good], iou[good]


def _area(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return areas


def matched(overlaps: Overlaps, pair: IntArray, page: IntArray) -> BoolArray:
    """Which overlaps are in the best one-to-one assignment of their two annotators: the largest sum of IoU.

    Boxes that overlap only each other are matched at once; the rest goes through `best_assignment`, page by page.

    Args:
        overlaps: Candidates; restrict them with `Overlaps.at` first.
        pair: (n,) the pair of annotators (on one question) of each overlap.
        page: (n,) its page.
    """
    alone = (_times(overlaps.first, pair) == 1) & (_times(overlaps.second, pair) == 1)
    chosen: BoolArray = alone.copy()
    rest = np.flatnonzero(~alone)
    rest = rest[np.lexsort([page[rest], pair[rest]])]
    cuts = np.flatnonzero(np.diff(pair[rest]) | np.diff(page[rest])) + 1
    lengths = np.diff(np.concatenate([[0], cuts, [len(rest)]])) if len(rest) else np.empty(0, np.int64)
    row, column = (_places(box[rest], lengths) for box in (overlaps.first, overlaps.second))
    for start, stop in zip(np.cumsum(lengths) - lengths, np.cumsum(lengths), strict=True):
        at = row[start:stop], column[start:stop]
        weights = np.zeros((at[0].max() + 1, at[1].max() + 1))
        edge = np.zeros(weights.shape, np.int64)
        weights[at], edge[at] = overlaps.iou[rest[start:stop]], rest[start:stop]
        best = best_assignment(weights)
        chosen[edge[best[:, 0], best[:, 1]]] = True
    return chosen


def _places(box: IntArray, lengths: IntArray) -> IntArray:
    """(n,) the place of each box among the different ones of its run; runs have the given lengths."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    _, first, code = np.unique(joint(run, box), return_index=True, return_inverse=True)
    places: IntArray = code - np.searchsorted(run[first], run)
    return places


def joint(first: IntArray, second: IntArray) -> IntArray:
    """(n,) one number for each two that are not negative, in the order of the first, then of the second."""
    return first * (int(second.max(initial=0)) + 1) + second


def _times(box: IntArray, pair: IntArray) -> IntArray:
    """(n,) how often each (box, pair) occurs."""
    _, code, times = np.unique(joint(box, pair), return_inverse=True, return_counts=True)
    counts: IntArray = times[code]
    return counts
