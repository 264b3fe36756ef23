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
_LEADING = 1.1  # between the lines of a paragraph, in heights of their text
_CELL_X, _CELL_Y = 7.0, 2.2  # between cells, in heights of the page's text


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of a page.

    Attributes:
        xyxy: (b, 4) envelopes, from top to bottom.
        of_word: (n,) the block of each word.
        scattered: (b,) whether a block is made of short segments: a table or a chart, not running text.
        reading_order: (n,) words block by block, line by line.
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
    first, second = _joined(boxes, counts <= _SHORT_WORDS, unit)
    label = _components(len(boxes), first, second)
    top, left = (np.full(label.max() + 1, np.inf) for _ in range(2))
    np.minimum.at(top, label, boxes[:, 1])
    np.minimum.at(left, label, boxes[:, 0])
    rank = np.empty(len(top), np.int64)
    rank[np.lexsort((left, top))] = np.arange(len(top))
    block = rank[label]
    xyxy = np.stack([_extreme(block, boxes[:, side], side) for side in range(4)], 1)
    short, long = (np.bincount(block, np.where(counts <= _SHORT_WORDS, counts, 0) if s else counts) for s in (1, 0))
    of_word = np.repeat(block, counts)
    rows = _rows(boxes, block)
    order = np.lexsort((np.repeat(boxes[:, 0], counts), np.repeat(rows, counts), of_word))
    return Blocks(xyxy, of_word, short > 0.5 * long, order)


def _joined(boxes: FloatArray, short: NDArray[np.bool_], unit: float) -> tuple[IntArray, IntArray]:
    """Pairs of segments that belong together."""
    grown = shapely.box(*(boxes + np.array([-_CELL_X, -_CELL_Y, _CELL_X, _CELL_Y]) * unit).T)
    first, second = shapely.STRtree(shapely.box(*boxes.T)).query(grown, predicate="intersects")
    first, second = first[first < second], second[first < second]
    a, b = boxes[first], boxes[second]
    dx = np.maximum(a[:, 0], b[:, 0]) - np.minimum(a[:, 2], b[:, 2])
    dy = np.maximum(a[:, 1], b[:, 1]) - np.minimum(a[:, 3], b[:, 3])
    heights = np.stack([a[:, 3] - a[:, 1], b[:, 3] - b[:, 1]])
    alike = heights.max(0) <= 1.5 * heights.min(0)
    stacked = alike & (dx < 0) & (dy <= _LEADING * heights.min(0))
    beside = (dy <= -0.5 * heights.min(0)) & (dx <= 2 * heights.max(0))
    cells = short[first] & short[second] & (heights.max(0) <= 2.5 * unit)
    near = stacked | beside | cells
    return first[near], second[near]


def _components(count: int, first: IntArray, second: IntArray) -> IntArray:
    """(count,) the smallest member of each item's connected component, renumbered from 0."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    labels: IntArray = np.unique([root(item) for item in range(count)], return_inverse=True)[1].astype(np.int64)
    return labels


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
