"""The scores that an evaluation names against those of `pinpoint_data.scores`, and the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.scores import (
    PageEvidence,
    bootstrap_difference,
    bootstrap_mean,
    full_coverage_budget,
    keep_top,
    score_selection,
    token_ranks,
    token_scores,
    windows_to_coverage,
)
from pinpoint_data.windows import LabelRule, WindowSpec
from tests.training.views import page_view, question_view, square_grid
from training.evaluation.intervals import differences, intervals
from training.evaluation.question_scores import QuestionEvidence, score_ranking, share_name
from training.window_scorers import window_places

BUDGETS, COVERAGES = (0.1, 0.25, 0.6), (0.6, 0.25, 0.1)


@st.composite
def questions(draw):
    pages = [
        page_view(square_grid(draw(st.integers(1, 9)), draw(st.integers(1, 9))), spec=WindowSpec(4, 3, 2))
        for _ in range(draw(st.integers(1, 3)))
    ]
    evidence = []
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(pages) - 1))
        x0, y0 = draw(st.floats(0, 95)), draw(st.floats(0, 95))
        box = (x0, y0, x0 + draw(st.floats(1, 60)), y0 + draw(st.floats(1, 60)))
        evidence.append((index, box, draw(st.sampled_from(["answer", "support"]))))
    seed = draw(st.integers(0, 10**6))
    scores = [np.random.default_rng([seed, i]).integers(0, 4, len(p.windows)) / 3 for i, p in enumerate(pages)]
    return question_view(pages, evidence=evidence), scores


@given(questions())
@settings(max_examples=80, deadline=None)
def test_scores_are_those_of_the_definitions(case):
    view, scores = case
    windows = [page.windows for page in view.pages]
    places = window_places(scores, view.question_id)
    named = score_ranking(QuestionEvidence.of(view, LabelRule()), windows, places, BUDGETS, COVERAGES)

    order = np.argsort(np.concatenate(places))
    pages = [
        PageEvidence(page.grid, view.evidence_on(i), tuple(b.role for b in view.evidence if b.page_index == i))
        for i, page in enumerate(view.pages)
    ]
    for budget in BUDGETS:
        masks = keep_top([token_scores(w, -p.astype(float)) for w, p in zip(windows, places, strict=True)], budget)
        expected, at = score_selection(pages, masks), f"@{budget:.2f}"
        assert named[f"budget{at}"] == pytest.approx(expected.budget)
        assert named[f"evidence_recall{at}"] == pytest.approx(expected.evidence_recall)
        assert (named[f"all_hit{at}"], named[f"any_hit{at}"]) == (expected.all_hit, expected.any_hit)
        assert named[f"page_recall{at}"] == pytest.approx(expected.page_recall)
        assert {n for n in ("answer", "support") if f"all_hit_{n}{at}" in named} == set(expected.by_role)
        for role, found in expected.by_role.items():
            assert named[f"all_hit_{role}{at}"] == found.all_hit
            assert named[f"evidence_recall_{role}{at}"] == pytest.approx(found.evidence_recall)
    for r in COVERAGES:
        masks = windows_to_coverage(order, windows, r)
        expected = score_selection(pages, masks)
        assert named[f"region_accuracy@{r:.2f}"] == expected.all_hit
        assert named[f"coverage@{r:.2f}"] == pytest.approx(expected.budget)
    assert named["full_coverage_budget"] == pytest.approx(full_coverage_budget(pages, token_ranks(order, windows)))
    assert QuestionEvidence.of(view, LabelRule()).measured.clipped_share == pytest.approx(expected.clipped_share)


def test_one_question_by_hand():
    # A strip of four cells; windows are [0, 2), [1, 3), [2, 4); the evidence is cells 0 and 3.
    page = page_view(square_grid(1, 4), spec=WindowSpec(2, 1, 1))
    view = question_view([page], evidence=[(0, (0.0, 0.0, 10.0, 10.0)), (0, (30.0, 0.0, 40.0, 10.0), "support")])
    places = window_places([np.array([0.9, 0.5, 0.1])], "q")
    scores = score_ranking(QuestionEvidence.of(view, LabelRule()), [page.windows], places, (0.5, 0.25), (0.75,))
    assert scores["budget@0.50"] == 0.5
    assert scores["evidence_recall@0.50"] == 0.5
    assert (scores["all_hit@0.50"], scores["any_hit@0.50"]) == (0, 1)
    assert (scores["all_hit_answer@0.50"], scores["all_hit_support@0.50"]) == (1, 0)
    assert scores["budget@0.25"] == 0.25
    assert (scores["region_accuracy@0.75"], scores["coverage@0.75"]) == (0, 0.75)
    assert scores["top1_accuracy"] == 1
    assert scores["full_coverage_budget"] == 1


def test_top1_needs_a_positive_window():
    page = page_view(square_grid(4, 4))
    view = question_view([page], evidence=[(0, (0.0, 0.0, 18.0, 18.0))])
    evidence = QuestionEvidence.of(view, LabelRule())
    for best, expected in ((0, 1.0), (3, 0.0)):
        places = window_places([np.eye(4)[best]], "q")
        assert score_ranking(evidence, [page.windows], places, (0.25,), (0.6,))["top1_accuracy"] == expected


def test_intervals_are_those_of_the_domain():
    rng = np.random.default_rng(0)
    docs, chosen = rng.integers(0, 9, 60).astype(str), rng.random(60) < 0.7
    columns = {"a": rng.random(60), "b": rng.random(60), "none": np.full(60, np.nan)}
    columns["some"] = np.where(rng.random(60) < 0.5, columns["a"], np.nan)
    found = intervals(columns, chosen, docs, 300, 7)
    assert list(found) == ["a", "b", "some"]
    for name, score in found.items():
        own = chosen & np.isfinite(columns[name])
        expected = bootstrap_mean(columns[name][own], docs[own], 300, 7)
        assert (score["mean"], score["low"], score["high"]) == pytest.approx(expected)
        assert score["n"] == own.sum()
    paired = intervals(differences({"a": columns["a"]}, {"a": columns["b"], "c": docs}), chosen, docs, 300, 7)
    expected = bootstrap_difference(columns["a"][chosen], columns["b"][chosen], docs[chosen], 300, 7)
    assert [paired["a"][end] for end in ("mean", "low", "high")] == pytest.approx(list(expected))


def test_intervals_resample_documents_not_questions():
    # Two documents of 50 equal questions each: a mean of 0, .5 or 1, nothing between.
    values, docs, chosen = np.repeat([0.0, 1.0], 50), np.repeat(["a", "b"], 50), np.ones(100, bool)
    assert intervals({"x": values}, chosen, docs, 1000, 0)["x"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 100}
    assert intervals({"x": values}, docs == "a", docs)["x"] == {"mean": 0.0, "low": None, "high": None, "n": 50}


@pytest.mark.parametrize(("share", "name"), [(0.1, "0.10"), (0.6, "0.60"), (1, "1.00"), (0.125, "0.125")])
def test_share_names(share, name):
    assert share_name(share) == name
