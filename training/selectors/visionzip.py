"""VisionZip: the tokens that the class token looks at, and a few that stand for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.selectors.base import Kept, Need, Selector

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class VisionZipSelector(Selector):
    """VisionZip (CVPR 2025, arXiv 2412.04467), as its code has it: dominant and contextual tokens.

    A token's score is the class token's attention in the block that the projector reads, over heads. Of a budget B the
    dominant tokens are the best, B - C of them. Of the rest, in raster order, every floor(rest / C)-th is a target, and
    each other one is averaged into the target whose key (mean over heads) has the largest cosine with its own.
    Published: 54 + 10 of 64 tokens, 10 / 64 here of any budget. Family: the vision tower alone. It never reads the
    question. Dominant tokens nest.

    `mask` holds the dominant tokens: recall counts nothing else, and fewer than B. Each dropped token lives on in some
    average, so that all of the page would count as merged; `merged` holds the C places where such averages stand, and
    B tokens are in one or the other. Where a target has nothing to take in (B = N), it is kept.

    Ours: one budget for the tokens of all pages and tiles, where the code has one for each tile; scores are compared
    in even shares (`VisionSignals`). The class token itself, one of the code's dominant tokens, has no place on the
    page and is none here. Qwen-VL has no class token: mean over all queries of the last block, over the patches that
    were merged into a token.

    Args:
        contextual: Share of the budget for contextual tokens, rounded; 0 for the dominant ones alone.
    """

    name = "visionzip"
    needs: frozenset[Need] = frozenset({"vision"})
    reads_question: bool = False

    def __init__(self, contextual: float = 10 / 64) -> None:
        if not 0 <= contextual < 1:
            raise UsageError(f"{self.name}: contextual must be at least 0 and less than 1, got {contextual}")
        self.contextual = contextual

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Dominant tokens, with the contextual ones as `merged`."""
        signals = sample.vision()
        if self.contextual == 0:
            return sample.keep_top(signals.saliency, budgets)
        order = sample.order(signals.saliency)
        return [self._kept(order, budget, signals.keys.shape[1]) for budget in budgets]

    def _kept(self, order: IntArray, budget: int, width: int) -> Kept:
        targets = round_half_up(self.contextual * budget)
        mask, merged = dominant_and_targets(order, budget - targets, targets)
        assigned = len(order) - budget
        return Kept(mask, merged=merged, flops=2.0 * assigned * targets * width)


def dominant_and_targets(order: IntArray, dominant: int, targets: int) -> tuple[BoolArray, BoolArray]:
    """The best tokens, and of the rest in raster order every floor(rest / targets)-th, as masks.

    Args:
        order: All N tokens, best first.
        dominant: How many are dominant.
        targets: How many stand for the rest; where the rest is no more than these, it is dominant too.
    """
    mask, merged = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
    mask[order[:dominant]] = True
    rest = np.flatnonzero(~mask)
    if len(rest) <= targets:
        mask[:] = True
    elif targets:
        merged[rest[np.arange(targets) * (len(rest) // targets)]] = True
    return mask, merged


def round_half_up(value: float) -> int:
    """The nearest whole number; the larger of two."""
    return int(value + 0.5)
