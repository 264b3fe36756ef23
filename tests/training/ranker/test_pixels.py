"""Ink, colours and means of painted pages, against loops."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.grids import patch_grid
from tests.domain.strategies import quick
from tests.training.ranker.build import page_map, read, token_box
from tests.training.views import square_grid, words_of
from training.ranker.page import PAGE_FEATURES, read_page
from training.ranker.pixels import COLOURS, SIDE, read_pixels, token_means
from training.ranker.squares import square_max

PAINTS = {
    "red": (220, 30, 30),
    "orange": (240, 140, 20),
    "yellow": (240, 230, 30),
    "green": (20, 150, 40),
    "cyan": (20, 200, 220),
    "blue": (20, 40, 220),
    "purple": (130, 20, 220),
    "pink": (240, 40, 180),
    "black": (10, 10, 10),
    "grey": (150, 150, 150),
    "white": (255, 255, 255),
}


@pytest.mark.parametrize("name", COLOURS)
def test_a_painted_square_has_its_colour(name):
    page = read(draw=lambda pen: pen.rectangle((30, 20, 59, 49), fill=PAINTS[name]))
    painted = page.colours[COLOURS.index(name)] == 1
    assert painted[2:5, 3:6].all()
    if name != "white":
        assert painted.sum() == 9 and (page.colours[COLOURS.index("white")] == ~painted).all()
    assert page.colours.sum(axis=0) == pytest.approx(np.ones((10, 14)))


@quick
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_is_named_by_its_hue_and_else_by_its_brightness(rgb):
    grid = square_grid(2, 2, 4)
    found = read_pixels(grid, Image.new("RGB", (8, 8), rgb)).colours[:, 0, 0]
    red, green, blue = (value / 255 for value in rgb)
    hue = colorsys.rgb_to_hsv(red, green, blue)[0] * 360
    ends = dict(zip((15, 40, 70, 160, 200, 255, 290, 345, 361), (*COLOURS[:8], "red"), strict=True))
    hues = {ends[min(end for end in ends if turned < end)] for turned in (hue - 1e-3, hue + 1e-3)}
    most, least = max(red, green, blue), min(red, green, blue)
    plain = "black" if most < 0.35 else "grey" if most < 0.85 else "white"
    expected = hues if most - least > 0.18 else {plain}
    assert COLOURS[int(found.argmax())] in expected and found.sum() == 1


class TestInk:
    @pytest.mark.parametrize("paper", ["white", "black", (20, 40, 90)])
    def test_is_what_differs_from_the_paper(self, paper):
        page = read(draw=lambda pen: pen.rectangle((20, 20, 39, 39), fill=(200, 60, 60)), colour=paper)
        ink = page_map(page, "ink")
        assert (ink[2:4, 2:4] == 1).all() and ink.sum() == 4
        assert page_map(page, "drawn")[2, 2] == 1  # no word covers it

    def test_under_a_word_is_not_drawn(self):
        page = read([("a", (2, 2, 4, 3))], draw=lambda pen: pen.rectangle((20, 20, 39, 39), fill="black"))
        assert page_map(page, "ink")[2:4, 2:4].tolist() == [[1, 1], [1, 1]]
        assert page_map(page, "drawn")[2:4, 2:4].tolist() == [[0, 0], [1, 1]]

    def test_the_background_is_the_median_of_the_pixels_channel_by_channel(self):
        rng = np.random.default_rng(0)
        for shape in ((12, 8), (4, 4)):
            rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
            grid = square_grid(shape[0] // 4, shape[1] // 4, 4)
            found = read_pixels(grid, Image.fromarray(rgb))
            paper = [np.median(rgb[..., channel]) / 255 for channel in range(3)]
            assert found.background == pytest.approx(np.mean(paper))
            apart = np.abs(rgb / 255 - paper).max(axis=-1)
            clear = np.abs(apart - 0.12) > 1e-5
            assert ((apart > 0.12) == found.ink)[clear].all()


def test_means_of_a_token_match_a_loop():
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    found = read_pixels(square_grid(3, 5, 4), Image.fromarray(rgb)).means
    values = rgb / 255
    for row in range(3):
        for col in range(5):
            sums = dict.fromkeys(found, 0.0)
            for y in range(4 * row, 4 * row + 4):
                for x in range(4 * col, 4 * col + 4):
                    pixel, right, under = values[y, x], values[y, min(x + 1, 19)], values[min(y + 1, 11), x]
                    sums["brightness"] += sum(pixel) / 3
                    sums["saturation"] += max(pixel) - min(pixel)
                    sums["edge-x"] += abs(sum(right) - sum(pixel)) / 3
                    sums["edge-y"] += abs(sum(under) - sum(pixel)) / 3
                    sums["off-background"] += max(abs(pixel - np.median(values, axis=(0, 1))))
            for name, total in sums.items():
                assert found[name][row, col] == pytest.approx(total / 16, abs=1e-5), name


@quick
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_token_means_match_a_loop(rows, cols, seed):
    values = np.random.default_rng(seed).normal(size=(rows * SIDE, cols * SIDE)).astype(np.float32)
    found = token_means(square_grid(rows, cols), values)
    for row in range(rows):
        for col in range(cols):
            own = [values[y, x] for y in range(4 * row, 4 * row + 4) for x in range(4 * col, 4 * col + 4)]
            assert found[row, col] == pytest.approx(sum(own) / 16, abs=1e-5)


@quick
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 9), st.integers(0, 99))
def test_the_greatest_value_of_a_square_matches_a_loop(rows, cols, radius, seed):
    values = np.random.default_rng(seed).random((2, rows, cols))
    found = square_max(values, radius)
    bits = square_max(values > 0.8, radius)
    for layer, y, x in np.ndindex(2, rows, cols):
        near = values[layer, max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        assert found[layer, y, x] == near.max() and bits[layer, y, x] == (near.max() > 0.8)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 700), (28, 28)])
def test_pages_of_any_shape_are_read(size):
    grid = patch_grid(*size)
    words = words_of([("Total", (0, 0, size[0], size[1] / 2))])
    page = read_page(grid, words, Image.new("RGB", size, "red"))
    assert page.features.shape == (grid.n_tokens, len(PAGE_FEATURES)) and np.isfinite(page.features).all()
    assert page.colours[COLOURS.index("red")].min() == 1
    assert page_map(page, "aspect")[0, 0] == pytest.approx(size[0] / size[1])


def test_what_a_page_has_as_a_whole():
    page = read(
        [("12", (0, 0, 7, 1)), ("a", (0, 4, 7, 5))],
        draw=lambda pen: pen.rectangle(token_box(0, 6, 13.99, 9.99), fill="blue"),
    )
    for name, value in (
        ("page-covered", 14 / 140),
        ("page-digits", 7 / 140),
        ("page-drawn", 0.4),
        ("page-saturation", 0.4),
        ("page-words", 2 / 500),
        ("page-runs", 2 / 200),
        ("page-letter-height", 10),
        ("aspect", 1.4),
    ):
        assert page_map(page, name) == pytest.approx(np.full((10, 14), value), abs=1e-3), name


def test_blurs_are_means_over_squares_and_nothing_beyond_the_page():
    page = read([("a", (3, 4, 4, 5)), ("b", (0, 0, 1, 1))])
    covered, blurred = page_map(page, "covered"), page_map(page, "covered~5")
    for y, x in np.ndindex(10, 14):
        near = covered[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        assert blurred[y, x] == pytest.approx(near.sum() / 25, abs=1e-6)
