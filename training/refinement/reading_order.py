"""The order in which people read boxes of a page: top to bottom, and left to right on the same lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

_X, _Y = 0, 1


def reading_order(xyxy: ArrayLike) -> list[int]:
    """Indices of boxes (n, 4) in reading order, by recursive X-Y cut (Nagy and Seth, 1984).

    Boxes are parted by horizontal lines that cross none of them, upper part first; a part that no such line divides,
    by vertical ones, left part first; and so on. Where boxes interlock so that neither exists, the box whose top is
    highest (then the leftmost) comes first, and the rest are parted anew. So a tall box beside a stack of small ones
    comes before or after the whole stack. Equal boxes keep the order given; else that order does not matter.
    """
    boxes = np.asarray(xyxy, dtype=np.float64).reshape(-1, 4)
    order: list[int] = []
    stack = [sorted(range(len(boxes)), key=lambda index: (boxes[index, 1], boxes[index, 0], *boxes[index, 2:]))]
    while stack:
        part = stack.pop()
        if len(part) < 2:
            order += part
            continue
        groups = _cut(boxes, part, _Y) or _cut(boxes, part, _X) or [part[:1], part[1:]]
        stack += reversed(groups)
    return order


def _cut(boxes: npt.NDArray[np.float64], part: Sequence[int], axis: int) -> list[list[int]]:
    """`part` in groups that share no stretch of an axis, in order along it; none where it is one group."""
    groups: list[list[int]] = []
    end = -np.inf
    for index in sorted(part, key=lambda index: boxes[index, axis]):
        low, high = boxes[index, axis], boxes[index, axis + 2]
        if low >= end:
            groups.append([])
        groups[-1].append(index)
        end = max(end, high)
    if len(groups) < 2:
        return []
    place = {index: number for number, index in enumerate(part)}
    return [sorted(group, key=place.__getitem__) for group in groups]
