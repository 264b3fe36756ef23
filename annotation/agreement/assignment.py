"""The best one-to-one assignment between two sets of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def best_assignment(weights: FloatArray) -> IntArray:
    """Assign rows to columns, each at most once, so that the sum of weights is as large as it can be.

    The Hungarian method by shortest augmenting paths with potentials (Jonker & Volgenant, Computing 38, 1987),
    O(rows^2 columns) with rows <= columns. Equal sums are decided by the order of rows and columns alone.

    Args:
        weights: (n, m), not negative; a pair of weight 0 is never made.

    Returns:
        (k, 2) row and column of each pair, sorted by row.
    """
    if weights.shape[0] > weights.shape[1]:
        pairs = best_assignment(weights.T)[:, ::-1]
        return pairs[np.argsort(pairs[:, 0])]
    rows, columns = weights.shape
    if rows == 1:
        best = int(np.argmax(weights[0]))
        return np.array([[0, best]])[: int(weights[0, best] > 0)]
    # Column 0 and row 0 stand for "none"; `owner[c]` is the row that column c is given to.
    cost = np.zeros((rows + 1, columns + 1))
    cost[1:, 1:] = -weights
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.int64)
    for row in range(1, rows + 1):
        owner[0] = row
        column, slack = 0, np.full(columns + 1, np.inf)
        way, used = np.zeros(columns + 1, np.int64), np.zeros(columns + 1, bool)
        while owner[column]:
            used[column] = True
            reduced = cost[owner[column]] - row_price[owner[column]] - column_price
            better = ~used & (reduced < slack)
            slack[better], way[better] = reduced[better], column
            free = np.where(used, np.inf, slack)
            nearest = int(np.argmin(free[1:])) + 1
            step = free[nearest]
            row_price[owner[used]] += step
            column_price[used] -= step
            slack[~used] -= step
            column = nearest
        while column:
            owner[column] = owner[way[column]]
            column = int(way[column])
    pairs = np.array([(owner[c] - 1, c - 1) for c in range(1, columns + 1) if owner[c]], np.int64).reshape(-1, 2)
    pairs = pairs[weights[pairs[:, 0], pairs[:, 1]] > 0]
    return pairs[np.argsort(pairs[:, 0])]
