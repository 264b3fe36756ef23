"""Tokens in the order in which a ranking of windows takes them, as an evaluation of window scorers does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.ranking import TokenRanking
from pinpoint_data.windows import Windows
from training.selectors.base import Kept
from training.window_scorers.base import Scores, window_places

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


def keep_by_windows(
    sample: EncodedSample, windows: Sequence[Windows], scores: Scores, budgets: Sequence[int], flops: float = 0.0
) -> list[Kept]:
    """The tokens that `pinpoint evaluate` keeps for the same scores, so that the figures of both are equal.

    A token has the best score of a window that holds it; ties go to the token closer to that window's centre. Windows
    of equal score stand in the random order that an evaluation puts them in, which depends on the question alone.
    Tokens of one window that are equally close to its centre stay in raster order, as they do there.

    The ranking of `Kept.scores` is one of single tokens. An evaluation's full-coverage budget takes windows whole, and
    is therefore never smaller.

    Args:
        sample: The question and its pages.
        windows: Of each page.
        scores: Of each page's windows, higher is better.
        budgets: Numbers of tokens.
        flops: What the scores took, signals apart.
    """
    best_first = np.argsort(np.concatenate(window_places(scores, sample.question_id)))
    return sample.keep_first(TokenRanking.of(best_first, windows).order, budgets, flops)
