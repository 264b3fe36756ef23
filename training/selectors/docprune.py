"""DocPrune: drop a page's background, then rank what is left by the question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray
from training.ledger import Cost
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import mean_cosine

if TYPE_CHECKING:
    from PIL import Image

    from pinpoint_data.token_grid import TokenGrid
    from training.pages.input import PageInput
    from training.selectors.sample import EncodedSample

# Sums of floats: tokens that are wholly background, or have equal features, must tie, whatever their last bits say.
_SHARE_DIGITS, _RELEVANCE_DIGITS = 9, 5


def background(sample: EncodedSample, tau_e: float) -> FloatArray:
    """(N,): how much of each token is background: the share of its pixels of a grey within tau_e of the page's mode.

    Pixels are those of the page itself, in PIL's 8-bit luma; of several most frequent greys the lightest is the mode.
    A pixel that a token's edge cuts counts by its area inside. What a token shows beyond the page's edge counts
    neither way, and a token wholly outside is background. A page is decoded once for all questions over it, and for
    all selectors; each is charged for it.
    """
    source, pages = sample.source, [page.page_input for page in sample.pages]

    def share(page: PageInput) -> FloatArray:
        return background_share(page.load_image(), source.backbone.grid(page.width, page.height), tau_e)

    def known() -> list[tuple[FloatArray, float]]:
        return source.of_pages(f"pixels.{tau_e}", pages, share)

    n_pixels = sum(page.width * page.height for page in pages)
    return sample.ledger.once(
        f"pixels.{tau_e}",
        lambda: np.concatenate([own for own, _ in known()]),
        lambda: Cost(sum(seconds for _, seconds in known()), 2.0 * n_pixels),
    )


def check_tau_e(tau_e: float) -> float:
    """The option, as given.

    Raises:
        UsageError: It is not above 0.
    """
    if not 0 < tau_e <= 256:
        raise UsageError(f"docprune option tau_e must be in (0, 256], got {tau_e}")
    return tau_e


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
        self.tau_e = check_tau_e(tau_e)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens with least background."""
        return sample.keep_top(-background(sample, self.tau_e), budgets)


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
        self.tau_e, self.tau_bg, self.sigma = check_tau_e(tau_e), tau_bg, sigma

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens closest to the question among those that are no background, then the rest."""
        paper = background(sample, self.tau_e)
        visual, question = sample.shared()
        # The mean over question tokens stands in the order of the sum.
        relevance = mean_cosine(visual, question).cpu().double().numpy()
        pages = zip(sample.slices, sample.pages, strict=True)
        smooth = np.concatenate([smoothed(relevance[place], page.grid, self.sigma) for place, page in pages])
        ranked = sample.order(smooth.round(_RELEVANCE_DIGITS))
        left_over = np.where(paper <= self.tau_bg, 0.0, paper)[ranked]
        best_first = ranked[np.argsort(left_over, kind="stable")]
        return sample.keep_first(best_first, budgets, 2.0 * visual.shape[0] * visual.shape[1])


def background_share(image: Image.Image, grid: TokenGrid, tau_e: float) -> FloatArray:
    """(n,): see `background`."""
    grey = image.convert("L")
    histogram = grey.histogram()
    mode = max(range(256), key=lambda level: (histogram[level], level))
    darkest, lightest = max(math.floor(mode - tau_e) + 1, 0), min(math.ceil(mode + tau_e) - 1, 255)
    pixels = np.asarray(grey)
    same = (pixels >= darkest) & (pixels <= lightest)
    strips = [_rows_between(same, top, bottom) for top, bottom in pairwise(grid.y_edges.tolist())]
    along = np.concatenate([np.zeros((grid.rows, 1)), np.cumsum(strips, axis=1)], axis=1)
    x_edges, y_edges = np.clip(grid.x_edges, 0, grey.width), np.clip(grid.y_edges, 0, grey.height)
    found = np.diff([np.interp(x_edges, np.arange(grey.width + 1), row) for row in along], axis=1)
    area = np.diff(y_edges)[:, None] * np.diff(x_edges)
    share: FloatArray = np.where(area > 0, found / np.where(area > 0, area, 1), 1.0).ravel()
    return share.round(_SHARE_DIGITS)


def _rows_between(same: BoolArray, top: float, bottom: float) -> FloatArray:
    """(width,): how much of each column is background between two heights, in pixels, rows that are cut in part."""
    first, last = max(math.floor(top), 0), min(math.ceil(bottom), len(same))
    rows = np.arange(first, last)
    outside = 1 - (np.minimum(rows + 1, bottom) - np.maximum(rows, top))
    is_cut = outside > 0
    found: FloatArray = same[first:last].sum(axis=0, dtype=np.uint32) - outside[is_cut] @ same[first:last][is_cut]
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
