"""Recall against answers: by hand, against SciPy, against a loop over resampled documents, and where there is none."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from training.benchmark.correlation import average_ranks, correlate, pearson

DOCS = np.array(list("aabbc"))


def test_coefficients_by_hand() -> None:
    # Deviations (-2, -1, 3) and (1, -2, 1): products -2 + 2 + 3 = 3, squares 14 and 6.
    assert pearson(np.array([1.0, 2.0, 6.0]), np.array([4.0, 1.0, 4.0])) == pytest.approx(3 / math.sqrt(84))
    assert average_ranks(np.array([0.3, 0.1, 0.3, 0.3, 0.9])).tolist() == [3, 1, 3, 3, 5]
    assert average_ranks(np.array([0.1 + 0.2, 0.3, 0.0])).tolist() == [2.5, 2.5, 1]


def test_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 5, 12) / 4, rng.integers(0, 5, 12) / 4
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
        assert average_ranks(x).tolist() == stats.rankdata(x).tolist()
        assert pearson(average_ranks(x), average_ranks(y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_points_by_hand() -> None:
    """Two questions: means of recall .25, .5, 1, of ANLS .5, .5, 1, and .75 from all tokens."""
    points = [("a", 0.1), ("b", 0.1), ("a", 0.25)]
    recall = np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 1.0]])
    anls = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 1.0]])
    found = correlate(points, recall, anls, np.array([0.5, 1.0]), np.array(["d", "e"]), resamples=50)
    assert [(p["recall"], p["anls_change"]) for p in found["points"]] == [(0.25, -0.25), (0.5, -0.25), (1.0, 0.25)]
    assert (found["questions"], found["documents"]) == (2, 2)
    # Deviations from 7/12 and -1/12, in twelfths: (-4, -1, 5) and (-2, -2, 4); ranks (1, 2, 3) and (1.5, 1.5, 3).
    assert found["over_points"]["pearson"]["value"] == pytest.approx(30 / math.sqrt(42 * 24))
    assert found["over_points"]["spearman"]["value"] == pytest.approx(1.5 / math.sqrt(2 * 1.5))
    assert found["over_points"]["points"] == 3
    assert {budget: own["points"] for budget, own in found["by_budget"].items()} == {"0.10": 2, "0.25": 1}
    assert found["by_budget"]["0.10"]["pearson"] == {"value": None, "low": None, "high": None}
    assert found["by_budget"]["0.10"]["reason"] == "fewer than 3 points"
    assert found["by_question"][0]["reason"] == "fewer than 3 questions"


def _case(questions: int = 60, points: int = 6, seed: int = 0):
    rng = np.random.default_rng(seed)
    recall = np.clip(np.linspace(0.2, 0.8, points)[:, None] + rng.normal(0, 0.3, (points, questions)), 0, 1)
    anls = np.clip(recall / 2 + rng.normal(0, 0.3, recall.shape), 0, 1)
    named = [(f"s{place % 3}", (0.1, 0.25)[place // 3]) for place in range(points)]
    return named, recall, anls, rng.random(questions), np.sort(rng.integers(0, 15, questions)).astype(str)


def test_intervals_are_those_of_a_loop_over_resampled_documents() -> None:
    points, recall, anls, vanilla, docs = _case()
    found = correlate(points, recall, anls, vanilla, docs)
    rng, names = np.random.default_rng(5), np.unique(docs)
    over_points, over_questions = [], []
    for _ in range(600):
        drawn = np.concatenate([np.flatnonzero(docs == name) for name in rng.choice(names, len(names))])
        change = (anls[:, drawn] - vanilla[drawn]).mean(1)
        over_points.append(np.corrcoef(recall[:, drawn].mean(1), change)[0, 1])
        over_questions.append(np.corrcoef(recall[2, drawn], anls[2, drawn])[0, 1])
    for own, loop in (
        (found["over_points"]["pearson"], over_points),
        (found["by_question"][2]["pearson"], over_questions),
    ):
        low, high = np.quantile(loop, [0.025, 0.975])
        assert (own["low"], own["high"]) == pytest.approx((low, high), abs=0.04)
        assert own["low"] <= own["value"] <= own["high"]


def test_within_a_budget_only_its_points_count() -> None:
    points, recall, anls, vanilla, docs = _case()
    whole = correlate(points, recall, anls, vanilla, docs, resamples=200, seed=3)
    alone = correlate(points[:3], recall[:3], anls[:3], vanilla, docs, resamples=200, seed=3)
    assert json.dumps(whole["by_budget"]["0.10"]) == json.dumps(alone["over_points"])
    assert alone["by_question"] == pytest.approx(whole["by_question"][:3])


def test_all_points_are_over_the_questions_that_have_everything() -> None:
    points, recall, anls, vanilla, docs = _case()
    whole = correlate(points, recall[:, 3:], anls[:, 3:], vanilla[3:], docs[3:], resamples=100)
    recall[2, 0] = anls[4, 1] = vanilla[2] = np.nan
    assert correlate(points, recall, anls, vanilla, docs, resamples=100) == whole


def test_what_goes_up_together_correlates_fully() -> None:
    points, recall, _, vanilla, docs = _case()
    found = correlate(points, recall, recall / 2, np.zeros_like(vanilla), docs, resamples=100)
    for own in (found["over_points"], *found["by_question"]):
        for kind in ("pearson", "spearman"):
            assert list(own[kind].values()) == pytest.approx([1, 1, 1])
        assert own["reason"] is None


@pytest.mark.parametrize(
    ("recall", "anls", "reason"),
    [
        (np.full((4, 5), 0.5), np.eye(4, 5), "evidence recall is the same in all points"),
        (np.eye(4, 5) * [[1], [2], [3], [4]], np.full((4, 5), 0.1), "ANLS is the same in all points"),
        (np.eye(4, 5), np.full((4, 5), np.nan), "no question has all scores"),
    ],
)
def test_no_correlation_is_null_with_a_reason(recall, anls, reason) -> None:
    points = [(f"s{place}", 0.1) for place in range(4)]
    found = correlate(points, recall, anls, np.full(5, 0.3), DOCS, resamples=50)
    assert found["over_points"]["reason"] == reason
    for own in (found["over_points"], *found["by_question"]):
        if own["reason"] is not None:
            assert own["pearson"] == own["spearman"] == {"value": None, "low": None, "high": None}
    json.dumps(found, allow_nan=False)


def test_without_points_or_questions() -> None:
    empty = correlate([], np.array([]), np.array([]), np.zeros(5), DOCS, resamples=20)
    assert (empty["points"], empty["by_budget"], empty["by_question"]) == ([], {}, [])
    assert empty["over_points"]["reason"] == "fewer than 3 points"
    points = [("a", 0.1), ("b", 0.1), ("c", 0.1)]
    none = correlate(points, np.zeros((3, 0)), np.zeros((3, 0)), np.zeros(0), np.zeros(0, np.str_), resamples=20)
    assert none["points"][0] == {"selector": "a", "budget": 0.1, "recall": None, "anls_change": None}
    assert none["over_points"]["reason"] == "no question has all scores"


def test_one_document_gives_no_interval() -> None:
    points, recall, anls, vanilla, docs = _case()
    found = correlate(points, recall, anls, vanilla, np.full_like(docs, "a"), resamples=20)
    for own in (found["over_points"], found["by_question"][0]):
        assert own["pearson"]["value"] is not None
        assert (own["pearson"]["low"], own["pearson"]["high"]) == (None, None)


def test_a_resample_in_which_nothing_varies_leaves_no_interval() -> None:
    """Three documents of equal questions: some resample draws one of them thrice."""
    points, recall, anls, vanilla, _ = _case(questions=9)
    docs, first = np.repeat(list("abc"), 3), np.repeat([0, 3, 6], 3)
    found = correlate(points, recall[:, first], anls[:, first], vanilla[first], docs, resamples=200)
    for own in found["by_question"]:
        for kind in ("pearson", "spearman"):
            assert own[kind]["value"] is not None
            assert (own[kind]["low"], own[kind]["high"]) == (None, None)
