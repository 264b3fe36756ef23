"""VisionDrop: what visual tokens say about each other, in the vision tower and on the way through the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.ranking import BoolArray, IntArray
from training.aligner.chunking import chunk_length
from training.selectors.base import DecoderLayers, Kept, Need, Selector
from training.selectors.greedy import unit
from training.selectors.schedule import check_positions, mask_of, positions_for, scaled_layers, stage_counts
from training.selectors.visionzip import dominant_and_targets, round_half_up

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder_walk import DecoderWalk

STAGES = ((48, 6), (35, 5), (26, 4), (19, 3))
"""Tokens of each published stage, of 576, and how many of them are contextual."""
LAYERS, PUBLISHED_DEPTH = (8, 16, 24), 32


class VisionDropSelector(Selector):
    """VisionDrop (AAAI 2026, arXiv 2506.22283v2): no stage asks the text.

    By default its first stage alone, in the vision tower: that of VisionZip (`VisionZipSelector`, where `mask` and
    `merged` are explained) with 6 contextual of 48 tokens, so that it needs no decoder. With `decoder=True` all four,
    run inside the decoder: before layers 8, 16 and 24 of 32 the visual tokens that are left, averages among them, are
    scored by what they receive from each other, the mean over them and the heads of the attention that the layer is
    about to compute (softmax over the whole sequence). The best are dominant, every floor(rest / C)-th other one is a
    target, and the rest is merged: target + mean of those whose keys (rotated, mean over heads) have their largest
    cosine with its own. Released: 48, 35, 26 and 19 of 576 tokens, 6, 5, 4 and 3 of them contextual. It never reads the
    question: visual tokens come before it.

    Column j is seen by later tokens alone, and the mean is over all: the decoder's stages lean to the top of the page.

    As released: positions are counted anew after each stage. Ours: the budget is what the last stage leaves, averages
    with it, and the stages before leave what `schedule.stage_counts` says. `mask` and each layer's set hold dominant
    page tokens alone, and `merged` the places of averages (one that is dominant later stays at its target's). Depths of
    other decoders are the same relative ones. Positions on M-RoPE stay. One budget for the tokens of all pages and
    tiles; LLaVA-NeXT's view of the whole page and row ends stay in the sequence and are in no stage. The tower's stage
    merges behind the projector, the code in front of it. Qwen-VL has no class token: mean over all queries.

    Args:
        decoder: Run the stages in the decoder too.
        positions: `renumbered`, `original`, or `auto`: the former for plain rotary positions, the latter for M-RoPE.
    """

    name = "visiondrop"
    reads_question: bool = False

    def __init__(self, decoder: bool = False, positions: str = "auto") -> None:
        self.decoder, self.positions = decoder, check_positions(positions)
        self.needs: frozenset[Need] = frozenset({"vision", "decoder"} if decoder else {"vision"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Dominant tokens, with averages as `merged`."""
        return [self._walked(sample, budget) if self.decoder else self._encoder(sample, budget) for budget in budgets]

    @staticmethod
    def _encoder(sample: EncodedSample, budget: int) -> Kept:
        signals = sample.vision()
        targets = contextual(0, budget)
        mask, merged = dominant_and_targets(sample.order(signals.saliency), budget - targets, targets)
        return Kept(mask, merged=merged, flops=2.0 * (len(mask) - budget) * targets * signals.keys.shape[1])

    def _walked(self, sample: EncodedSample, budget: int) -> Kept:
        decoder = sample.decoder()
        walk = decoder.walk()
        layers = [0, *scaled_layers(LAYERS, PUBLISHED_DEPTH, decoder.n_layers, first=1)]
        counts = stage_counts(sample.n_tokens, budget, [tokens / 576 for tokens, _ in STAGES])
        masks: dict[int, BoolArray] = {}
        origin = np.zeros(0, dtype=np.int64)  # of each average, the page token whose place it has
        flops = 0.0
        for stage, (layer, count) in enumerate(zip(layers, counts, strict=True)):
            walk.run_to(layer)
            if count < len(walk.places) + len(origin):
                origin, own = self._stage(sample, walk, origin, stage, count)
                flops += own
            masks[layer] = mask_of(walk.visual.cpu().numpy(), sample.n_tokens)
        left = DecoderLayers(tuple(masks), tuple(masks.values()), decoder.n_layers)
        return Kept(left.masks[-1], layers=left, merged=mask_of(origin, sample.n_tokens), flops=flops)

    def _stage(
        self, sample: EncodedSample, walk: DecoderWalk, origin: IntArray, stage: int, count: int
    ) -> tuple[IntArray, float]:
        """Leave `count` visual tokens; the origins of the averages among them, and the operations of the choice."""
        seen = torch.cat([walk.places, walk.merged_places])
        scores, keys = self._signals(sample, walk, seen, stage)
        owner = np.concatenate([walk.visual.cpu().numpy(), origin])
        ties = np.argsort(sample.order(np.zeros(sample.n_tokens)))[owner]
        order = np.lexsort((ties, -scores.double().cpu().numpy())).astype(np.int64)
        targets = contextual(stage, count)
        dominant, merged = dominant_and_targets(order, count - targets, targets)
        at, averages = _averages(walk.hidden[seen.to(walk.hidden.device)], keys, dominant, merged)
        of_page = np.arange(len(seen)) < len(walk.places)
        walk.keep(
            torch.from_numpy(owner[dominant & of_page]),
            keep_merged=torch.from_numpy(np.flatnonzero(dominant[~of_page])),
            merged=averages,
            merged_at=seen[at.to(seen.device)],
            positions=positions_for(self.positions, walk.decoder),
        )
        flops = 2.0 * (len(seen) - count) * targets * keys.shape[1] + (walk.row_flops(len(seen)) if stage else 0.0)
        return np.concatenate([owner[dominant & ~of_page], owner[merged]]), flops

    @staticmethod
    def _signals(sample: EncodedSample, walk: DecoderWalk, seen: Tensor, stage: int) -> tuple[Tensor, Tensor]:
        """Scores and keys of the visual tokens at some places."""
        if stage == 0:
            return sample.vision().saliency, sample.vision().keys
        keys = walk.decoder.layers.keys(walk.layer, walk.hidden, walk.angles)
        here = seen.to(keys.device)
        return walk.received(seen)[here], keys[here].mean(dim=1)


def contextual(stage: int, count: int) -> int:
    """How many of a stage's tokens are contextual."""
    tokens, own = STAGES[stage]
    return round_half_up(count * own / tokens)


def _averages(hidden: Tensor, keys: Tensor, dominant: BoolArray, targets: BoolArray) -> tuple[Tensor, Tensor]:
    """Each target, and the mean of the tokens that are nearest to it added to it.

    Args:
        hidden: (n, d).
        keys: (n, k), whose cosines say what is near.
        dominant: (n,) neither target nor merged.
        targets: (n,) at least one of the rest, or none.

    Returns:
        (c,) indices of the targets, and (c, d) what they become.
    """
    at, rest = (torch.from_numpy(np.flatnonzero(which)) for which in (targets, ~(dominant | targets)))
    if not len(at):
        return at, hidden[:0]
    rows = unit(keys)
    size = chunk_length(rows.element_size() * len(at), rows.device)
    nearest = torch.cat([(rows[some] @ rows[at].T).argmax(dim=1) for some in torch.split(rest, size)]).to(hidden.device)
    sums = torch.zeros(len(at), hidden.shape[1], device=hidden.device).index_add_(0, nearest, hidden[rest].float())
    means = sums / nearest.bincount(minlength=len(at)).clamp(min=1)[:, None]
    return at, hidden[at] + means.to(hidden)
