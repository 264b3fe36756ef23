"""From scores of windows or tokens to a ranking, and from a ranking to the tokens that are kept.

A question's pages are ranked together: windows are numbered page after page, and a budget is a share of the
tokens of all pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import GeometryError
from pinpoint_data.window_layout import Windows

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Scalar = TypeVar("Scalar", np.bool_, np.int64)

# 0.6 of 1,000 tokens must be 600 tokens, whatever the last bit of 0.6 * 1000 says.
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class TokenScores:
    """Scores of a page's tokens that were taken over from windows.

    Attributes:
        score: shape (n_tokens,): the best score of a window that holds the token.
        distance: shape (n_tokens,): from the token's centre to that window's centre, in tokens; it breaks ties.
    """

    score: FloatArray
    distance: FloatArray


def rank_windows(scores: Sequence[ArrayLike]) -> IntArray:
    """Flat indices of all pages' windows, best score first; ties in page order, then raster order.

    Args:
        scores: the scores of each page's windows, shape (n_windows,), higher is better.
    """
    flat = np.concatenate([_finite(s, "scores") for s in scores]) if len(scores) else np.zeros(0)
    return np.argsort(-flat, kind="stable").astype(np.int64)


@dataclass(frozen=True, eq=False)
class TokenRanking:
    """The N tokens of a question's pages, end to end, in the order in which a ranking of windows takes them.

    Attributes:
        rank: shape (N,): position in the ranking of the first window that holds the token; the number of all
            windows for a token in no ranked window.
        distance: shape (N,): from the token's centre to that window's centre, in tokens; it breaks ties.
        sizes: number of tokens of each page.
        n_windows: number of all windows.
    """

    rank: IntArray
    distance: FloatArray
    sizes: tuple[int, ...]
    n_windows: int

    @classmethod
    def of(cls, order: ArrayLike, windows: Sequence[Windows]) -> TokenRanking:
        """The tokens that a ranking takes.

        Args:
            order: flat indices of the windows, best first, as `rank_windows` gives them; it may leave some out.
            windows: the windows of each of the question's pages.
        """
        if not windows:
            raise GeometryError("windows must hold those of at least one page")
        total = sum(len(page) for page in windows)
        order = _order(order, total)
        position = np.full(total, total, np.int64)
        position[order] = np.arange(len(order))
        ranks, distances, first = [], [], 0
        for page in windows:
            own = position[first : first + len(page)]
            first += len(page)
            holder = _best_holders(page, own, total)
            ranks.append(np.append(own, total)[holder])
            distances.append(np.where(holder < 0, np.inf, _to_centre(page, holder)))
        sizes = tuple(len(rank) for rank in ranks)
        return cls(np.concatenate(ranks), np.concatenate(distances), sizes, total)

    @property
    def order(self) -> IntArray:
        """The tokens, shape (N,), in the order in which they are taken; ties in page order, then raster order."""
        return np.lexsort((self.distance, self.rank)).astype(np.int64)

    def top(self, budgets: Sequence[float]) -> BoolArray:
        """The first tokens, exactly floor(budget * N) of N but at least one, as masks (n_budgets, N)."""
        return _first(self.order, budgets)

    def to_coverage(self, coverages: Sequence[float]) -> BoolArray:
        """The tokens of `windows_to_coverage` for each coverage, as masks (n_coverages, N)."""
        taken = np.cumsum(np.bincount(self.rank, minlength=self.n_windows + 1)[: self.n_windows])
        masks = np.zeros((len(coverages), len(self.rank)), bool)
        for mask, coverage in zip(masks, coverages, strict=True):
            _share(coverage, "coverage")
            enough = taken >= coverage * len(self.rank) - _TOLERANCE
            mask[:] = self.rank <= (np.argmax(enough) if enough.any() else self.n_windows - 1)
        return masks


def token_ranks(order: ArrayLike, windows: Sequence[Windows]) -> list[IntArray]:
    """The position in `order` of the first window that holds each token.

    Args:
        order: flat indices of the windows, best first, as `rank_windows` gives them; it may leave some out.
        windows: the windows of each of the question's pages.

    Returns:
        One array (n_tokens,) a page; a token in no ranked window gets the number of all windows.
    """
    ranking = TokenRanking.of(order, windows)
    return _by_page(ranking.rank, ranking.sizes)


def windows_to_coverage(order: ArrayLike, windows: Sequence[Windows], coverage: float) -> list[BoolArray]:
    """The tokens of the best windows, until they are at least `coverage` of all tokens.

    The window that crosses the line is taken whole, so the realised budget is a little larger; it is smaller
    only where `order` leaves windows out.

    Args:
        order: flat indices of the windows of all pages, best first.
        windows: the windows of each of the question's pages.
        coverage: share of all pages' tokens, in (0, 1].

    Returns:
        One bool mask (n_tokens,) a page.
    """
    ranking = TokenRanking.of(order, windows)
    return _by_page(ranking.to_coverage([coverage])[0], ranking.sizes)


def token_scores(windows: Windows, window_scores: ArrayLike) -> TokenScores:
    """Scores of one page's tokens from the scores (n_windows,) of its windows.

    A token takes the best score of a window that holds it, and of equally good windows the one whose centre
    is closest.
    """
    scores = _finite(window_scores, "window_scores")
    if len(scores) != len(windows):
        raise GeometryError(f"window_scores must have shape ({len(windows)},), got {scores.shape}")
    inside = windows.token_mask()
    score = np.where(inside, scores[:, None], -np.inf).max(0)
    distance = _to_centre(windows, np.arange(len(windows))[:, None])
    distance = np.where(inside & (scores[:, None] == score), distance, np.inf).min(0)
    return TokenScores(score, distance)


def keep_top(scores: Sequence[TokenScores | ArrayLike], budget: float) -> list[BoolArray]:
    """The best tokens over all pages, exactly floor(budget * N) of N, but at least one.

    Args:
        scores: for each page, the scores (n_tokens,) of its tokens, higher is better, or `TokenScores`. Ties go
            to the smaller distance, then to the earlier page, then by raster order.
        budget: share of all pages' tokens to keep, in (0, 1].

    Returns:
        One bool mask (n_tokens,) a page.
    """
    if not scores:
        raise GeometryError("scores must hold at least one page")
    pages = [
        s if isinstance(s, TokenScores) else TokenScores(_finite(s, "scores"), np.zeros(np.size(s))) for s in scores
    ]
    score = np.concatenate([_finite(page.score, "scores") for page in pages])
    distance = np.concatenate([page.distance for page in pages])
    mask = _first(np.lexsort((distance, -score)), [budget])[0]
    return _by_page(mask, [len(page.score) for page in pages])


def token_budget(budget: float, n_tokens: int) -> int:
    """How many tokens a budget in (0, 1] allows: floor(budget * n_tokens), but at least one."""
    _share(budget, "budget")
    return max(1, math.floor(budget * n_tokens + _TOLERANCE))


def _first(best_first: IntArray, budgets: Sequence[float]) -> BoolArray:
    """Masks (n_budgets, N) of the first floor(budget * N), but at least one, of N tokens."""
    masks = np.zeros((len(budgets), len(best_first)), bool)
    for mask, budget in zip(masks, budgets, strict=True):
        mask[best_first[: token_budget(budget, len(best_first))]] = True
    return masks


def _best_holders(windows: Windows, position: IntArray, absent: int) -> IntArray:
    """The window (n_tokens,) of the smallest position that holds each token, -1 for none; `absent` is no position."""
    holder = np.full(windows.grid_shape, -1, np.int64)
    # Worst first, so that the best window lies on top: the work is the windows' area, not windows times tokens.
    worst_first = np.argsort(-position)[np.count_nonzero(position == absent) :]
    corners = windows.rows_cols
    if (corners[:, 2:] - corners[:, :2] == 1).all():  # single tokens: no loop, which would take most of the time
        row, col = corners[worst_first, :2].T
        holder[row, col] = worst_first
        return holder.ravel()
    places = corners.tolist()
    for index in worst_first.tolist():
        row0, col0, row1, col1 = places[index]
        holder[row0:row1, col0:col1] = index
    return holder.ravel()


def _to_centre(windows: Windows, window: IntArray) -> FloatArray:
    """Distance in tokens from each token to the centre of its window; indices `window` broadcast to (..., n_tokens)."""
    rows, cols = windows.grid_shape
    row, col = np.divmod(np.arange(rows * cols), cols)
    r0, c0, r1, c1 = (edge[window] for edge in windows.rows_cols.T)
    distance: FloatArray = np.hypot((row + 0.5) - (r0 + r1) / 2, (col + 0.5) - (c0 + c1) / 2)
    return distance


def _by_page(flat: NDArray[Scalar], sizes: Sequence[int]) -> list[NDArray[Scalar]]:
    return np.split(flat, np.cumsum(sizes)[:-1])


def _finite(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise GeometryError(f"{name} must be finite and of shape (n,), got shape {array.shape}")
    return array


def _order(order: ArrayLike, total: int) -> IntArray:
    array = np.asarray(order, np.int64)
    in_range = array.ndim == 1 and (array.size == 0 or (array.min() >= 0 and array.max() < total))
    if not in_range or len(np.unique(array)) != len(array):
        raise GeometryError(f"order must hold distinct window indices in [0, {total}), got shape {array.shape}")
    return array


def _share(value: float, name: str) -> None:
    if not 0 < value <= 1:
        raise GeometryError(f"{name} must lie in (0, 1], got {value}")
