"""Means over questions with confidence intervals that resample documents.

Questions of one document are not independent, so whole documents are drawn, with replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import UsageError

# Resamples drawn at once, and scores compared at once, to bound memory; no figure depends on them.
_CHUNK = 100
_PAIRS = 1000


class Interval(NamedTuple):
    """A mean over questions and its confidence interval; one document gives no interval, and both ends are None."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class ResampledMeans:
    """Means of m scores over the same questions: as they are, and in every resample of the documents.

    All scores share their resamples, so any two can be compared: paired, and without drawing again.

    Attributes:
        means: (m,).
        drawn: (n, m), one row a resample; None where there is one document, and so nothing to draw from.
    """

    means: FloatArray
    drawn: FloatArray | None

    @classmethod
    def of(cls, columns: Iterable[ArrayLike], docs: ArrayLike, n: int = 1000, seed: int = 0) -> ResampledMeans:
        """Draw documents with replacement, as many as there are, n times.

        Args:
            columns: m scores of each question, each of shape (n_questions,). Only their sums by document are kept.
            docs: the document of each question, shape (n_questions,), of any sortable type.
            n: number of resamples.
            seed: seed of the random generator; equal seeds and numbers of documents give equal draws.

        Raises:
            UsageError: the lengths differ, there is no question, or a score is not finite.
        """
        _, doc = np.unique(np.asarray(docs), return_inverse=True)
        counts = np.bincount(doc)
        by_doc = [_sums(column, doc) for column in columns]
        means = np.array([mean for mean, _ in by_doc])
        if len(counts) == 1 or not by_doc:
            return cls(means, None)
        sums = np.stack([own for _, own in by_doc], 1)
        rng = np.random.default_rng(seed)
        share = np.full(len(counts), 1 / len(counts))
        drawn = np.empty((n, len(means)))
        for first in range(0, n, _CHUNK):
            times = rng.multinomial(len(counts), share, size=min(_CHUNK, n - first))
            drawn[first : first + _CHUNK] = (times @ sums) / (times @ counts)[:, None]
        return cls(means, drawn)

    def intervals(self, level: float = 0.95) -> list[Interval]:
        """Each score's mean with its percentile interval."""
        return _with_ends(self.means, self.drawn, level)

    def differences(self, first: Sequence[int], second: Sequence[int], level: float = 0.95) -> list[Interval]:
        """Paired differences of means, score `first[i]` minus score `second[i]`, with percentile intervals."""
        return self._compared(np.subtract, first, second, level)

    def ratios(self, first: Sequence[int], second: Sequence[int], level: float = 0.95) -> list[Interval | None]:
        """Ratios of means, score `first[i]` over score `second[i]`, with percentile intervals.

        Returns:
            None where the second mean is 0. Where it is 0 in a resample, the interval has no ends.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._compared(np.divide, first, second, level)
        zero = np.zeros(len(self.means), np.bool_) if self.drawn is None else (self.drawn == 0).any(0)
        return [
            None if self.means[of] == 0 else Interval(interval.mean, None, None) if zero[of] else interval
            for interval, of in zip(found, second, strict=True)
        ]

    def _compared(
        self, compare: Callable[..., FloatArray], first: Sequence[int], second: Sequence[int], level: float
    ) -> list[Interval]:
        found: list[Interval] = []
        for start in range(0, len(first), _PAIRS):
            a, b = list(first[start : start + _PAIRS]), list(second[start : start + _PAIRS])
            drawn = None if self.drawn is None else compare(self.drawn[:, a], self.drawn[:, b])
            found += _with_ends(compare(self.means[a], self.means[b]), drawn, level)
        return found


def bootstrap_means(
    values: ArrayLike, docs: ArrayLike, n: int = 1000, seed: int = 0, *, level: float = 0.95
) -> list[Interval]:
    """Means of several scores over the same questions, with percentile intervals over resampled documents.

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
    return ResampledMeans.of(scores.T, names, n, seed).intervals(level)


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


def _sums(column: ArrayLike, doc: NDArray[np.intp]) -> tuple[float, FloatArray]:
    """Mean of a score over its questions, and its sum over each document."""
    values = np.asarray(column, np.float64)
    if values.shape != doc.shape or not len(values):
        raise UsageError(f"a score and docs must have shape (n,) with n >= 1, got {values.shape} and {doc.shape}")
    if not np.isfinite(values).all():
        raise UsageError(f"values must be finite, got {int((~np.isfinite(values)).sum())} that are not")
    return float(values.mean()), np.asarray(np.bincount(doc, values), np.float64)


def _with_ends(means: FloatArray, drawn: FloatArray | None, level: float) -> list[Interval]:
    if drawn is None:
        return [Interval(mean, None, None) for mean in means.tolist()]
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0).T.tolist()
    return [Interval(mean, low, high) for mean, (low, high) in zip(means.tolist(), ends, strict=True)]
