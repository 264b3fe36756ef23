"""What the pixels of a page say at a few pixels a token: ink, edges, colours by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pinpoint_data.grids import TokenGrid
from training.pages.layout import shrunk

SIDE = 4
"""Pixels a token each way, and the resolution at which blocks are found."""

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "black", "grey", "white")
_HUE_ENDS = (15, 40, 70, 160, 200, 255, 290, 345)
_INK = 0.12
_COLOURFUL = 0.18
_BLACK, _GREY = 0.35, 0.85

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PagePixels:
    """A page shrunk to `SIDE` x `SIDE` pixels a token.

    Attributes:
        ink: (rows * SIDE, cols * SIDE) whether a pixel differs from the page's background.
        background: Brightness of the background, 0 to 1.
        colours: (11, rows, cols) share of a token's pixels in each of `COLOURS`.
        means: Means over a token's pixels (rows, cols): `saturation`, `edge-x`, `edge-y`, `off-background`,
            `brightness`.
    """

    ink: npt.NDArray[np.bool_]
    background: float
    colours: FloatArray
    means: dict[str, FloatArray]


def read_pixels(grid: TokenGrid, image: Image.Image) -> PagePixels:
    """Look at a page's pixels; the background is the median colour."""
    # Whole planes: reducing over an axis of three is ten times slower.
    planes = np.ascontiguousarray(np.moveaxis(np.asarray(shrunk(grid, image, SIDE)), -1, 0))
    rgb: FloatArray = planes.astype(np.float32) / np.float32(255)
    red, green, blue = rgb
    background = np.array([_median(plane) for plane in planes])
    apart = np.abs(rgb - background[:, None, None])
    off = np.maximum(np.maximum(apart[0], apart[1]), apart[2])
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    grey = (red + green + blue) / np.float32(3)
    saturation = most - least
    named = _colour_index(rgb, most, saturation)
    per_pixel = {
        "saturation": saturation,
        "edge-x": np.abs(np.diff(grey, axis=1, append=grey[:, -1:])),
        "edge-y": np.abs(np.diff(grey, axis=0, append=grey[-1:])),
        "off-background": off,
        "brightness": grey,
    }
    return PagePixels(
        ink=off > _INK,
        background=float(background.mean()),
        colours=_colour_shares(grid, named),
        means={name: token_means(grid, values) for name, values in per_pixel.items()},
    )


def _median(plane: npt.NDArray[np.uint8]) -> np.float32:
    """The median of a plane of bytes, 0 to 1."""
    below = np.bincount(plane.ravel(), minlength=256).cumsum()
    middle = np.searchsorted(below, [(plane.size - 1) // 2, plane.size // 2], side="right")
    return np.float32(middle.mean() / 255)


def token_means(grid: TokenGrid, values: npt.NDArray[np.generic]) -> FloatArray:
    """(rows, cols): means of an array (rows * SIDE, cols * SIDE) over each token."""
    # Down first: whole rows are added, which is several times faster than a mean over both axes at once.
    down = values.reshape(grid.rows, SIDE, grid.cols * SIDE).sum(axis=1, dtype=np.float32)
    means: FloatArray = down.reshape(grid.rows, grid.cols, SIDE).sum(axis=2) / (SIDE * SIDE)
    return means


def _colour_shares(grid: TokenGrid, named: npt.NDArray[np.intp]) -> FloatArray:
    """(11, rows, cols): the share of a token's pixels that have each colour."""
    token = np.arange(grid.n_tokens).reshape(grid.rows, grid.cols).repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    counts = np.bincount((named * grid.n_tokens + token).ravel(), minlength=len(COLOURS) * grid.n_tokens)
    shares: FloatArray = (counts / (SIDE * SIDE)).astype(np.float32).reshape(-1, grid.rows, grid.cols)
    return shares


def _colour_index(rgb: FloatArray, most: FloatArray, saturation: FloatArray) -> npt.NDArray[np.intp]:
    """Which of `COLOURS` a pixel has: a hue where it is colourful, else black, grey or white by its brightness."""
    index = np.digitize(most, (_BLACK, _GREY)) + COLOURS.index("black")
    colourful = saturation > _COLOURFUL
    most, spread, (red, green, blue) = most[colourful], saturation[colourful], rgb[:, colourful]
    sixths = np.where(
        most == red,
        ((green - blue) / spread) % 6,
        np.where(most == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    index[colourful] = np.digitize(sixths * 60, _HUE_ENDS) % len(_HUE_ENDS)  # beyond 345 degrees: red again
    return index
