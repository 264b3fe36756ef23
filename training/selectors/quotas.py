"""A budget shared out among groups of tokens by their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.ranking import IntArray
from training.evaluation.intervals import FloatArray

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


def quotas(sample: EncodedSample, weights: FloatArray, sizes: IntArray, budget: int) -> IntArray:
    """Tokens of each group, in proportion to its weight, rounded down; what is left goes one by one to the heaviest.

    What a group has no tokens for is shared out among the others in the same way, so that the budget is used up. Groups
    of equal weight stand in a random order that depends on the pages alone.

    Args:
        sample: Whose tokens.
        weights: (g,) at least 0.
        sizes: (g,) tokens of each group.
        budget: At most as many as there are in all.
    """
    ties = sample.generator("quotas", of_question=False).permutation(len(sizes))
    taken = np.zeros(len(sizes), dtype=np.int64)
    while (left := budget - int(taken.sum())) > 0:
        is_open = taken < sizes
        open_weights = np.where(is_open, weights, 0.0)
        if not open_weights.any():
            open_weights = is_open.astype(np.float64)
        share = np.floor(left * open_weights / open_weights.sum()).astype(np.int64)
        heaviest = np.lexsort((ties, -open_weights))[: left - int(share.sum())]
        share[heaviest] += 1
        taken = np.minimum(taken + share, sizes)
    return taken


def best_of_each(order: IntArray, group: IntArray, counts: IntArray) -> IntArray:
    """The first tokens of each group in an order: as many as it has a right to, in that order.

    Args:
        order: Indices of all N tokens, best first.
        group: (N,) the group of each token, from 0.
        counts: (g,) tokens of each group.
    """
    by_group = order[np.argsort(group[order], kind="stable")]
    sizes = np.bincount(group, minlength=len(counts))
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(order), dtype=bool)
    chosen[by_group[within < np.repeat(counts, sizes)]] = True
    return order[chosen[order]]
