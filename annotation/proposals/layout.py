"""Where words stand to each other: lines of a span, segments, reading order, and closeness on a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pinpoint_data.words import PageWords

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ALIGNED = 0.4  # what standing on one line or in one column is worth however far apart: tables are long
_GAP = 1.5  # of the text's height: a wider space parts two cells of a row


def text_height(xyxy: FloatArray) -> float:
    """The median height of words (n, 4), in pixels: the unit of every distance on a page."""
    return float(np.median(xyxy[:, 3] - xyxy[:, 1])) if len(xyxy) else 1.0


def continues_line(words: PageWords, ids: IntArray, gap: float) -> NDArray[np.bool_]:
    """(n - 1,) whether each word of `ids` goes on the line of the one before it.

    It must share half of the smaller height with it; words of different line numbers must also stand close together.

    Args:
        words: The page's words.
        ids: (n,) words in reading order.
        gap: How wide a space may be between words of different line numbers, in pixels.
    """
    before, after = words.xyxy[ids[:-1]], words.xyxy[ids[1:]]
    shared = np.minimum(before[:, 3], after[:, 3]) - np.maximum(before[:, 1], after[:, 1])
    smaller = np.minimum(before[:, 3] - before[:, 1], after[:, 3] - after[:, 1])
    space = after[:, 0] - before[:, 2]
    near = (space <= gap) & (after[:, 0] > before[:, 0])
    same: NDArray[np.bool_] = (shared >= 0.5 * smaller) & ((words.lines[ids[:-1]] == words.lines[ids[1:]]) | near)
    return same


def line_boxes(words: PageWords, ids: Sequence[int], height: float) -> FloatArray:
    """One box a line (k, 4): the envelopes of the words `ids` of each line, in their order."""
    chosen = np.asarray(ids, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], ~continues_line(words, chosen, _GAP * height)]))
    return envelopes(words.xyxy[chosen], starts)


def envelopes(xyxy: FloatArray, starts: IntArray) -> FloatArray:
    """The envelopes (k, 4) of runs of boxes (n, 4) that begin at `starts` (k,)."""
    low = np.minimum.reduceat(xyxy[:, :2], starts)
    return np.concatenate([low, np.maximum.reduceat(xyxy[:, 2:], starts)], 1)


def segment_starts(words: PageWords, height: float) -> IntArray:
    """Where runs of words begin, in the words' order, that stand on one line with no wide space between them."""
    if not len(words):
        return np.zeros(0, np.int64)
    ids = np.arange(len(words))
    space = words.xyxy[1:, 0] - words.xyxy[:-1, 2]
    tight = (space <= _GAP * height) & (space >= -height)
    return np.flatnonzero(np.concatenate([[True], ~(continues_line(words, ids, _GAP * height) & tight)]))


def closeness(anchors: FloatArray, boxes: FloatArray, height: float) -> FloatArray:
    """How close each anchor (n, 4) stands to each box (m, 4), as a reader looks from a label to its value.

    On one line or in one column it falls slowly with the distance; a label stands left of its value or above it far
    oftener than right of it or below.

    Returns:
        (n, m) in 0..1.
    """
    a, b = anchors[:, None], boxes[None]
    dx = np.maximum(np.maximum(a[..., 0] - b[..., 2], b[..., 0] - a[..., 2]), 0) / height
    dy = np.maximum(np.maximum(a[..., 1] - b[..., 3], b[..., 1] - a[..., 3]), 0) / height
    shared_y = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared_x = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    row = shared_y >= 0.4 * np.minimum(a[..., 3] - a[..., 1], b[..., 3] - b[..., 1])
    aligned = np.abs(a[..., 0] - b[..., 0]) < 2 * height
    column = (shared_x >= 0.3 * np.minimum(a[..., 2] - a[..., 0], b[..., 2] - b[..., 0])) | aligned
    across = np.where(a[..., 0] <= b[..., 0], 1.0, 0.6) * (_ALIGNED + (1 - _ALIGNED) / (1 + dx / 15))
    down = np.where(a[..., 1] <= b[..., 1], 1.0, 0.5) * (_ALIGNED + (1 - _ALIGNED) / (1 + dy / 8))
    free = 0.5 / (1 + np.hypot(dx / 12, dy / 5))
    found: FloatArray = np.maximum(free, np.maximum(np.where(row, across, 0), np.where(column, down, 0)))
    return found
