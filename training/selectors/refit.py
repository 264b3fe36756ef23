"""ReFIT: regions by late interaction with the question, then the best tokens inside each region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import IntArray
from training.aligner.model import window_tokens
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import cosines
from training.window_scorers.base import Scores, window_places

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

# Means of float32: windows of equal cosines must tie, whatever their last bits say.
_DIGITS = 6


class RefitSelector(Selector):
    """Region-wise relevance (RWR), then intra-region token reduction (ITR), after ReFIT (arXiv 2610.09252).

    A re-implementation by name: neither code nor formulas are published, only that a region is as relevant as its best
    token for each word of the question. All of this is ours. With c_vt the cosine of visual token v and question token
    t, in the space that both share:

        RWR:  R(w) = mean over t of max over v in w of c_vt       for every window w of every page
        ITR:  r(v) = max over t of c_vt

    Windows are opened in the order of R. Each gives the share `keep` of its tokens, those of largest r, whether or not
    an earlier window gave some of them already; then the next is opened, until the budget is reached. Where all windows
    have given their share and budget is left, they give the rest in the same order. Budgets nest. All question tokens
    weigh the same; equal windows stand in a random order of the question, equal tokens in one of the pages. It is
    question-aware, and training-free: a run is not looked at.

    Args:
        keep: Share of a window's tokens that it may give before the next is opened, in (0, 1]; 1 leaves ITR out.

    Raises:
        UsageError: `keep` is outside (0, 1].
    """

    name = "refit"
    needs: frozenset[Need] = frozenset({"shared"})

    def __init__(self, keep: float = 0.5) -> None:
        if not 0 < keep <= 1:
            raise UsageError(f"refit option keep must be in (0, 1], got {keep}")
        self.keep = keep

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best tokens of the best windows."""
        visual, question = sample.shared()
        similar = cosines(visual, question)
        members = [window_tokens(page.windows.rows_cols, page.grid.cols) for page in sample.pages]
        within = np.empty(sample.n_tokens, dtype=np.int64)
        within[sample.order(similar.amax(dim=1))] = np.arange(sample.n_tokens)
        opened = window_places(_relevance(sample, similar, members), sample.question_id)
        first_share, first = _openings(sample, members, opened, within, self.keep)
        given = first_share < sum(map(len, opened))
        best_first = np.lexsort((within, np.where(given, first_share, first), ~given))
        flops = 2.0 * visual.shape[0] * question.shape[0] * visual.shape[1]
        return sample.keep_first(best_first, budgets, flops)


def _relevance(sample: EncodedSample, similar: Tensor, members: Sequence[Tensor]) -> Scores:
    """R of every window, one array a page, from all cosines (N, m) and the tokens (w, t) of each page's windows."""
    found = []
    for place, inside in zip(sample.slices, members, strict=True):
        best = similar[place][inside.to(similar.device)].amax(dim=1)
        found.append(best.mean(dim=1).cpu().numpy().astype(np.float64).round(_DIGITS))
    return found


def _openings(
    sample: EncodedSample, members: Sequence[Tensor], opened: Sequence[IntArray], within: IntArray, keep: float
) -> tuple[IntArray, IntArray]:
    """When each token is reached: by the first window that has it in its share, and by the first that has it at all.

    Args:
        sample: Whose pages.
        members: The tokens (w, t) of each page's windows.
        opened: When each window of each page is opened, from 0.
        within: (N,) places of the tokens by r, 0 the best.
        keep: Share of a window's tokens.

    Returns:
        Two arrays (N,); the number of all windows where there is none.
    """
    never = sum(map(len, opened))
    first_share, first = np.full(sample.n_tokens, never), np.full(sample.n_tokens, never)
    for place, inside, turn in zip(sample.slices, members, opened, strict=True):
        tokens = inside.numpy()
        share = math.ceil(keep * tokens.shape[1])
        best = np.take_along_axis(tokens, np.argsort(within[place][tokens], axis=1)[:, :share], axis=1)
        np.minimum.at(first_share[place], best, turn[:, None])
        np.minimum.at(first[place], tokens, turn[:, None])
    return first_share, first
