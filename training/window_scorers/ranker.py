"""The shipped ranker (or another one) as a window scorer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pinpoint_data.grids import TokenGrid, patch_grid
from pinpoint_data.windows import Windows, WindowSpec
from training.pages.input import PageInput
from training.ranker.model import SHIPPED, Ranker
from training.ranker.page import ReadPage
from training.ranker.reading import page_memory
from training.window_scorers.base import QuestionView, Scores, register_scorer


class RankerScorer:
    """Scores windows by how much of the evidence a ranker expects in them.

    A window's score is the expected share of the evidence inside it over its share of all the pages' tokens, so 1 is
    what chance would give. The ranker always reads a page on its own grid of patches; windows may be of any grid.

    Args:
        ranker: A ranker, the name of a shipped one, or a file.

    Attributes:
        window_spec: The windows it is best asked for: single tokens. Larger ones blur what it knows.
        seconds: Spent so far on `read` (pages) and `score`.
    """

    name = "ranker"
    window_spec = WindowSpec(1, 1, 1)

    def __init__(self, ranker: Ranker | str | Path = SHIPPED) -> None:
        self.ranker = ranker if isinstance(ranker, Ranker) else Ranker.load(ranker)
        self.seconds = {"read": 0.0, "score": 0.0}
        self._pages = page_memory()

    def grid(self, width: int, height: int) -> TokenGrid:
        """The grid it reads a page of this size on."""
        return patch_grid(width, height)

    def score(self, view: QuestionView) -> Scores:
        """How many times more evidence than by chance is expected in each window, 0 or more."""
        started = time.perf_counter()
        pages = [page for page, _ in self.read([page.page_input for page in view.pages])]
        read = time.perf_counter()
        scores = self.score_read(pages, [page.windows for page in view.pages], view.question)
        self.seconds["read"] += read - started
        self.seconds["score"] += time.perf_counter() - read
        return scores

    def read(self, pages: Sequence[PageInput]) -> list[tuple[ReadPage, float]]:
        """The pages as the ranker reads them, and the seconds each took when it was read; those met last are known."""
        return self._pages.get(pages)

    def score_read(self, pages: Sequence[ReadPage], windows: Sequence[Windows], question: str) -> Scores:
        """What `score` gives, of pages that were read before."""
        shares = self.ranker.shares(pages, question)
        tokens = sum(page.grid.n_tokens for page in pages)
        return [
            window_means(share * tokens, page.grid, asked)
            for share, page, asked in zip(shares, pages, windows, strict=True)
        ]


def window_means(density: npt.NDArray[np.float64], grid: TokenGrid, windows: Windows) -> npt.NDArray[np.float64]:
    """(w,): means of a density over the boxes of windows, which may end anywhere within a token."""
    integral = np.zeros((grid.rows + 1, grid.cols + 1))
    integral[1:, 1:] = density.reshape(grid.rows, grid.cols).cumsum(axis=0).cumsum(axis=1)
    x0, y0, x1, y1 = windows.xyxy.T
    x0, x1 = (np.clip(x * grid.cols / grid.page_width, 0, grid.cols) for x in (x0, x1))
    y0, y1 = (np.clip(y * grid.rows / grid.page_height, 0, grid.rows) for y in (y0, y1))
    sums = _at(integral, y1, x1) - _at(integral, y0, x1) - _at(integral, y1, x0) + _at(integral, y0, x0)
    areas = (x1 - x0) * (y1 - y0)
    means: npt.NDArray[np.float64] = np.maximum(sums, 0) / np.where(areas > 0, areas, np.inf)  # nothing off the page
    return means


def _at(
    integral: npt.NDArray[np.float64], y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """An integral image between its corners; bilinear, which is exact for a density that is constant in a token."""
    row, col = np.minimum(y.astype(np.intp), len(integral) - 2), np.minimum(x.astype(np.intp), integral.shape[1] - 2)
    down, across = y - row, x - col
    above = integral[row, col] * (1 - across) + integral[row, col + 1] * across
    below = integral[row + 1, col] * (1 - across) + integral[row + 1, col + 1] * across
    found: npt.NDArray[np.float64] = above * (1 - down) + below * down
    return found


register_scorer("ranker", RankerScorer)
