"""Token grids of LLaVA-NeXT: base view, any-resolution mosaic, single tiles.

The processor squashes the page to one tile (the base view), and besides resizes it into the best of a few
canvases, pads it to the middle and cuts tiles. The model joins the tiles' tokens to a mosaic and cuts the
padding off, in whole tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import GeometryError
from pinpoint_data.token_grid import TokenGrid, check_page, even_grid

LLAVA_NEXT_PINPOINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""Canvas sizes (height, width) of the published checkpoints."""


def llava_next_grid(
    width: int,
    height: int,
    view: str = "mosaic",
    *,
    pinpoints: tuple[tuple[int, int], ...] = LLAVA_NEXT_PINPOINTS,
    tile: int = 336,
    patch: int = 14,
) -> TokenGrid:
    """Tokens of LLaVA-NeXT: the whole page squashed ("base"), or the unpadded mosaic of tiles ("mosaic").

    The mosaic is cut at whole tokens, the page inside its canvas at whole pixels, so up to half a token of
    the page has no mosaic token at an edge, or half a token sticks out.

    Args:
        width: page width in pixels.
        height: page height in pixels.
        view: "mosaic" or "base"; single tiles are in `llava_next_tiles`.
        pinpoints: canvas sizes (height, width).
        tile: side of a tile, in canvas pixels.
        patch: side of a token, in canvas pixels.

    Raises:
        GeometryError: the view is unknown, or the page is so narrow that its mosaic has no token.
    """
    check_page(width, height)
    if view == "base":
        return even_grid(tile // patch, tile // patch, width, height, "llava-next-base")
    if view != "mosaic":
        raise GeometryError(f"view must be 'mosaic' or 'base', got {view!r}")
    mosaic = llava_next_mosaic(width, height, pinpoints=pinpoints, patch=patch)
    if mosaic.rows * mosaic.cols == 0:
        raise GeometryError(
            f"a {width} x {height} page has no LLaVA-NeXT mosaic token ({mosaic.rows} rows, {mosaic.cols} columns)",
            remedy="use view='base', the grid llava-next-base",
        )
    canvas = _Canvas.of(width, height, pinpoints)
    x_edges = canvas.page_x(np.arange(mosaic.left, mosaic.left + mosaic.cols + 1) * patch)
    y_edges = canvas.page_y(np.arange(mosaic.top, mosaic.top + mosaic.rows + 1) * patch)
    return TokenGrid(x_edges, y_edges, width, height, "llava-next")


@dataclass(frozen=True)
class Mosaic:
    """Where a page's tokens lie on its canvas.

    Attributes:
        canvas: Height and width in pixels.
        top: Rows of the canvas that are cut off above.
        left: Columns that are cut off on the left.
        rows: Rows of tokens that are left; none for some very narrow pages.
        cols: Columns of tokens that are left.
    """

    canvas: tuple[int, int]
    top: int
    left: int
    rows: int
    cols: int


def llava_next_mosaic(
    width: int, height: int, *, pinpoints: tuple[tuple[int, int], ...] = LLAVA_NEXT_PINPOINTS, patch: int = 14
) -> Mosaic:
    """The part of the canvas that the model keeps for a page of this size."""
    check_page(width, height)
    canvas = _Canvas.of(width, height, pinpoints)
    rows, cols = canvas.height // patch, canvas.width // patch
    top = left = 0
    # The model's own unpad_image, whose rounding differs from the processor's ceil.
    if width / height > cols / rows:
        top = (rows - int(round(height * (cols / width), 7))) // 2
    else:
        left = (cols - int(round(width * (rows / height), 7))) // 2
    return Mosaic((canvas.height, canvas.width), top, left, rows - 2 * top, cols - 2 * left)


def llava_next_tiles(
    width: int,
    height: int,
    *,
    pinpoints: tuple[tuple[int, int], ...] = LLAVA_NEXT_PINPOINTS,
    tile: int = 336,
    patch: int = 14,
) -> list[TokenGrid]:
    """One grid for each tile that LLaVA-NeXT encodes after the base view, in the processor's order.

    Tiles include the padding of their canvas, so their tokens may lie outside the page.
    """
    check_page(width, height)
    canvas = _Canvas.of(width, height, pinpoints)
    steps = np.arange(tile // patch + 1) * patch
    return [
        TokenGrid(canvas.page_x(x + steps), canvas.page_y(y + steps), width, height, "llava-next-tile")
        for y in range(0, canvas.height, tile)
        for x in range(0, canvas.width, tile)
    ]


@dataclass(frozen=True)
class _Canvas:
    """The canvas that LLaVA-NeXT centres a resized page on, before it cuts tiles."""

    height: int
    width: int
    page_height: int
    page_width: int
    new_height: int
    new_width: int

    @classmethod
    def of(cls, width: int, height: int, pinpoints: tuple[tuple[int, int], ...]) -> _Canvas:
        canvas_height, canvas_width = _best_resolution(height, width, pinpoints)
        if canvas_width / width < canvas_height / height:
            new_width = canvas_width
            new_height = min(math.ceil(height * (canvas_width / width)), canvas_height)
        else:
            new_height = canvas_height
            new_width = min(math.ceil(width * (canvas_height / height)), canvas_width)
        return cls(canvas_height, canvas_width, height, width, new_height, new_width)

    def page_x(self, x: ArrayLike) -> FloatArray:
        return (np.asarray(x, np.float64) - (self.width - self.new_width) // 2) * self.page_width / self.new_width

    def page_y(self, y: ArrayLike) -> FloatArray:
        return (np.asarray(y, np.float64) - (self.height - self.new_height) // 2) * self.page_height / self.new_height


def _best_resolution(height: int, width: int, pinpoints: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """`select_best_resolution` of transformers: most page pixels kept, then least canvas wasted."""

    def merit(canvas: tuple[int, int]) -> tuple[int, int]:
        scale = min(canvas[1] / width, canvas[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - canvas[0] * canvas[1]

    return max(pinpoints, key=merit)
