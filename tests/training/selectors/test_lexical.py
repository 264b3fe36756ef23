"""Tokens by words: text density, and BM25 as an evaluation takes it over to tokens."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from pinpoint_data.token_grid import TokenGrid, even_grid
from tests.training.selectors.evaluated import assert_exact, assert_nested, assert_same_as_evaluation, first_tokens
from tests.training.selectors.samples import given_sample, on_grid
from training.selectors import checked_select, make_selector
from training.window_scorers import BM25Scorer


def _sample(*shapes, **options):
    return given_sample([np.zeros((rows * cols, 2)) for rows, cols in shapes], shapes, **options)


class TestTextDensity:
    def test_by_hand(self):
        # Cells of 10 x 10. Token 0: 20 of 100; 1: two words that overlap, 60 in all; 5: 100; 2 and 4: a word over both.
        placed = [
            ("a", (0, 0, 5, 4)),
            ("b", (10, 0, 16, 10)),
            ("b again", (12, 0, 14, 10)),
            ("c", (20, 10, 30, 20)),
            ("wide", (25, 5, 30, 10)),
        ]
        sample = _sample((2, 3), placed=placed)
        assert first_tokens(make_selector("text-density"), sample, 4) == [5, 1, 2, 0]

    def test_equal_tokens_stand_in_random_order(self):
        firsts = [first_tokens(make_selector("text-density"), _sample((4, 4), seed=seed), 1)[0] for seed in range(200)]
        assert len(set(firsts)) == 16

    def test_it_is_the_share_of_a_token_that_counts(self):
        # Tokens 10 and 40 wide: 60 of 100, and 100 of 400.
        sample = _sample((1, 2), placed=[("a", (0, 0, 10, 6)), ("b", (20, 0, 30, 10))])
        sample = on_grid(sample, TokenGrid(np.array([0.0, 10, 50]), np.array([0.0, 10]), 50, 10, "test"))
        assert first_tokens(make_selector("text-density"), sample, 2) == [0, 1]

    def test_wholly_covered_tokens_tie_on_an_odd_grid(self):
        # Columns of words side by side over the whole page: sums of areas differ in their last bits, which must not
        # order the tokens.
        edges = np.linspace(0, 997, 24)
        columns = [("all", (x0, 0, x1, 613)) for x0, x1 in itertools.pairwise(edges.tolist())]
        sample = _sample((7, 9), placed=columns)
        sample = on_grid(sample, even_grid(7, 9, 997, 613, "test"))
        kept = checked_select(make_selector("text-density"), sample, [9])[0]
        ties = sample.generator("ties", of_question=False).permutation(63)
        assert sorted(np.flatnonzero(kept.mask)) == sorted(np.argsort(ties)[:9])

    def test_budgets_nest_over_pages(self):
        sample = _sample((3, 3), (2, 2), placed=[("x", (0, 0, 25, 8))])
        budgets = [1, 2, 5, 13]
        kept = checked_select(make_selector("text-density"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)
        assert not make_selector("text-density").reads_question


WORDS = st.lists(
    st.tuples(st.sampled_from(["total", "revenue", "cost", "2019"]), st.floats(0, 80), st.floats(0, 80)), max_size=12
)


class TestBM25:
    def test_by_hand(self):
        # One page of 4 x 4 tokens, four windows of 2 x 2. "revenue" stands once in the lower right window, whose four
        # tokens come first, all as far from its centre; the other three windows tie.
        sample = _sample((4, 4), placed=[("revenue", (22, 22, 28, 28))], question_text="What is the revenue?")
        assert set(first_tokens(make_selector("bm25"), sample, 4)) == {10, 11, 14, 15}

    def test_the_best_window_of_a_token_counts_and_its_centre_breaks_ties(self):
        # A row of 3 tokens has windows [0, 2) and [1, 3). Only the second holds the word: token 0 is last.
        sample = _sample((1, 3), placed=[("revenue", (22, 2, 28, 8))], question_text="Revenue?")
        assert first_tokens(make_selector("bm25"), sample, 3)[2] == 0

    def test_another_formula(self):
        # Two windows of two tokens side by side, N = 2: "apples" in both, once and twice; lengths 1 and 3, mean 2.
        placed = [("apples", (2, 2, 8, 8)), ("apples", (22, 2, 28, 8)), ("apples pears", (32, 2, 38, 8))]
        sample = _sample((1, 4), placed=placed, question_text="apples")
        weight = math.log(1 + 0.5 / 2.5)
        expected = [weight * 1 / (1 + 1.5 * (0.25 + 0.75 * 1 / 2)), weight * 2 / (2 + 1.5 * (0.25 + 0.75 * 3 / 2))]
        assert BM25Scorer().score(sample.view)[0].tolist() == pytest.approx(expected)
        assert set(first_tokens(make_selector("bm25"), sample, 2)) == ({2, 3} if expected[1] > expected[0] else {0, 1})

    @given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=3, unique=True), WORDS)
    @settings(max_examples=40, deadline=None)
    def test_scores_are_those_of_an_evaluation(self, shapes, words):
        placed = [(text, (x, y, x + 9, y + 5)) for text, x, y in words]
        evidence = [(0, (3.0, 2.0, 27.0, 9.0)), (len(shapes) - 1, (0.0, 0.0, 9.0, 9.0), "support")]
        sample = _sample(*shapes, placed=placed, evidence=evidence, question_text="Total cost in 2019?")
        windows = [page.windows for page in sample.pages]
        assert_same_as_evaluation(make_selector("bm25"), sample, windows, BM25Scorer().score(sample.view))

    def test_budgets_nest(self):
        sample = _sample((5, 5), (3, 2), placed=[("cost", (2, 2, 8, 8))], question_text="cost?")
        budgets = [1, 4, 9, 31]
        kept = checked_select(make_selector("bm25"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)

    def test_options(self):
        assert make_selector("bm25", {"k1": 0.9, "b": 0.4}).select(_sample((2, 2)), [1])[0].mask.sum() == 1
        for options in ({"k1": -1.0}, {"b": 1.5}, {"b": float("nan")}):
            with pytest.raises(UsageError, match="k1 >= 0 and 0 <= b <= 1"):
                make_selector("bm25", options)
