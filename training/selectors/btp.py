"""BTP: inside the decoder, attention and diversity in turns, and in its last layers no visual token at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.evaluation.intervals import FloatArray
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import MOST_JOINT, farthest_first, nearest_cosine, unit
from training.selectors.page_budgets import page_budgets
from training.selectors.schedule import layers_after, mask_of, scaled_layers, stage_counts

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder import Decoder
    from training.vlm.decoder_walk import DecoderWalk


@dataclass(frozen=True)
class Schedule:
    """Where a model's stages stand, as published.

    Attributes:
        depth: Layers of that model's decoder.
        layers: That first see what each of the three stages keeps, from 0.
        out: The first layer without visual tokens.
        shares: Of all tokens, left by each stage.
    """

    depth: int
    layers: tuple[int, int, int]
    out: int
    shares: tuple[float, float, float]


LLAVA = Schedule(32, (3, 6, 14), 22, (1 / 2, 1 / 4, 1 / 12))
QWEN = Schedule(28, (3, 6, 15), 22, (1 / 2, 1 / 4, 1 / 8))


class BtpSelector(Selector):
    """Balanced Token Pruning (NeurIPS 2025, arXiv 2505.22038), exactly, inside the decoder.

    Three stages choose, each on the sequence that the one before left; a is the head-mean attention of the last token
    in the layer before a stage, h the hidden states there. Diversity is greedy max-min on 1 - cos(h), from what is
    chosen already; rebalanced attention takes, of the n' best by a, those first that stand among the first k of the
    sequence, k being the number kept: the upper half of a page. Family: several dependent layers. Reads the question.

    llava (N = 576, before layers 3, 6, 14 of 32): k = N/2 from 0.3 k by diversity, 0.3 k by rebalanced attention
    (n' = 3.7 n), k/2 farthest points of the grid, filled up by diversity; then k/2 from 0.9 k by rebalanced attention
    (n' = 1.5 n) and 0.1 k by diversity, filled up; then k/3 by rebalanced attention (n' = 1.2 n). No token from 22 on.
    qwen (before 3, 6, 15 of 28): N/2 from int(1.2 int(0.1 k)) by attention, filled up by diversity; half of them from
    0.4 k by attention, filled up; half of these by rebalanced attention (n' = 1.2 n). No token from layer 22 on.
    Positions stay the original ones. A re-implementation with the released constants (LLaVA-1.5-7B, Qwen2.5-VL-7B),
    from which the paper's text differs in places.

    Ours, beside LLaVA-NeXT, whose views of the whole and row ends are no candidates, and Qwen2-VL:
    - The budget is what the last stage keeps; earlier stages keep their proportions to it (`stage_counts`).
    - Layers scale with depth, from 1 on; where stages meet in a shallow decoder, the last of them remains.
    - Tokens chosen twice count once (released: twice, in LLaVA's second stage); a union of more than k is cut by
      attention (released: it says "Bug!" and goes on with a wrong span).
    - Farthest points (Manhattan, from the first token) are those of the real grid, page by page; ties at random. The
      first half of the sequence is the first half of all pages end to end.
    - Of more than `most_joint` tokens diversity is chosen page by page, in proportion to what is left to choose from.
    `Kept.mask` is the last stage's choice, and `Kept.layers` ends with no token.

    Args:
        schedule: `llava` or `qwen`; by default that of the model's family.
        rebalance: Whether the first half goes first; without, plain attention.
        most_joint: The most tokens that diversity compares at once.
    """

    name = "btp"
    needs: frozenset[Need] = frozenset({"decoder"})

    def __init__(
        self,
        schedule: Literal["llava", "qwen"] | None = None,
        rebalance: bool = True,
        most_joint: int = MOST_JOINT,
    ) -> None:
        if schedule not in (None, "llava", "qwen"):
            raise UsageError(f"schedule must be 'llava' or 'qwen', got {schedule!r}")
        if most_joint < 1:
            raise UsageError(f"most_joint must be at least 1, got {most_joint}")
        self.schedule, self.rebalance, self.most_joint = schedule, rebalance, most_joint

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """What the last stage keeps, exactly as many as allowed; a walk through the decoder for each budget.

        Raises:
            TrainingError: The decoder has a single layer.
        """
        decoder = sample.decoder()
        return [self._kept(sample, decoder, budget) for budget in budgets]

    def _kept(self, sample: EncodedSample, decoder: Decoder, budget: int) -> Kept:
        is_llava = decoder.layers.shape.family == "llava-next" if self.schedule is None else self.schedule == "llava"
        schedule = LLAVA if is_llava else QWEN
        *layers, out = scaled_layers((*schedule.layers, schedule.out), schedule.depth, decoder.n_layers, first=1)
        counts = stage_counts(sample.n_tokens, budget, schedule.shares)
        walk, flops = decoder.walk(), 0.0
        masks = {}
        for layer, stage in {layer: stage for stage, layer in enumerate(layers)}.items():
            walk.run_to(layer)
            if counts[stage] < len(walk.visual):
                found = Candidates(sample, walk, self.most_joint)
                choose = found.for_llava if is_llava else found.for_qwen
                walk.keep(torch.from_numpy(found.tokens[choose(stage, counts[stage], self.rebalance)]))
                flops += found.flops
            masks[layer] = mask_of(walk.visual.cpu().numpy(), sample.n_tokens)
        kept = masks[layers[-1]]
        masks[max(out, layers[-1] + 1)] = np.zeros(sample.n_tokens, bool)
        return Kept(kept, layers=layers_after(masks, sample.n_tokens, decoder.n_layers), flops=flops)


class Candidates:
    """What a stage chooses from. Indices are into the n tokens that are left, in their order.

    Args:
        sample: The question.
        walk: Before the stage's layer.
        most_joint: The most tokens that diversity compares at once.

    Attributes:
        tokens: (n,) indices into all N.
        ranked: (n,) best attention first.
        flops: Operations so far.
    """

    def __init__(self, sample: EncodedSample, walk: DecoderWalk, most_joint: int) -> None:
        self.sample = sample
        self.tokens: IntArray = walk.visual.cpu().numpy()
        attention = walk.received("last", of="previous")
        ties = sample.order(np.zeros(sample.n_tokens)).argsort()[self.tokens]
        self.ranked = by_attention(attention[walk.places.to(attention.device)].cpu().numpy(), ties)
        self.rows = unit(walk.hidden[walk.places.to(walk.hidden.device)].float())
        shuffled = ties.argsort()
        is_joint = len(shuffled) <= most_joint
        # In random order too: of equal pages the first gets what cannot be shared evenly.
        order = sample.generator("btp pages", of_question=False).permutation(len(sample.slices))
        pages = [slice(0, sample.n_tokens)] if is_joint else [sample.slices[page] for page in order]
        of_page = [(self.tokens >= page.start) & (self.tokens < page.stop) for page in pages]
        self.groups = [shuffled[own[shuffled]] for own in of_page]
        self.flops = walk.row_flops(1)

    def for_llava(self, stage: int, count: int, rebalance: bool) -> IntArray:
        """LLaVA's stages: (count,) indices."""
        if stage == 2:
            return self.by_rebalanced(count, int(1.2 * count), count, rebalance)
        diversity, attention, over = [(0.3, 0.3, 3.7), (0.1, 0.9, 1.5)][stage]
        chosen = np.zeros(len(self.tokens), bool)
        chosen[self.diverse(int(diversity * count), chosen)] = True
        wanted = int(attention * count)
        chosen[self.by_rebalanced(wanted, int(over * wanted), count, rebalance)] = True
        if stage == 0:
            # None are gone yet: indices are those of all N.
            chosen[farthest_points(self.sample, count // 2)] = True
        return self.filled(chosen, count)

    def for_qwen(self, stage: int, count: int, rebalance: bool) -> IntArray:
        """Qwen's stages: (count,) indices."""
        if stage == 2:
            return self.by_rebalanced(count, int(1.2 * count), count, rebalance)
        chosen = np.zeros(len(self.tokens), bool)
        chosen[self.ranked[: int(1.2 * int(0.1 * count)) if stage == 0 else int(0.4 * count)]] = True
        return self.filled(chosen, count)

    def by_rebalanced(self, wanted: int, over: int, first: int, rebalance: bool) -> IntArray:
        """(wanted,): see `rebalanced`."""
        return rebalanced(self.ranked, wanted, over, first) if rebalance else self.ranked[:wanted]

    def filled(self, chosen: BoolArray, count: int) -> IntArray:
        """(count,): what is chosen and more by diversity; or, of too many, the best by attention."""
        missing = count - int(chosen.sum())
        if missing <= 0:
            return self.ranked[chosen[self.ranked]][:count]
        return np.concatenate([np.flatnonzero(chosen), self.diverse(missing, chosen)])

    def diverse(self, count: int, chosen: BoolArray) -> IntArray:
        """(count,): tokens far from each other and from those chosen already."""
        free = np.array([int((~chosen[group]).sum()) for group in self.groups])
        added = [np.zeros(0, np.int64)]
        for group, share in zip(self.groups, in_proportion(count, free), strict=True):
            if share:
                rows = self.rows[torch.as_tensor(group, device=self.rows.device)]
                seeds = torch.as_tensor(np.flatnonzero(chosen[group]), device=rows.device)
                added.append(group[max_min(rows, seeds, share).cpu().numpy()])
                self.flops += 2.0 * rows.numel() * (share + (len(seeds) or len(rows)))
        return np.concatenate(added)


def by_attention(attention: FloatArray, ties: IntArray) -> IntArray:
    """(n,) indices, most attention first; equal ones in the order of `ties` (n,)."""
    return np.lexsort((ties, -attention)).astype(np.int64)


def rebalanced(ranked: IntArray, wanted: int, over: int, first: int) -> IntArray:
    """(wanted,): of the `over` best those with an index below `first`, then the others, each best first."""
    best = ranked[: max(over, wanted)]
    return np.concatenate([best[best < first], best[best >= first]])[:wanted]


def max_min(rows: Tensor, seeds: Tensor, count: int) -> Tensor:
    """(count,): greedy max-min as DivPrune's, from seeds (k,), which may be none, over unit rows (n, d)."""
    if len(seeds):
        return farthest_first(rows, seeds, count)
    first = nearest_cosine(rows).argmin()[None]
    return torch.cat([first, farthest_first(rows, first, count - 1)])


def in_proportion(count: int, sizes: IntArray) -> list[int]:
    """`count` shared out in proportion to sizes, by largest remainder; none gets more than its size."""
    shares, remainders = np.divmod(sizes * count, max(1, int(sizes.sum())))
    shares[np.argsort(-remainders, kind="stable")[: count - int(shares.sum())]] += 1
    found: list[int] = shares.tolist()
    return found


def farthest_points(sample: EncodedSample, count: int) -> IntArray:
    """(count,): tokens of all pages that are spread over their grids, from the first of each on."""
    generator = sample.generator("btp farthest points", of_question=False)
    return np.concatenate(
        [
            page.start + spread(view.grid.rows, view.grid.cols, share, generator)
            for page, view, share in zip(sample.slices, sample.pages, page_budgets(sample, count), strict=True)
        ]
    )


def spread(rows: int, cols: int, count: int, generator: np.random.Generator) -> IntArray:
    """(count,): greedy farthest points of a grid in Manhattan distance, token 0 first; equal ones drawn at random."""
    order = generator.permutation(rows * cols)
    row, col = np.divmod(order, cols)
    nearest = np.full(rows * cols, np.inf)
    found, place = [], int(np.argmin(order))
    for _ in range(count):
        found.append(order[place])
        nearest = np.minimum(nearest, abs(row - row[place]) + abs(col - col[place]))
        place = int(nearest.argmax())
    return np.array(found, dtype=np.int64)
