"""Exact unions of axis-aligned boxes, as rectangles that do not overlap.

The area of a union inside any window or token is then a plain sum over these rectangles, and for a
rectilinear grid a product of two small matrices. No tolerance and no polygon library is involved: every
coordinate of the result is a coordinate of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

# Elements of the largest temporary array; keeps memory bounded for pages with thousands of boxes.
_CHUNK = 1 << 22
# Pairs of boxes compared at a time; a pair takes some 50 bytes.
_PAIRS = 1 << 20


def disjoint_rectangles(
    boxes: NDArray[np.float64], item: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cut each item's boxes into rectangles with the same union that share no area.

    Boxes that touch no other box of their item come through unchanged. The rest is cut into horizontal
    slabs at every y edge, and each slab's x intervals are merged.

    Args:
        boxes: shape (n, 4), x0 < x1 and y0 < y1, in any one unit.
        item: shape (n,), which item (a page of a question, say) each box belongs to.

    Returns:
        Rectangles of shape (k, 4), in no particular order, and the item of each, shape (k,).
    """
    shared = overlaps_another(boxes, item)
    pieces, owners = [boxes[~shared]], [item[~shared]]
    for rows in _groups(item[shared], lambda count: 2 * count * count):
        group = np.flatnonzero(shared)[rows]
        rectangles, row = _slabs(boxes[group])
        pieces.append(rectangles)
        owners.append(item[group[:, 0]][row])
    return np.concatenate(pieces), np.concatenate(owners)


def overlaps_another(boxes: NDArray[np.float64], item: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which boxes share area with another box of the same item; shape (n,)."""
    flags = np.zeros(len(boxes), bool)
    # From top to bottom, what shares height with a box begins before it ends: on a page of words, those of its line.
    order = np.lexsort((boxes[:, 1], item))
    left, right = boxes[order, 0], boxes[order, 2]
    later = _begun_before_end(boxes[order], item[order]) - np.arange(1, len(order) + 1)
    ends = np.cumsum(later)
    first = 0
    while first < len(order):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        box = np.repeat(np.arange(first, last), later[first:last])
        other = box + 1 + np.arange(len(box)) - (ends[box] - later[box] - done)
        meets = (left[other] < right[box]) & (right[other] > left[box])
        flags[order[box[meets]]] = flags[order[other[meets]]] = True
        first = last
    return flags


def _begun_before_end(boxes: NDArray[np.float64], item: NDArray[np.intp]) -> NDArray[np.intp]:
    """For boxes (n, 4) in the order of item and top: how many stand before the first that begins below each's end."""
    count = len(boxes)
    # Of an edge that ends a box and begins another the end comes first: they share no area.
    begins = np.repeat([0, 1], count)
    events = np.lexsort((begins, np.concatenate([boxes[:, 3], boxes[:, 1]]), np.concatenate([item, item])))
    begun = np.cumsum(begins[events])
    found = np.empty(count, np.intp)
    is_end = events < count
    found[events[is_end]] = begun[is_end]
    return found


def _groups(item: NDArray[np.intp], cost: Callable[[int], int]) -> Iterator[NDArray[np.intp]]:
    """Positions of `item`, as arrays (m, count) of the items that have the same number of positions."""
    order = np.argsort(item, kind="stable")
    _, first, counts = np.unique(item[order], return_index=True, return_counts=True)
    for count in np.unique(counts):
        starts = first[counts == count]
        step = max(1, _CHUNK // cost(int(count)))
        for low in range(0, len(starts), step):
            yield order[starts[low : low + step, None] + np.arange(count)]


def _slabs(boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Rectangles of the unions of `boxes` (m, count, 4), and the row each belongs to."""
    boxes = np.take_along_axis(boxes, np.argsort(boxes[:, :, :1], axis=1), axis=1)
    left, right = boxes[..., 0], boxes[..., 2]
    edges = np.sort(boxes[..., 1::2].reshape(len(boxes), -1), axis=1)
    step = max(1, _CHUNK // (left.size + 1))
    pieces, owners = [], []
    for first in range(0, edges.shape[1] - 1, step):
        top, bottom = edges[:, first : first + step + 1][:, :-1], edges[:, first + 1 : first + step + 1]
        active = (boxes[:, None, :, 1] <= top[..., None]) & (boxes[:, None, :, 3] >= bottom[..., None])
        active &= (top < bottom)[..., None]
        # From left to right: an interval opens where its box starts beyond everything before it, and it
        # closes at the reach it had just before the next one opens.
        reach = np.maximum.accumulate(np.where(active, right[:, None], -np.inf), axis=2)
        before = np.concatenate([np.full_like(reach[..., :1], -np.inf), reach[..., :-1]], axis=2)
        opens = active & (left[:, None] > before)
        row, slab, box = np.nonzero(opens)
        same = np.empty(len(row), bool)
        same[:-1] = (row[1:] == row[:-1]) & (slab[1:] == slab[:-1])
        same[-1:] = False
        last = np.full(len(row), boxes.shape[1] - 1)
        last[:-1] = np.where(same[:-1], box[1:] - 1, last[:-1])
        pieces.append(np.stack([left[row, box], top[row, slab], reach[row, slab, last], bottom[row, slab]], 1))
        owners.append(row)
    return np.concatenate(pieces), np.concatenate(owners)
