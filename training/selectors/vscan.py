"""VScan: half of the tokens from everywhere on the page, half from where the class token looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.selectors.base import DecoderLayers, Kept, Need, Selector
from training.selectors.quotas import best_of_each, quotas
from training.selectors.schedule import best_left, mask_of

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

CLIP_WINDOW, QWEN_WINDOW = 6, 4


class VScanSelector(Selector):
    """VScan (TMLR 2026, arXiv 2505.22654).

    Stage 1, the vision tower: half of the budget (rounded down) goes to windows of 6 x 6 tokens (4 x 4 on Qwen), each
    of which gives those that the class token attends to most in a shallow block (index 5 of 24); the other half are the
    tokens with most of its attention in the block that the projector reads. Prompt-blind, exactly the budget; budgets
    do not nest, since windows round. Stage 2, with `decoder_layer`: before that layer the tokens with most attention
    from the prompt's last token, mean over heads, are kept. Then it needs the decoder and reads the question. Released:
    96 of 576 tokens, and 32 of them before layer 16 of 32; on Qwen2.5-VL .167 of all, and .333 of those before layer 14
    of 28 (for referring expressions .6 and .67). So stage 1 keeps three times the budget here, or all.

    The code averages every dropped token into the nearest kept one: all of a page would count as merged, so that none
    is said to be, and stage 2 runs on the kept tokens as they are.

    Ours: one budget for all pages and tiles, shared out to windows by their tokens (largest remainders, at random among
    equals); windows of a page's grid (of LLaVA-NeXT's mosaic, from its upper left corner),
    smaller at its edges; windows choose first, and the other half is filled with tokens not chosen yet. Qwen-VL has no
    class token: the mean over all queries, in block round(5 / 24 of the tower) and in the last. Dropped tokens are gone
    and the others keep their positions.

    Args:
        window: Side of a window in tokens; by default 6, or 4 of a tower without a class token.
        decoder_layer: Stage 2 comes before this one, from 1; None for stage 1 alone.
        share: Of the tokens of stage 1, those that stage 2 keeps.
    """

    name = "vscan"

    def __init__(self, window: int | None = None, decoder_layer: int | None = None, share: float = 1 / 3) -> None:
        if window is not None and window < 1:
            raise UsageError(f"vscan: window must be at least 1, got {window}")
        if decoder_layer is not None and decoder_layer < 1:
            raise UsageError(f"vscan: decoder_layer must be at least 1, got {decoder_layer}")
        if not 0 < share <= 1:
            raise UsageError(f"vscan: share must be more than 0 and at most 1, got {share}")
        self.window, self.decoder_layer, self.share = window, decoder_layer, share
        self.reads_question = decoder_layer is not None
        self.needs: frozenset[Need] = frozenset({"vision", "decoder"} if self.reads_question else {"vision"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many as allowed."""
        first = budgets
        if self.decoder_layer is not None:
            first = [min(sample.n_tokens, int(budget / self.share + 0.5)) for budget in budgets]
        masks = self._scans(sample, first)
        if self.decoder_layer is None:
            return [Kept(mask) for mask in masks]
        layer = self.decoder_layer
        return [self._pruned(sample, mask, budget, layer) for mask, budget in zip(masks, budgets, strict=True)]

    def _scans(self, sample: EncodedSample, budgets: Sequence[int]) -> list[BoolArray]:
        signals = sample.vision()
        side = self.window or (QWEN_WINDOW if signals.patches is None else CLIP_WINDOW)
        group = window_of_each(sample, side)
        sizes = np.bincount(group)
        shallow, deep = sample.order(signals.shallow), sample.order(signals.saliency)
        masks = []
        for budget in budgets:
            mask = np.zeros(sample.n_tokens, dtype=bool)
            mask[best_of_each(shallow, group, quotas(sample, sizes, sizes, budget // 2))] = True
            mask[deep[~mask[deep]][: budget - budget // 2]] = True
            masks.append(mask)
        return masks

    @staticmethod
    def _pruned(sample: EncodedSample, mask: BoolArray, budget: int, layer: int) -> Kept:
        walk = sample.decoder().walk()
        walk.keep(torch.from_numpy(np.flatnonzero(mask)))
        walk.run_to(layer)
        row = walk.received("last")
        left = walk.visual.cpu().numpy()
        final = mask_of(best_left(sample, left, row[walk.places.to(row.device)], budget), sample.n_tokens)
        layers = DecoderLayers((0, layer), (mask, final), walk.decoder.n_layers)
        return Kept(final, layers=layers, flops=walk.row_flops(1))


def window_of_each(sample: EncodedSample, side: int) -> IntArray:
    """(N,) the window that each token is in, numbered through all pages."""
    found, first = [], 0
    for page in sample.pages:
        rows, cols = np.divmod(np.arange(page.grid.n_tokens), page.grid.cols)
        across = -(-page.grid.cols // side)
        found.append(first + rows // side * across + cols // side)
        first += -(-page.grid.rows // side) * across
    return np.concatenate(found)
