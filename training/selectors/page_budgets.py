"""One budget over all of a question's pages, shared out among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.selectors.quotas import quotas

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


def page_budgets(sample: EncodedSample, budget: int) -> list[int]:
    """The budget in proportion to the pages' tokens (`quotas`): it is used up. A page may get nothing.

    Args:
        sample: Whose pages.
        budget: Tokens of all pages together, at most as many as there are.
    """
    sizes = np.array([page.grid.n_tokens for page in sample.pages], dtype=np.int64)
    found: list[int] = quotas(sample, sizes, sizes, budget).tolist()
    return found
