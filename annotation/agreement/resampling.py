"""Sums over questions, resampled by document: one draw serves every measure.

The draws are those of `pinpoint_data.bootstrap`: the same seed and documents give the same intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.results import Estimate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CHUNK = 100
_LEVEL = 0.95


def resampled(columns: FloatArray, docs: IntArray, draws: int, seed: int) -> FloatArray:
    """(draws, M) sums of columns (Q, M) over questions of documents drawn with replacement.

    None where there are fewer than two documents: an interval of no width would say that the figure is certain.
    """
    names, doc = np.unique(docs, return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, doc, columns)
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1 / max(1, len(names)))
    found = [np.empty((0, columns.shape[1]))]
    for start in range(0, draws if len(names) > 1 else 0, _CHUNK):
        found.append(rng.multinomial(len(names), share, size=min(_CHUNK, draws - start)) @ sums)
    return np.concatenate(found)


class Sums:
    """Collects the columns of several measures, then gives the estimate of each.

    Args:
        docs: (Q,) document of each question.
        draws: Resamples; 0 for no intervals.
        seed: Seed.
    """

    def __init__(self, docs: IntArray, draws: int, seed: int) -> None:
        self._docs, self._draws, self._seed = docs, draws, seed
        self._columns: list[FloatArray] = []
        self._measures: list[tuple[slice, Callable[[FloatArray], FloatArray], int]] = []

    def add(self, columns: FloatArray, measure: Callable[[FloatArray], FloatArray], count: int) -> int:
        """Take columns (Q, m) whose sums (r, m) `measure` turns into values (r,). Returns the estimate's place."""
        start = sum(column.shape[1] for column in self._columns)
        self._columns.append(columns)
        self._measures.append((slice(start, start + columns.shape[1]), measure, count))
        return len(self._measures) - 1

    def add_mean(self, values: FloatArray) -> int:
        """Take a value a question (Q,), NaN where it is undefined, for the mean of the others."""
        known = np.isfinite(values)
        columns = np.stack([np.where(known, values, 0), known.astype(np.float64)], 1)
        return self.add(columns, _ratio, int(known.sum()))

    def estimates(self) -> Sequence[Estimate]:
        """The estimate of each measure, in the order they were added."""
        columns = np.concatenate(self._columns, 1)
        whole, draws = columns.sum(0)[None], resampled(columns, self._docs, self._draws, self._seed)
        return [
            _estimate(float(measure(whole[:, part])[0]), measure(draws[:, part]), count)
            for part, measure, count in self._measures
        ]


def _ratio(sums: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = sums[:, 0] / sums[:, 1]
    return found


def _estimate(value: float, draws: FloatArray, count: int) -> Estimate:
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value):
        return Estimate(None, count=count)
    if not len(known):
        return Estimate(value, count=count)
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(value, float(low), float(high), count)
