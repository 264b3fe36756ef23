"""Crops: inside the page, over everything selected, in reading order, within their tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.grids import llava_next_grid, qwen2_vl_grid
from pinpoint_data.token_grid import even_grid
from tests.training.refinement.selected import given_mask, grids, taken
from training.refinement import Refinement, crop_pages, make_crops, reading_order, selected_windows
from training.refinement.crops import MAX_ASPECT

BOXES = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 12)] * 2).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=12,
)


class TestCrops:
    @given(
        grids(), st.permutations(range(16)), st.floats(0.05, 1), st.sampled_from(["components", "windows"]), st.data()
    )
    @settings(max_examples=60, deadline=None)
    def test_they_hold_what_was_selected_and_stay_on_the_page(self, grid, order, share, regions, data):
        page = taken(grid, order, share)
        zoom, most = data.draw(st.sampled_from([0.5, 1.0, 2.0])), data.draw(st.none() | st.integers(1, 9))
        asked = Refinement(regions=regions, zoom=zoom, max_tokens_region=most)
        crops = crop_pages([page], [grid], asked)
        seen = np.zeros((grid.page_height, grid.page_width), dtype=bool)
        for crop in crops:
            x0, y0, x1, y1 = crop.xyxy
            assert 0 <= x0 < x1 <= grid.page_width
            assert 0 <= y0 < y1 <= grid.page_height
            assert crop.tokens >= 1
            assert most is None or crop.tokens <= most
            seen[y0:y1, x0:x1] = True
        for x0, y0, x1, y1 in grid.token_xyxy()[page.mask.ravel()]:
            # Whole pixels that the token touches; one that only grazes it by a rounding error is none.
            rows = slice(max(0, int(np.floor(y0 + 1e-5))), max(0, int(np.ceil(y1 - 1e-5))))
            cols = slice(max(0, int(np.floor(x0 + 1e-5))), max(0, int(np.ceil(x1 - 1e-5))))
            assert seen[rows, cols].all()
        # A crop has one token even where it deserves less; so those of one token may be too many.
        assert sum(crop.tokens for crop in crops if crop.tokens > 1) <= zoom**2 * page.mask.sum() + 1e-6
        assert crops == crop_pages([page], [grid], asked)

    def test_a_whole_page_is_one_crop_with_all_its_tokens(self):
        for grid in (qwen2_vl_grid(640, 480), llava_next_grid(1000, 1413)):
            (crop,) = crop_pages([given_mask(grid, np.ones((grid.rows, grid.cols)))], [grid], Refinement())
            assert crop.covered == crop.tokens == grid.n_tokens
            assert crop.xyxy[2] - crop.xyxy[0] >= 0.98 * grid.page_width

    def test_pages_come_one_after_the_other(self):
        grid = even_grid(4, 4, 40, 40, "test")
        mask = np.zeros((4, 4), dtype=bool)
        mask[0, 0] = mask[3, 3] = True
        crops = crop_pages(
            [given_mask(grid, mask), given_mask(grid, ~mask & False), given_mask(grid, mask)], [grid] * 3, Refinement()
        )
        assert [(crop.page_index, crop.xyxy) for crop in crops] == [
            (0, (0, 0, 10, 10)),
            (0, (30, 30, 40, 40)),
            (2, (0, 0, 10, 10)),
            (2, (30, 30, 40, 40)),
        ]

    def test_overlapping_windows_share_the_selected_tokens(self):
        grid = even_grid(6, 6, 60, 60, "test")
        rectangles = np.array([[0, 0, 4, 4], [2, 2, 6, 6]])
        crops = make_crops([rectangles], [grid], selected=28)
        assert [crop.covered for crop in crops] == [16, 16]
        assert [crop.tokens for crop in crops] == [14, 14]
        assert [crop.tokens for crop in make_crops([rectangles], [grid], 28, zoom=2.0)] == [56, 56]
        assert [crop.tokens for crop in make_crops([rectangles], [grid], 28, max_tokens_region=5)] == [5, 5]

    def test_a_long_strip_is_cut(self):
        grid = even_grid(60, 2, 20, 900, "test")
        mask = np.zeros((60, 2), dtype=bool)
        mask[:, 0] = True
        crops = crop_pages([given_mask(grid, mask)], [grid], Refinement())
        assert [crop.xyxy for crop in crops] == [(0, 225 * n, 10, 225 * (n + 1)) for n in range(4)]
        assert all((y1 - y0) / (x1 - x0) <= MAX_ASPECT for x0, y0, x1, y1 in (crop.xyxy for crop in crops))

    def test_a_window_inside_better_ones_is_left_out(self):
        grid = even_grid(2, 6, 60, 20, "test")  # windows of 3 columns at 0, 2 and 3
        page = taken(grid, [0, 2, 1], share=1.0)
        assert [np.flatnonzero(window[0]).tolist() for window in selected_windows(page)] == [[0, 1, 2], [3, 4, 5]]
        page = taken(grid, [0, 1, 2], share=1.0)
        assert [np.flatnonzero(window[0]).tolist() for window in selected_windows(page)] == [
            [0, 1, 2],
            [2, 3, 4],
            [3, 4, 5],
        ]
        exact = taken(grid, [0, 2, 1], share=1.0)
        exact.mask[:, 4:] = False  # an exact budget ends inside a window
        assert [np.flatnonzero(window[0]).tolist() for window in selected_windows(exact)] == [[0, 1, 2], [3]]


class TestReadingOrder:
    @given(BOXES, st.randoms())
    @settings(max_examples=60, deadline=None)
    def test_it_does_not_depend_on_the_order_given_and_goes_down(self, boxes, random):
        order = reading_order(boxes)
        assert sorted(order) == list(range(len(boxes)))
        shuffled = random.sample(range(len(boxes)), len(boxes))
        again = reading_order([boxes[index] for index in shuffled])
        assert [boxes[index] for index in order] == [boxes[shuffled[index]] for index in again]
        for place, later in enumerate(order):
            for earlier in order[:place]:
                below = boxes[earlier][1] >= boxes[later][3]
                beside = boxes[earlier][0] >= boxes[later][2] or boxes[earlier][2] <= boxes[later][0]
                assert beside or not below

    @pytest.mark.parametrize(
        ("boxes", "order"),
        [
            ([], []),
            ([(50, 12, 90, 30), (0, 10, 40, 30), (0, 40, 90, 50)], [1, 0, 2]),  # one line, the right one a bit lower
            ([(50, 0, 90, 18), (50, 20, 90, 40), (0, 5, 40, 45)], [2, 0, 1]),  # a tall one left of a stack
            ([(0, 0, 10, 10), (5, 5, 15, 15), (12, 0, 20, 4)], [0, 2, 1]),  # interlocked
        ],
    )
    def test_by_hand(self, boxes, order):
        assert reading_order(boxes) == order
