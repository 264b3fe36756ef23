"""The figures of a summary against hand-computed means, the domain's bootstrap, and loops over documents."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from pinpoint_data.bootstrap import bootstrap_difference, bootstrap_mean
from tests.training.benchmark.measured import BUDGETS, SELECTORS, measured, sample
from training.benchmark.data import BenchmarkData, BoxTable
from training.benchmark.pairs import paired_intervals
from training.benchmark.summary import at_budgets, summarise_benchmark

RECALL = "evidence_recall@0.25"


@pytest.fixture(scope="module")
def data() -> BenchmarkData:
    return measured()


@pytest.fixture(scope="module")
def summary(data: BenchmarkData) -> dict:
    return summarise_benchmark(data, resamples=200, seed=7)


def _docs(data: BenchmarkData) -> np.ndarray:
    return np.array([sample.doc_id for sample in data.samples])


def test_one_benchmark_by_hand() -> None:
    """Two questions of two documents: a keeps .5 and 1 of the evidence, the control .25 and .5."""
    boxes = [(0, (0.0, 0.0, 20.0, 20.0), "answer")]
    samples = [sample(0, "d", boxes), sample(1, "e", [*boxes, (0, (0.0, 900.0, 500.0, 1000.0), "support")], pages=2)]
    scores = {
        "random": {"evidence_recall@0.10": np.array([0.25, 0.5]), "page_recall@0.10": np.array([1.0, 0.5])},
        "a": {"evidence_recall@0.10": np.array([0.5, 1.0]), "evidence_recall_support@0.10": np.array([np.nan, 0.75])},
    }
    box_recall = {"random": np.array([[0.25], [0.5], [np.nan]]), "a": np.array([[0.5], [0.75], [np.nan]])}
    seconds = {"random": {}, "a": {"choice": np.array([1.0, 2.0]), "clip": np.array([np.nan, 4.0])}}
    flops = {"random": {}, "a": {"choice": np.array([10.0, 20.0])}}
    made = BenchmarkData(
        (0.1,), samples, ["random", "a"], scores, BoxTable.of(samples), box_recall, seconds, flops, np.array([0.0, 0.5])
    )
    found = summarise_benchmark(made, resamples=400)

    assert found["scores"]["a"]["evidence_recall@0.10"] == {"mean": 0.75, "low": 0.5, "high": 1.0, "n": 2}
    # Only a question of several pages has page recall, only one with support boxes recall of support.
    assert found["scores"]["random"]["page_recall@0.10"] == {"mean": 0.5, "low": None, "high": None, "n": 1}
    # Every resample keeps twice what the control keeps.
    assert found["lift"] == {"random": {"a": {"evidence_recall@0.10": {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 2}}}}
    minus = {"mean": -0.375, "low": -0.5, "high": -0.25, "n": 2}
    assert found["differences"] == {"random": {"a": {"evidence_recall@0.10": minus}}}
    strata = found["strata"]
    assert list(strata) == ["role", "boxes", "pages", "source", "box_size", "position"]
    alone = {"mean": 0.75, "low": None, "high": None, "n": 1}
    assert strata["role"]["support"]["scores"] == {"random": {}, "a": {"evidence_recall@0.10": alone}}
    assert {name: (s["questions"], s["boxes"]) for name, s in strata["role"].items()} == {
        "answer": (2, 2),
        "support": (1, 1),
    }
    assert {name: (s["questions"], s["boxes"]) for name, s in strata["boxes"].items()} == {"1": (1, 1), "2": (1, 2)}
    top = strata["position"]["0-20 %"]
    assert (top["questions"], top["boxes"]) == (2, 2)
    assert top["scores"]["a"] == {"evidence_recall@0.10": {"mean": 0.625, "low": 0.5, "high": 0.75, "n": 2}}
    # A box outside its grid is counted, and has no recall.
    bottom = strata["position"]["80-100 %"]
    assert (bottom["questions"], bottom["boxes"], bottom["scores"]) == (1, 1, {"random": {}, "a": {}})
    assert strata["source"]["infovqa"]["scores"]["a"]["evidence_recall@0.10"]["mean"] == 0.75
    assert found["costs"] == {
        "random": {"seconds": {}, "flops": {}},
        "a": {
            "seconds": {
                "choice": {"mean": 1.5, "median": 1.5, "n": 2},
                "clip": {"mean": 4.0, "median": 4.0, "n": 1},
            },
            "flops": {"choice": {"mean": 15.0, "n": 2}},
        },
    }
    assert found["clipping"] == {"questions": 1, "mean_share_lost": 0.25, "largest_share_lost": 0.5}


def test_scores_are_those_of_the_domain(data: BenchmarkData, summary: dict) -> None:
    for selector in data.selectors:
        for name, column in data.scores[selector].items():
            if name.startswith("page_recall"):
                column = np.where([len(s.pages) > 1 for s in data.samples], column, np.nan)
            own = np.isfinite(column)
            expected = bootstrap_mean(column[own], _docs(data)[own], 200, 7)
            found = summary["scores"][selector][name]
            assert (found["mean"], found["low"], found["high"]) == pytest.approx(expected)
            assert found["n"] == own.sum()


def test_every_pair_has_its_paired_difference_once(data: BenchmarkData, summary: dict) -> None:
    pairs = [(first, second) for first, others in summary["differences"].items() for second in others]
    assert pairs == list(combinations(SELECTORS, 2))
    for first, second in pairs:
        found = summary["differences"][first][second]
        assert list(found) == at_budgets(["evidence_recall", "all_hit"], BUDGETS)
        for name, score in found.items():
            mine, theirs = data.scores[first][name], data.scores[second][name]
            expected = bootstrap_difference(mine, theirs, _docs(data), 200, 7)
            assert (score["mean"], score["low"], score["high"]) == pytest.approx(expected)


def test_lift_is_the_ratio_of_means_in_a_loop_over_resampled_documents(data: BenchmarkData) -> None:
    summary, docs = summarise_benchmark(data), _docs(data)
    mine, theirs = data.scores["fastv"][RECALL], data.scores["uniform"][RECALL]
    rng, names = np.random.default_rng(3), np.unique(docs)
    ratios = []
    for _ in range(3000):
        drawn = np.concatenate([np.flatnonzero(docs == name) for name in rng.choice(names, len(names))])
        ratios.append(sum(mine[drawn]) / sum(theirs[drawn]))
    found = summary["lift"]["uniform"]["fastv"][RECALL]
    assert found["mean"] == pytest.approx(mine.mean() / theirs.mean())
    assert (found["low"], found["high"]) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.02)
    assert found["n"] == len(docs)
    assert {control: list(lifts) for control, lifts in summary["lift"].items()} == {
        "random": SELECTORS[1:],
        "uniform": ["random", *SELECTORS[2:]],
    }


def test_pairs_of_scores_with_other_questions_are_compared_over_those_that_have_both() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.random(30) for name in "abcd"}
    columns["b"][:7], columns["c"][3:9], columns["d"][:] = np.nan, np.nan, np.nan
    docs = np.repeat(np.arange(10), 3).astype(str)
    pairs = list(combinations("abcd", 2))
    found = paired_intervals(columns, pairs, docs, "difference", 100, 5)
    for (first, second), score in zip(pairs, found, strict=True):
        own = np.isfinite(columns[first]) & np.isfinite(columns[second])
        if second == "d":
            assert score is None
        else:
            expected = bootstrap_difference(columns[first][own], columns[second][own], docs[own], 100, 5)
            assert list(score.values()) == pytest.approx([*expected, own.sum()])


def test_a_lift_over_nothing_is_null() -> None:
    columns = {"a": np.array([0.5, 1.0]), "zero": np.zeros(2), "half": np.array([0.0, 1.0])}
    docs = np.array(["d", "e"])
    found = paired_intervals(columns, [("a", "zero"), ("a", "half"), ("zero", "half")], docs, "ratio", 100)
    assert found[0] == {"mean": None, "low": None, "high": None, "n": 2}
    # Some resample draws only the document in which the control has nothing.
    assert found[1] == {"mean": 1.5, "low": None, "high": None, "n": 2}
    assert found[2] == {"mean": 0.0, "low": None, "high": None, "n": 2}
    assert paired_intervals(columns, [("a", "half")], np.array(["d", "d"]), "ratio", 100)[0]["mean"] == 1.5


def test_strata_are_means_over_their_questions_and_boxes(data: BenchmarkData, summary: dict) -> None:
    docs, owner = _docs(data), data.boxes.question
    several = np.array([len(s.pages) > 1 for s in data.samples])
    column = data.scores["fastv"][RECALL]
    found = summary["strata"]["pages"]["several"]
    expected = bootstrap_mean(column[several], docs[several], 200, 7)
    assert list(found["scores"]["fastv"][RECALL].values()) == pytest.approx([*expected, several.sum()])
    assert (found["questions"], found["boxes"]) == (several.sum(), several[owner].sum())

    lower = data.boxes.y_centre >= 0.8
    recall = data.box_recall["fastv"][lower, 1]
    expected = bootstrap_mean(recall, docs[owner[lower]], 200, 7)
    found = summary["strata"]["position"]["80-100 %"]
    assert list(found["scores"]["fastv"][RECALL].values()) == pytest.approx([*expected, lower.sum()])
    assert (found["questions"], found["boxes"]) == (len(set(owner[lower].tolist())), lower.sum())

    role = summary["strata"]["role"]["answer"]["scores"]["fastv"]
    assert role["all_hit@0.10"] == summary["scores"]["fastv"]["all_hit_answer@0.10"]


def test_it_is_json_and_seeded(data: BenchmarkData, summary: dict) -> None:
    text = json.dumps(summary, allow_nan=False)
    assert json.dumps(summarise_benchmark(data, resamples=200, seed=7)) == text
    assert json.dumps(summarise_benchmark(data, resamples=200, seed=8)) != text
    assert summary["rows"] == {"reused": 0, "devices": {"cpu": 120}}
    assert summary["questions"]["left_out"] == {"status skipped": 2}


def test_one_document_has_no_intervals() -> None:
    data = measured(3)
    found = summarise_benchmark(data, resamples=20)
    for own in (found["scores"]["fastv"], found["differences"]["random"]["fastv"], found["lift"]["random"]["fastv"]):
        assert (own[RECALL]["low"], own[RECALL]["high"]) == (None, None)
        assert own[RECALL]["mean"] is not None


def test_nothing_measured_is_nothing_summarised() -> None:
    none = BenchmarkData((0.1,), [], ["random"], {"random": {}}, BoxTable.of([]), {}, {}, {}, np.zeros(0))
    found = summarise_benchmark(none)
    assert found["scores"] == {"random": {}}
    assert found["lift"] == {"random": {}}
    assert found["differences"] == {}
    assert set(map(str, found["strata"].values())) == {"{}"}
    json.dumps(found, allow_nan=False)
