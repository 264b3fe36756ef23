"""SparseVLM: at a few depths of the decoder, the tokens that the words which matter to the page look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.selectors.base import Kept, Need, Selector
from training.selectors.recycling import cluster_means
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
    from training.vlm.decoder_walk import DecoderWalk

LAYERS, DEPTH = (2, 6, 15), 32
"""Published layers that drop tokens from what they give, from 0, and the layers of the decoder they are for."""
SCHEDULES: Mapping[str, tuple[float, ...]] = {
    name: tuple(count / 576 for count in counts)
    for name, counts in {
        "192": (300, 200, 110),
        "128": (303, 110, 36),
        "96": (238, 48, 26),
        "64": (66, 30, 17),
    }.items()
}
"""Published lists, by the average number of tokens over layers: shares of LLaVA-1.5's 576 tokens left by each stage."""
RECYCLED = 0.3
"""Share of the dropped tokens that are merged into others."""


class _Sparse(Selector):
    """Raters and stages of SparseVLM, however the attention comes about."""

    needs: frozenset[Need] = frozenset({"decoder"})

    def __init__(self, schedule: str = "nearest") -> None:
        if schedule not in (*SCHEDULES, "nearest"):
            raise UsageError(f"schedule must be one of {', '.join(SCHEDULES)} or nearest, got {schedule!r}")
        self.schedule = schedule

    def stages(self, sample: EncodedSample, budget: int, n_layers: int) -> dict[int, int]:
        """Tokens that are left after each layer that drops some."""
        share = budget / sample.n_tokens
        name = self.schedule
        if name == "nearest":
            name = min(SCHEDULES, key=lambda known: abs(math.log(share / SCHEDULES[known][-1])))
        layers = scaled_layers(LAYERS, DEPTH, n_layers)
        return dict(zip(layers, stage_counts(sample.n_tokens, budget, SCHEDULES[name]), strict=True))


