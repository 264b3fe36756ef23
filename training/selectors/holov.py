"""HoloV: every stretch of the page has a right to some tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import unit
from training.selectors.quotas import best_of_each, quotas

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

Within = Literal["attention", "score"]
_EPSILON = 1e-6


class HoloVSelector(Selector):
    """HoloV (NeurIPS 2025, arXiv 2510.02912), by its released code.

    The raster sequence of a page's tokens is cut into 16 stretches of equal length (bands of the page, no blocks). A
    stretch gets tokens in proportion to the sum of its token scores (of stretches of equal length, to their mean as in
    the code), and gives those with most attention of the class token (the block that the projector reads, mean over
    heads). Family: the vision tower alone. It never reads the question, uses the budget up, and does not nest.

    A token's score is 1000 a + 0.09 v, where a is that attention and v the variance of its cosines with the other
    tokens of its stretch, multiplied by what makes their mean that of 1000 a in the stretch. So every stretch's sum of
    scores is 1.09 times its sum of 1000 a: the variance moves no quota, and tokens are chosen by attention. Nothing
    depends on the tokens' values, and none of it is computed. `within="score"` chooses inside a stretch by the score
    instead, which is our reading of what the paper means it for.

    Ours: quotas are rounded by largest remainder. The stretches of all pages share one budget, and attention is in even
    shares, so that a page has a right to tokens for its size; tokens that a stretch has not got go to the others in the
    same proportions, where the code pads with zeros. LLaVA-NeXT: stretches of the mosaic, without the view of the whole
    page, which the code puts in front. Qwen-VL has no class token: mean over all queries of the last block.

    Args:
        stretches: Of each page.
        within: What ranks the tokens of a stretch: `attention` or `score`.
    """

    name = "holov"
    needs: frozenset[Need] = frozenset({"vision"})
    reads_question: bool = False

    def __init__(self, stretches: int = 16, within: Within = "attention") -> None:
        if stretches < 1:
            raise UsageError(f"holov: stretches must be at least 1, got {stretches}")
        if within not in get_args(Within):
            raise UsageError(f"holov: within must be one of {', '.join(get_args(Within))}, got {within!r}")
        self.stretches, self.within = stretches, within

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many as allowed."""
        saliency = sample.vision().saliency
        pieces = [
            piece
            for page in sample.slices
            for piece in np.array_split(np.arange(page.start, page.stop), self.stretches)
            if len(piece)
        ]
        sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
        group = np.repeat(np.arange(len(pieces)), sizes)
        weights = np.bincount(group, saliency.double().cpu().numpy()).astype(np.float64)
        scores, flops = saliency, 0.0
        if self.within == "score":
            parts = zip(torch.split(sample.tokens, sizes.tolist()), torch.split(saliency, sizes.tolist()), strict=True)
            scores = torch.cat([token_scores(tokens, attention) for tokens, attention in parts])
            flops = 2.0 * float((sizes**2).sum()) * sample.tokens.shape[1]
        order = sample.order(scores)
        kept = []
        for budget in budgets:
            mask = np.zeros(sample.n_tokens, dtype=bool)
            mask[best_of_each(order, group, quotas(sample, weights, sizes, budget))] = True
            kept.append(Kept(mask, flops=flops))
        return kept


def token_scores(tokens: Tensor, attention: Tensor, share: float = 0.09) -> Tensor:
    """1000 a + share * v of the tokens (n, d) of a stretch; v is scaled to the mean of 1000 a.

    As in the code, a token's cosine with itself counts as 0 in the variance, and both means are over n - 1.
    """
    attention = 1000 * attention
    others = len(tokens) - 1
    if not others:
        return attention
    cosines = unit(tokens) @ unit(tokens).T
    cosines.fill_diagonal_(0)
    variance = (cosines - cosines.sum(dim=1, keepdim=True) / others).square().sum(dim=1) / others
    return attention + share * variance * attention.mean() / (variance.mean() + _EPSILON)
