"""The table of the ranker against all baselines, on generated documents: the whole script, and what its rows are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks import ranker_cells, ranker_table
from benchmarks.ranker_cells import RANKERS, ROWS, TRAINED, FoldFeatures, SharedReading, Variant, without
from loaders.samples import PageRef, Sample, load_samples
from pinpoint_data.cli import root
from pinpoint_data.errors import UsageError
from pinpoint_data.grids import patch_grid
from pinpoint_data.windows import WindowSpec, make_windows
from pinpoint_data.words.base import PageWords
from pinpoint_data.workspace import Workspace
from tests.training.ranker.build import random_ranker
from tests.training.views import question_view, words_of
from training.pages.input import PageInput
from training.pages.store import PageStore
from training.ranker.examples import Example
from training.ranker.features import FEATURES, token_features
from training.ranker.fit import FitSettings, fit_ranker
from training.ranker.groups import document_groups
from training.ranker.page import PAGE_FEATURES, read_page
from training.ranker.relations import RELATIONS
from training.window_scorers import PageView, RankerScorer

SOURCES = {"forms": "spdocvqa", "reports-documents": "mpdocvqa"}


def command(*arguments):
    done = CliRunner().invoke(root, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two generated documents of a page, and two of several pages; workspace and dataset."""
    folder = tmp_path_factory.mktemp("table")
    for name, layout in SOURCES.items():
        drawn = folder / layout
        command("generate", drawn, "--layout", layout, "--documents", 2, "--seed", 5, "--jobs", 1)
        gold = ("--evidence", drawn / "gold_evidence.jsonl")
        command("ingest", layout, drawn, "--workspace", folder / "ws", "--name", name, *gold, "--jobs", 1)
    command("words", folder / "ws", "--jobs", 1)
    command("publish", folder / "ws", folder / "dataset")
    return folder


@pytest.fixture(scope="module")
def table(made):
    """The folder of a quick table of all rows."""
    run(made, made / "out")
    return made / "out"


def run(made, out, *options):
    places = ("--workspace", made / "ws", "--dataset", made / "dataset")
    ranker_table.main([str(word) for word in (out, *places, "--quick", *options)])


def copy_cells(table, out):
    (out / "cells").mkdir(parents=True)
    for file in (table / "cells").iterdir():
        (out / "cells" / file.name).write_bytes(file.read_bytes())


def watch_training(monkeypatch, seen):
    """Have `seen` told of every training, by the function's name and the examples."""

    def watch(owner, name):
        fit = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda examples, *a, **k: (seen(name, examples), fit(examples, *a, **k))[1])

    watch(ranker_cells, "fit_ranker")
    watch(ranker_cells.trees, "fit_trees")


def read(folder):
    return json.loads((folder / "ranker-table.json").read_text())


def merged(table, row):
    """Scores by question, as the cells of a row have them."""
    files = sorted((table / "cells").glob(f"{row}-seed*.json"))
    assert len(files) == (2 if row in TRAINED else 1)
    cells = [json.loads(file.read_text())["scores"] for file in files]
    assert sum(map(len, cells)) == len({question for cell in cells for question in cell})
    return {question: scores for cell in cells for question, scores in cell.items()}


