"""DivPrune: tokens as different from each other as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from training.selectors.base import Kept, Selector
from training.selectors.greedy import (
    MOST_JOINT,
    check_most_joint,
    farthest_first,
    nearest_cosine,
    no_masks,
    parts_of,
    unit,
)

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class DivPruneSelector(Selector):
    """DivPrune (CVPR 2025, arXiv 2503.02175): the max-min diversity problem, solved greedily.

    With D = 1 - cos(V, V) over the visual tokens V, the first token is the one that is farthest from its nearest
    neighbour, argmax_i min_{j != i} D_ij; then comes, again and again, argmax_i min_{j in S} D_ij. Family: visual
    features alone. It never reads the question. Budgets nest where all tokens are chosen from together.

    As published: both steps, on tokens as the language model receives them. Ours: one budget for the tokens of all
    pages and tiles, of more than `most_joint` tokens page by page; ties at random, where the released code takes the
    first in raster order; no matrix D is made. (The authors keep 9.8 % by default; here budgets are given.)

    Args:
        most_joint: The most tokens to choose from together.
    """

    name = "divprune"
    reads_question = False

    def __init__(self, most_joint: int = MOST_JOINT) -> None:
        self.most_joint = check_most_joint(most_joint)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The first tokens of one greedy order, exactly as many as allowed."""
        masks, flops = no_masks(sample, budgets), [0.0] * len(budgets)
        for part in parts_of(sample, budgets, self.most_joint):
            rows = unit(sample.tokens[part.candidates])
            first = nearest_cosine(rows).argmin()[None]
            order = part.candidates[torch.cat([first, farthest_first(rows, first, max(*part.budgets, 1) - 1)])]
            for number, budget in enumerate(part.budgets):
                masks[number, order[:budget]] = True
                flops[number] += 2.0 * rows.numel() * (len(rows) + budget)
        return [Kept(mask, flops=own) for mask, own in zip(masks.cpu().numpy(), flops, strict=True)]
