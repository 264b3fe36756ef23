"""DocPrune: drop a page's background, then rank what is left by the question."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import UsageError
from training.ledger import Cost
from training.selectors.base import Kept, Need, Selector

if TYPE_CHECKING:
    from PIL import Image

    from pinpoint_data.token_grid import TokenGrid
    from training.selectors.sample import EncodedSample
    from training.window_scorers.base import PageView

_MOST_TOKENS = 1_000_000
"""Of all pages whose background is remembered: 8 MB."""
# Sums of floats: tokens that are wholly background, or have equal features, must tie, whatever their last bits say.
_SHARE_DIGITS, _RELEVANCE_DIGITS = 9, 5


class Background:
    """How much of each token is background: the share of its pixels whose grey is within tau_e of the page's mode.

    Pixels are those of the page itself, in PIL's 8-bit luma; of several most frequent greys the lightest is the mode.
    A pixel that a token's edge cuts counts by its area inside. What a token shows beyond the page's edge counts
    neither way, and a token wholly outside is background.

    Args:
        tau_e: Greys that differ by less are the same.

    Raises:
        UsageError: `tau_e` is not above 0.
    """

    def __init__(self, tau_e: float) -> None:
        if not 0 < tau_e <= 256:
            raise UsageError(f"docprune option tau_e must be in (0, 256], got {tau_e}")
        self.tau_e = tau_e
        self._known: OrderedDict[tuple[str, TokenGrid], tuple[FloatArray, Cost]] = OrderedDict()

    def of(self, sample: EncodedSample) -> FloatArray:
        """(N,): the share, 0 to 1. A page is decoded once for all questions over it; each is charged for it."""
        return sample.ledger.once(
            f"pixels.{self.tau_e}",
            lambda: np.concatenate([self._page(sample, page)[0] for page in sample.pages]),
            lambda: sum((self._page(sample, page)[1] for page in sample.pages), Cost()),
        )

    def _page(self, sample: EncodedSample, page: PageView) -> tuple[FloatArray, Cost]:
        key = page.page_input.page_id, page.grid
        if key not in self._known:
            clock = sample.source.clock
            started = clock()
            share = background_share(page.page_input.load_image(), page.grid, self.tau_e)
            pixels = page.page_input.width * page.page_input.height
            self._known[key] = share, Cost(clock() - started, 2.0 * pixels)
        self._known.move_to_end(key)
        found = self._known[key]
        # Those of the question at hand stay: their cost is asked for next.
        while len(self._known) > len(sample.pages) and sum(len(s) for s, _ in self._known.values()) > _MOST_TOKENS:
            self._known.popitem(last=False)
        return found


class BackgroundSelector(Selector):
    """Background token pruning (BTP), the first stage of DocPrune (CVPR 2026, arXiv 2604.22281), alone.

    Tokens with the smallest share of background first. Published is a threshold, keep share <= tau_bg = 0.8; at a
    fixed budget (ours) its place is taken by the ranking, of which every threshold is one cut. No code is released:
    a re-implementation. It never reads the question, and shows how much of a document pruner's skill is to leave out
    white paper. Budgets nest; equal shares, wholly white tokens above all, stand in random order.

    Args:
        tau_e: Greys that differ by less are the same; 1, as published: only the very same grey.
    """

    name = "docprune-background"
    needs: frozenset[Need] = frozenset({"pixels"})
    reads_question = False

    def __init__(self, tau_e: float = 1.0) -> None:
        self._background = Background(tau_e)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens with least background."""
        return sample.keep_top(-self._background.of(sample), budgets)


