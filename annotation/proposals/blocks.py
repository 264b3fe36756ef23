"""Paragraphs, tables and charts of a page, told from the places of its words alone.

Segments (runs of words without a wide space) are joined: lines of running text that stand under each other become a
paragraph; short segments (cells, labels, ticks) reach further and become a table or a chart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from annotation.proposals.layout import FloatArray, IntArray, envelopes
from pinpoint_data.words import PageWords

_SHORT_WORDS = 5
_PARAGRAPH = 1.3  # times the page's usual leading: a wider space parts two paragraphs
_CELL_X, _CELL_Y, _ROW = 6.0, 1.6, 40.0  # between cells, and along a row, in heights of the page's text
_CHUNK, _SAMPLE, _MOST_PAIRS = 64, 500, 4_000_000


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of a page.

    Attributes:
        xyxy: (b, 4) envelopes, from top to bottom.
        of_word: (n,) the block of each word.
        scattered: (b,) whether a block is made of short segments: a table or a chart, not running text.
        reading_order: (n,) words paragraph by paragraph and cell by cell, line by line.
    """

    xyxy: FloatArray
    of_word: IntArray
    scattered: NDArray[np.bool_]
    reading_order: IntArray


def find_blocks(words: PageWords, starts: IntArray, unit: float) -> Blocks:
    """The blocks of a page.

    Args:
        words: The page's words.
        starts: (s,) first word of each segment.
        unit: Median height of the words in pixels.
    """
    if not len(words):
        return Blocks(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64))
    boxes = envelopes(words.xyxy, starts)
    counts = np.diff(np.append(starts, len(words)))
    first, second, stacked = _joined(boxes, counts <= _SHORT_WORDS, unit)
    block = _numbered(boxes, _components(len(boxes), first, second))
    xyxy = np.stack([_extreme(block, boxes[:, side], side) for side in range(4)], 1)
    short = np.bincount(block, np.where(counts <= _SHORT_WORDS, counts, 0))
    # Read as stacks: a table would be read across its cells.
    stack = _numbered(boxes, _components(len(boxes), first[stacked], second[stacked]))
    keys = (boxes[:, 0], _rows(boxes, stack), stack)
    order = np.lexsort([np.repeat(key, counts) for key in keys])
    return Blocks(xyxy, np.repeat(block, counts), short > 0.5 * np.bincount(block, counts), order)


def _numbered(boxes: FloatArray, label: IntArray) -> IntArray:
    """Labels renumbered from top to bottom, then from left to right."""
    top, left = (_extreme(label, boxes[:, side], side) for side in (1, 0))
    rank = np.empty(len(top), np.int64)
    rank[np.lexsort((left, top))] = np.arange(len(top))
    return rank[label]


def _joined(boxes: FloatArray, short: NDArray[np.bool_], unit: float) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Pairs of segments that belong together, and which of them by being lines of one text."""
    reach = np.array([-_ROW, -_CELL_Y, _ROW, _CELL_Y]) * unit
    tree = shapely.STRtree(shapely.box(*boxes.T))
    found: list[tuple[IntArray, IntArray, NDArray[np.bool_]]] = []
    leading, pairs = _usual_leading(boxes, tree, unit), 0
    for start in range(0, len(boxes), _CHUNK):
        first, second = tree.query(shapely.box(*(boxes[start : start + _CHUNK] + reach).T), predicate="intersects")
        first = first + start
        first, second = first[first < second], second[first < second]
        a, b = boxes[first], boxes[second]
        dx = np.maximum(a[:, 0], b[:, 0]) - np.minimum(a[:, 2], b[:, 2])
        dy = np.maximum(a[:, 1], b[:, 1]) - np.minimum(a[:, 3], b[:, 3])
        heights = np.stack([a[:, 3] - a[:, 1], b[:, 3] - b[:, 1]])
        tall, flat = heights.max(0), heights.min(0)
        row = dy <= -0.5 * flat
        stacked = (tall <= 1.5 * flat) & (dx < 0) & (dy <= _PARAGRAPH * leading * unit)
        cells = short[first] & short[second] & (tall <= 2.5 * unit) & (dx <= np.where(row, _ROW, _CELL_X) * unit)
        near = stacked | cells | (row & (dx <= 2 * tall))
        found.append((first[near], second[near], stacked[near]))
        pairs += len(first)
        if pairs > _MOST_PAIRS:  # words piled on each other, by mistake or malice: what is joined so far has to do
            break
    firsts, seconds, lines = (np.concatenate(column) for column in zip(*found, strict=True))
    return firsts, seconds, lines


def _usual_leading(boxes: FloatArray, tree: shapely.STRtree, unit: float) -> float:
    """The median space between a line and the next one below it, in heights of the text."""
    below = np.stack([boxes[:, 0], boxes[:, 3], boxes[:, 2], boxes[:, 3] + 2 * unit], 1)[:_SAMPLE]
    first, second = tree.query(shapely.box(*below.T), predicate="intersects")
    gap = boxes[second, 1] - boxes[first, 3]
    first, gap = first[gap > -0.3 * unit], gap[gap > -0.3 * unit]
    closest = np.full(len(below), np.inf)
    np.minimum.at(closest, first, gap)
    closest = closest[np.isfinite(closest)]
    return float(np.clip(np.median(closest) / unit, 0.2, 1.0)) if len(closest) else 0.5


def _components(count: int, first: IntArray, second: IntArray) -> IntArray:
    """(count,) the connected component of each item, from 0: the smallest label spreads, and labels are followed up."""
    label = np.arange(count)
    while True:
        spread = label.copy()
        low = np.minimum(label[first], label[second])
        np.minimum.at(spread, label[first], low)
        np.minimum.at(spread, label[second], low)
        while not np.array_equal(spread, spread[spread]):
            spread = spread[spread]
        if np.array_equal(spread, label):
            found: IntArray = np.unique(label, return_inverse=True)[1].astype(np.int64)
            return found
        label = spread


def _extreme(block: IntArray, values: FloatArray, side: int) -> FloatArray:
    low = side < 2
    found = np.full(int(block.max()) + 1, np.inf if low else -np.inf)
    (np.minimum if low else np.maximum).at(found, block, values)
    return found


def _rows(boxes: FloatArray, block: IntArray) -> IntArray:
    """A line number for each segment: inside a block, a segment whose middle lies below the line begins a new one."""
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    order = np.lexsort((middle, block))
    rows = np.zeros(len(boxes), np.int64)
    row, bottom, last = 0, -np.inf, -1
    for item in order.tolist():
        if block[item] != last or middle[item] > bottom:
            row += 1
            bottom = boxes[item, 3]
        last = block[item]
        rows[item] = row
    return rows
