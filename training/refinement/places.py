"""From one token grid of a page to another: which token stands where.

One rule serves all: a point belongs to the token that holds it, and beyond a grid's edges (LLaVA-NeXT's mosaic ends up
to half a token inside the page, or outside) to the nearest one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pinpoint_data.token_grid import TokenGrid
from training.selection.regions import Mask

Points = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


def centres(edges: Points) -> Points:
    """(n,) the middles between n + 1 edges."""
    return (edges[:-1] + edges[1:]) / 2


def cells_at(edges: Points, points: Points) -> Index:
    """The cell between `edges` (n + 1,) that each point is in, 0 to n - 1; the outermost cells have no outer end."""
    return np.searchsorted(edges[1:-1], points, side="right").astype(np.int64)


def project_mask(mask: Mask, source: TokenGrid, target: TokenGrid) -> Mask:
    """The tokens of `target` that a mask on `source` selects, both grids of one page.

    A token is selected if and only if its centre lies in a selected cell of `source`. Where that selects none though
    the mask is not empty (cells much smaller than tokens), the tokens that hold the middle of a selected cell are.

    Args:
        mask: (rows, cols) of `source`.
        source: The grid that was selected on.
        target: The grid to select on.

    Returns:
        (rows, cols) of `target`.
    """
    if source == target:
        return mask
    rows = cells_at(source.y_edges, centres(target.y_edges))
    cols = cells_at(source.x_edges, centres(target.x_edges))
    found: Mask = mask[np.ix_(rows, cols)]
    if not found.any():
        for row, col in zip(*np.nonzero(mask), strict=True):
            down = _tokens_in(row, rows, cells_at(target.y_edges, centres(source.y_edges)))
            across = _tokens_in(col, cols, cells_at(target.x_edges, centres(source.x_edges)))
            found[np.ix_(down, across)] = True
    return found


def _tokens_in(cell: int, cell_of_token: Index, token_of_cell: Index) -> Index:
    """Along one axis: the tokens whose centres lie in a cell; else the token that holds the cell's centre."""
    inside = np.flatnonzero(cell_of_token == cell)
    return inside if len(inside) else token_of_cell[cell : cell + 1]
