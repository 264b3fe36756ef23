"""LLaVA-PruMerge and PruMerge+: outliers of the class token's attention, and an even sample beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.aligner.chunking import chunk_length
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import unit

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.vision_pass import VisionSignals


class PruMergeSelector(Selector):
    """LLaVA-PruMerge (ICCV 2025, arXiv 2403.15388).

    A token's score is the class token's attention in CLIP's last block (index 23, whose input the projector reads),
    computed as one head of full width: softmax(q k^T / sqrt(1024)). The best tokens are kept, and each takes in the 32
    tokens, kept ones among them, whose keys have the largest cosine with its own, weighted by their scores. Family: the
    vision tower alone. It never reads the question; its sets nest.

    As published the kept tokens are the outliers, scores above Q3 + 1.5 (Q3 - Q1) of the tile: `adaptive=True` keeps
    none but those, however large the budget.

    `merged` are the tokens that some kept one takes in. The code also appends one token, the weighted sum of all that
    is dropped: it has no place on the page and is in no budget here.

    Ours: one budget for the tokens of all pages and tiles; neighbours come from all tiles of the page. Outliers are
    those of each tile. Qwen-VL, which has no class token: the mean over all queries and heads of the last block, and
    keys after rotation, averaged over the patches merged into a token.

    Args:
        adaptive: Keep outliers alone, the best of them where the budget has no room for all.
        neighbours: Tokens that each kept one takes in.
    """

    name = "prumerge"
    needs: frozenset[Need] = frozenset({"vision"})
    reads_question: bool = False

    def __init__(self, adaptive: bool = False, neighbours: int = 32) -> None:
        if neighbours < 0:
            raise UsageError(f"{self.name}: neighbours must be at least 0, got {neighbours}")
        self.adaptive, self.neighbours = adaptive, neighbours

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best tokens."""
        counts, order = budgets, sample.order(sample.vision().single)
        if self.adaptive:
            order, found = outliers_first(order, sample.vision())
            counts = [min(budget, found) for budget in budgets]
        kept = sample.keep_first(order, counts)
        merged = self._merged(sample, [one.mask for one in kept])
        return [replace(one, merged=own, flops=cost) for one, (own, cost) in zip(kept, merged, strict=True)]

    def _merged(self, sample: EncodedSample, masks: Sequence[BoolArray]) -> list[tuple[BoolArray, float]]:
        """The tokens that each set takes in, and the operations of finding them."""
        keys = sample.vision().last_keys
        found = with_neighbours(masks, keys, sample.slices, self.neighbours)
        a_cosine = 2.0 * keys.shape[1] if self.neighbours else 0.0
        pairs = [sum(int(mask[page].sum()) * (page.stop - page.start) for page in sample.slices) for mask in masks]
        return [(merged, a_cosine * count) for merged, count in zip(found, pairs, strict=True)]


class PruMergePlusSelector(PruMergeSelector):
    """LLaVA-PruMerge+: the outliers, filled up to the budget with an even sample of the other tokens.

    Of the tokens that are no outliers, in raster order, those in the middle of as many equal stretches as there are
    tokens to add. Where the outliers alone exceed the budget, the best of them. Uses the budget up; does not nest.

    As published the sample is every int(int(1 / share of outliers) / 3)-th token, which makes about 144 of a tile's
    576: `adaptive=True` adds that many, and no more than the budget. Of more than a third of outliers, where the code
    fails, it adds all. Spreading what is left of a given budget is ours; the first tokens of a fixed sample, which a
    port elsewhere takes, would be the top of the page.

    Args:
        adaptive: Add as many as are published.
        neighbours: As of `PruMergeSelector`.
    """

    name = "prumerge-plus"

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Outliers and an even sample."""
        order, found = outliers_first(sample.order(sample.vision().single), sample.vision())
        if self.adaptive:
            step = max(1, int(int(sample.n_tokens / max(found, 1)) / 3))
            budgets = [min(budget, found + len(range(0, sample.n_tokens - found, step))) for budget in budgets]
        masks = [_filled(order, min(found, budget), budget) for budget in budgets]
        merged = self._merged(sample, masks)
        return [Kept(mask, merged=own, flops=cost) for mask, (own, cost) in zip(masks, merged, strict=True)]


def outliers_first(order: IntArray, signals: VisionSignals) -> tuple[IntArray, int]:
    """An order of all tokens with those in front that are outliers, and how many these are."""
    found = outliers(signals)[order]
    return np.concatenate([order[found], order[~found]]), int(found.sum())


def outliers(signals: VisionSignals) -> BoolArray:
    """(N,) the tokens whose score is above Q3 + 1.5 (Q3 - Q1) of their tile."""
    scores, tile = signals.single.double().cpu().numpy(), signals.tile.cpu().numpy()
    found = np.zeros(len(scores), dtype=bool)
    for number in np.unique(tile):
        own = tile == number
        low, high = np.quantile(scores[own], [0.25, 0.75])
        found[own] = scores[own] > high + 1.5 * (high - low)
    return found


def _filled(order: IntArray, best: int, budget: int) -> BoolArray:
    """The best tokens, and the others in the middle of equal stretches of what is left, in raster order."""
    mask = np.zeros(len(order), dtype=bool)
    mask[order[:best]] = True
    rest, count = np.flatnonzero(~mask), budget - best
    if count:
        mask[rest[((np.arange(count) + 0.5) * len(rest) / count).astype(np.int64)]] = True
    return mask


def with_neighbours(masks: Sequence[BoolArray], keys: Tensor, pages: Sequence[slice], count: int) -> list[BoolArray]:
    """For each mask (N,) the tokens outside it that are among the `count` nearest of a token inside.

    Args:
        masks: Kept tokens.
        keys: (N, w), whose cosines say what is near.
        pages: Where each page's tokens are; neighbours are on the same page, and a token is none of its own.
        count: Neighbours of each token.
    """
    merged = [np.zeros(len(mask), dtype=bool) for mask in masks]
    for page in pages if count else ():
        rows = unit(keys[page])
        near = _nearest(rows, torch.from_numpy(np.any([mask[page] for mask in masks], axis=0)), count)
        for mask, own in zip(masks, merged, strict=True):
            own[page][near[mask[page]].ravel()] = True
    return [own & ~mask for own, mask in zip(merged, masks, strict=True)]


def _nearest(rows: Tensor, wanted: Tensor, count: int) -> IntArray:
    """(n, count) at most: of each row (n, w) that is wanted the rows with the largest products, best first."""
    places = wanted.nonzero()[:, 0].to(rows.device)
    near = np.zeros((len(rows), min(count, len(rows) - 1)), dtype=np.int64)
    for some in torch.split(places, chunk_length(8 * len(rows), rows.device, least=64)):
        products = rows[some] @ rows.T
        products[torch.arange(len(some), device=rows.device), some] = -torch.inf
        near[some.cpu().numpy()] = products.topk(near.shape[1], dim=1).indices.cpu().numpy()
    return near
