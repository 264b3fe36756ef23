"""The scorers that set the scale: random (no knowledge), text density (no question), oracle (all knowledge)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pinpoint_data.boxes import area, intersection_area
from training.window_scorers.base import QuestionView, Scores, register_scorer, stable_generator

if TYPE_CHECKING:
    from pinpoint_data.grids import TokenGrid
    from pinpoint_data.windows import Windows


class RandomScorer:
    """Uniform random scores, seeded by the question's id: the same whatever the order of questions."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def score(self, view: QuestionView) -> Scores:
        """Uniform in [0, 1)."""
        generator = stable_generator(self.seed, "random", view.question_id)
        return [generator.random(len(page.windows.xyxy)) for page in view.pages]


class TextDensityScorer:
    """How much text a window holds; it never reads the question.

    Args:
        measure: `area`, the share of the window's area that word boxes cover (words that overlap count twice, the
            share is capped at 1), or `count`, the number of words whose centre lies in the window.
    """

    name = "text-density"

    def __init__(self, measure: Literal["area", "count"] = "area") -> None:
        self.measure = measure

    def score(self, view: QuestionView) -> Scores:
        """Share of area in [0, 1], or a count of words."""
        if self.measure == "count":
            return [page.word_windows.sum(axis=1).astype(np.float64) for page in view.pages]
        scores = []
        for page in view.pages:
            covered = intersection_area(page.windows.xyxy, page.words.xyxy.reshape(-1, 4)).sum(axis=1)
            scores.append(np.minimum(covered / area(page.windows.xyxy), 1.0))
        return scores


class OracleScorer:
    """The windows to take if one knew the evidence: greedily the one that covers most evidence not covered yet.

    The ceiling of whatever ranks whole windows. Greedy maximum coverage is within 1 - 1/e of the best set of the
    same number of windows (Nemhauser, Wolsey, Fisher 1978), so it is a practical ceiling, not a proven one.
    Windows without new evidence score 0; the first one taken scores highest.
    """

    name = "oracle"

    def score(self, view: QuestionView) -> Scores:
        """The number of picks minus a window's place among them."""
        left = [page.grid.evidence_area(view.evidence_on(i)) for i, page in enumerate(view.pages)]
        gains = [_window_sums(area, page.grid, page.windows) for area, page in zip(left, view.pages, strict=True)]
        least = 1e-9 * sum(float(page.sum()) for page in left)
        picks: list[tuple[int, int]] = []
        while True:
            page = int(np.argmax([g.max(initial=0.0) for g in gains])) if gains else 0
            if not gains or gains[page].max(initial=0.0) <= least:
                break
            window = int(gains[page].argmax())
            picks.append((page, window))
            grid, windows = view.pages[page].grid, view.pages[page].windows
            row0, col0, row1, col1 = windows.rows_cols[window]
            left[page].reshape(grid.rows, grid.cols)[row0:row1, col0:col1] = 0.0
            gains[page] = _window_sums(left[page], grid, windows)
            gains[page][window] = 0.0
        scores = [np.zeros(len(page.windows.xyxy)) for page in view.pages]
        for place, (page, window) in enumerate(picks):
            scores[page][window] = len(picks) - place
        return scores


def _window_sums(token_values: npt.NDArray[np.float64], grid: TokenGrid, windows: Windows) -> npt.NDArray[np.float64]:
    """(w,): the sum of the tokens' values in every window, from one integral image."""
    integral = np.zeros((grid.rows + 1, grid.cols + 1))
    integral[1:, 1:] = token_values.reshape(grid.rows, grid.cols).cumsum(axis=0).cumsum(axis=1)
    row0, col0, row1, col1 = windows.rows_cols.T
    sums: npt.NDArray[np.float64] = (
        integral[row1, col1] - integral[row0, col1] - integral[row1, col0] + integral[row0, col0]
    )
    return sums


register_scorer("random", RandomScorer)
register_scorer("text-density", TextDensityScorer)
register_scorer("oracle", OracleScorer)
