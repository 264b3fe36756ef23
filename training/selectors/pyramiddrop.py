"""PyramidDrop: at a few depths of the decoder, the tokens that the last token of the prompt looks at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.selectors.base import Kept, Need, Selector
from training.selectors.schedule import (
    best_left,
    check_positions,
    layers_after,
    mask_of,
    positions_for,
    scaled_layers,
    stage_counts,
)

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder import Decoder

RATIO = 0.5
"""Share of its tokens that each published stage leaves."""

Look = Callable[[int, IntArray], tuple[Tensor, float]]
"""A layer and the tokens that are left, to what the last token looks at among these, and the operations of that."""


class _Pyramid(Selector):
    """Stages of PyramidDrop, however the attention comes about."""

    needs: frozenset[Need] = frozenset({"decoder"})

    def __init__(self, stages: int = 4) -> None:
        if stages < 2:
            raise UsageError(f"stages must be at least 2, got {stages}")
        self.stages = stages

    @abstractmethod
    def looks(self, decoder: Decoder) -> Callable[[], Look]:
        """What gives attention, made anew for each budget."""

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many tokens as allowed after the last stage; sets of different budgets need not be nested."""
        decoder = sample.decoder()
        new_look = self.looks(decoder)
        layers = scaled_layers(range(1, self.stages), self.stages, decoder.n_layers, first=1)
        shares = [RATIO**stage for stage in range(1, self.stages)]
        found = []
        for budget in budgets:
            look, left, flops = new_look(), np.arange(sample.n_tokens), 0.0
            masks: dict[int, BoolArray] = {}
            # In a decoder of fewer layers than stages, the last one at a layer counts.
            for layer, count in dict(zip(layers, stage_counts(sample.n_tokens, budget, shares), strict=True)).items():
                if count < len(left):
                    row, own = look(layer, left)
                    left = np.sort(best_left(sample, left, row, count))
                    flops += own
                masks[layer] = mask_of(left, sample.n_tokens)
            seen = layers_after(masks, sample.n_tokens, decoder.n_layers)
            found.append(Kept(mask_of(left, sample.n_tokens), layers=seen, flops=flops))
        return found


class PyramidDropSelector(_Pyramid):
    """PyramidDrop (CVPR 2025, arXiv 2410.17247), run inside the decoder: each stage looks at what the last one left.

    S stages of equal depth, S = 4: before layers 8, 16 and 24 of 32, floor(N lambda^s) tokens are left, lambda = 0.5.
    Those with the largest mean over heads of A^(l)[last, i] stay, A^(l) the attention that layer l is about to compute
    over the whole sequence as it is by then. Family: several decoder layers that depend on each other. It reads the
    question. Re-implementation after the paper and the released code.

    As the released code: positions are counted anew after each drop (`renumbered`), which is known to hurt. Ours:
    - The budget B is what the last stage leaves, lambda = (B / N)^(1 / (S - 1)); lambda = 0.5 where that leaves B.
    - Depths of other decoders: s L / S, 7, 14 and 21 of 28.
    - Positions on M-RoPE (Qwen): the original ones, as they are places on a page.
    - Grid tokens of all pages compete in one ranking; the released code gives each image its share. LLaVA-NeXT's view
      of the whole page and row ends stay in the sequence.

    Args:
        stages: S, with the first, in which nothing is dropped.
        positions: `renumbered`, `original`, or `auto`: the former for plain rotary positions, the latter for M-RoPE.
    """

    name = "pyramiddrop"

    def __init__(self, stages: int = 4, positions: str = "auto") -> None:
        super().__init__(stages)
        self.positions = check_positions(positions)

    def looks(self, decoder: Decoder) -> Callable[[], Look]:
        """Attention over what is left in a walk of its own."""
        positions = positions_for(self.positions, decoder)

        def new() -> Look:
            walk = decoder.walk()

            def look(layer: int, left: IntArray) -> tuple[Tensor, float]:
                # The walk still stands at the layer where these were chosen.
                if len(left) < len(walk.visual):
                    walk.keep(torch.from_numpy(left), positions=positions)
                walk.run_to(layer)
                row = walk.received("last")
                return row[walk.places.to(row.device)], walk.row_flops(1)

            return look

        return new


class PyramidDropUnprunedSelector(_Pyramid):
    """PyramidDrop (CVPR 2025, arXiv 2410.17247) from one pass over all tokens: an approximation of `pyramiddrop`.

    Stages, counts and layers are the same; every stage reads the attention of a decoder in which nothing was dropped.
    How far the masks agree is what the two are compared for: on random weights little where the exact one counts
    positions anew, and well where it keeps them (docs/selectors.md). Family: several decoder layers, unpruned. It reads
    the question. That it exists is ours.

    Args:
        stages: S, with the first, in which nothing is dropped.
    """

    name = "pyramiddrop-unpruned"

    def looks(self, decoder: Decoder) -> Callable[[], Look]:
        """Attention over all tokens, the same for all budgets."""
        row_of = cache(lambda layer: decoder.received(layer, [decoder.last]))

        def look(layer: int, left: IntArray) -> tuple[Tensor, float]:
            row: Tensor = row_of(layer)
            return row[decoder.visual_places.to(row.device)[torch.from_numpy(left).to(row.device)]], decoder.row_flops(
                1
            )

        return lambda: look
