"""A budget shared out among groups of tokens by their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.ranking import IntArray
from training.evaluation.intervals import FloatArray

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


def quotas(sample: EncodedSample, weights: FloatArray | IntArray, sizes: IntArray, budget: int) -> IntArray:
    """Tokens of each group, in proportion to its weight, by largest remainder.

    A group whose right exceeds its tokens gives all it has, and the others share the rest in the same proportions,
    evenly where none of them weighs anything: the budget is used up. Groups of equal remainder stand in a random order
    that depends on the pages alone. (What is left must not go to the heaviest: stretches of a page that are cut as
    evenly as possible are longer at its top, and windows smaller at its edges.)

    Args:
        sample: Whose tokens.
        weights: (g,) at least 0.
        sizes: (g,) tokens of each group.
        budget: At most as many as there are in all.
    """
    taken = np.zeros(len(sizes), dtype=np.int64)
    exact = np.zeros(len(sizes))
    is_open = np.ones(len(sizes), dtype=bool)
    while is_open.any():
        own = weights[is_open] if weights[is_open].any() else np.ones(int(is_open.sum()))
        exact[is_open] = (budget - taken.sum()) * own / own.sum()
        is_full = is_open & (exact >= sizes)
        if not is_full.any():
            break
        taken[is_full] = sizes[is_full]
        is_open &= ~is_full
    share = np.where(is_open, np.floor(exact), taken).astype(np.int64)
    remainder = np.where(is_open, np.round(exact - share, 9), -1.0)  # 5/3 and 2/3 leave the same
    ties = sample.generator("quotas", of_question=False).permutation(len(sizes))
    share[np.lexsort((ties, -remainder))[: budget - int(share.sum())]] += 1
    return share


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
