"""The boosted-trees baseline: its features against obvious loops, what it learns, and when it refuses."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from math import log

import numpy as np
import pytest

from loaders.publishing import publish
from loaders.samples import load_samples
from pinpoint_data.errors import Outcome, TrainingError, UsageError
from pinpoint_data.grids import patch_grid
from pinpoint_data.windows import IGNORED, POSITIVE, WindowSpec, label_windows, make_windows
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, question, regions, write_part
from tests.training.views import question_view, words_of
from training.evaluation.comparison import evaluate
from training.evaluation.pages import PageViews
from training.pages.input import PageInput
from training.pages.store import PageStore
from training.ranker.trees import (
    FEATURES,
    TreesScorer,
    TreesSettings,
    WindowExample,
    collect_windows,
    fit_trees,
    window_features,
)
from training.window_scorers import BM25Scorer, PageView, RandomScorer, TextDensityScorer, WindowScorer

SIDE = 560
SMALL = TreesSettings(iterations=20, leaf_windows=5)


def shown(placed, page_id="p", spec=None):
    """A page of 40 x 40 tokens of 14 pixels."""
    grid = patch_grid(SIDE, SIDE)
    words = words_of(placed)
    return PageView(grid, make_windows(grid, spec), words, PageInput(page_id, SIDE, SIDE, words, _no_pixels))


def _no_pixels():
    raise AssertionError("trees look at no pixels")


def features(pages, asked):
    """By name, (w,) a page."""
    return [dict(zip(FEATURES, own.T, strict=True)) for own in window_features(question_view(pages, asked))]


FIRST = (
    ("Total", (20, 20, 60, 34)),
    ("revenue", (64, 20, 120, 34)),
    ("2019:", (130, 20, 170, 34)),
    ("$1,204", (300, 20, 350, 34)),
    ("12%", (300, 300, 330, 314)),
    ("HEADING", (20, 400, 160, 440)),
)
SECOND = (("revenue", (400, 500, 460, 514)), ("costs", (20, 500, 60, 514)))
ASKED = "What was the total revenue in 2019?"


class TestFeatures:
    def test_there_are_36_of_different_names_and_all_are_finite(self):
        assert len(FEATURES) == len(set(FEATURES)) == 36
        for pages in ([shown(FIRST), shown(SECOND, "q")], [shown(())], [shown(FIRST), shown((), "q")]):
            for asked in (ASKED, "", "???", 'Where is "Total revenue"?'):
                for own, view in zip(window_features(question_view(pages, asked)), pages, strict=True):
                    assert own.shape == (len(view.windows), 36)
                    assert np.isfinite(own).all()

    def test_words_of_windows_are_counted_as_a_reader_counts_them(self):
        (own,) = features([shown(FIRST)], ASKED)
        view = shown(FIRST)
        height = {text: box[3] - box[1] for text, box in FIRST}
        for index, (x0, y0, x1, y1) in enumerate(view.windows.xyxy):
            inside = [t for t, (a, b, c, d) in FIRST if x0 <= (a + c) / 2 < x1 and y0 <= (b + d) / 2 < y1]
            relative = [log(height[text] / 14) for text in inside]
            expected = {
                "words": len(inside),
                "digits": sum(any(c.isdigit() for c in text) for text in inside) / max(len(inside), 1),
                "percents": "12%" in inside,
                "years": "2019:" in inside,
                "currencies": "$1,204" in inside,
                "colons": "2019:" in inside,
                "terms-held": sum(text in inside for text in ("Total", "revenue", "2019:")) / 3,
                "numbers": "2019:" in inside,
                "pairs": {"Total", "revenue"} <= set(inside) or "revenue" in inside,
                "precision": sum(text in inside for text in ("Total", "revenue", "2019:")) / max(len(inside), 1),
                "mean-height": np.mean(relative) if inside else 0,
                "largest-height": max(relative, default=-99),
                "x": (x0 + x1) / 2 / SIDE,
                "y": (y0 + y1) / 2 / SIDE,
            }
            for name, value in expected.items():
                assert own[name][index] == pytest.approx(float(value), abs=1e-5), (name, inside)

    def test_weights_are_those_of_rare_terms(self):
        pages = [shown(FIRST), shown(SECOND, "q")]
        found = features(pages, ASKED)
        # Of the 6 runs of both pages "total" and "2019" are in one, "revenue" is in two.
        runs = 6
        idf = {
            n: log(1 + (runs - held + 0.5) / (held + 0.5)) for n, held in (("total", 1), ("2019", 1), ("revenue", 2))
        }
        weight = {name: value / sum(idf.values()) for name, value in idf.items()}
        # The first window of the first page holds the head of the line, one of the second page the other revenue.
        assert found[0]["overlap"][0] == pytest.approx(weight["total"] + weight["revenue"], abs=1e-5)
        assert found[1]["overlap"].max() == pytest.approx(weight["revenue"], abs=1e-5)
        assert found[0]["overlap-of-best"].max() == pytest.approx(1)
        assert found[1]["rarest"].max() == pytest.approx(weight["revenue"] / weight["total"], abs=1e-5)
        assert set(found[0]["page-of-best"]) == {1}
        assert found[1]["page-of-best"][0] == pytest.approx(weight["revenue"], abs=1e-5)
        assert (set(found[0]["better-pages"]), set(found[1]["better-pages"])) == ({0}, {1})
        assert set(found[0]["pages"]) == {2}
        assert found[1]["matched-of-page"].max() == pytest.approx(1), "of what its own page has"

    def test_what_others_compute_is_theirs(self):
        view = question_view([shown(FIRST), shown(SECOND, "q")], ASKED)
        found = window_features(view)
        for name, scorer in (("bm25", BM25Scorer()), ("text-density", TextDensityScorer())):
            for own, theirs in zip(found, scorer.score(view), strict=True):
                assert own[:, FEATURES.index(name)] == pytest.approx(theirs, abs=1e-6)

        best = max(own[:, FEATURES.index("bm25")].max() for own in found)
        for own in found:
            assert own[:, FEATURES.index("bm25-of-best")] == pytest.approx(own[:, FEATURES.index("bm25")] / best)

    def test_what_stands_in_quotes_is_counted_apart(self):
        (own,) = features([shown(FIRST)], 'Is "Total" among costs?')
        assert (own["quoted"][0], own["terms-held"][0]) == (1, 0.5)

    def test_a_line_in_the_order_of_the_question_is_better(self):
        placed = (("Total", (20, 20, 60, 34)), ("revenue", (64, 20, 120, 34)))
        swapped = (("revenue", (20, 500, 80, 514)), ("Total", (84, 500, 124, 514)))
        (own,) = features([shown(placed + swapped)], "What was the total revenue?")
        assert own["best-line"][0] == pytest.approx(1)
        assert own["best-line"][own["y"].argmax()] == pytest.approx(1 / 1.3)

    def test_a_page_twice_as_wide(self):
        grid = patch_grid(SIDE, SIDE // 2)
        view = PageView(
            grid, make_windows(grid), words_of(()), PageInput("w", SIDE, SIDE // 2, words_of(()), _no_pixels)
        )
        assert set(features([view], ASKED)[0]["aspect"]) == {2}

    def test_the_best_line_points_right_and_down(self):
        view = shown(FIRST)
        (own,) = features([view], ASKED)
        x, y = (view.windows.xyxy[:, :2] + view.windows.xyxy[:, 2:]).T / 2 / 14
        # "Total revenue 2019:" is one run from 20 to 170 pixels, at 27.
        assert own["anchor-dx"] == pytest.approx(x - 95 / 14, abs=1e-4)
        assert own["anchor-dy"] == pytest.approx(y - 27 / 14, abs=1e-4)
        right = (view.windows.xyxy[:, 1] == 0) & (x > 95 / 14)
        assert own["line-left"][right] == pytest.approx(1)
        assert own["line-left"][~right] == pytest.approx(0)
        under = (view.windows.xyxy[:, 0] < 170) & (y > 27 / 14)
        assert own["line-above"][under] == pytest.approx(1)
        assert own["line-above"][~under] == pytest.approx(0)

    def test_around_are_the_windows_that_share_tokens(self):
        view = shown(FIRST)
        (own,) = features([view], ASKED)
        boxes = view.windows.xyxy
        for index, (x0, y0, x1, y1) in enumerate(boxes):
            near = [i for i, (a, b, c, d) in enumerate(boxes) if a < x1 and x0 < c and b < y1 and y0 < d]
            assert own["overlap-around"][index] == pytest.approx(max(own["overlap"][i] for i in near))
            assert own["density-around"][index] == pytest.approx(np.mean([own["text-density"][i] for i in near]))

    @pytest.mark.parametrize(
        ("asked", "cues"),
        [
            ("How many people?", {"asks-number"}),
            ("When was it signed?", {"asks-time"}),
            ("What does the chart show?", {"asks-picture"}),
            ("Which is it?", set()),
        ],
    )
    def test_cues(self, asked, cues):
        (own,) = features([shown(FIRST)], asked)
        assert {name for name in FEATURES if name.startswith("asks-") and own[name].all()} == cues

    def test_windows_of_another_size_are_measured_alike(self):
        """A window of the whole page holds all words, whatever windows the trees were grown on."""
        (own,) = features([shown(FIRST, spec=WindowSpec(40, 40, 40))], ASKED)
        assert {name: own[name].tolist() for name in ("words", "terms-held", "matched-of-page")} == {
            "words": [6],
            "terms-held": [1],
            "matched-of-page": [1],
        }


def planted(count=24, seed=0, noise=1):
    """Questions whose only positive windows are those of most overlap; the other features are noise.

    Noise takes few values: of many, scikit-learn searches each weighted quantile anew, for seconds.
    """
    rng = np.random.default_rng(seed)
    examples = []
    for index in range(count):
        values = noise * rng.normal(size=(30, 36)).round(1).astype(np.float32)
        positive = np.arange(30) < 5
        values[:, FEATURES.index("overlap")] = (rng.integers(0, 50, 30) + 50 * positive) / 100
        examples.append(WindowExample(f"q{index}", "one", f"d{index}", values, positive))
    return examples


class TestFitting:
    def test_what_was_planted_is_found(self):
        trees = fit_trees(planted(), SMALL).trees
        unseen = planted(seed=1)
        scores = [trees.decision_function(example.features) for example in unseen]
        found = [set(np.argsort(-own)[:5]) == set(range(5)) for own in scores]
        assert np.mean(found) > 0.9

    def test_same_seed_same_trees(self):
        given = planted()[0].features

        def scores(seed):
            return fit_trees(planted(), replace(SMALL, seed=seed)).trees.decision_function(given)

        assert np.array_equal(scores(0), scores(0))
        assert not np.array_equal(scores(0), scores(1))

    def test_sources_count_alike_however_many_questions_they_have(self):
        """Two sources contradict each other, and nothing else tells them apart: neither wins by its questions."""
        many = planted(60, noise=0)
        few = [replace(own, source="two", positive=~own.positive) for own in planted(6, seed=2, noise=0)]
        settings = replace(SMALL, learning_rate=0.2)
        alone = fit_trees(many, settings).trees.predict_proba(many[0].features)[:, 1]
        both = fit_trees(many + few, settings).trees.predict_proba(many[0].features)[:, 1]
        assert alone[:5].mean() > 0.8
        assert both == pytest.approx(0.5, abs=0.1)

    def test_questions_count_alike_however_many_windows_they_have(self):
        short = planted(20, noise=0)
        long = [
            replace(own, features=np.repeat(own.features, 20, axis=0), positive=np.repeat(~own.positive, 20))
            for own in short
        ]
        learnt = fit_trees(short + long, replace(SMALL, learning_rate=0.2)).trees
        assert learnt.predict_proba(short[0].features)[:, 1] == pytest.approx(0.5, abs=0.1)

    def test_nothing_to_learn_from_is_refused(self):
        only = [replace(own, positive=np.zeros(30, np.bool_)) for own in planted(2)]
        for examples in ([], only):
            with pytest.raises(TrainingError, match="no positive and negative windows"):
                fit_trees(examples)

    def test_without_scikit_learn_it_says_what_to_do(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
        with pytest.raises(UsageError, match=r"scikit-learn.*pip install"):
            fit_trees(planted(2))


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """Twelve forms: the value asked for stands right of its label, and every form has four labels."""
    folder = tmp_path_factory.mktemp("trees")
    rng = np.random.default_rng(0)
    ws = Workspace.create(folder / "ws")
    ws.register_source("forms", "records", folder)
    pages, asked, gold, words = [], [], [], []
    for number in range(12):
        id_ = f"forms/{number}"
        pages.append(page(id_, width=SIDE, height=SIDE, doc_id=id_, path="none.png"))
        for row, label in enumerate(rng.permutation(["Revenue", "Costs", "Address", "Signed"])):
            y = 60.0 + 130 * row
            for text, x in ((label, 30.0), (f"v{rng.integers(1000)}", 330.0)):
                box = {"x0": x, "y0": y, "x1": x + 60, "y1": y + 14}
                words.append({"page_id": id_, "line": row, "text": text, "confidence": None, "engine": "test", **box})
            name = f"{id_}-{label}"
            asked.append(question(name, "train", [id_], doc_id=id_, question=f"What is the {label.lower()}?"))
            gold += regions(name, [(325.0, y - 3, 400.0, y + 17)])
    asked.append(question("forms/open", "train", ["forms/0"], doc_id="forms/0"))
    write_part(ws, "forms-train", pages, asked, gold, words)
    publish(ws, folder / "dataset")
    return list(load_samples(folder / "dataset")), PageStore(Workspace.open(folder / "ws"))


class TestScoring:
    def test_windows_are_labelled_by_the_rule_and_ignored_ones_left_out(self, forms):
        samples, store = forms
        left_out, outcome = Counter(), Outcome()
        examples = {own.question_id: own for own in collect_windows(samples, store, left_out, outcome)}
        assert left_out == {"status unfinished": 1}
        assert not outcome.refused
        assert len(examples) == 48
        grid = patch_grid(SIDE, SIDE)
        windows = make_windows(grid)
        for sample in samples[:4]:
            label = label_windows(windows, grid, [box.xyxy for box in sample.evidence]).label
            own = examples[sample.question_id]
            assert own.positive.sum() == (label == POSITIVE).sum() > 0
            assert len(own.positive) == len(own.features) == (label != IGNORED).sum() < len(label)

    def test_on_documents_never_seen_it_beats_chance_and_word_matching(self, forms):
        samples, store = forms
        held = {f"forms/{number}" for number in range(4)}
        examples = [own for own in collect_windows(samples, store, Counter(), Outcome()) if own.doc_id not in held]
        scorer = fit_trees(examples, SMALL)
        assert isinstance(scorer, TreesScorer)
        assert isinstance(scorer, WindowScorer)
        asked = [sample for sample in samples if sample.doc_id in held]
        views = PageViews(store, patch_grid, WindowSpec())
        found = evaluate(asked, [scorer, BM25Scorer(), RandomScorer()], views).scores
        recall = {name: own["evidence_recall@0.10"].mean() for name, own in found.items()}
        assert recall["boosted-trees"] > 0.8 > recall["bm25"]
        assert recall["boosted-trees"] > 0.8 > recall["random"]

    def test_pages_that_cannot_be_used_are_listed(self, forms):
        samples, store = forms
        broken = replace(samples[0], pages=(replace(samples[0].pages[0], page_id="forms/none"),))
        with pytest.raises(TrainingError, match="is not in the workspace"):
            list(collect_windows([broken], store, Counter(), Outcome()))
