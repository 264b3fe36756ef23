"""Tokens by the words on the page: how much text they hold, and BM25 against the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.boxes import FloatArray, area
from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.by_windows import keep_by_windows
from training.window_scorers.bm25 import BM25Scorer

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.window_scorers.base import PageView

# Areas are products of floats: tokens that are wholly text must tie, whatever their last bits say.
_DIGITS = 9


class TextDensitySelector(Selector):
    """Tokens by the share of their area that words cover, overlaps counted once. It never reads the question.

    What a page's layout alone gives away. Budgets nest; tokens without text come last, in random order. The scorer of
    the same name in an evaluation ranks windows instead.
    """

    name = "text-density"
    needs: frozenset[Need] = frozenset({"words"})
    reads_question = False

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens with most text."""
        return sample.keep_top(np.concatenate([_covered(page) for page in sample.pages]), budgets)


class BM25Selector(Selector):
    """Tokens of the windows that BM25 ranks first; its formula is in `training.window_scorers.bm25`.

    A token takes the best score of a window that holds it (see `keep_by_windows`), so evidence scores equal those of
    `pinpoint evaluate` at the same budgets. Budgets nest.

    Args:
        k1: Saturation of the term frequency.
        b: Strength of the length normalisation, 0 to 1.

    Raises:
        UsageError: k1 is negative, or b outside [0, 1].
    """

    name = "bm25"
    needs: frozenset[Need] = frozenset({"words"})

    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None:
        if not (0 <= k1 < np.inf and 0 <= b <= 1):
            raise UsageError(f"bm25 needs k1 >= 0 and 0 <= b <= 1, got k1 {k1} and b {b}")
        self._scorer = BM25Scorer(k1, b)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens of the best windows."""
        windows = [page.windows for page in sample.pages]
        return keep_by_windows(sample, windows, self._scorer.score(sample.view), budgets)


def _covered(page: PageView) -> FloatArray:
    """(n,): share of each token's area that words cover."""
    covered = page.grid.evidence_area(page.words.xyxy.reshape(-1, 4))
    share: FloatArray = covered / area(page.grid.token_xyxy())
    return share.round(_DIGITS)
