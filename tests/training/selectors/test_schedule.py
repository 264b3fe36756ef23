"""Counts, layers and orders that selectors inside the decoder share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.selectors.samples import given_sample
from training.selectors.schedule import (
    best_left,
    check_positions,
    layers_after,
    mask_of,
    scaled_layers,
    stage_counts,
)
from training.selectors.sparsevlm import SCHEDULES

HALVES = (0.5, 0.25, 0.125)


def test_counts_worked_out_by_hand() -> None:
    # 64 of 1000 tokens: 0.064 = 0.4^3, so every stage leaves two fifths of what it gets.
    assert stage_counts(1000, 64, HALVES) == [400, 160, 64]
    assert stage_counts(1000, 1, HALVES) == [100, 10, 1]
    assert stage_counts(7, 7, HALVES) == [7, 7, 7]
    assert stage_counts(1, 1, HALVES) == [1, 1, 1]


@pytest.mark.parametrize("n_tokens", [8, 100, 576, 577, 1655, 2880, 30_000])
def test_published_pyramid_where_the_budget_is_its_own(n_tokens: int) -> None:
    # The released code: int(N * ratio) of each ratio.
    published = [int(n_tokens * 0.5), int(n_tokens * 0.25), int(n_tokens * 0.125)]
    assert stage_counts(n_tokens, published[-1], HALVES) == published


@pytest.mark.parametrize(
    ("name", "counts"), [("192", [300, 200, 110]), ("128", [303, 110, 36]), ("96", [238, 48, 26]), ("64", [66, 30, 17])]
)
def test_published_lists_where_the_budget_is_their_own(name: str, counts: list[int]) -> None:
    assert stage_counts(576, counts[-1], SCHEDULES[name]) == counts


@given(st.integers(1, 40_000), st.data())
def test_counts_never_rise_and_end_at_the_budget(n_tokens: int, data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, n_tokens))
    for shares in (HALVES, *SCHEDULES.values()):
        counts = stage_counts(n_tokens, budget, shares)
        assert counts[-1] == budget and counts == sorted(counts, reverse=True)
        assert n_tokens >= counts[0]


def test_layers_at_the_same_depth() -> None:
    assert scaled_layers([1, 2, 3], 4, 32, first=1) == [8, 16, 24]
    assert scaled_layers([1, 2, 3], 4, 28, first=1) == [7, 14, 21]
    assert scaled_layers([2, 6, 15], 32, 32) == [2, 6, 15]
    assert scaled_layers([2, 6, 15], 32, 28) == [2, 5, 13]
    assert scaled_layers([2, 6, 15], 32, 36) == [2, 7, 17]
    assert scaled_layers([2, 4], 32, 9) == [1, 1]  # 0.56 and 1.13
    assert scaled_layers([1, 2, 3], 4, 2, first=1) == [1, 1, 1]
    with pytest.raises(TrainingError, match="1 decoder layers"):
        scaled_layers([1, 2, 3], 4, 1, first=1)


def test_layer_averaged_budget() -> None:
    mask = mask_of(np.array([3, 1]), 8)
    assert np.flatnonzero(mask).tolist() == [1, 3]
    seen = layers_after({2: np.arange(8) < 4, 6: mask}, 8, 8)
    # Two layers see 8 tokens, four see 4, two see 2: 36 of 64.
    assert seen.starts == (0, 2, 6) and seen.budget == pytest.approx(36 / 64)


def test_best_of_what_is_left() -> None:
    sample = given_sample(np.zeros((6, 2)), (2, 3))
    left = np.array([0, 2, 5])
    assert best_left(sample, left, torch.tensor([0.1, 0.0, 0.4]), 2).tolist() == [5, 0]
    assert sorted(best_left(sample, left, torch.zeros(3), 3).tolist()) == [0, 2, 5]  # those dropped stay behind zeros


def test_rules_for_positions() -> None:
    assert [check_positions(rule) for rule in ("auto", "original", "renumbered")] == ["auto", "original", "renumbered"]
    with pytest.raises(UsageError, match="positions must be one of auto, original, renumbered, got 'new'"):
        check_positions("new")
