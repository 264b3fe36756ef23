"""Where words and ink stand on a token grid, as arrays over its tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pinpoint_data.grids import TokenGrid

FloatArray = npt.NDArray[np.float32]
PIXELS_PER_TOKEN = 4
PIXEL_FEATURES = (
    "brightness",
    "contrast",
    "off-background",
    "saturation",
    "red-green",
    "blue-yellow",
    "edge-x",
    "edge-y",
)
PLACE_FEATURES = ("x", "y", "from-middle", "cos-x", "sin-x", "cos-y", "sin-y", "aspect")


@dataclass(frozen=True)
class Spread:
    """Which words lie on which tokens, as p pairs sorted by token.

    Attributes:
        word: (p,) word of each pair.
        token: (p,) token of each pair, ascending.
        share: (p,) share of the word's area that lies in the token, 0 to 1.
        covered: (p,) share of the token's area that the word covers, 0 to 1.
    """

    word: npt.NDArray[np.int64]
    token: npt.NDArray[np.int64]
    share: FloatArray
    covered: FloatArray

    def sums(self, per_pair: FloatArray) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """The tokens that hold words, ascending (u,), and the sums (u, f) of `per_pair` (p, f) over each."""
        tokens, starts = np.unique(self.token, return_index=True)
        if not len(tokens):
            return tokens, per_pair[:0]
        return tokens, np.add.reduceat(per_pair, starts, axis=0)


def spread_words(grid: TokenGrid, xyxy: npt.NDArray[np.float64]) -> Spread:
    """Pair every word box (n, 4) with the tokens it overlaps; what lies outside the grid is left out."""
    x0, y0, x1, y1 = xyxy.T
    left, right = _cells(grid.x_edges, x0, x1)
    top, bottom = _cells(grid.y_edges, y0, y1)
    wide, high = np.maximum(right - left, 0), np.maximum(bottom - top, 0)
    count = wide * high
    word = np.repeat(np.arange(len(xyxy)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    row, col = top[word] + within // wide[word], left[word] + within % wide[word]
    across = np.minimum(x1[word], grid.x_edges[col + 1]) - np.maximum(x0[word], grid.x_edges[col])
    down = np.minimum(y1[word], grid.y_edges[row + 1]) - np.maximum(y0[word], grid.y_edges[row])
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    cell = np.diff(grid.x_edges)[col] * np.diff(grid.y_edges)[row]
    token = row * grid.cols + col
    order = np.argsort(token, kind="stable")
    share = shared / ((x1 - x0) * (y1 - y0))[word]
    covered = shared / cell
    return Spread(word[order], token[order], share[order].astype(np.float32), covered[order].astype(np.float32))


def _cells(
    edges: npt.NDArray[np.float64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First cell and one past the last cell that each interval [low, high) touches."""
    last = len(edges) - 1
    return (
        np.clip(np.searchsorted(edges, low, side="right") - 1, 0, last),
        np.clip(np.searchsorted(edges, high, side="left"), 0, last),
    )


def place_features(grid: TokenGrid) -> FloatArray:
    """`PLACE_FEATURES` (N, 8): where on the page a token's centre is, 0 to 1, with one smooth harmonic."""
    x = (grid.x_edges[:-1] + grid.x_edges[1:]) / 2 / grid.page_width
    y = (grid.y_edges[:-1] + grid.y_edges[1:]) / 2 / grid.page_height
    x, y = np.broadcast_arrays(x[None, :], y[:, None])
    aspect = np.full_like(x, np.log(grid.page_width / grid.page_height))
    waves = (np.cos(2 * np.pi * x), np.sin(2 * np.pi * x), np.cos(2 * np.pi * y), np.sin(2 * np.pi * y))
    stacked = np.stack([x, y, np.hypot(x - 0.5, y - 0.5), *waves, aspect], axis=-1)
    return stacked.reshape(grid.n_tokens, -1).astype(np.float32)


def shrunk(grid: TokenGrid, image: Image.Image, side: int) -> Image.Image:
    """The part of a page under the grid, at `side` x `side` pixels a token."""
    size = (grid.cols * side, grid.rows * side)
    return image.resize(size, Image.Resampling.BOX, box=_inside(grid, image), reducing_gap=2.0)


def pixel_features(grid: TokenGrid, image: Image.Image) -> FloatArray:
    """`PIXEL_FEATURES` (N, 8), about 0 to 1, from the page shrunk to 4 x 4 pixels a token."""
    side = PIXELS_PER_TOKEN
    rgb = np.asarray(shrunk(grid, image, side), dtype=np.float32) / 255
    grey = rgb.mean(axis=-1)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    per_pixel = np.stack(
        [
            grey,
            grey * grey,
            np.abs(grey - np.median(grey)),
            rgb.max(axis=-1) - rgb.min(axis=-1),
            red - green,
            blue - (red + green) / 2,
            np.abs(np.diff(grey, axis=1, append=grey[:, -1:])),
            np.abs(np.diff(grey, axis=0, append=grey[-1:])),
        ]
    )
    cells = per_pixel.reshape(len(per_pixel), grid.rows, side, grid.cols, side).mean(axis=(2, 4))
    cells[1] = np.sqrt(np.maximum(cells[1] - cells[0] ** 2, 0))
    features: FloatArray = cells.reshape(len(cells), -1).T.astype(np.float32)
    return features


def _inside(grid: TokenGrid, image: Image.Image) -> tuple[float, float, float, float]:
    """The grid's extent, cut to the image (a model's grid may stick out by a fraction of a token)."""
    x0, y0, x1, y1 = grid.extent
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(image.width)), min(y1, float(image.height))
