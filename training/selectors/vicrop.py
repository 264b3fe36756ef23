"""ViCrop by relative attention: where a question makes the decoder look that a mere description does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import BoolArray
from training.evaluation.intervals import FloatArray
from training.selectors.base import Kept, Need, Selector

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder import Decoder

GENERAL = "Write a general description of the image."
SUFFIX = " Answer the question using a single word or phrase."
RATIOS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
BASES = {"llava-next": 336}
OTHER_BASE = 224
_LEAST = 1e-30
_EQUAL = 1e-9


class ViCropSelector(Selector):
    """Relative attention of ViCrop ("MLLMs know where to look", ICLR 2025, arXiv 2502.17422), token by token.

    A_rel = A(x, q) / A(x, q'), where A is the head-mean of the softmaxed attention that the last token of the prompt
    pays to each visual token in one middle layer, over the whole prompt; q' is `GENERAL`. The method is for finding a
    crop; ranking tokens by A_rel is ours. Family: one decoder layer, on two prompts. It reads the question.
    A re-implementation.

    As published: `SUFFIX` stands behind both q and q', so that both prompts end alike; the general description thus
    asks for a single word, too. No map is smoothed or normalised. Layer 14 of LLaVA-1.5-7B's 32, from 0.
    Ours: the same share of the depth for other decoders (the authors took layer 22 for Qwen2.5-VL-3B); attention below
    1e-30 counts as 1e-30, so that no ratio is undefined; all pages stand in one prompt, their ratios in one ranking.
    The published cutting of large images into blocks, which divides by zero where a page is much taller than wide, is
    not needed: a page is tiled as the model tiles it.

    Args:
        layer: Of the decoder, from 0; round(14/32 L) by default.
        suffix: Behind both prompts. With an empty one the first prompt is the one that other selectors look at.
    """

    needs: frozenset[Need] = frozenset({"decoder"})
    name = "vicrop"

    def __init__(self, layer: int | None = None, suffix: str = SUFFIX) -> None:
        if layer is not None and layer < 0:
            raise UsageError(f"layer must be at least 0, got {layer}")
        self.layer, self.suffix = layer, suffix

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best tokens by relative attention, exactly as many as allowed; the sets are nested."""
        relative, flops = self.relative_attention(sample)
        return sample.keep_top(relative, budgets, flops)

    def relative_attention(self, sample: EncodedSample) -> tuple[FloatArray, float]:
        """A_rel (N,), and the operations it took.

        Raises:
            UsageError: The decoder has no such layer.
        """
        asked, general = self._asked(sample), sample.decoder(GENERAL + self.suffix)
        layer = round(14 / 32 * asked.n_layers) if self.layer is None else self.layer
        if layer >= asked.n_layers:
            raise UsageError(
                f"layer must be below {asked.n_layers}, the layers of this decoder, got {layer}",
                remedy=f"--set {self.name}.layer=LAYER names another",
            )
        question, description = last_row(asked, layer), last_row(general, layer)
        flops = asked.row_flops(1) + general.row_flops(1)
        return np.maximum(question, _LEAST) / np.maximum(description, _LEAST), flops

    def _asked(self, sample: EncodedSample) -> Decoder:
        return sample.decoder(sample.question.strip() + self.suffix)


def last_row(decoder: Decoder, layer: int) -> FloatArray:
    """(N,): what the last token of the prompt pays to each visual token, averaged over heads."""
    row = decoder.received(layer, [decoder.last])
    paid: FloatArray = row[decoder.visual_places.to(row.device)].double().cpu().numpy()
    return paid


class ViCropRegionSelector(ViCropSelector):
    """ViCrop's own region: the tokens of the window that it would crop come first, then all others, each by A_rel.

    The published rule: windows of 1, 1.2, ..., 2 times a base size in page pixels, in steps of one token; for each size
    the window of the largest sum of A_rel; of the sizes the one whose sum stands out most from its (up to four)
    neighbours, (sum - mean of neighbours) / tokens. Where the smallest window covers the page, it is the page.
    As in `ViCropSelector` besides.

    Ours: the ranking, which makes a region of the model's own choosing comparable at an exact budget; the window's
    tokens are taken, not the square of pixels that is cut out around its centre; a window has at least one token, where
    a token is larger than the base; of several pages the window of the largest sum at each size; equal sums are drawn
    at random. The base is LLaVA-1.5's 336 pixels for LLaVA-NeXT, and the authors' 224 for Qwen.

    Args:
        layer: As `ViCropSelector`.
        suffix: As `ViCropSelector`.
        base: Side of the smallest window in page pixels; by default that of the model's family.
    """

    name = "vicrop-region"

    def __init__(self, layer: int | None = None, suffix: str = SUFFIX, base: int | None = None) -> None:
        super().__init__(layer, suffix)
        if base is not None and base < 1:
            raise UsageError(f"base must be at least 1 pixel, got {base}")
        self.base = base

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens of the window, then the others, exactly as many as allowed; the sets are nested."""
        relative, flops = self.relative_attention(sample)
        base = self.base or BASES.get(self._asked(sample).layers.shape.family, OTHER_BASE)
        maps = [
            relative[part].reshape(page.grid.rows, page.grid.cols)
            for page, part in zip(sample.pages, sample.slices, strict=True)
        ]
        cells = []
        for page in sample.pages:
            x0, y0, x1, y1 = page.grid.extent
            cells.append(((y1 - y0) / page.grid.rows, (x1 - x0) / page.grid.cols))
        window = best_window(maps, cells, base, sample.generator("vicrop-region", of_question=False))
        inside = np.concatenate([window.mask(page, area.shape) for page, area in enumerate(maps)])
        order = sample.order(relative)
        order = np.concatenate([order[inside[order]], order[~inside[order]]])
        # A table of partial sums, and four of its entries a window.
        return sample.keep_first(order, budgets, flops + 6.0 * len(RATIOS) * sample.n_tokens)


@dataclass(frozen=True)
class PageWindow:
    """A rectangle of tokens on one of the pages."""

    page: int
    row: int
    col: int
    rows: int
    cols: int

    def mask(self, page: int, shape: tuple[int, ...]) -> BoolArray:
        """(n,): which tokens of a page of this shape lie in it."""
        found = np.zeros(shape, bool)
        if page == self.page:
            found[self.row : self.row + self.rows, self.col : self.col + self.cols] = True
        return found.ravel()


def best_window(
    maps: Sequence[FloatArray], cells: Sequence[tuple[float, float]], base: float, generator: np.random.Generator
) -> PageWindow:
    """ViCrop's adaptive window over one or more pages.

    Args:
        maps: Importance (rows, cols) of each page's tokens, positive.
        cells: Height and width of each page's tokens in page pixels.
        base: Side of the smallest window in page pixels.
        generator: Draws among equal sums.
    """
    chosen, sharpest = None, -np.inf
    for ratio in RATIOS:
        sums: dict[tuple[int, int, int], FloatArray] = {}
        for page, (area, (height, width)) in enumerate(zip(maps, cells, strict=True)):
            rows = min(max(1, int(base * ratio / height)), area.shape[0])
            cols = min(max(1, int(base * ratio / width)), area.shape[1])
            # The whole page is a window of the first size only.
            if ratio == RATIOS[0] or (rows, cols) != area.shape:
                sums[page, rows, cols] = window_sums(area, rows, cols)
        if not sums:
            continue
        (page, rows, cols), row, col = _largest(sums, generator)
        window = PageWindow(page, row, col, rows, cols)
        if (rows, cols) == maps[page].shape:
            return window
        sharpness = _sharpness(sums[page, rows, cols], row, col) / (rows * cols)
        if sharpness > sharpest:
            chosen, sharpest = window, sharpness
    assert chosen is not None  # of the first size every page has a window
    return chosen


def window_sums(area: FloatArray, rows: int, cols: int) -> FloatArray:
    """Sums over all windows of a size, (rows of `area` - rows + 1, likewise), from a table of partial sums."""
    table = np.zeros((area.shape[0] + 1, area.shape[1] + 1))
    table[1:, 1:] = area.cumsum(axis=0).cumsum(axis=1)
    sums: FloatArray = table[rows:, cols:] - table[:-rows, cols:] - table[rows:, :-cols] + table[:-rows, :-cols]
    return sums


def _largest(
    sums: dict[tuple[int, int, int], FloatArray], generator: np.random.Generator
) -> tuple[tuple[int, int, int], int, int]:
    """Where the largest sum is; one of the equal ones, which rounding may have told apart."""
    most = max(own.max() for own in sums.values())
    best = [
        (key, int(row), int(col)) for key, own in sums.items() for row, col in np.argwhere(own >= most * (1 - _EQUAL))
    ]
    return best[generator.integers(len(best))]


def _sharpness(sums: FloatArray, row: int, col: int) -> float:
    """How far a window's sum lies above the mean of those one token up, down, left and right."""
    around = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
    near = [sums[i, j] for i, j in around if 0 <= i < sums.shape[0] and 0 <= j < sums.shape[1]]
    return float(sums[row, col] - np.mean(near))