class TestTable:
    def test_every_row_is_scored_on_every_question(self, made, table):
        samples = {sample.question_id: sample for sample in load_samples(made / "dataset") if sample.evidence}
        summary = read(table)
        assert (summary["folds"], summary["seeds"], summary["refused"]) == (2, 1, 0)
        assert set(summary["sources"]) == set(SOURCES)
        asked = set(merged(table, "ranker"))
        assert Counter(samples[question].doc_id for question in asked) == dict.fromkeys(
            {sample.doc_id for sample in samples.values()}, 3
        )
        for row in ROWS:
            assert set(merged(table, row)) == asked
        for found in summary["sources"].values():
            assert set(found["scores"]) == set(ROWS)
            assert (found["questions"], found["documents"]) == (6, 2)

    def test_figures_are_means_of_the_cells(self, table):
        own = {row: merged(table, row) for row in ROWS}
        for source, found in read(table)["sources"].items():
            asked = [question for question in own["ranker"] if question.startswith(source)]
            for score in ranker_table.RECALL:
                means = {row: np.mean([own[row][question][score] for question in asked]) for row in ROWS}
                for row, mean in means.items():
                    assert found["scores"][row][score]["mean"] == pytest.approx(mean)
                    assert means["oracle-tokens"] >= mean - 1e-9
                    if row != "ranker":
                        gap = found["differences"][row][score]
                        assert gap["mean"] == pytest.approx(means["ranker"] - mean)
                        assert gap["excludes_zero"] == (gap["low"] > 0 or gap["high"] < 0)

    def test_page_recall_is_of_questions_over_several_pages(self, table):
        found = read(table)["sources"]
        assert "page_recall@0.05" not in found["forms"]["scores"]["ranker"]
        assert 0 < found["reports-documents"]["scores"]["bm25"]["page_recall@0.05"]["mean"] <= 1

    def test_what_is_printed_is_what_is_written(self, made, table, tmp_path, capsys):
        copy_cells(table, tmp_path)
        run(made, tmp_path, "--variants", "ranker", "bm25")
        printed = capsys.readouterr().out
        assert max(map(len, printed.splitlines())) <= 100
        of_bm25 = [line for line in printed.splitlines() if line.strip().startswith("bm25 ")]
        found = read(tmp_path)["sources"]["forms"]["scores"]["bm25"]["evidence_recall@0.25"]["mean"]
        assert f"{found:.3f}".lstrip("0") in of_bm25[0]
        assert "evidence recall of ranker minus that of ..., paired" in (tmp_path / "ranker-table.md").read_text()


class TestFolds:
    def test_no_document_is_learnt_from_and_scored(self, made, tmp_path, monkeypatch):
        learnt = []
        watch_training(monkeypatch, lambda name, examples: learnt.append({own.question_id for own in examples}))
        run(made, tmp_path, "--variants", "ranker", "no-documents", "boosted-trees")
        samples = {s.question_id: s for s in load_samples(made / "dataset") if s.evidence}
        groups = document_groups(samples.values(), PageStore(Workspace.open(made / "ws")))
        # Fold after fold: both rankers and the trees.
        for fold in range(2):
            for row, own in zip(("ranker", "no-documents", "boosted-trees"), learnt[3 * fold :], strict=False):
                cell = json.loads((tmp_path / "cells" / f"{row}-seed0-fold{fold}.json").read_text())
                held = {groups[samples[question].doc_id] for question in cell["scores"]}
                assert not held & {groups[samples[question].doc_id] for question in own}
                sources = {samples[question].source for question in own}
                assert sources == ({"forms"} if row == "no-documents" else set(SOURCES))


class TestGoingOn:
    def test_only_what_is_missing_is_trained(self, made, table, tmp_path, monkeypatch):
        copy_cells(table, tmp_path)
        (tmp_path / "cells" / "ranker-seed0-fold1.json").unlink()
        (tmp_path / "cells" / "boosted-trees-seed0-fold0.json").write_text('{"key": "')
        trained = []
        watch_training(monkeypatch, lambda name, examples: trained.append(name))
        run(made, tmp_path)
        assert sorted(trained) == ["fit_ranker", "fit_trees"]
        ours, theirs = read(tmp_path), read(table)
        assert ours.pop("fit_seconds").keys() == theirs.pop("fit_seconds").keys()
        assert ours == theirs

    def test_other_settings_or_features_are_trained_again(self, made, table, tmp_path, monkeypatch):
        trained = []
        watch_training(monkeypatch, lambda name, examples: trained.append(name))
        copy_cells(table, tmp_path)
        run(made, tmp_path, "--variants", "one-member")
        assert trained == []
        monkeypatch.setitem(RANKERS, "one-member", Variant({"members": 1, "dropout": 0.4}))
        run(made, tmp_path, "--variants", "one-member")
        assert len(trained) == 2
        monkeypatch.setattr(ranker_cells, "FEATURES", tuple(reversed(FEATURES)))
        run(made, tmp_path, "--variants", "one-member")
        assert len(trained) == 4


