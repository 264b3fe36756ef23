"""Tiles of large pages, and the merge of their words."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from pinpoint_data.words.base import PageWords
from pinpoint_data.words.tiles import Tiling, merge_tiles, read_tiled

TILING = Tiling(width=300, height=200, overlap_x=80, overlap_y=50)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_tiles_cover_the_page_and_overlap_enough(width, height):
    tiling = Tiling()
    tiles = tiling.tiles(width, height)
    for axis, (length, largest, overlap) in enumerate([(width, 3200, 640), (height, 1600, 256)]):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in tiles})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(0 < stop - start <= largest for start, stop in spans)
        assert all(before[1] - after[0] >= overlap for before, after in pairwise(spans))
    assert len(tiles) == len(set(tiles))


def test_a_page_of_one_tile_is_read_once_and_whole():
    assert Tiling().tiles(1200, 1600) == [(0, 0, 1200, 1600)]


def test_tiles_no_larger_than_their_overlap_are_refused():
    with pytest.raises(UsageError):
        Tiling(width=100, overlap_x=100)


@st.composite
def pages(draw):
    """A page size, and words on it that do not touch and are smaller than the overlap."""
    width, height = draw(st.integers(60, 1000)), draw(st.integers(60, 1000))
    boxes, y = [], draw(st.integers(0, 30))
    while y < height - 4:
        tall = draw(st.integers(4, 44))
        x = draw(st.integers(0, 60))
        while x < width - 4 and len(boxes) < 40:
            wide = draw(st.integers(4, 74))
            if x + wide <= width and y + tall <= height:
                boxes.append((x, y, x + wide, y + tall))
            x += wide + draw(st.integers(4, 200))
        y += tall + draw(st.integers(4, 120))
    return width, height, np.array(boxes, dtype=float).reshape(-1, 4)


def seen_by(tile, boxes, jitter):
    """What a recogniser sees of the page through a tile: whole words, and pieces of the cut ones, each its own line."""
    corner = np.array([*tile[:2], *tile[:2]], dtype=float)
    size = np.array([tile[2] - tile[0], tile[3] - tile[1]] * 2, dtype=float)
    moved = boxes + jitter - corner
    shown = np.clip(moved, 0, size)
    # A sliver of a word is not recognised as anything.
    visible = (shown[:, 2] > shown[:, 0] + 2) & (shown[:, 3] > shown[:, 1] + 2)
    whole = (np.clip(boxes - corner, 0, size) == boxes - corner).all(axis=1)
    texts = [f"w{i}" if whole[i] else f"piece of w{i}" for i in np.flatnonzero(visible)]
    return PageWords(texts, shown[visible], np.flatnonzero(visible), np.ones(int(visible.sum())), "fake")


def merged(page, jitter_of):
    width, height, boxes = page
    tiles = TILING.tiles(width, height)
    found = []
    for tile in tiles:
        words = seen_by(tile, boxes, jitter_of(len(boxes)))
        corner = np.array([*tile[:2], *tile[:2]], dtype=float)
        found.append(PageWords(words.texts, words.xyxy + corner, words.lines, words.confidence, words.engine))
    return merge_tiles(tiles, found, width, height)


@given(pages())
def test_every_word_smaller_than_the_overlap_survives_exactly_once(page):
    boxes = page[2]
    words = merged(page, lambda n: np.zeros((n, 4)))
    assert Counter(words.texts) == Counter(f"w{i}" for i in range(len(boxes)))
    for text, box in zip(words.texts, words.xyxy, strict=True):
        assert np.allclose(box, boxes[int(text[1:])], atol=1e-9)


@given(pages(), st.integers(0, 2**32 - 1))
def test_doubles_are_found_though_their_boxes_differ_a_little(page, seed):
    random = np.random.default_rng(seed)
    # So little that even a piece of 2 x 2 pixels shares more than half of itself with the whole word.
    words = merged(page, lambda n: random.uniform(-0.25, 0.25, (n, 4)))
    assert Counter(words.texts) == Counter(f"w{i}" for i in range(len(page[2])))


def test_a_line_read_whole_above_and_split_below_is_not_doubled():
    tiles = [(0, 0, 100, 100), (0, 60, 100, 160)]
    above = PageWords(["don't"], np.array([[10.0, 70, 60, 80]]), np.array([0]))
    below = PageWords(["don", "'t"], np.array([[10.0, 70, 42, 80], [43, 70, 60, 80]]), np.array([0, 0]))
    words = merge_tiles(tiles, [above, below], 100, 160)
    assert words.texts == ["don't"]


def test_neighbours_in_one_tile_never_drop_each_other():
    tiles = [(0, 0, 100, 100), (0, 60, 100, 160)]
    nested = PageWords(["big", "small"], np.array([[10.0, 10, 60, 40], [12, 32, 20, 40]]), np.array([0, 1]))
    assert merge_tiles(tiles, [nested, PageWords()], 100, 160).texts == ["big", "small"]


def test_read_tiled_moves_words_to_the_page_and_keeps_reading_order():
    marks = [(30, 20), (30, 190), (30, 350), (30, 590)]
    pixels = np.zeros((640, 200, 3), dtype=np.uint8)
    for place, (x, y) in enumerate(marks):
        pixels[y : y + 10, x : x + 40] = place + 1

    def recognise(tile):
        found = [value for value in np.unique(tile) if value]
        spots = [np.argwhere(tile[:, :, 0] == value) for value in found]
        boxes = [[*spot.min(axis=0)[::-1], *(spot.max(axis=0)[::-1] + 1)] for spot in spots]
        return PageWords(
            [f"mark{value}" for value in found],
            np.array(boxes, dtype=float).reshape(-1, 4),
            np.arange(len(found)),
            np.full(len(found), 0.5),
            "fake",
        )

    words = read_tiled(pixels, TILING, recognise)
    assert words.texts == ["mark1", "mark2", "mark3", "mark4"]
    assert words.xyxy.tolist() == [[x, y, x + 40, y + 10] for x, y in marks]
    assert words.lines.tolist() == [0, 1, 2, 3]
    assert words.engine == "fake"
