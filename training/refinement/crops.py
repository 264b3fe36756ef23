"""From selected tokens to crops of the page: which pixels are looked at again, and with how many tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pinpoint_data.token_grid import TokenGrid
from training.refinement.places import project_mask
from training.refinement.reading_order import reading_order
from training.selection.regions import Mask, connected_components, cover_rectangles
from training.selection.select import SelectedPage

Regions = Literal["components", "windows"]
Rectangles = npt.NDArray[np.int64]
Box = tuple[int, int, int, int]

MAX_ASPECT = 24.0
"""The longest crop, in sides: Qwen2-VL refuses an image of 200 to 1, and LLaVA-NeXT has no mosaic for one of 72."""
# An edge at 28.000000001 is at pixel 28.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Crop:
    """A part of a page that is encoded alone.

    Attributes:
        page_index: Among the question's pages, from 0.
        xyxy: Whole pixels of the page, never empty, never outside it.
        covered: Tokens of the page's grid in its rectangle.
        tokens: Grid tokens it may be encoded with.
    """

    page_index: int
    xyxy: Box
    covered: int
    tokens: int


def page_rectangles(page: SelectedPage, grid: TokenGrid, regions: Regions, max_waste: float) -> Rectangles:
    """The selected tokens of a page as rectangles (k, 4) of token indices [r0, c0, r1, c1) on `grid`.

    Args:
        page: What was selected, on the grid that the selection was made on.
        grid: The grid to crop by; the same one, or another of the page (see `project_mask`).
        regions: `components`: the 4-connected components of the selected tokens, each split into disjoint rectangles
            with little waste. `windows`: each selected window alone.
        max_waste: Share of a rectangle that may lie outside the selection.
    """
    if regions == "components":
        parts = connected_components(project_mask(page.mask, page.view.grid, grid))
    else:
        parts = [project_mask(window, page.view.grid, grid) for window in selected_windows(page)]
    found = [cover_rectangles(part, max_waste) for part in parts]
    return np.concatenate([np.zeros((0, 4), np.int64), *found])


def selected_windows(page: SelectedPage) -> list[Mask]:
    """What each window gave to the selection, best window first, as masks (rows, cols).

    A window that adds no token to better ones is left out. Where whole windows were selected each mask is one; where
    an exact number of tokens was, it is the selected part of one.
    """
    left, found = page.mask.copy(), []
    for window in np.argsort(page.places):
        r0, c0, r1, c1 = page.view.windows.rows_cols[window]
        if left[r0:r1, c0:c1].any():
            left[r0:r1, c0:c1] = False
            part = np.zeros_like(page.mask)
            part[r0:r1, c0:c1] = page.mask[r0:r1, c0:c1]
            found.append(part)
    return found


def make_crops(
    rectangles: Sequence[Rectangles],
    grids: Sequence[TokenGrid],
    selected: int,
    *,
    zoom: float = 1.0,
    max_tokens_region: int | None = None,
) -> list[Crop]:
    """Crops of all pages, page by page, in reading order, with the tokens each may have.

    A crop is to have `zoom` ** 2 times the tokens that its rectangle covers. Where that is more in all than `zoom` ** 2
    times the selected tokens (windows overlap, rectangles waste a little), every crop gives up the same share of
    its own. No crop has less than one token.

    Args:
        rectangles: Of each page, (k, 4) token indices on its grid.
        grids: The pages' grids.
        selected: Selected tokens of all pages, on these grids.
        zoom: How much finer than the page's grid a crop is encoded, along each side.
        max_tokens_region: The most tokens of one crop.
    """
    crops = []
    for page_index, (corners, grid) in enumerate(zip(rectangles, grids, strict=True)):
        parts = [part for rectangle in corners.tolist() for part in _shortened(rectangle, grid)]
        boxes = [pixel_box(part, grid) for part in parts]
        for index in reading_order(boxes):
            r0, c0, r1, c1 = parts[index]
            crops.append((page_index, boxes[index], (r1 - r0) * (c1 - c0)))
    share = min(1.0, selected / max(1, sum(covered for _, _, covered in crops)))
    most = math.inf if max_tokens_region is None else max_tokens_region
    return [
        Crop(page_index, box, covered, max(1, int(min(most, zoom**2 * share * covered + _TOLERANCE))))
        for page_index, box, covered in crops
    ]


def pixel_box(rectangle: Sequence[int], grid: TokenGrid) -> Box:
    """The whole pixels of the page that the tokens [r0, c0, r1, c1) touch.

    A grid may stick out of its page (LLaVA-NeXT's mosaic), a crop does not; it has one pixel at least.
    """
    r0, c0, r1, c1 = rectangle
    x0, x1 = _pixels(grid.x_edges[c0], grid.x_edges[c1], grid.page_width)
    y0, y1 = _pixels(grid.y_edges[r0], grid.y_edges[r1], grid.page_height)
    return x0, y0, x1, y1


def _pixels(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(math.floor(low + _TOLERANCE), 0), size - 1)
    return first, max(min(math.ceil(high - _TOLERANCE), size), first + 1)


def _shortened(rectangle: Sequence[int], grid: TokenGrid) -> list[list[int]]:
    """The rectangle, halved across its long side until no part is longer than `MAX_ASPECT`, if it can be."""
    r0, c0, r1, c1 = rectangle
    x0, y0, x1, y1 = pixel_box(rectangle, grid)
    width, height = x1 - x0, y1 - y0
    if height > MAX_ASPECT * width and r1 - r0 > 1:
        middle = (r0 + r1) // 2
        return _shortened([r0, c0, middle, c1], grid) + _shortened([middle, c0, r1, c1], grid)
    if width > MAX_ASPECT * height and c1 - c0 > 1:
        middle = (c0 + c1) // 2
        return _shortened([r0, c0, r1, middle], grid) + _shortened([r0, middle, r1, c1], grid)
    return [[r0, c0, r1, c1]]
