"""The words of a page in token units, and the runs of words that stand together in a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pinpoint_data.grids import TokenGrid
from pinpoint_data.words import PageWords
from training.pages.layout import Spread, spread_words
from training.ranker.terms import stems

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

KINDS = ("digits", "percent", "year", "currency", "capital", "colon")
_YEAR = re.compile(r"\(?(?:1[89]|20)\d\d\)?[.,:]?")
LONG = 4
"""Letters of a stem that is compared by likeness too."""
_SAME_LINE = 0.5
_OVERLAP, _GAP = -0.6, 1.0


@dataclass(frozen=True, eq=False)
class PlacedWords:
    """Words on a grid, n of them in s runs.

    A run is a piece of a line: words that follow each other in reading order, share half of their height, and are less
    than one letter height apart. It is found from boxes alone, because engines differ in what they call a line.

    Attributes:
        boxes: (n, 4) in tokens: x counts columns, y rows.
        stems: The stems of each word.
        kinds: (n, 6) which of `KINDS` a word is.
        height: Median height of a word, in tokens.
        spread: Which words lie on which tokens.
        run: (n,) run of each word, ascending.
        run_starts: (s,) first word of each run.
        run_boxes: (s, 4) in tokens.
        run_stems: (s,) how many different stems each run holds, 1 at least.
        words_of: The words that hold a stem, by stem.
        pairs_of: For two stems that follow each other, the runs of the second one.
        initials: The stems of `LONG` letters and more, by first letter.
    """

    boxes: FloatArray
    stems: list[tuple[str, ...]]
    kinds: npt.NDArray[np.bool_]
    height: float
    spread: Spread
    run: IntArray
    run_starts: IntArray
    run_boxes: FloatArray
    run_stems: IntArray
    words_of: dict[str, list[int]]
    pairs_of: dict[tuple[str, str], list[int]]
    initials: dict[str, list[str]]

    @property
    def n_runs(self) -> int:
        """S."""
        return len(self.run_starts)

    @property
    def run_lengths(self) -> IntArray:
        """(s,): words of each run."""
        return np.diff(self.run_starts, append=len(self.boxes))


def place_words(grid: TokenGrid, words: PageWords) -> PlacedWords:
    """Put the words of a page on its grid."""
    xyxy = words.xyxy.reshape(-1, 4)
    per_token = np.tile([grid.cols / grid.page_width, grid.rows / grid.page_height], 2)
    boxes = xyxy * per_token
    height = boxes[:, 3] - boxes[:, 1]
    starts = _run_starts(boxes, height)
    run = np.zeros(len(boxes), dtype=np.int64)
    run[starts[1:]] = 1
    run_boxes = np.empty((len(starts), 4))
    if len(starts):
        run_boxes[:, :2] = np.minimum.reduceat(boxes[:, :2], starts)
        run_boxes[:, 2:] = np.maximum.reduceat(boxes[:, 2:], starts)
    run = np.cumsum(run)
    found = [stems(text) for text in words.texts]
    words_of: dict[str, list[int]] = {}
    in_order: list[tuple[str, int]] = []
    for index, (of_word, own_run) in enumerate(zip(found, run.tolist(), strict=True)):
        for stem in of_word:
            words_of.setdefault(stem, []).append(index)
            in_order.append((stem, own_run))
    pairs_of: dict[tuple[str, str], list[int]] = {}
    for (before, _), (stem, own_run) in pairwise(in_order):
        pairs_of.setdefault((before, stem), []).append(own_run)
    initials: dict[str, list[str]] = {}
    for stem in words_of:
        if len(stem) >= LONG:
            initials.setdefault(stem[0], []).append(stem)
    held = np.fromiter((own_run for _, own_run in set(in_order)), dtype=np.int64)
    return PlacedWords(
        boxes=boxes,
        stems=found,
        kinds=np.array([_kinds(text) for text in words.texts], dtype=np.bool_).reshape(-1, len(KINDS)),
        height=float(np.median(height)) if len(height) else 0.5,
        spread=spread_words(grid, xyxy),
        run=run,
        run_starts=starts,
        run_boxes=run_boxes,
        run_stems=np.maximum(np.bincount(held, minlength=len(starts)), 1),
        words_of=words_of,
        pairs_of=pairs_of,
        initials=initials,
    )


def _run_starts(boxes: FloatArray, height: FloatArray) -> IntArray:
    if not len(boxes):
        return np.empty(0, dtype=np.int64)
    before, after = boxes[:-1], boxes[1:]
    shared = np.minimum(before[:, 3], after[:, 3]) - np.maximum(before[:, 1], after[:, 1])
    low, high = np.minimum(height[:-1], height[1:]), np.maximum(height[:-1], height[1:])
    gap = after[:, 0] - before[:, 2]
    joined = (shared > _SAME_LINE * low) & (gap < _GAP * high) & (gap > _OVERLAP * high)
    return np.concatenate([[0], np.flatnonzero(~joined) + 1])


@lru_cache(maxsize=100_000)
def _kinds(text: str) -> tuple[bool, ...]:
    return (
        any(character.isdigit() for character in text),
        "%" in text,
        _YEAR.fullmatch(text) is not None,
        any(sign in text for sign in "$€£¥"),
        text[:1].isupper(),
        text.endswith(":"),
    )