class DocPruneSelector(Selector):
    """BTP and question-token pruning (QTP) of DocPrune (CVPR 2026, arXiv 2604.22281).

        R_i = sum over question tokens t of cos(d_i, q_t)
        S   = R smoothed by a Gaussian over each page's grid

    Tokens whose share of background is at most tau_bg come first, by S; then the rest, least background first and S
    among equals, as if tau_bg were raised until the budget is used up. Budgets nest. A re-implementation without
    released code; ours are:

    - d and q are visual and question tokens in the backbone's shared space, where DocPrune uses ColPali's;
    - sigma is 1 token (the paper leaves it open); at a page's edge the Gaussian is renormalised;
    - no threshold tau_qst but a ranking, over all pages together; min-max scaling would not change its order;
    - comprehension token pruning (CTP), which thresholds a decoder row, is left out: how the paper normalises that row
      is not published, and an independent reproduction found that CTP hurts.

    Args:
        tau_e: See `BackgroundSelector`.
        tau_bg: Largest share of background of a token that survives BTP, 0 to 1.
        sigma: Of the Gaussian, in tokens.

    Raises:
        UsageError: An option is impossible.
    """

    name = "docprune"
    needs: frozenset[Need] = frozenset({"pixels", "shared"})

    def __init__(self, tau_e: float = 1.0, tau_bg: float = 0.8, sigma: float = 1.0) -> None:
        if not 0 <= tau_bg <= 1:
            raise UsageError(f"docprune option tau_bg must be in [0, 1], got {tau_bg}")
        if not 0 < sigma < np.inf:
            raise UsageError(f"docprune option sigma must be above 0 and finite, got {sigma}")
        self.tau_bg, self.sigma = tau_bg, sigma
        self._background = Background(tau_e)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens closest to the question among those that are no background, then the rest."""
        background = self._background.of(sample)
        visual, question = sample.shared()
        relevance = _relevance(visual, question)
        pages = zip(sample.slices, sample.pages, strict=True)
        smooth = np.concatenate([smoothed(relevance[place], page.grid, self.sigma) for place, page in pages])
        ranked = sample.order(smooth.round(_RELEVANCE_DIGITS))
        left_over = np.where(background <= self.tau_bg, 0.0, background)[ranked]
        best_first = ranked[np.argsort(left_over, kind="stable")]
        return sample.keep_first(best_first, budgets, 2.0 * visual.shape[0] * visual.shape[1])


def background_share(image: Image.Image, grid: TokenGrid, tau_e: float) -> FloatArray:
    """(n,): see `Background`. One row of tokens is held as numbers at a time, beside the page's greys."""
    grey = image.convert("L")
    histogram = grey.histogram()
    mode = max(range(256), key=lambda level: (histogram[level], level))
    same = np.abs(np.arange(256) - mode) < tau_e
    pixels = np.asarray(grey)
    strips = [_rows_between(pixels, same, top, bottom) for top, bottom in pairwise(grid.y_edges.tolist())]
    along = np.concatenate([np.zeros((grid.rows, 1)), np.cumsum(strips, axis=1)], axis=1)
    x_edges, y_edges = np.clip(grid.x_edges, 0, grey.width), np.clip(grid.y_edges, 0, grey.height)
    found = np.diff([np.interp(x_edges, np.arange(grey.width + 1), row) for row in along], axis=1)
    area = np.diff(y_edges)[:, None] * np.diff(x_edges)
    share: FloatArray = np.where(area > 0, found / np.where(area > 0, area, 1), 1.0).ravel()
    return share.round(_SHARE_DIGITS)


def _rows_between(pixels: NDArray[np.uint8], same: NDArray[np.bool_], top: float, bottom: float) -> FloatArray:
    """(width,): how much of each column is background between two heights, in pixels, rows that are cut in part."""
    first, last = max(math.floor(top), 0), min(math.ceil(bottom), len(pixels))
    rows = np.arange(first, last, dtype=np.float64)
    inside = np.minimum(rows + 1, bottom) - np.maximum(rows, top)
    found: FloatArray = inside @ same[pixels[first:last]]
    return found


def smoothed(values: FloatArray, grid: TokenGrid, sigma: float) -> FloatArray:
    """Values (n,) of a page's tokens, averaged with Gaussian weights over its grid."""
    down, across = _gaussian(grid.rows, sigma), _gaussian(grid.cols, sigma)
    found: FloatArray = down @ values.reshape(grid.rows, grid.cols) @ across.T
    return found.ravel()


def _gaussian(length: int, sigma: float) -> FloatArray:
    """(length, length): weights of one axis; each row sums to 1."""
    apart = np.subtract.outer(np.arange(length), np.arange(length))
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    found: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return found


def _relevance(visual: Tensor, question: Tensor) -> FloatArray:
    """(N,): sum over question tokens of their cosines with each visual token, by the sum of their unit vectors."""
    asked = functional.normalize(question, dim=1).sum(dim=0)
    found: FloatArray = (functional.normalize(visual, dim=1) @ asked).cpu().numpy().astype(np.float64)
    return found
