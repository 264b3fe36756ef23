"""A budget shared out among groups, and the best tokens of each."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.selectors.samples import given_sample
from training.selectors import EncodedSample
from training.selectors.quotas import best_of_each, quotas


def sample(seed: int = 0) -> EncodedSample:
    return given_sample(np.zeros((4, 1)), (2, 2), seed=seed)


@pytest.mark.parametrize(
    ("weights", "sizes", "budget", "expected"),
    [
        ([5, 3, 2], [9, 9, 9], 7, [4, 2, 1]),  # 3.5, 2.1 and 1.4: the first has the largest remainder
        ([6, 3, 1], [9, 9, 9], 3, [2, 1, 0]),  # 1.8, .9 and .3
        ([6, 3, 1], [2, 9, 9], 6, [2, 3, 1]),  # 3.6, 1.8 and .6; of 4 that are left 3 and 1
        ([1, 0, 0], [3, 2, 2], 7, [3, 2, 2]),
        ([0, 0], [1, 5], 4, [1, 3]),
        ([0.1, 0.1, 0.1], [9, 9, 9], 6, [2, 2, 2]),
        ([1], [3], 0, [0]),
    ],
)
def test_by_hand(weights: list[float], sizes: list[int], budget: int, expected: list[int]) -> None:
    assert quotas(sample(), np.array(weights, dtype=float), np.array(sizes), budget).tolist() == expected


def test_what_is_left_goes_to_no_one_for_its_place_or_size() -> None:
    """Of 4 tokens groups of 5, 2 and 5 have a right to 5/3, 2/3 and 5/3: two of them, whichever, get one more."""
    sizes = np.array([5, 2, 5])
    found = np.array([quotas(sample(seed), sizes.astype(float), sizes, 4) for seed in range(300)])
    assert (found.sum(axis=1) == 4).all()
    np.testing.assert_allclose(found.mean(axis=0), [5 / 3, 2 / 3, 5 / 3], atol=0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12)), min_size=1, max_size=8), st.data())
def test_quotas_are_used_up_and_fair(groups: list[tuple[int, int]], data: st.DataObject) -> None:
    weights, sizes = (np.array(side) for side in zip(*groups, strict=True))
    budget = data.draw(st.integers(0, int(sizes.sum())))
    found = quotas(sample(), weights.astype(float), sizes, budget)
    assert found.sum() == budget and (found >= 0).all() and (found <= sizes).all()
    if weights.sum():
        exact = [Fraction(budget * int(w), int(weights.sum())) for w in weights]
        if all(share <= size for share, size in zip(exact, sizes, strict=True)):
            assert all(abs(int(n) - share) < 1 for n, share in zip(found, exact, strict=True))


def test_best_of_each() -> None:
    order, group = np.array([4, 0, 3, 1, 5, 2]), np.array([0, 0, 1, 1, 2, 0])
    assert best_of_each(order, group, np.array([2, 1, 0])).tolist() == [0, 3, 1]
    assert best_of_each(order, group, np.array([0, 9, 1])).tolist() == [4, 3, 2]