class TestArguments:
    @pytest.mark.parametrize(
        "given", [["out"], ["out", "--dataset", "d"], ["d", "out", "--seeds", "0"], ["d", "out", "--folds", "1"]]
    )
    def test_what_makes_no_table(self, given):
        with pytest.raises(SystemExit) as stopped:
            ranker_table.main(given)
        assert stopped.value.code == 2

    def test_a_problem_is_one_line(self, tmp_path):
        with pytest.raises(SystemExit) as stopped:
            ranker_table.main([str(tmp_path), "--workspace", str(tmp_path), "--dataset", str(tmp_path), "--quick"])
        assert str(tmp_path) in stopped.value.code
        assert "\n" not in stopped.value.code

    def test_real_pages_are_prepared_once(self, tmp_path, monkeypatch):
        commands = []
        monkeypatch.setattr(ranker_table.Runner, "pinpoint", lambda self, title, *words: commands.append(words))
        workspace, dataset = ranker_table.prepare(tmp_path / "data", tmp_path)
        assert [words[0] for words in commands] == ["ingest", "ingest", "ingest", "words", "publish"]
        assert commands[1][-4:] == ("--name", "mmdocir-documents", "--pages", "document")
        (dataset / "pinpoint.json").parent.mkdir()
        (dataset / "pinpoint.json").write_text("{}")
        assert ranker_table.prepare(tmp_path / "data", tmp_path) == (workspace, dataset)
        assert len(commands) == 5


def test_a_question_has_the_mean_of_its_seeds():
    samples = [
        Sample(f"q{i}", "one", "train", f"d{i}", "?", (), "evidence", (PageRef("p", 0, 9, 9, None),), ())
        for i in range(4)
    ]
    groups = {"d0": "d0", "d1": "d0", "d2": "d2", "d3": "d3"}  # two documents share pages
    bench = SimpleNamespace(samples=samples, groups=groups, version="1", folds=2)
    names = (*ranker_table.RECALL, *ranker_table.PAGES, "top1_accuracy", "full_coverage_budget")

    def cells(values):
        rows = [dict.fromkeys(names, value) for value in values]
        return [
            {"fit_seconds": 1.0, "scores": {"q0": rows[0], "q2": rows[2]}},
            {"fit_seconds": 3.0, "scores": {"q1": rows[1], "q3": rows[3]}},
        ]

    given = {
        "ranker": [cells([0.5, 0.6, 0.7, 0.8]), cells([0.7, 0.6, 0.9, 0.8])],
        "bm25": [cells([0.1, 0.2, 0.3, 0.4]), cells([0.1, 0.2, 0.3, 0.4])],
    }
    found = ranker_table.summarise(bench, given)
    score = found["sources"]["one"]["scores"]["ranker"]["evidence_recall@0.25"]
    assert score["mean"] == pytest.approx(np.mean([0.6, 0.6, 0.8, 0.8]))
    assert [own["top1_accuracy"] for own in found["sources"]["one"]["by_seed"]["ranker"]] == pytest.approx([0.65, 0.75])
    gap = found["sources"]["one"]["differences"]["bm25"]["evidence_recall@0.25"]
    assert (gap["mean"], gap["n"], gap["excludes_zero"]) == (pytest.approx(0.45), 4, True)
    assert 0.4 <= gap["low"] <= 0.45 <= gap["high"] <= 0.5
    assert found["sources"]["one"]["documents"] == 3
    assert found["fit_seconds"] == {"ranker": 2.0, "bm25": 2.0}
    [seeds] = [shown for shown in ranker_table.tables(found) if "from the worst seed to the best" in shown.title]
    assert seeds.rows == (("ranker", *[".650 to .750"] * 5),), "bm25 has no seed"


