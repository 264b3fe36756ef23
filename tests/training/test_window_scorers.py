"""Window scorers against values by hand and an independent implementation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.windows import WindowSpec
from tests.training.views import page_view, question_view, square_grid
from training.terms import STOP_WORDS, terms
from training.window_scorers import (
    BM25Scorer,
    OracleScorer,
    RandomScorer,
    TextDensityScorer,
    make_scorer,
    register_scorer,
    scorer_names,
    window_places,
)
from training.window_scorers.base import checked_scores

# Four windows of 2 x 2 cells, 20 x 20 pixels each, side by side in a square of 40.
GRID = square_grid(4, 4)
SMALL = (5.0, 4.0)


def _word(text, window, at=0.0):
    x, y = (20 * (window % 2) + 2 + at, 20 * (window // 2) + 3 + at)
    return text, (x, y, x + SMALL[0], y + SMALL[1])


class TestRandom:
    def test_is_the_same_in_any_order_of_questions(self):
        views = [question_view([page_view(GRID)], question_id=f"q/{i}") for i in range(5)]
        forward = [RandomScorer().score(view)[0] for view in views]
        scorer = RandomScorer()
        backward = [scorer.score(view)[0] for view in reversed(views)][::-1]
        assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
        assert not np.array_equal(forward[0], forward[1])

    def test_pins_its_values(self):
        # A changed generator would silently change every published random baseline.
        score = RandomScorer().score(question_view([page_view(GRID)], question_id="infovqa/1"))[0]
        assert score.round(6).tolist() == [0.152972, 0.474534, 0.232922, 0.543398]

    def test_seed_matters_and_pages_differ(self):
        view = question_view([page_view(GRID), page_view(GRID)])
        first, second = RandomScorer(0).score(view), RandomScorer(1).score(view)
        assert not np.array_equal(first[0], second[0])
        assert not np.array_equal(first[0], first[1])


class TestTextDensity:
    def test_share_of_area_by_hand(self):
        placed = [_word("a", 0), _word("b", 0, 8), ("wide", (10.0, 25.0, 30.0, 35.0))]
        scores = TextDensityScorer().score(question_view([page_view(GRID, placed)]))[0]
        assert scores.tolist() == [2 * 20 / 400, 0.0, 100 / 400, 100 / 400]

    def test_overlapping_words_are_capped(self):
        placed = [(f"w{i}", (0.0, 0.0, 20.0, 20.0)) for i in range(3)]
        scores = TextDensityScorer().score(question_view([page_view(GRID, placed)]))[0]
        assert scores.tolist() == [1.0, 0.0, 0.0, 0.0]

    def test_count_goes_by_centres(self):
        placed = [_word("a", 0), _word("b", 0, 8), ("edge", (10.0, 1.0, 30.0, 3.0))]
        scores = TextDensityScorer("count").score(question_view([page_view(GRID, placed)]))[0]
        assert scores.tolist() == [2.0, 1.0, 0.0, 0.0]  # a centre on the border belongs to the window it begins

    def test_a_page_without_words(self):
        assert TextDensityScorer().score(question_view([page_view(GRID)]))[0].tolist() == [0.0] * 4


class TestTerms:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Total:", ("total",)),
            ("$1,234.5 (FY2019)", ("1,234.5", "fy", "2019")),
            ("Don’t e-mail", ("don't", "e", "mail")),
            ("14.2M", ("14.2", "m")),
            ("ÉCOLE Straße", ("école", "strasse")),
            ("ﬁrst", ("first",)),
            ("snake_case", ("snake", "case")),
            ("... -- %", ()),
        ],
    )
    def test_terms(self, text, expected):
        assert terms(text) == expected


class TestBM25:
    def test_by_hand(self):
        placed = [_word("Revenue", 0), _word("2019", 0, 8), _word("revenue", 1), _word("costs", 2)]
        scores = BM25Scorer().score(question_view([page_view(GRID, placed)], "What was the revenue in 2019?"))[0]
        # N = 4, "revenue" in 2, "2019" in 1; lengths 2, 1, 1, 0, mean 1.
        revenue, year = np.log(1 + 2.5 / 2.5), np.log(1 + 3.5 / 1.5)
        longer, mean = 1 / (1 + 1.5 * (0.25 + 0.75 * 2)), 1 / (1 + 1.5)
        assert scores == pytest.approx([(revenue + year) * longer, revenue * mean, 0, 0])

    def test_stop_words_count_on_neither_side(self):
        placed = [_word("which", 0), _word("the", 1), _word("profit", 2)]
        scores = BM25Scorer().score(question_view([page_view(GRID, placed)], "Which is the profit?"))[0]
        alone = BM25Scorer().score(question_view([page_view(GRID, placed[2:])], "profit"))[0]
        assert np.array_equal(scores, alone)
        assert scores[2] > 0 == scores[0] == scores[1]

    def test_pages_are_one_collection(self):
        first, second = page_view(GRID, [_word("tax", 0), _word("rate", 1)]), page_view(GRID, [_word("tax", 3)])
        together = BM25Scorer().score(question_view([first, second], "tax rate"))
        assert together[0][1] > together[0][0] == together[1][3] > 0  # "rate" is the rarer term

    @pytest.mark.parametrize("question", ["", "the of", "?!", "unheard"])
    def test_nothing_to_look_for(self, question):
        scores = BM25Scorer().score(question_view([page_view(GRID, [_word("tax", 0)])], question))
        assert scores[0].tolist() == [0.0] * 4

    def test_equals_bm25s(self):
        bm25s = pytest.importorskip("bm25s", reason="bm25s is the oracle of this test")
        rng = np.random.default_rng(3)
        vocabulary = ["apple", "pear", "plum", "fig", "date", "lime", "kiwi", "the", "of"]
        grid = square_grid(12, 12)
        placed = []
        for _ in range(150):
            x, y = rng.uniform(0, 115, 2)
            placed.append((str(rng.choice(vocabulary)), (x, y, x + 4.0, y + 3.0)))
        view = question_view([page_view(grid, placed, WindowSpec(4, 4, 3))], "How much apple, pear and apple of fig?")
        page = view.pages[0]
        corpus = [
            [text for text, (x0, y0, x1, y1) in placed if w[0] <= (x0 + x1) / 2 < w[2] and w[1] <= (y0 + y1) / 2 < w[3]]
            for w in page.windows.xyxy
        ]
        corpus = [[t for t in document if t not in STOP_WORDS] for document in corpus]
        index = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
        index.index(corpus, show_progress=False)
        expected = index.get_scores(["apple", "pear", "apple", "fig"])
        assert BM25Scorer().score(view)[0] == pytest.approx(expected, rel=1e-5)


class TestOracle:
    def test_greedy_by_new_evidence(self):
        # Overlapping windows at columns 0, 1, 2 of a strip: the evidence fills cells 1 to 3.
        page = page_view(square_grid(1, 4), spec=WindowSpec(2, 1, 1))
        scores = OracleScorer().score(question_view([page], evidence=[(0, (12.0, 0.0, 40.0, 10.0))]))[0]
        # Cells 2 and 3 first (20 wide); then cell 1 (8 wide), which windows 0 and 1 would both bring.
        assert scores.tolist() == [1.0, 0.0, 2.0]

    def test_takes_the_fuller_page_first(self):
        views = [page_view(GRID), page_view(GRID)]
        evidence = [(0, (0.0, 0.0, 5.0, 5.0)), (1, (20.0, 20.0, 35.0, 35.0))]
        scores = OracleScorer().score(question_view(views, evidence=evidence))
        assert scores[0].tolist() == [1.0, 0.0, 0.0, 0.0]
        assert scores[1].tolist() == [0.0, 0.0, 0.0, 2.0]

    def test_without_evidence_it_knows_nothing(self):
        assert OracleScorer().score(question_view([page_view(GRID)]))[0].tolist() == [0.0] * 4

    @given(st.lists(st.tuples(*[st.floats(0, 60) for _ in range(4)]), min_size=1, max_size=4))
    @settings(max_examples=40, deadline=None)
    def test_covers_within_the_greedy_bound_of_the_best_three(self, corners):
        boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
        page = page_view(square_grid(6, 6), spec=WindowSpec(3, 3, 2))
        view = question_view([page], evidence=[(0, box) for box in boxes])
        cells = page.grid.evidence_area(view.evidence_on(0))
        masks = page.windows.token_mask()
        best = max(
            cells[masks[list(three)].any(axis=0)].sum() for three in itertools.combinations(range(len(masks)), 3)
        )
        scores = OracleScorer().score(view)[0]
        taken = np.argsort(-scores, kind="stable")[:3]
        assert cells[masks[taken].any(axis=0)].sum() >= (1 - (2 / 3) ** 3) * best - 1e-6


class TestRanking:
    def test_places_are_distinct_over_all_pages(self):
        places = window_places([np.array([0.5, 0.1]), np.array([0.9])], "q")
        assert [p.tolist() for p in places] == [[1, 2], [0]]

    def test_ties_are_random_but_stable(self):
        zeros = [np.zeros(50), np.zeros(30)]
        first, again, other = (np.concatenate(window_places(zeros, q)) for q in ("a", "a", "b"))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
        assert sorted(first) == list(range(80))
        # Neither page nor part of a page is favoured.
        means = [np.concatenate(window_places(zeros, f"q{i}"))[:40].mean() for i in range(200)]
        assert np.mean(means) == pytest.approx(39.5, abs=1.5)

    def test_no_pages(self):
        assert window_places([], "q") == []


class TestRegistry:
    def test_names_and_making(self):
        assert {"random", "text-density", "bm25", "oracle", "pinpoint"} <= set(scorer_names())
        assert make_scorer("random", seed=3).seed == 3
        assert make_scorer("tests.training.test_window_scorers:Constant").name == "constant"

    @pytest.mark.parametrize("name", ["nope", "tests.training.nope:X", "tests.training.test_window_scorers:Nope"])
    def test_unknown(self, name):
        with pytest.raises(UsageError):
            make_scorer(name)

    def test_what_is_made_must_be_a_scorer(self):
        with pytest.raises(UsageError, match="lacks `name`"):
            make_scorer("builtins:dict")

    def test_a_name_is_taken_once(self):
        with pytest.raises(UsageError, match="registered already"):
            register_scorer("bm25", Constant)

    @pytest.mark.parametrize(
        ("scores", "message"),
        [([np.zeros(3)], "shapes"), ([np.zeros(4), np.zeros(4)], "shapes"), ([np.full(4, np.nan)], "not finite")],
    )
    def test_unusable_scores_are_refused(self, scores, message):
        scorer = Constant()
        scorer.score = lambda view: scores
        with pytest.raises(TrainingError, match=message):
            checked_scores(scorer, question_view([page_view(GRID)]))


class Constant:
    """A scorer from outside."""

    name = "constant"

    def score(self, view):
        return [np.ones(len(page.windows)) for page in view.pages]
