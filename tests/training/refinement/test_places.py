"""A selection on one grid, as tokens of another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.grids import llava_next_grid, patch_grid, qwen2_vl_grid
from pinpoint_data.token_grid import even_grid
from tests.training.refinement.selected import grids
from training.refinement import project_mask

PAGE = (320, 240)


def cell_of(grid, x, y):
    """The cell with the point; the nearest one where the point lies outside the grid."""
    boxes = grid.token_xyxy()
    x0, y0, x1, y1 = grid.extent
    x, y = min(max(x, x0), x1 - 1e-9), min(max(y, y0), y1 - 1e-9)
    (found,) = np.flatnonzero((boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3]))
    return int(found)


@given(grids(PAGE), grids(PAGE), st.integers(0, 2**20), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_a_token_is_selected_if_and_only_if_its_centre_lies_in_a_selected_cell(source, target, seed, share):
    mask = np.random.default_rng(seed).random((source.rows, source.cols)) < share
    found = project_mask(mask, source, target)
    assert found.shape == (target.rows, target.cols)
    centre = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in target.token_xyxy()]
    expected = np.array([mask.ravel()[cell_of(source, x, y)] for x, y in centre])
    if expected.any() or not mask.any():
        assert np.array_equal(found.ravel(), expected)
    else:
        assert found.any()
    assert not project_mask(np.zeros_like(mask), source, target).any()
    assert project_mask(np.ones_like(mask), source, target).all()


def test_one_small_cell_selects_the_tokens_around_its_middle():
    source, target = even_grid(20, 2, 80, 80, "fine"), even_grid(4, 8, 80, 80, "coarse")
    mask = np.zeros((20, 2), dtype=bool)
    mask[1, 1] = True  # y 4 to 8, in the first row of tokens, whose centre is at 10; x 40 to 80
    assert np.argwhere(project_mask(mask, source, target)).tolist() == [[0, 4], [0, 5], [0, 6], [0, 7]]


def test_real_grids_of_one_page():
    page = (1700, 2200)
    words, qwen, llava = patch_grid(*page), qwen2_vl_grid(*page), llava_next_grid(*page)
    mask = np.zeros((words.rows, words.cols), dtype=bool)
    mask[10:20, 5:15] = True
    for grid in (qwen, llava):
        found = project_mask(mask, words, grid)
        x0, y0 = words.x_edges[5], words.y_edges[10]
        x1, y1 = words.x_edges[15], words.y_edges[20]
        share = grid.evidence_area([[x0, y0, x1, y1]]).reshape(found.shape)[found].sum() / ((x1 - x0) * (y1 - y0))
        assert share > 0.9
    assert project_mask(mask, words, words) is mask
