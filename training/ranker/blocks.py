"""Blocks of a page: what ink and words leave together when white space cuts the page apart.

Ink and word boxes, at a few pixels a token, are dilated and their connected components taken: with a small radius lines
join into paragraphs and the parts of a chart into a chart, with a larger one neighbouring paragraphs, a chart and its
title. Layout-block gold (MMDocIR) follows such blocks, so a token is told what block it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pinpoint_data.grids import TokenGrid
from training.ranker.pixels import SIDE
from training.ranker.squares import square_max
from training.ranker.words import PlacedWords

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RADII = (1, 3)
"""Of the dilation, in cells of a quarter token: about 9 and 27 pixels of a letter page at 150 dpi."""

FEATURES = (
    "area",
    "width",
    "height",
    "filled",
    "drawn",
    "worded",
    "x",
    "y",
    "digits",
    "saturation",
    "letter-height",
    "count",
    "x-within",
    "y-within",
)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of one radius, k of them, numbered from 1; 0 stands for the background.

    Attributes:
        count: k.
        token: (N,) block of each token, 0 where it touches none.
        word: (n,) block of each word.
        features: (N, 14) the values of `FEATURES` of each token's block.
    """

    count: int
    token: IntArray
    word: IntArray
    features: FloatArray


def word_mask(grid: TokenGrid, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(rows * SIDE, cols * SIDE): cells that word boxes (n, 4), in tokens, touch."""
    high, wide = grid.rows * SIDE, grid.cols * SIDE
    x0, y0 = np.clip(np.floor(boxes[:, :2] * SIDE), 0, (wide, high)).astype(np.intp).T
    x1, y1 = np.clip(np.ceil(boxes[:, 2:] * SIDE), 0, (wide, high)).astype(np.intp).T
    row = wide + 1
    corners = np.concatenate([y0 * row + x0, y1 * row + x1, y1 * row + x0, y0 * row + x1])
    signs = np.repeat([1.0, 1.0, -1.0, -1.0], len(boxes))
    edges = np.bincount(corners, weights=signs, minlength=(high + 1) * row).reshape(high + 1, row)
    inside: npt.NDArray[np.bool_] = edges.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    return inside


def find_blocks(
    grid: TokenGrid,
    radius: int,
    inked: npt.NDArray[np.bool_],
    worded: npt.NDArray[np.bool_],
    words: PlacedWords,
    tokens: dict[str, FloatArray],
) -> Blocks:
    """The blocks of one radius.

    Args:
        grid: The page's grid.
        radius: Of the dilation, in cells.
        inked: Cells with ink (rows * SIDE, cols * SIDE).
        worded: Cells under a word, likewise.
        words: The page's words.
        tokens: (N,) `covered`, `digits`, `letter-height` and `saturation` of each token.
    """
    labels, count = ndimage.label(square_max(inked | worded, radius))
    cells = labels.reshape(grid.rows, SIDE, grid.cols, SIDE)
    token = cells.max(axis=(1, 3)).ravel().astype(np.int64)
    rows, cols = labels.shape
    centre = (words.boxes[:, :2] + words.boxes[:, 2:]) / 2 * SIDE
    x, y = np.clip(centre.astype(np.intp), 0, (cols - 1, rows - 1)).T
    features = _features(grid, labels, count, token, inked & ~worded, worded, tokens)
    return Blocks(count, token, labels[y, x].astype(np.int64), features)


def _features(
    grid: TokenGrid,
    labels: npt.NDArray[np.signedinteger],
    count: int,
    token: IntArray,
    drawn: npt.NDArray[np.bool_],
    worded: npt.NDArray[np.bool_],
    tokens: dict[str, FloatArray],
) -> FloatArray:
    rows, cols = labels.shape
    box = np.zeros((count + 1, 4))
    box[0] = (0, 0, cols, rows)
    found = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(labels)]
    box[1:] = np.array(found).reshape(-1, 4)
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    flat = labels.ravel().astype(np.intp)
    cells = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    held = np.maximum(np.bincount(token, minlength=count + 1), 1)
    covered = np.bincount(token, weights=tokens["covered"], minlength=count + 1)

    def share(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        shares: npt.NDArray[np.float64] = np.bincount(flat[mask.ravel()], minlength=count + 1) / cells
        return shares

    def total(name: str) -> npt.NDArray[np.float64]:
        return np.bincount(token, weights=tokens[name], minlength=count + 1).astype(np.float64)

    of_block = np.zeros((count + 1, len(FEATURES) - 2))
    of_block[:, 0] = width * height / (rows * cols)
    of_block[:, 1], of_block[:, 2] = width / cols, height / rows
    of_block[:, 3] = cells / np.maximum(width * height, 1)
    of_block[:, 4], of_block[:, 5] = share(drawn), share(worded)
    of_block[:, 6], of_block[:, 7] = (box[:, 0] + box[:, 2]) / (2 * cols), (box[:, 1] + box[:, 3]) / (2 * rows)
    of_block[:, 8] = total("digits") / np.maximum(covered, 1e-3)
    of_block[:, 9] = total("saturation") / held
    of_block[:, 10] = total("covered-height") / np.maximum(covered, 1e-3)
    of_block[:, 11] = count
    of_block[0] = 0
    y, x = np.divmod(np.arange(grid.n_tokens), grid.cols)
    own = box[token]
    within = [
        ((x + 0.5) * SIDE - own[:, 0]) / np.maximum(width[token], 1e-3),
        ((y + 0.5) * SIDE - own[:, 1]) / np.maximum(height[token], 1e-3),
    ]
    features: FloatArray = np.column_stack([of_block[token], *within]).astype(np.float32)
    return features