class TestVariants:
    def test_no_two_seeds_share_a_member_or_a_tree(self):
        bench = SimpleNamespace(quick=False)
        found = [ranker_cells.Bench.ranker_settings(bench, "ranker", seed) for seed in range(3)]
        members = [own.seed + member for own in found for member in range(own.members)]
        assert len(set(members)) == len(members) == 9
        assert [ranker_cells.Bench.trees_settings(bench, seed).seed for seed in range(3)] == [0, 1, 2]

    def test_unsmoothed_is_the_same_ranker_scored_otherwise(self, table):
        ours, theirs = merged(table, "ranker"), merged(table, "unsmoothed")
        assert ours != theirs
        keys = [json.loads((table / "cells" / f"{row}-seed0-fold0.json").read_text()) for row in RANKERS]
        assert keys[0]["fit_seconds"] == keys[1]["fit_seconds"]
        assert len({cell["key"] for cell in keys}) > len(keys) - 2, "only haste makes one of members the reference"

    def test_layout_and_relations_are_all_there_is(self):
        layout, relations = RANKERS["layout-only"].unseen, RANKERS["relations-only"].unseen
        assert layout | relations == set(FEATURES)
        assert layout == set(RELATIONS)
        assert relations == set(PAGE_FEATURES)

    def test_without_pixels_nothing_but_the_outlines_of_blocks_depends_on_them(self):
        rng = np.random.default_rng(0)
        grid = patch_grid(560, 560)
        words = words_of([("red", (30, 40, 90, 60)), ("2019", (200, 300, 260, 320)), ("bar", (270, 300, 300, 320))])
        shown = []
        for _ in range(2):
            blots = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
            blots[rng.random((14, 14)) < 0.8] = rng.integers(0, 256, 3)
            shown.append(Image.fromarray(blots).resize((560, 560), Image.Resampling.NEAREST))
        ours, theirs = (next(token_features([read_page(grid, words, image)], "Which bar is red?")) for image in shown)
        moved = {name for name, one, other in zip(FEATURES, ours.T, theirs.T, strict=True) if (one != other).any()}
        unseen = RANKERS["no-pixels"].unseen
        assert unseen <= moved
        assert all("block" in name for name in moved - unseen)

    def test_what_is_unseen_does_not_count(self):
        rng = np.random.default_rng(1)
        ranker = without(random_ranker(), frozenset({"x", "match-on"}))
        features = rng.normal(size=(7, len(FEATURES))).astype(np.float32)
        for name, same in (("x", True), ("match-on", True), ("y", False)):
            other = features.copy()
            other[:, FEATURES.index(name)] += 1
            assert np.array_equal(ranker.logits(features), ranker.logits(other)) == same

    @pytest.mark.parametrize("spec", [RankerScorer.window_spec, WindowSpec()])
    def test_windows_are_scored_as_the_scorer_of_the_package_scores_them(self, spec):
        placed = words_of([("total", (30, 40, 90, 60)), ("1,204", (200, 300, 260, 320))])
        empty = PageWords()
        pages = []
        for index, (words, colour) in enumerate(((placed, "white"), (empty, "navy"))):
            image = Image.new("RGB", (560, 420), colour)
            image.paste("orange", (100, 100, 200, 260))
            given = PageInput(f"page {index}", 560, 420, words, lambda image=image: image)
            grid = patch_grid(560, 420)
            pages.append(PageView(grid, make_windows(grid, spec), words, given))
        view = question_view(pages, "What is the total?")
        ranker = random_ranker()
        ours = np.concatenate(SharedReading(ranker, FoldFeatures(), Variant(windows=spec)).score(view))
        theirs = np.concatenate(RankerScorer(ranker).score(view))
        assert theirs == pytest.approx(sum(page.grid.n_tokens for page in pages) * ours, abs=1e-9)


def test_a_pointwise_ranker_knows_how_likely_a_token_is():
    """A listwise loss leaves the level of the scores open; the pointwise one makes them log odds."""
    rng = np.random.default_rng(0)
    share = np.zeros(50, dtype=np.float32)
    share[:10] = 0.1
    features = rng.normal(size=(50, len(FEATURES))).astype(np.float16) * 0
    weight = np.repeat(np.float32([1, 2]), [10, 40])  # 10 of 90 tokens hold evidence
    examples = [Example(f"q{i}", "one", f"d{i}", features, share, weight) for i in range(8)]
    settings = FitSettings(members=1, epochs=10, per_source=16, batch=2, learning_rate=0.02, hidden=4, weight_decay=0.0)
    ranker = fit_ranker(examples, replace(settings, loss="pointwise"))
    odds = ranker.logits(features[:1].astype(np.float32))
    assert 1 / (1 + np.exp(-odds[0])) == pytest.approx(10 / 90, rel=0.1)


def test_a_loss_is_one_of_two():
    with pytest.raises(UsageError, match="loss must be one of listwise, pointwise, got pairwise"):
        FitSettings(loss="pairwise")
