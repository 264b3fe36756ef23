"""A page as the ranker reads it before any question: words and runs, ink, blocks, and what each token looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from pinpoint_data.grids import TokenGrid
from pinpoint_data.words import PageWords
from training.ranker.blocks import FEATURES as BLOCK_FEATURES
from training.ranker.blocks import RADII, Blocks, find_blocks, word_mask
from training.ranker.pixels import PagePixels, read_pixels, token_means
from training.ranker.words import KINDS, PlacedWords, place_words

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

TEXT = ("covered", *KINDS, "letter-height", "large-letters")
INK = ("ink", "drawn", "saturation", "edge-x", "edge-y", "off-background", "brightness")
BLURS = (5, 13)
"""Sides, in tokens, of the squares that each token's text and ink are averaged over too."""
RUN = ("run-words", "run-width", "run-x")
PAGE = ("aspect", "page-covered", "page-digits", "page-drawn", "page-saturation", "page-words", "page-runs",
        "page-letter-height", "page-background")  # fmt: skip
PAGE_FEATURES = (
    *TEXT,
    *INK,
    *(f"{name}~{side}" for side in BLURS for name in (*TEXT, *INK)),
    *(f"block{radius}-{name}" for radius in RADII for name in BLOCK_FEATURES),
    *RUN,
    "x",
    "y",
    *PAGE,
)
_LARGE = 0.35


@dataclass(frozen=True, eq=False)
class ReadPage:
    """A page, read once for all questions over it.

    Attributes:
        grid: N tokens.
        words: Its words on the grid.
        run: (N,) the run of the word that covers most of each token, -1 where there is none.
        colours: (11, rows, cols) share of each colour.
        blocks: Of each radius.
        features: (N, f) the values of `PAGE_FEATURES`.
    """

    grid: TokenGrid
    words: PlacedWords
    run: IntArray
    colours: FloatArray
    blocks: tuple[Blocks, ...]
    features: FloatArray


def read_page(grid: TokenGrid, words: PageWords, image: Image.Image) -> ReadPage:
    """Read a page; one without words or without ink has zeros there."""
    placed = place_words(grid, words)
    pixels = read_pixels(grid, image)
    text = _text(grid, placed)
    worded = word_mask(grid, placed.boxes)
    ink = {"ink": token_means(grid, pixels.ink), "drawn": token_means(grid, pixels.ink & ~worded), **pixels.means}
    maps = np.concatenate([text, [ink[name] for name in INK]])
    blurred = [ndimage.uniform_filter(maps, size=(1, side, side), mode="constant") for side in BLURS]
    run = _dominant_run(grid, placed)
    flat = dict(zip((*TEXT, *INK), maps.reshape(len(maps), -1), strict=True))
    flat["covered-height"] = flat["letter-height"] * flat["covered"]
    blocks = tuple(find_blocks(grid, radius, pixels.ink, worded, placed, flat) for radius in RADII)
    features = np.column_stack(
        [
            *(stack.reshape(len(stack), -1).T for stack in (maps, *blurred)),
            *(block.features for block in blocks),
            _of_run(grid, placed, run),
            *_place(grid),
            np.broadcast_to(_of_page(grid, placed, pixels, flat), (grid.n_tokens, len(PAGE))),
        ]
    )
    return ReadPage(grid, placed, run, pixels.colours, blocks, features.astype(np.float32))


def _text(grid: TokenGrid, words: PlacedWords) -> FloatArray:
    """(9, rows, cols): `TEXT` of every token."""
    spread = words.spread
    heights = words.boxes[:, 3] - words.boxes[:, 1]
    relative = np.log(np.maximum(heights, 1e-3) / max(words.height, 1e-3))
    per_word = [np.ones(len(heights)), *words.kinds.T, relative, relative > _LARGE]
    sums = np.stack(
        [
            np.bincount(spread.token, weights=spread.covered * values[spread.word], minlength=grid.n_tokens)
            for values in per_word
        ]
    ).astype(np.float32)
    covered = sums[0].copy()
    sums[0] = np.minimum(covered, 1)
    sums[-2] = np.where(covered > 0, sums[-2] / np.maximum(covered, 1e-6), 0)
    return sums.reshape(len(sums), grid.rows, grid.cols)


def _dominant_run(grid: TokenGrid, words: PlacedWords) -> IntArray:
    run = np.full(grid.n_tokens, -1, dtype=np.int64)
    order = np.argsort(words.spread.covered, kind="stable")  # the last to be written covers most
    run[words.spread.token[order]] = words.run[words.spread.word[order]]
    return run


def _of_run(grid: TokenGrid, words: PlacedWords, run: IntArray) -> FloatArray:
    features = np.zeros((grid.n_tokens, len(RUN)), dtype=np.float32)
    held = run >= 0
    boxes = words.run_boxes[run[held]]
    features[held, 0] = words.run_lengths[run[held]]
    features[held, 1] = (boxes[:, 2] - boxes[:, 0]) / grid.cols
    features[held, 2] = boxes[:, 0] / grid.cols
    return features


def _place(grid: TokenGrid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y, x = np.divmod(np.arange(grid.n_tokens), grid.cols)
    return (x + 0.5) / grid.cols, (y + 0.5) / grid.rows


def _of_page(grid: TokenGrid, words: PlacedWords, pixels: PagePixels, tokens: dict[str, FloatArray]) -> FloatArray:
    means = [float(tokens[name].mean()) for name in ("covered", "digits", "drawn", "saturation")]
    counts = [len(words.boxes) / 500, words.n_runs / 200]
    values = [grid.page_width / grid.page_height, *means, *counts, 100 * words.height / grid.rows, pixels.background]
    return np.array(values, dtype=np.float32)
