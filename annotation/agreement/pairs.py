"""What is measured of each pair of judgements of a question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.frame import Frame
from annotation.agreement.overlaps import Overlaps, matched
from annotation.agreement.unions import union_ious

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairFigures:
    """Figures of P pairs. Those about boxes are NaN where neither of the two drew one.

    Attributes:
        f1: IoU threshold -> (P,) 2 matches / (boxes of both).
        pairwise_iou: (P,) total IoU of the best assignment over the larger number of boxes.
        matched_iou: (P,) mean IoU of the matches at `Settings.iou`; NaN without a match.
        union_iou: (P,) see `union_ious`.
        word_jaccard: (P,) see `WordAgreement`; all NaN without words.
        same_status: (P,) 1 or 0.
        agreed: (P,) 0 where statuses differ, else F1 at `Settings.iou`, and 1 where neither drew a box.
    """

    f1: dict[float, FloatArray]
    pairwise_iou: FloatArray
    matched_iou: FloatArray
    union_iou: FloatArray
    word_jaccard: FloatArray
    same_status: FloatArray
    agreed: FloatArray


def compare_pairs(
    frame: Frame, overlaps: Overlaps, thresholds: tuple[float, ...], iou: float, word_jaccard: FloatArray | None
) -> PairFigures:
    """Compare the two judgements of every pair; `iou` must be one of `thresholds`."""
    pairs = len(frame.first)
    count = frame.boxes_of
    first, second = count[frame.first], count[frame.second]
    found, total = _matches(frame, overlaps, pairs)
    f1, matched_iou = {}, np.full(pairs, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairwise = total / np.maximum(first, second)
        for threshold in thresholds:
            found, total = _matches(frame, overlaps.at(threshold), pairs)
            f1[threshold] = 2 * found / (first + second)
            if threshold == iou:
                matched_iou = total / found
    same = (frame.status[frame.first] == frame.status[frame.second]).astype(np.float64)
    return PairFigures(
        f1,
        pairwise,
        matched_iou,
        union_ious(frame),
        np.full(pairs, np.nan) if word_jaccard is None else word_jaccard,
        same,
        np.where(same == 0, 0.0, np.where(first + second == 0, 1.0, f1[iou])),
    )


def _matches(frame: Frame, overlaps: Overlaps, pairs: int) -> tuple[FloatArray, FloatArray]:
    """(P,) number of matches of each pair, and (P,) their total IoU."""
    pair = frame.pair_of(frame.owner[overlaps.first], frame.owner[overlaps.second])
    chosen = matched(overlaps, pair, frame.page[overlaps.first])
    found, total = np.zeros(pairs), np.zeros(pairs)
    np.add.at(found, pair[chosen], 1)
    np.add.at(total, pair[chosen], overlaps.iou[chosen])
    return found, total


def mean_by(values: FloatArray, key: IntArray, size: int) -> FloatArray:
    """(size,) mean of the values of each key, NaN ones left out; NaN for a key without any."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        found: FloatArray = np.bincount(key[known], values[known], size) / np.bincount(key[known], minlength=size)
    return found
