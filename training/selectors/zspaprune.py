"""ZSPAPrune: the tokens closest to the prompt, then the ones most unlike all chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Selector
from training.selectors.greedy import MOST_JOINT, check_most_joint, cosines, farthest_first, no_masks, parts_of, unit

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

POOLS = ("mean", "max")


class ZspaPruneSelector(Selector):
    """ZSPAPrune (arXiv 2510.17197): a core by relevance to the prompt, filled up by diversity.

    A re-implementation; no code has been released. With visual tokens V and prompt tokens t_1..t_m, p_i is the cosine
    of v_i with the mean of the t_j. The core S holds the round(gamma B) tokens of largest p; then, until S has B
    tokens, comes again and again argmin_{i not in S} max_{j in S} cos(v_i, v_j), the token most unlike anything chosen
    (not the one most unlike the least similar of S, as a port does that takes the minimum). Family: features alone.
    It reads the question. Budgets do not nest, for the core grows with them.

    Open in the paper: gamma, which it sets per dataset; 0.6 is the value third parties use. Ours: only the tokens of
    the question are pooled, no template and no system prompt; `pool="max"`, the largest cosine with any t_j instead;
    halves of gamma B are rounded up, and the core has at least one token; p compares the features that visual and
    question tokens share, diversity all features; one budget for the tokens of all pages and tiles, of more than
    `most_joint` tokens page by page; ties at random.

    Args:
        gamma: Share of the budget that goes to relevance, 0 to 1.
        pool: `mean` (the paper's) or `max`, over question tokens.
        most_joint: The most tokens to choose from together.
    """

    name = "zspaprune"
    needs = frozenset({"shared"})

    def __init__(self, gamma: float = 0.6, pool: str = "mean", most_joint: int = MOST_JOINT) -> None:
        if not 0 <= gamma <= 1:
            raise UsageError(f"gamma must lie in [0, 1], got {gamma}")
        if pool not in POOLS:
            raise UsageError(f"pool must be one of {', '.join(POOLS)}, got {pool!r}")
        self.gamma, self.pool, self.most_joint = gamma, pool, check_most_joint(most_joint)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """A core and what differs from it, afresh for each budget, exactly as many as allowed."""
        masks, (relevance, cost) = no_masks(sample, budgets), self._relevance(sample)
        flops = [cost] * len(budgets)
        for part in parts_of(sample, budgets, self.most_joint):
            rows = unit(sample.tokens[part.candidates])
            ranked = relevance[part.candidates].argsort(descending=True, stable=True)
            for number, budget in enumerate(part.budgets):
                # The core's own cosines are taken too, of every token with each of it: a step is a step.
                flops[number] += 2.0 * rows.numel() * budget
                core = ranked[: min(budget, max(1, math.floor(self.gamma * budget + 0.5)))]
                masks[number, part.candidates[core]] = True
                if len(core) < budget:
                    added = farthest_first(rows, core, budget - len(core))
                    masks[number, part.candidates[added]] = True
        return [Kept(mask, flops=own) for mask, own in zip(masks.cpu().numpy(), flops, strict=True)]

    def _relevance(self, sample: EncodedSample) -> tuple[Tensor, float]:
        """P (N,), and the operations it took."""
        visual, question = sample.shared()
        pooled = question.mean(dim=0, keepdim=True) if self.pool == "mean" else question
        found = cosines(visual, pooled)
        return torch.amax(found, dim=1), 2.0 * found.numel() * visual.shape[1]
