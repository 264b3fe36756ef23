"""One budget over all of a question's pages, shared out among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


def page_budgets(sample: EncodedSample, budget: int) -> list[int]:
    """The budget in proportion to the pages' tokens, by largest remainder: it is used up, and no page gets too much.

    Pages of equal remainder stand in a random order that depends on the pages alone. A page may get nothing.

    Args:
        sample: Whose pages.
        budget: Tokens of all pages together, at most as many as there are.
    """
    sizes = np.array([page.grid.n_tokens for page in sample.pages], dtype=np.int64)
    shares, remainders = np.divmod(sizes * budget, sizes.sum())
    ties = sample.generator("page budgets", of_question=False).permutation(len(sizes))
    shares[np.lexsort((ties, -remainders))[: budget - int(shares.sum())]] += 1
    found: list[int] = shares.tolist()
    return found
