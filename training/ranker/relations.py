"""How each token of a page stands to a question: what it holds, what it is beside, below and near.

An answer is seldom on the words that a question repeats; it stands to the right of a label, below a column's head, in
the block under a title. So every match is carried over the page by a few kernels, whose lengths are in tokens, letter
heights or shares of the page, and each token is told the share of the question's weight that reaches it each way. Which
way counts, and when, is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.ranker.blocks import Blocks
from training.ranker.matches import Matches, match_terms, term_weights
from training.ranker.page import ReadPage
from training.ranker.question import CUES, Question
from training.ranker.squares import square_max

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WITHIN = (5, 9, 15, 25)
DENSITIES = (5, 11)
ANCHORS = 2
_REACH = ("on", "right", "below", "reach", "near", "crossing")
_RUN = ("run-share", "run-share-of-best", "run-precision", "run-quoted", "run-pairs", "run-anchor")
_BLOCK = ("share", "share-of-best", "anchor", "quoted")
RELATIONS = (
    *(f"match-{way}" for way in _REACH),
    *(f"match-within{side}" for side in WITHIN),
    *(f"match-density{side}" for side in DENSITIES),
    *(f"anchor-{way}" for way in ("right", "below", "above", "near")),
    *(f"anchor{rank}-{what}" for rank in range(1, ANCHORS + 1) for what in ("dx", "dy", "strength")),
    "caption-near",
    "caption-dy",
    *(f"match-block{index}-{what}" for index in (1, 2) for what in _BLOCK),
    "named-colours",
    "named-colours~9",
    *_RUN,
    "matched",
    "matched-of-best",
    "pages",
    "page-place",
    "page-named",
    "some-page-named",
    "page-anchor",
    "best-run",
    "best-anchor",
    "terms-found",
    "terms",
    *CUES,
)
FAR = 99.0
"""Offset, in tokens, to something that is not there."""

_MOST_WORDS = 24
_MOST_ANCHORS = 8
_WEAKEST_ANCHOR = 0.05


@dataclass(frozen=True, eq=False)
class _Runs:
    """What is known of a page's runs (s,): see `_RUN`; `anchor` is their sum, the strength of a run as a landmark."""

    share: FloatArray
    precision: FloatArray
    quoted: FloatArray
    pairs: FloatArray


@dataclass(frozen=True, eq=False)
class _Best:
    """The best over all pages, that pages are compared by."""

    run: float
    anchor: float
    matched: float
    terms_found: float


def relate(pages: Sequence[ReadPage], question: Question) -> Iterator[npt.NDArray[np.float32]]:
    """The values of `RELATIONS`, (N, r) a page; they compare the pages with one another.

    A page at a time, as those of a document of 500 pages would fill a gigabyte.
    """
    matches = [match_terms(question, page.words) for page in pages]
    weights = term_weights(question, matches)
    runs = [_measure_runs(page, found, weights, question) for page, found in zip(pages, matches, strict=True)]
    best_share = _highest([run.share for run in runs])
    best_pairs = max(_highest([run.pairs for run in runs]), 1.0)
    anchors = [
        run.share / best_share + 0.5 * run.share * run.precision + run.quoted + 0.3 * run.pairs / best_pairs
        for run in runs
    ]
    matched = [float(weights @ found.runs.max(axis=1, initial=0)) for found in matches]
    found_anywhere = np.sum([found.runs.sum(axis=1) for found in matches], axis=0) > 0
    terms_found = float(found_anywhere.mean()) if len(weights) else 0.0
    best = _Best(best_share, _highest(anchors), max(matched, default=0.0), terms_found)
    for index, (page, found, run, anchor) in enumerate(zip(pages, matches, runs, anchors, strict=True)):
        strength = anchor / best.anchor
        own_runs = np.column_stack(
            [run.share, run.share / best_share, run.precision, run.quoted, run.pairs / best_pairs, strength]
        )
        of_page = _of_page(index, matched, strength, best, question)
        columns = [
            *_reach(page, found, weights),
            *_kernels(page, strength),
            *_nearest(page, strength),
            *_captions(page, question),
            *(column for block in page.blocks for column in _of_block(block, found, weights, run, strength, page)),
            *_colours(page, question),
            *_on_tokens(page.run, own_runs).T,
        ]
        features = np.empty((page.grid.n_tokens, len(RELATIONS)), dtype=np.float32)
        features[:, : len(columns)] = np.stack(columns, axis=1)
        features[:, len(columns) :] = of_page
        yield features


