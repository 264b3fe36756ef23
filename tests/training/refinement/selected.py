"""Selections made by hand, and grids of any shape."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pinpoint_data.token_grid import TokenGrid
from pinpoint_data.windows import WindowSpec
from tests.training.views import page_view
from training.selection.select import SelectedPage


@st.composite
def grids(draw, page=None, most=9):
    """Uneven cells whose ends may lie up to half a cell inside or outside the page."""
    width, height = page or (draw(st.integers(1, 400)), draw(st.integers(1, 400)))
    return TokenGrid(_edges(draw, width, most), _edges(draw, height, most), width, height, "test")


def _edges(draw, size, most):
    parts = draw(st.lists(st.floats(0.5, 2), min_size=1, max_size=most))
    edges = np.concatenate([[0], np.cumsum(parts)]) / sum(parts) * size
    edges[0] += draw(st.floats(-0.49, 0.49)) * (edges[1] - edges[0])
    edges[-1] += draw(st.floats(-0.49, 0.49)) * (edges[-1] - edges[-2])
    return edges


def taken(grid, order, share, spec=None):
    """The page of which windows were taken in the order given until a share of its tokens is covered."""
    view = page_view(grid, spec=spec or WindowSpec(3, 2, 2))
    rank = np.resize(np.asarray(order), len(view.windows)).argsort(kind="stable").argsort(kind="stable")
    mask = np.zeros((grid.rows, grid.cols), dtype=bool)
    for window in np.argsort(rank):
        if mask.mean() >= share:
            break
        r0, c0, r1, c1 = view.windows.rows_cols[window]
        mask[r0:r1, c0:c1] = True
    return SelectedPage(view, -rank.astype(float), rank + 1, mask)


def given_mask(grid, mask):
    """The page of which these tokens were taken, whatever the windows."""
    view = page_view(grid)
    places = np.arange(len(view.windows))
    return SelectedPage(view, -places.astype(float), places + 1, np.asarray(mask, dtype=bool))
