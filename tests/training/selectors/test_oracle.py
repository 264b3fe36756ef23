"""The oracles: best windows, and best tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.token_grid import even_grid
from tests.training.selectors.evaluated import assert_exact, assert_nested, assert_same_as_evaluation, first_tokens
from tests.training.selectors.samples import given_sample, on_grid
from training.selectors import checked_select, make_selector
from training.window_scorers import OracleScorer


def _sample(*shapes, **options):
    return given_sample([np.zeros((rows * cols, 2)) for rows, cols in shapes], shapes, **options)


BOXES = st.lists(
    st.tuples(st.floats(0, 40), st.floats(0, 40), st.floats(1, 30), st.floats(1, 30)).map(
        lambda b: (0, (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    ),
    min_size=1,
    max_size=4,
)


class TestTokenOracle:
    def test_by_hand(self):
        # Evidence in tokens 0, 1 and 2 of a row: 10, 100 and 50 squared pixels; then one on the next page, 20.
        evidence = [(0, (9, 0, 25, 10)), (1, (0, 0, 10, 2))]
        sample = _sample((1, 4), (1, 3), evidence=evidence)
        assert first_tokens(make_selector("oracle-token"), sample, 4) == [1, 2, 4, 0]

    @given(st.tuples(st.integers(1, 3), st.integers(1, 4)), BOXES)
    @settings(max_examples=40, deadline=None)
    def test_no_set_of_as_many_tokens_has_more_evidence(self, shape, evidence):
        sample = _sample(shape, evidence=evidence)
        area = sample.evidence_area()
        budgets = range(1, sample.n_tokens + 1)
        for kept, budget in zip(checked_select(make_selector("oracle-token"), sample, budgets), budgets, strict=True):
            best = max(sum(area[list(some)]) for some in itertools.combinations(range(sample.n_tokens), budget))
            assert area[kept.mask].sum() == pytest.approx(best, rel=1e-7, abs=1e-9)

    def test_tokens_full_of_evidence_tie(self):
        # Areas of equal tokens differ in their last bits, which must not order them.
        grid = even_grid(3, 5, 997, 613, "test")
        firsts = set()
        for seed in range(200):
            sample = on_grid(_sample((3, 5), evidence=[(0, (0, 0, 997, 613))], seed=seed), grid)
            firsts.update(first_tokens(make_selector("oracle-token"), sample, 1))
        assert len(firsts) == 15

    def test_without_evidence_inside_the_grid_all_tie(self):
        kept = checked_select(make_selector("oracle-token"), _sample((2, 2), evidence=[(0, (50, 50, 60, 60))]), [1, 4])
        assert [k.mask.sum() for k in kept] == [1, 4]

    def test_budgets_nest(self):
        sample = _sample((4, 4), (3, 3), evidence=[(0, (0, 0, 25, 12)), (1, (3, 3, 9, 29))])
        budgets = [1, 3, 11, 25]
        kept = checked_select(make_selector("oracle-token"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)


class TestWindowOracle:
    def test_by_hand(self):
        # Windows of 2 x 2 on 4 x 4 tokens. The lower left one holds most evidence, then the upper right one.
        evidence = [(0, (0, 20, 20, 40)), (0, (25, 5, 30, 10))]
        sample = _sample((4, 4), evidence=evidence)
        order = first_tokens(make_selector("oracle-window"), sample, 8)
        assert set(order[:4]) == {8, 9, 12, 13}
        assert set(order[4:]) == {2, 3, 6, 7}

    @given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=3, unique=True), BOXES)
    @settings(max_examples=40, deadline=None)
    def test_scores_are_those_of_an_evaluation(self, shapes, evidence):
        evidence = [*evidence, (len(shapes) - 1, (2.0, 1.0, 8.0, 9.0), "support")]
        sample = _sample(*shapes, evidence=evidence)
        windows = [page.windows for page in sample.pages]
        assert_same_as_evaluation(make_selector("oracle-window"), sample, windows, OracleScorer().score(sample.view))

    def test_is_never_above_the_token_oracle(self):
        sample = _sample((6, 6), evidence=[(0, (4, 4, 22, 9)), (0, (41, 33, 58, 58))])
        area, budgets = sample.evidence_area(), range(1, 37)
        by_window, by_token = (
            checked_select(make_selector(name), sample, budgets) for name in ("oracle-window", "oracle-token")
        )
        assert all(area[w.mask].sum() <= area[t.mask].sum() + 1e-9 for w, t in zip(by_window, by_token, strict=True))
