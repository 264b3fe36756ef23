"""Matches of terms and their weights, by hand and against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.strategies import quick
from tests.training.ranker.build import read
from tests.training.ranker.naive import strength
from training.ranker.matches import match_terms, term_weights
from training.ranker.question import read_question


def lines(*texts):
    """A page of one word a run."""
    return read([(text, (1, row, 3, row + 0.5)) for row, text in enumerate(texts)]).words


def weights(question, *pages):
    asked = read_question(question)
    return dict(zip(asked.terms, term_weights(asked, [match_terms(asked, page) for page in pages]), strict=True))


class TestStrength:
    @pytest.mark.parametrize(
        ("term", "word", "expected"),
        [
            ("totals", "Total:", 1),
            ("revenue", "Revemue:", 10 / 12),  # "revenu" and "revemu", as OCR may have it, share five letters
            ("worker", "workers", 1),
            ("2019", "2018", 0),
            ("tax", "taxi", 0),
            ("total", "tenant", 0),
            ("income", "outcome", 0),
            ("cat", "cats", 1),
            ("20191", "20192", 0),  # numbers that differ in a digit are other numbers
            ("b" * 14, "b" * 20, 28 / 34),
            ("b" * 15 + "c" * 4, "b" * 15 + "d" * 4, 0),  # 30 / 38
            ("b" * 14, "b" * 21, 0),
        ],
    )
    def test_by_hand(self, term, word, expected):
        found = match_terms(read_question(term), lines(word))
        assert found.strengths[0].tolist() == ([pytest.approx(expected)] if expected else [])
        assert found.runs.tolist() == [[pytest.approx(expected)]]

    @quick
    @given(st.lists(st.text("abst1", min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
    def test_matches_a_loop(self, texts):
        question = read_question(texts[0])
        words = lines(*texts)
        found = match_terms(question, words)
        for term, own, powers in zip(question.terms, found.words, found.strengths, strict=True):
            expected = {word: strength(term, stems) for word, stems in enumerate(words.stems)}
            assert dict(zip(own.tolist(), powers.tolist(), strict=True)) == pytest.approx(
                {word: power for word, power in expected.items() if power}
            )

    def test_the_best_match_counts_in_a_run(self):
        page = read([("Taxation", (1, 1, 3, 2)), ("taxable", (3.2, 1, 5, 2)), ("tax", (1, 5, 2, 6))]).words
        found = match_terms(read_question("taxation"), page)
        assert page.n_runs == 2 and found.runs.tolist() == [[1, 0]]


class TestWeights:
    def test_of_terms_that_occur_sum_to_one_by_their_rarity(self):
        found = weights("total of sales in Peru", lines("total", "total", "total", "sales", "x"))
        total, sale, peru = (math.log(1 + (5 - n + 0.5) / (n + 0.5)) for n in (3, 1, 0))
        assert found == pytest.approx(
            {"total": total / (total + sale), "sale": sale / (total + sale), "peru": peru / (total + sale)}
        )

    def test_a_quoted_term_counts_twice_and_the_others_half(self):
        found = weights('"total" of sales', lines("total", "sales", "x", "y"))
        assert found["total"] == pytest.approx(4 * found["sale"]) and sum(found.values()) == pytest.approx(1)

    def test_runs_of_all_pages_are_one_collection(self):
        apart = weights("total sales", lines("total", "sales", "x"), lines("total", "y"))
        together = weights("total sales", lines("total", "sales", "x", "total", "y"))
        assert apart == pytest.approx(together)

    def test_of_nothing_found_and_of_no_question(self):
        assert np.isfinite(list(weights("total sales", lines("x")).values())).all()
        assert weights("", lines("x")) == {} and weights("???", lines()) == {}
