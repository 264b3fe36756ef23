"""Krippendorff's alpha for nominal values, from sums that add up over questions.

K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), with m_u values in unit u, n_uc of them c:

    alpha = 1 - (n - 1) * sum_u sum_{c != k} n_uc n_uk / (m_u - 1)  /  sum_{c != k} n_c n_k

Units with fewer than two values take no part; n_c counts the values c of the others, n all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tally:
    """What alpha needs of each question; rows may be summed over any set of questions.

    Attributes:
        units: (Q,) units with two or more values.
        disagreement: (Q,) sum over them of sum_{c != k} n_uc n_uk / (m_u - 1).
        values: (Q, V) their values by kind.
    """

    units: IntArray
    disagreement: FloatArray
    values: FloatArray

    @classmethod
    def of(cls, counts: IntArray, question: IntArray, questions: int) -> Tally:
        """From units.

        Args:
            counts: (n, V) how often each value was given to each unit.
            question: (n,) the question of each unit.
            questions: Number of questions.
        """
        given = counts.sum(1)
        counts, question = counts[given > 1], question[given > 1]
        given = given[given > 1].astype(np.float64)
        apart = (given**2 - (counts.astype(np.float64) ** 2).sum(1)) / (given - 1)
        values = np.zeros((questions, counts.shape[1]))
        np.add.at(values, question, counts)
        disagreement = np.zeros(questions)
        np.add.at(disagreement, question, apart)
        return cls(np.bincount(question, minlength=questions), disagreement, values)

    def with_silent(self, units: IntArray, raters: IntArray, value: int) -> Tally:
        """With further units of each question (Q,) that all its raters (Q,) gave the same value."""
        values = self.values.copy()
        values[:, value] += units * raters
        return Tally(self.units + units, self.disagreement, values)

    @property
    def columns(self) -> FloatArray:
        """(Q, 1 + V) disagreement, then values: sums of rows go to `alpha`."""
        return np.concatenate([self.disagreement[:, None], self.values], 1)

    def alpha(self) -> float:
        """Alpha over all questions; NaN where it is undefined."""
        return float(alpha(self.columns.sum(0)[None])[0])


def alpha(sums: FloatArray) -> FloatArray:
    """(r,) alpha of each row of sums (r, 1 + V) of `Tally.columns`; NaN where at most one value is in use."""
    values = sums[:, 1:]
    total = values.sum(1)
    expected = total**2 - (values**2).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = 1 - (total - 1) * sums[:, 0] / expected
    found[(values > 0).sum(1) < 2] = np.nan
    return found
