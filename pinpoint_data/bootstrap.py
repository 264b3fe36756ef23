"""Means over questions with confidence intervals that resample documents.

Questions of one document are not independent, so whole documents are drawn, with replacement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pinpoint_data.errors import UsageError

# Resamples drawn at once, to bound memory; the drawn numbers do not depend on it.
_CHUNK = 100


class Interval(NamedTuple):
    """A mean over questions and its confidence interval; one document gives no interval, and both ends are None."""

    mean: float
    low: float | None
    high: float | None


def bootstrap_means(
    values: ArrayLike, docs: ArrayLike, n: int = 1000, seed: int = 0, *, level: float = 0.95
) -> list[Interval]:
    """Means of several scores over the same questions, with percentile intervals over resampled documents.

    All scores share their resamples, so a difference of two of them can be given as one more score.

    Args:
        values: m scores of each question, shape (n_questions, m).
        docs: the document of each question, shape (n_questions,), of any sortable type.
        n: number of resamples.
        seed: seed of the random generator; equal seeds give equal intervals.
        level: confidence level.

    Returns:
        One interval a score.

    Raises:
        UsageError: the lengths differ, there is no question, or a value is not finite.
    """
    scores, names = np.asarray(values, np.float64), np.asarray(docs)
    if scores.ndim != 2 or scores.shape[:1] != names.shape or not len(scores):
        raise UsageError(
            f"values and docs must have shapes (n, m) and (n,) with n >= 1, got {scores.shape} and {names.shape}"
        )
    if not np.isfinite(scores).all():
        raise UsageError(f"values must be finite, got {int((~np.isfinite(scores)).sum())} that are not")
    means = scores.mean(0).tolist()
    _, doc = np.unique(names, return_inverse=True)
    counts = np.bincount(doc)
    if len(counts) == 1:
        return [Interval(mean, None, None) for mean in means]
    sums = np.stack([np.bincount(doc, column) for column in scores.T], 1)
    rng = np.random.default_rng(seed)
    share = np.full(len(counts), 1 / len(counts))
    drawn = np.empty((n, scores.shape[1]))
    for first in range(0, n, _CHUNK):
        times = rng.multinomial(len(counts), share, size=min(_CHUNK, n - first))
        drawn[first : first + _CHUNK] = (times @ sums) / (times @ counts)[:, None]
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0).T.tolist()
    return [Interval(mean, low, high) for mean, (low, high) in zip(means, ends, strict=True)]


def bootstrap_mean(
    values: ArrayLike, docs: ArrayLike, n: int = 1000, seed: int = 0, *, level: float = 0.95
) -> Interval:
    """Mean of one score (n_questions,) over questions, with an interval as in `bootstrap_means`."""
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1:
        raise UsageError(f"values must have shape (n,), got {scores.shape}")
    return bootstrap_means(scores[:, None], docs, n, seed, level=level)[0]


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, docs: ArrayLike, n: int = 1000, seed: int = 0, *, level: float = 0.95
) -> Interval:
    """Mean of a - b over the same questions, paired, with an interval as in `bootstrap_means`."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise UsageError(f"a and b must have the same shape, got {first.shape} and {second.shape}")
    return bootstrap_mean(first - second, docs, n, seed, level=level)