class SparseVlmSelector(_Sparse):
    """SparseVLM (ICML 2025, arXiv 2410.04417), version 1.5, run inside the decoder: each stage sees what was left.

    Raters, once, from the inputs of layer 0: M = softmax over the text of V T^T, V the grid tokens and T all tokens
    after the last image; those whose mean over V is above the mean over the text. After layers 2, 6 and 15 of 32 have
    run, the tokens with the largest mean over heads and raters of the attention that the layer just computed stay, and
    the rest goes; as many as one of four published lists says ([300, 200, 110], [303, 110, 36], [238, 48, 26],
    [66, 30, 17] of 576). Of the n dropped tokens the best m = int(0.3 n) + 1 are recycled: clustered by DPC-kNN around
    int(m / 10) + 1 centres (as many neighbours), averaged, and put in behind the image. Family: several decoder layers
    that depend on each other. It reads the question. Re-implementation after the paper and the released code.

    Ours:
    - The budget B is what the last stage leaves. The list whose last share is nearest to B / N on a logarithmic scale
      is taken and brought to B by `stage_counts`; a list is as published where its last count is B.
    - B counts hard-kept tokens. In the released code recycled tokens compete with the others for a stage's places, so
      that it keeps fewer; here they compete, and those that rank above the last kept token stay, but take no place.
      They are reported as `merged` (whose content lives on in the end), enter no mask and no layer-averaged budget, and
      are in the operations of the layers that they go through.
    - Where no rater stands out (all text tokens alike), all of them rate.
    - Depths of other decoders: l L / 32, rounded: 2, 5 and 13 of 28.
    - Positions: counted anew after each drop where they are plain, as in the released code; the original ones on M-RoPE
      (Qwen), where a recycled token stands at its cluster's centre, without deepstack features (Qwen3-VL).
    - The released code tells equal densities apart by noise; here the better-rated token counts as the denser one.
    - Grid tokens of all pages compete in one ranking; LLaVA-NeXT's view of the whole page and row ends stay.

    Args:
        schedule: `192`, `128`, `96` or `64`, a published list by its average number of tokens; or `nearest`.
        recycle: Whether dropped tokens are merged into others.
        positions: `renumbered`, `original`, or `auto`: the former for plain rotary positions, the latter for M-RoPE.
    """

    name = "sparsevlm"

    def __init__(self, schedule: str = "nearest", recycle: bool = True, positions: str = "auto") -> None:
        super().__init__(schedule)
        self.recycle, self.positions = recycle, check_positions(positions)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many tokens as allowed after the last stage; sets of different budgets need not be nested."""
        decoder = sample.decoder()
        rating, flops = raters(decoder)
        found = []
        for budget in budgets:
            walk = decoder.walk()
            masks: dict[int, BoolArray] = {}
            merged: list[IntArray] = []
            own = flops
            for layer, count in self.stages(sample, budget, decoder.n_layers).items():
                if count < len(walk.visual):
                    walk.run_to(layer + 1)
                    own += walk.row_flops(len(rating))
                    merged, more = self._drop(sample, walk, rating, count, merged)
                    own += more
                masks[layer + 1] = mask_of(walk.visual.cpu().numpy(), sample.n_tokens)
            seen = layers_after(masks, sample.n_tokens, decoder.n_layers)
            recycled = mask_of(np.concatenate([*merged, np.zeros(0, np.int64)]), sample.n_tokens)
            found.append(Kept(seen.masks[-1], layers=seen, merged=recycled if self.recycle else None, flops=own))
        return found

    def _drop(
        self, sample: EncodedSample, walk: DecoderWalk, rating: Tensor, count: int, merged: list[IntArray]
    ) -> tuple[list[IntArray], float]:
        """One stage.

        Args:
            sample: Whose tokens.
            walk: Just behind the layer; what stays is left in it.
            rating: Raters among the text.
            count: Tokens that stay.
            merged: The tokens in each token that was recycled before.

        Returns:
            The same after the stage, and operations.
        """
        row = walk.received(walk.text_places[rating.to(walk.text_places.device)], of="previous").cpu()
        places, soft = walk.places.cpu(), walk.merged_places.cpu()
        left = walk.visual.cpu().numpy()
        order = best_left(sample, left, row[places], len(left))
        kept, dropped = order[:count], order[count:]
        place_of = dict(zip(left.tolist(), places.tolist(), strict=True))
        stays = (row[soft] > row[place_of[int(kept[-1])]]).tolist()
        positions = positions_for(self.positions, walk.decoder)
        if not self.recycle:
            walk.keep(torch.from_numpy(kept), positions=positions)
            return [], 0.0
        # All that goes, by where it stands, and what is in it; the best first.
        gone = {place_of[int(token)]: np.array([token]) for token in dropped}
        gone |= {int(place): merged[at] for at, place in enumerate(soft) if not stays[at]}
        received = row.tolist()
        best = sorted(gone, key=lambda place: -received[place])[: int(RECYCLED * len(gone)) + 1]
        states = walk.hidden[torch.tensor(best, device=walk.hidden.device)]
        means, centres, cluster = cluster_means(states, int(len(best) / 10) + 1)
        walk.keep(
            torch.from_numpy(kept),
            keep_merged=torch.from_numpy(np.flatnonzero(stays)),
            merged=means,
            merged_at=torch.tensor(best)[centres.cpu()],
            positions=positions,
        )
        inside: list[list[IntArray]] = [[] for _ in range(len(means))]
        for place, at in zip(best, cluster.tolist(), strict=True):
            inside[at].append(gone[place])
        staying = [merged[at] for at in np.flatnonzero(stays)]
        return [*staying, *(np.concatenate(tokens) for tokens in inside)], 2.0 * len(best) ** 2 * states.shape[1]


class SparseVlmUnprunedSelector(_Sparse):
    """SparseVLM (ICML 2025, arXiv 2410.04417) from one pass over all tokens: an approximation of `sparsevlm`.

    Raters, stages, counts and layers are the same; every stage reads the attention of a decoder in which nothing was
    dropped, and nothing is recycled. How far the masks agree is what the two are compared for: as for PyramidDrop, that
    is a matter of positions (docs/selectors.md). Family: several decoder layers, unpruned. It reads the question. That
    it exists is ours.

    Args:
        schedule: `192`, `128`, `96` or `64`, a published list by its average number of tokens; or `nearest`.
    """

    name = "sparsevlm-unpruned"

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Exactly as many tokens as allowed after the last stage; sets of different budgets need not be nested."""
        decoder = sample.decoder()
        rating, flops = raters(decoder)
        queries = decoder.text_places[rating.to(decoder.text_places.device)]

        @cache
        def row_of(layer: int) -> Tensor:
            row = decoder.received(layer, queries)
            return row[decoder.visual_places.to(row.device)].cpu()

        found = []
        for budget in budgets:
            left: IntArray = np.arange(sample.n_tokens)
            masks: dict[int, BoolArray] = {}
            own = flops
            for layer, count in self.stages(sample, budget, decoder.n_layers).items():
                if count < len(left):
                    left = best_left(sample, left, row_of(layer)[left], count)
                    own += decoder.row_flops(len(rating))
                masks[layer + 1] = mask_of(left, sample.n_tokens)
            seen = layers_after(masks, sample.n_tokens, decoder.n_layers)
            found.append(Kept(seen.masks[-1], layers=seen, flops=own))
        return found


def raters(decoder: Decoder) -> tuple[Tensor, float]:
    """The text tokens that matter to the page, as indices into the text after the last image, and operations."""
    inputs = decoder.hidden(0).float()
    visual = inputs[decoder.visual_places.to(inputs.device)]
    text = inputs[decoder.text_places.to(inputs.device)]
    relevance = (visual @ text.T).softmax(dim=1).mean(dim=0)
    found = (relevance > relevance.mean()).nonzero()[:, 0]
    if not len(found):
        found = torch.arange(len(text), device=inputs.device)
    return found, 2.0 * len(visual) * text.numel()
