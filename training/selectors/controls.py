"""What a selector has to beat: tokens at random, tokens evenly spread, and the page at a lower resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.ranking import IntArray
from pinpoint_data.token_grid import TokenGrid
from training.selectors.base import Kept, Selector
from training.selectors.page_budgets import page_budgets

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class RandomSelector(Selector):
    """Tokens in a random order: one permutation a question, so that budgets nest.

    It reads nothing but the question's id: two questions over the same pages get different tokens, else the luck of
    one draw would be shared by all questions of a page. The `random` scorer of an evaluation draws windows instead.
    """

    name = "random"

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The first tokens of the permutation."""
        return sample.keep_first(sample.generator(self.name).permutation(sample.n_tokens), budgets)


class UniformSelector(Selector):
    """Tokens spread evenly over the pages, exactly as many as the budget allows. It never reads the question.

    The budget is shared among pages in proportion to their tokens. A page of W x H pixels with a share of b is cut
    into k strips of equal height, k = sqrt(b H / W) as near as the grid allows, and strip i into
    floor((i + 1) b / k) - floor(i b / k) equal cells, so that cells are near squares of equal area. The token under
    each cell's centre is kept; no two cells share one, for no cell is smaller than a token. Ours: papers say "uniform"
    and leave open what that is where the budget is no product of rows and columns. Budgets do not nest.
    """

    name = "uniform"
    reads_question = False

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """An even choice for each budget, made afresh."""
        return [self._kept(sample, budget) for budget in budgets]

    def _kept(self, sample: EncodedSample, budget: int) -> Kept:
        mask = np.zeros(sample.n_tokens, dtype=np.bool_)
        for place, grid, share in _shares(sample, budget):
            mask[place][even_tokens(grid, share)] = True
        return Kept(mask)


class DownsampleSelector(Selector):
    """The page at a lower resolution, the baseline that VTC-Bench (arXiv 2510.07143) found hard to beat.

    No subset of a page's tokens is that page downsampled: every token of the smaller picture shows a larger part of
    the page. So this is a model of it, and ours: a coarser even grid of R x C <= budget cells, whose shape is the one
    closest to the page's among those that no further row or column fits; each cell stands for what it covers,
    averaged. `mask` has the token under each cell's centre, which is what the evidence recall of kept tokens counts;
    `merged` has all tokens, and the recall that counts them is 1 by construction: everything is in the picture,
    whether or not it can still be read there, which only answers can tell.

    It never reads the question, keeps fewer tokens than the budget where the shape needs it, and does not nest. Of
    several pages each is scaled down by its share of the budget; one whose share is nothing is left out. It has no
    operations of its own: a lower resolution makes encoding cheaper, which is not credited here.
    """

    name = "downsample"
    reads_question = False

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """A coarser grid for each budget."""
        return [self._kept(sample, budget) for budget in budgets]

    def _kept(self, sample: EncodedSample, budget: int) -> Kept:
        mask = np.zeros(sample.n_tokens, dtype=np.bool_)
        merged = np.zeros(sample.n_tokens, dtype=np.bool_)
        for place, grid, share in _shares(sample, budget):
            rows, cols = coarser_shape(grid, share)
            centres = np.ix_(_centres(grid.rows, rows), _centres(grid.cols, cols))
            mask[place].reshape(grid.rows, grid.cols)[centres] = True
            merged[place] = True
        return Kept(mask, merged=merged)


def even_tokens(grid: TokenGrid, budget: int) -> IntArray:
    """Indices (budget,) of tokens spread evenly over a grid, budget from 1 to all; see `UniformSelector`."""
    x0, y0, x1, y1 = grid.extent
    strips = round(math.sqrt(budget * (y1 - y0) / (x1 - x0)))
    strips = min(max(strips, -(-budget // grid.cols)), grid.rows, budget)
    cells = np.diff(np.arange(strips + 1) * budget // strips)
    rows = _centres(grid.rows, strips)
    return np.concatenate(
        [row * grid.cols + _centres(grid.cols, n) for row, n in zip(rows, cells.tolist(), strict=True)]
    )


def coarser_shape(grid: TokenGrid, budget: int) -> tuple[int, int]:
    """Rows and columns of the downsampled page, budget from 1 to all; see `DownsampleSelector`."""
    x0, y0, x1, y1 = grid.extent
    found = []
    for rows in range(1, min(grid.rows, budget) + 1):
        cols = min(grid.cols, budget // rows)
        if rows == min(grid.rows, budget // cols):
            distortion = abs(math.log((cols / rows) / ((x1 - x0) / (y1 - y0))))
            found.append((distortion, rows, cols))
    _, rows, cols = min(found)
    return rows, cols


def _shares(sample: EncodedSample, budget: int) -> Iterator[tuple[slice, TokenGrid, int]]:
    """Each page that gets some of the budget: where its tokens are, its grid, its share."""
    for place, page, share in zip(sample.slices, sample.pages, page_budgets(sample, budget), strict=True):
        if share:
            yield place, page.grid, share


def _centres(length: int, parts: int) -> IntArray:
    """(parts,): the tokens of an axis under the centres of equal parts of it; distinct while parts <= length."""
    return ((2 * np.arange(parts, dtype=np.int64) + 1) * length) // (2 * parts)
