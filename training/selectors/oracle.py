"""What could be kept if one knew the gold boxes: by single tokens, and by whole windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.selectors.base import Kept, Need, Selector
from training.selectors.by_windows import keep_by_windows
from training.window_scorers.simple import OracleScorer

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

# Areas are products of floats: tokens that are wholly evidence must tie, whatever their last bits say.
_DIGITS = 9


class WindowOracle(Selector):
    """Tokens of the windows that cover most evidence, taken greedily: the ceiling of whatever ranks windows.

    The order of windows is `OracleScorer`'s, and tokens take it over as in `keep_by_windows`: the oracle of `pinpoint
    evaluate`. Budgets nest.
    """

    name = "oracle-window"
    needs: frozenset[Need] = frozenset({"evidence"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens of the best windows."""
        windows = [page.windows for page in sample.pages]
        return keep_by_windows(sample, windows, OracleScorer().score(sample.view), budgets)


class TokenOracle(Selector):
    """Tokens by the area of evidence in them, most first: no set of as many tokens has a higher evidence recall.

    Evidence recall is a sum over kept tokens, sum_i area(i and E) / area(E), and every token costs one; a sum of B
    terms is largest over the B largest terms, whatever B is. So the best sets of all budgets nest. Evidence per *area*
    of the token would be another order on grids with uneven cells, and no better one: budgets count tokens.

    It is the ceiling of evidence recall alone: of two boxes it may take the large one first and miss the small one,
    so that all-hit can be beaten. Tokens without evidence come last, in random order.
    """

    name = "oracle-token"
    needs: frozenset[Need] = frozenset({"evidence"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens with most evidence."""
        area = sample.evidence_area()
        return sample.keep_top(np.round(area / max(area.max(), np.finfo(np.float64).tiny), _DIGITS), budgets)
