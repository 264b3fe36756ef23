"""PTP: tokens for each tile by its saliency; inside a tile saliency and the question's attention decide together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import DecoderLayers, Kept, Need, Selector
from training.selectors.greedy import min_max
from training.selectors.quotas import best_of_each, quotas

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class PtpSelector(Selector):
    """PTP, Pyramid Token Pruning (TCSVT, arXiv 2509.15704); a re-implementation, no released code was found.

    A tile gets tokens in proportion to its saliency. In it those with the largest (1 - alpha) b + alpha c are kept:
    b is a token's saliency in the vision tower, and c_j, the largest of what the text's tokens give to token j in layer
    2 of the language model, over heads on average (softmax over all keys). Family: the vision tower and a layer of the
    decoder. It reads the question, uses the budget up, and does not nest.

    Ours: b is the class token's attention in the block that the projector reads. How the paper measures a tile's
    saliency we do not know. Attention inside a tile, which others take, sums to the same in every tile, so that quotas
    would be even; here it is what the class token of the view of the whole page gives to the tile's part of the page,
    summed over the tile's tokens. b and c are scaled to [0, 1] over all tokens before they are mixed. The text is
    everything behind the last image. One budget for all pages and their tiles, without the view of the whole page. All
    tokens are there up to layer 2, and the choice takes effect behind it. Qwen-VL: a page is one tile, with a right to
    tokens for its size, and there is no class token (mean over all queries of the last block); of one page the tiles
    decide nothing.

    Args:
        alpha: Weight of the decoder's attention, from 0 to 1.
        layer: Of the language model, from 0.
    """

    name = "ptp"
    needs: frozenset[Need] = frozenset({"vision", "decoder"})

    def __init__(self, alpha: float = 0.5, layer: int = 2) -> None:
        if not 0 <= alpha <= 1:
            raise UsageError(f"ptp: alpha must be from 0 to 1, got {alpha}")
        if layer < 0:
            raise UsageError(f"ptp: layer must be at least 0, got {layer}")
        self.alpha, self.layer = alpha, layer

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many as allowed."""
        signals, decoder = sample.vision(), sample.decoder()
        rows = decoder.rows(self.layer, decoder.text_places)
        attention = rows.mean(dim=0)[:, decoder.visual_places.to(rows.device)].amax(dim=0)
        order = sample.order(fused(signals.saliency, attention.to(sample.device), self.alpha))
        tile = signals.tile.cpu().numpy()
        sizes = np.bincount(tile)
        weights = np.bincount(tile, signals.overview.double().cpu().numpy()).astype(np.float64)
        everything = np.ones(sample.n_tokens, dtype=bool)
        kept = []
        for budget in budgets:
            mask = np.zeros(sample.n_tokens, dtype=bool)
            mask[best_of_each(order, tile, quotas(sample, weights, sizes, budget))] = True
            layers = DecoderLayers((0, self.layer + 1), (everything, mask), decoder.n_layers)
            kept.append(Kept(mask, layers=layers, flops=decoder.row_flops(len(decoder.text_places))))
        return kept


def fused(saliency: Tensor, attention: Tensor, alpha: float) -> Tensor:
    """(N,) of the vision tower's saliency and the decoder's attention, each scaled to [0, 1]."""
    return (1 - alpha) * min_max(saliency) + alpha * min_max(attention)
