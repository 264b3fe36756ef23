"""Blocks against a flood fill, and what is told of them for known drawings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.strategies import boxes, quick
from tests.training.ranker.build import page_map, read, token_box
from tests.training.views import square_grid
from training.ranker.blocks import RADII, find_blocks, word_mask
from training.ranker.page import PAGE_FEATURES
from training.ranker.pixels import SIDE


def flood(cells: np.ndarray) -> np.ndarray:
    """Numbers of the connected parts (edges, not corners), by walking."""
    numbers = np.zeros(cells.shape, int)
    found = 0
    for start in zip(*np.nonzero(cells), strict=True):
        if numbers[start]:
            continue
        found += 1
        stack = [start]
        while stack:
            y, x = stack.pop()
            inside = 0 <= y < cells.shape[0] and 0 <= x < cells.shape[1]
            if inside and cells[y, x] and not numbers[y, x]:
                numbers[y, x] = found
                stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return numbers


def dilate(cells: np.ndarray, radius: int) -> np.ndarray:
    grown = np.zeros_like(cells)
    for y, x in zip(*np.nonzero(cells), strict=True):
        grown[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = True
    return grown


@quick
@given(boxes(high=6, size=40), st.integers(-15, 15), st.integers(-15, 15))
def test_cells_under_words_match_a_loop(xyxy, right, down):
    grid = square_grid(4, 4)
    in_tokens = (xyxy + np.tile([right, down], 2)) / 10
    mask = word_mask(grid, in_tokens)
    assert mask.shape == (16, 16)
    for y, x in np.ndindex(16, 16):
        touched = any(
            x < np.ceil(x1 * SIDE) and x + 1 > np.floor(x0 * SIDE)
            and y < np.ceil(y1 * SIDE) and y + 1 > np.floor(y0 * SIDE)
            for x0, y0, x1, y1 in in_tokens
        )  # fmt: skip
        assert mask[y, x] == touched


@quick
@given(st.integers(0, 999), st.sampled_from(RADII), st.floats(0, 0.2))
def test_blocks_match_a_flood_fill(seed, radius, share):
    rng = np.random.default_rng(seed)
    page = read([("a", (1, 1, 2, 1.5)), ("b", (4, 3, 6, 4))], rows=5, cols=7)
    inked = rng.random((20, 28)) < share
    worded = word_mask(page.grid, page.words.boxes)
    tokens = {name: np.ones(35, np.float32) for name in ("covered", "digits", "covered-height", "saturation")}
    found = find_blocks(page.grid, radius, inked, worded, page.words, tokens)
    numbers = flood(dilate(inked | worded, radius))
    assert found.count == numbers.max()
    for token in range(35):
        row, col = divmod(token, 7)
        own = numbers[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        touched = {found.token[token]} if own.any() else {0}
        # Numbers are as good as any others as long as both number the same parts.
        assert (found.token[token] == 0) == (not own.any()) and len(touched) == 1
    of_token = {}
    for token in np.flatnonzero(found.token):
        row, col = divmod(int(token), 7)
        own = set(numbers[4 * row : 4 * row + 4, 4 * col : 4 * col + 4].ravel()) - {0}
        known = of_token.setdefault(int(found.token[token]), own)
        of_token[int(found.token[token])] = known & own
    assert all(of_token.values())  # all tokens of a block touch one and the same part
    for word, (x, y) in enumerate(((6, 5), (20, 14))):
        assert (found.word[word] > 0) and numbers[y, x] in of_token.get(int(found.word[word]), {numbers[y, x]})


@pytest.fixture(scope="module")
def page():
    """A filled chart of 4 x 3 tokens at (2, 1), and a line of text at the foot."""
    text = [("Total", (1, 8, 3, 8.5)), ("42", (3.25, 8, 4.25, 8.5))]
    return read(text, draw=lambda pen: pen.rectangle((20, 10, 59, 39), fill=(220, 30, 30)))


class TestDrawing:
    def value(self, page, name, row, col):
        return page_map(page, f"block1-{name}")[row, col]

    def test_there_are_two_blocks_and_background(self, page):
        blocks = page.blocks[0]
        token = blocks.token.reshape(10, 14)
        assert blocks.count == 2
        assert token[2, 3] != token[8, 2] and 0 not in (token[2, 3], token[8, 2]) and token[6, 10] == 0
        assert blocks.word.tolist() == [token[8, 2]] * 2

    def test_extent(self, page):
        # A cell is a quarter of a token, and each side grows by one.
        assert self.value(page, "width", 2, 3) == pytest.approx(18 / 56)
        assert self.value(page, "height", 2, 3) == pytest.approx(14 / 40)
        assert self.value(page, "area", 2, 3) == pytest.approx(18 * 14 / (40 * 56))
        assert self.value(page, "x", 2, 3) == pytest.approx(4 / 14)
        assert self.value(page, "y", 2, 3) == pytest.approx(2.5 / 10)
        assert self.value(page, "filled", 2, 3) == 1
        assert self.value(page, "count", 2, 3) == 2

    def test_what_it_is_made_of(self, page):
        assert self.value(page, "drawn", 2, 3) == pytest.approx(16 * 12 / (18 * 14))
        assert self.value(page, "worded", 2, 3) == 0 == self.value(page, "drawn", 8, 2)
        # Words of 8 and 4 by 2 cells, a cell apart, and one more each way.
        assert self.value(page, "worded", 8, 2) == pytest.approx(12 * 2 / (15 * 4))
        # 12 painted tokens of the 6 x 5 it touches.
        assert self.value(page, "saturation", 2, 3) == pytest.approx(190 / 255 * 12 / 30, abs=1e-5)
        assert self.value(page, "saturation", 8, 2) == 0
        assert self.value(page, "digits", 8, 2) == pytest.approx(1 / 3, abs=1e-3)
        assert self.value(page, "digits", 2, 3) == 0

    def test_ink_under_a_word_is_not_drawn(self):
        printed = read([("a", (2, 2, 6, 3))], draw=lambda pen: pen.rectangle(token_box(2, 2, 5.99, 4.99), fill="black"))
        # 16 x 12 cells of ink, 4 rows of them under the word.
        assert self.value(printed, "drawn", 3, 3) == pytest.approx(16 * 8 / (18 * 14))
        assert self.value(printed, "worded", 3, 3) == pytest.approx(16 * 4 / (18 * 14))

    def test_place_within(self, page):
        # From cell 7 on, 18 cells wide; token 3 has its middle at cell 14.
        assert self.value(page, "x-within", 2, 3) == pytest.approx((14 - 7) / 18)
        assert self.value(page, "y-within", 2, 3) == pytest.approx((10 - 3) / 14)

    def test_background_has_nothing_but_its_place(self, page):
        columns = [PAGE_FEATURES.index(name) for name in PAGE_FEATURES if name.startswith("block1-")]
        values = dict(zip([PAGE_FEATURES[c] for c in columns], page.features[6 * 14 + 10, columns], strict=True))
        assert values.pop("block1-x-within") == pytest.approx(10.5 / 14)
        assert values.pop("block1-y-within") == pytest.approx(6.5 / 10)
        assert not any(values.values())

    def test_a_larger_radius_joins_what_is_near(self):
        near = read(
            [("Title", (2, 0.5, 5, 0.9))], draw=lambda pen: pen.rectangle(token_box(2, 1.9, 5.99, 3.99), fill="black")
        )
        assert [blocks.count for blocks in near.blocks] == [2, 1]


def test_an_empty_page_has_no_blocks():
    page = read()
    assert [blocks.count for blocks in page.blocks] == [0, 0]
    assert not any(blocks.token.any() for blocks in page.blocks)
