"""IoU of the regions that two annotators marked as a whole, however they cut them into boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.frame import Frame
from annotation.agreement.overlaps import joint
from pinpoint_data.unions import disjoint_rectangles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def union_ious(frame: Frame) -> FloatArray:
    """(P,) area of both unions' intersection over that of their union, all pages together; NaN without boxes."""
    pairs = len(frame.first)
    alone = _areas(frame.xyxy, frame.owner, frame.page, len(frame.question))
    box, pair = boxes_of_pairs(frame)
    joint = _areas(frame.xyxy[box], pair, frame.page[box], pairs)
    shared = np.maximum(alone[frame.first] + alone[frame.second] - joint, 0)
    with np.errstate(invalid="ignore"):
        found: FloatArray = np.minimum(shared / joint, 1)
    return found


def boxes_of_pairs(frame: Frame) -> tuple[IntArray, IntArray]:
    """(n,) every box of both judgements of every pair, and (n,) the pair."""
    count = frame.boxes_of
    start = np.cumsum(count) - count
    judgement = np.concatenate([frame.first, frame.second])
    pair = np.tile(np.arange(len(frame.first)), 2)
    times = count[judgement]
    offset = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(start[judgement], times) + offset, np.repeat(pair, times)


def _areas(xyxy: FloatArray, item: IntArray, page: IntArray, items: int) -> FloatArray:
    """(items,) area of the union of each item's boxes, summed over its pages."""
    _, first, code = np.unique(joint(item, page), return_index=True, return_inverse=True)
    rectangles, key = disjoint_rectangles(xyxy, code)
    areas = (rectangles[:, 2:] - rectangles[:, :2]).prod(1)
    total = np.zeros(items)
    np.add.at(total, item[first[key]], areas)
    return total