def _highest(arrays: Sequence[FloatArray]) -> float:
    return max((float(array.max(initial=0)) for array in arrays), default=0.0) or 1e-6


def _measure_runs(page: ReadPage, found: Matches, weights: FloatArray, question: Question) -> _Runs:
    words = page.words
    pairs, shared = np.zeros(words.n_runs), np.zeros(words.n_runs)
    for pair in question.pairs:
        np.add.at(pairs, words.pairs_of.get(pair, []), 1)
    for stem in question.quoted:
        shared[words.run[words.words_of.get(stem, [])]] += 1
    quoted = 2 * shared / (words.run_stems + max(len(question.quoted), 1))
    exact = (found.runs == 1).sum(axis=0)
    return _Runs(weights @ found.runs, exact / words.run_stems, quoted, pairs)


def _reach(page: ReadPage, found: Matches, weights: FloatArray) -> list[FloatArray]:
    """The share of the question's weight on, right of, below and near each token, and within squares around it."""
    rows, cols = page.grid.rows, page.grid.cols
    x, y = np.arange(cols) + 0.5, np.arange(rows) + 0.5
    total = {way: np.zeros((rows, cols)) for way in ("on", "right", "below", "reach", "near")}
    here = [term for term, words in enumerate(found.words) if len(words)]
    maps = np.zeros((len(here), rows, cols))
    letter = max(page.words.height, 0.3)
    for on, term in zip(maps, here, strict=True):
        words, strengths, weight = found.words[term], found.strengths[term], weights[term]
        box = page.words.boxes[words[:_MOST_WORDS]]
        x0, y0, x1, y1 = (box[:, side : side + 1] for side in range(4))
        right_of, below = np.maximum(x - x1, 0), np.maximum(y - y1, 0)
        aside_x, aside_y = np.maximum(right_of, x0 - x), np.maximum(below, y0 - y)
        strength = strengths[:_MOST_WORDS, None]
        ways = {
            "on": (aside_y < 0.5, aside_x < 0.5),
            "right": (_bell(aside_y, 0.5 * letter + 0.2), np.where(x > x0, np.exp(-right_of / (0.35 * cols)), 0)),
            "below": (np.where(y > y0, np.exp(-below / (0.15 * rows)), 0), _bell(aside_x, 1.0)),
            "near": (np.exp(-aside_y / 3), np.exp(-aside_x / 3)),
        }
        carried = {way: ((down * strength)[:, :, None] * across[:, None, :]).max(axis=0)
                   for way, (down, across) in ways.items()}  # fmt: skip
        on[:] = carried["on"]
        carried["reach"] = np.maximum(np.maximum(carried["right"], carried["below"]), carried["on"])
        for way, values in carried.items():
            total[way] += weight * values
    columns = [total["on"], total["right"], total["below"], total["reach"], total["near"]]
    columns.append(total["right"] * total["below"])
    radius = 0
    for side in WITHIN:
        maps, radius = square_max(maps, side // 2 - radius), side // 2  # squares of squares
        columns.append(np.tensordot(weights[here], maps, 1))
    for side in DENSITIES:
        columns.append(side * side / 4 * ndimage.uniform_filter(total["on"], side, mode="constant"))
    return [column.ravel() for column in columns]


def _bell(distance: FloatArray, width: float) -> FloatArray:
    bell: FloatArray = np.exp(-(distance**2) / (2 * width**2))
    return bell


def _kernels(page: ReadPage, strength: FloatArray) -> list[FloatArray]:
    """How far the strongest anchors reach to the right, below, above and around."""
    rows, cols = page.grid.rows, page.grid.cols
    best = np.argsort(-strength, kind="stable")[:_MOST_ANCHORS]
    best = best[strength[best] > _WEAKEST_ANCHOR]
    if not len(best):
        return [np.zeros(rows * cols)] * 4
    x, y = np.arange(cols) + 0.5, np.arange(rows) + 0.5
    letter = max(page.words.height, 0.3)
    x0, y0, x1, y1 = (page.words.run_boxes[best, side : side + 1] for side in range(4))
    aside_x, aside_y = np.maximum(0, np.maximum(x0 - x, x - x1)), np.maximum(0, np.maximum(y0 - y, y - y1))
    ways = (
        (_bell(aside_y, 0.42 * letter + 0.14), np.where(x > x0, np.exp(-np.maximum(0, x - x1) / (0.25 * cols)), 0)),
        (np.where(y > y0, np.exp(-np.maximum(0, y - y1) / (3 * letter)), 0), _bell(aside_x, 1.06)),
        (np.where(y < y1, np.exp(-np.maximum(0, y0 - y) / (0.2 * rows)), 0), _bell(aside_x, 1.06)),
        (np.exp(-aside_y / 2), np.exp(-aside_x / 4)),
    )
    power = strength[best, None]
    return [((down * power)[:, :, None] * across[:, None, :]).max(axis=0).ravel() for down, across in ways]


def _nearest(page: ReadPage, strength: FloatArray) -> list[FloatArray]:
    """Signed offsets, in tokens, to the strongest anchors, and their strengths."""
    n, cols = page.grid.n_tokens, page.grid.cols
    y, x = np.divmod(np.arange(n), cols)
    columns = []
    best = np.argsort(-strength, kind="stable")[:ANCHORS]
    for rank in range(ANCHORS):
        if rank < len(best) and strength[best[rank]] > 0:
            x0, y0, x1, y1 = page.words.run_boxes[best[rank]]
            columns += [_offset(x + 0.5, x0, x1), _offset(y + 0.5, y0, y1), np.full(n, strength[best[rank]])]
        else:
            columns += [np.full(n, FAR), np.full(n, FAR), np.zeros(n)]
    return columns


def _offset(at: FloatArray, low: float, high: float) -> FloatArray:
    """How far `at` is before `low` (negative) or behind `high`; zero between."""
    return np.minimum(at - low, 0) + np.maximum(at - high, 0)


def _captions(page: ReadPage, question: Question) -> tuple[FloatArray, FloatArray]:
    """Nearness and vertical offset, in tokens, of the caption that a question names by number ("Figure 3").

    A caption is a run that begins with the kind and the number; where the text only mentions it, there is none.
    """
    rows, cols = page.grid.rows, page.grid.cols
    near, offset = np.zeros(rows), np.full(rows, FAR)
    words = page.words
    for first, length in zip(words.run_starts, words.run_lengths, strict=True) if question.figures else ():
        head = [stem for of_word in words.stems[first : first + min(length, 2)] for stem in of_word][:2]
        if len(head) == 2 and any(head[0][:3] == kind and head[1] == number for kind, number in question.figures):
            away = np.arange(rows) + 0.5 - words.boxes[first, 1::2].mean()
            near = np.maximum(near, np.exp(-np.abs(away) / 10))
            offset = np.where(np.abs(away) < np.abs(offset), away, offset)
    return np.repeat(near, cols), np.repeat(offset, cols)


def _of_block(
    block: Blocks, found: Matches, weights: FloatArray, runs: _Runs, strength: FloatArray, page: ReadPage
) -> list[FloatArray]:
    """The share of the question's weight that a token's block holds, and its best run."""
    held = np.zeros((len(weights), block.count + 1))
    for row, words, strengths in zip(held, found.words, found.strengths, strict=True):
        np.maximum.at(row, block.word[words], strengths)
    share = weights @ held
    anchor, quoted = np.zeros(block.count + 1), np.zeros(block.count + 1)
    np.maximum.at(anchor, block.word, strength[page.words.run])
    np.maximum.at(quoted, block.word, runs.quoted[page.words.run])
    share[0] = anchor[0] = quoted[0] = 0  # words off the page are in no block
    of_block = (share, share / max(float(share.max()), 1e-6), anchor, quoted)
    return [values[block.token] for values in of_block]


def _colours(page: ReadPage, question: Question) -> tuple[FloatArray, FloatArray]:
    if not question.colours:
        none = np.zeros(page.grid.n_tokens)
        return none, none
    named = page.colours[list(question.colours)].sum(axis=0, dtype=np.float64)
    return named.ravel(), ndimage.uniform_filter(named, 9, mode="constant").ravel()


def _on_tokens(run: IntArray, values: FloatArray) -> FloatArray:
    """(N, f): the values (s, f) of each token's run, zero where it has none."""
    on = np.zeros((len(run), values.shape[1]))
    on[run >= 0] = values[run[run >= 0]]
    return on


def _of_page(
    index: int, matched: list[float], strength: FloatArray, best: _Best, question: Question
) -> npt.NDArray[np.float32]:
    """What all tokens of a page share: how its matches compare with the other pages', and the question's cues."""
    pages = len(matched)
    named = {page % pages for page in question.pages if page < pages}
    values = [
        matched[index],
        matched[index] / max(best.matched, 1e-6),
        pages,
        sum(other > matched[index] for other in matched),
        index in named,
        bool(named),
        strength.max(initial=0),
        best.run,
        best.anchor,
        best.terms_found,
        len(question.terms) / 10,
    ]
    return np.array([*values, *question.cues], dtype=np.float32)
