"""FoPru: rank and row strategies."""

from __future__ import annotations

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by
from training.selectors import make_selector
from training.selectors.fopru import FoPruRowSelector, FoPruSelector


def test_received_attention_ranks() -> None:
    sample = blank([(2, 3)], received=[0.1, 0.3, 0.2, 0.5, 0.0, 0.4], logits_given=[9, 0, 0, 0, 9, 0])
    assert kept_by(FoPruSelector(), sample, 3) == [1, 3, 5]


def test_logits_take_the_axis_that_varies_more() -> None:
    """Received: -1 1, variance 1; given: 0 1, variance 1 / 4; and the other way round."""
    wide, narrow = [-1.0, 1.0, -1.0, 1.0], [1.0, 0.0, 1.0, 0.0]
    rank = FoPruSelector(attention="logits")
    assert kept_by(rank, blank([(2, 2)], logits_received=wide, logits_given=narrow), 2) == [1, 3]
    assert kept_by(rank, blank([(2, 2)], logits_received=narrow, logits_given=wide), 2) == [1, 3]
    assert kept_by(rank, blank([(2, 2)], logits_received=wide, logits_given=[3.0, 0, 3, 0]), 2) == [0, 2]


def test_rows_by_hand() -> None:
    """Sums of rows .6, .9, .7: one row of 3 fits budgets 3 to 5, two fit 6; of 2 the best of the best row."""
    sample = blank([(3, 3)], received=[0.5, 0.1, 0.0, 0.2, 0.3, 0.4, 0.0, 0.0, 0.7])
    kept = FoPruRowSelector().select(sample, [2, 3, 5, 6, 9])
    found = [np.flatnonzero(one.mask).tolist() for one in kept]
    assert found == [[4, 5], [3, 4, 5], [3, 4, 5], [3, 4, 5, 6, 7, 8], list(range(9))]


def test_rows_of_pages_of_different_width() -> None:
    """A row of 2 with mean .4 goes before one of 4 with mean .3, whose sum is larger."""
    sample = blank([(1, 4), (1, 2)], received=[0.3, 0.3, 0.3, 0.3, 0.4, 0.4])
    assert kept_by(FoPruRowSelector(), sample, 4) == [4, 5]


@pytest.mark.parametrize("attention", ["softmax", "logits"])
def test_invariants(attention: str) -> None:
    check_invariants(lambda: make_selector("fopru", {"attention": attention}))
    check_ties(lambda: make_selector("fopru", {"attention": attention}))
    check_invariants(lambda: make_selector("fopru-row", {"attention": attention}), exact=False)


def test_equal_rows_are_not_taken_from_the_top() -> None:
    firsts = set()
    for seed in range(20):
        sample = blank([(6, 3)], seed=seed, received=np.ones(18))
        firsts.add(kept_by(FoPruRowSelector(), sample, 3)[0] // 3)
    assert len(firsts) > 3


@pytest.mark.parametrize("name", ["fopru", "fopru-row"])
def test_unknown_attention(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: attention must be one of softmax, logits"):
        make_selector(name, {"attention": "eager"})
