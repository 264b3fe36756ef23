"""FastV: the tokens that the last token of the prompt looks at in one early layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.schedule import layers_after

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class FastVSelector(Selector):
    """FastV (ECCV 2024, arXiv 2403.06764): from layer K on, only the tokens that layer K - 1 attended to most.

    score_i = mean over heads of A^(K-1)[last, i], the softmaxed attention of decoder layer K - 1 (from 0) from the last
    token of the prompt to token i over the whole sequence; the top B stay, at their original positions. Default K = 2.
    Family: one decoder layer, exact with an unpruned prefix: nothing after layer K - 1 matters to the choice. It reads
    the question. Re-implementation of what the released code does; the paper averages over all later queries instead.

    Ours: B tokens remain after layer K, whatever the ratio R = 1 - B / N; the layer-averaged budget
    (K N + (L - K) B) / (L N) is reported beside it. Grid tokens of all pages compete in one ranking; LLaVA-NeXT's view
    of the whole page and row ends stay in the sequence. Rows are computed again in float32 beside fused attention.

    Args:
        layer: K, the first layer that sees the kept tokens only.
    """

    name = "fastv"
    needs: frozenset[Need] = frozenset({"decoder"})

    def __init__(self, layer: int = 2) -> None:
        if layer < 1:
            raise UsageError(f"layer must be at least 1, got {layer}")
        self.layer = layer

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The most attended tokens, exactly as many as allowed; the sets are nested.

        Raises:
            UsageError: The decoder has fewer than K layers.
        """
        decoder = sample.decoder()
        if self.layer > decoder.n_layers:
            raise UsageError(
                f"layer must be at most {decoder.n_layers}, the layers of this decoder, got {self.layer}",
                remedy=f"--set {self.name}.layer=LAYER names another",
            )
        row = decoder.received(self.layer - 1, [decoder.last])
        kept = sample.keep_top(row[decoder.visual_places.to(row.device)], budgets, flops=decoder.row_flops(1))
        return [
            replace(one, layers=layers_after({self.layer: one.mask}, sample.n_tokens, decoder.n_layers)) for one in kept
        ]
