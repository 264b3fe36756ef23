"""`pinpoint evaluate` on a small published dataset, from the command down to the files."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from loaders.publishing import publish
from loaders.samples import load_samples
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.grids import make_grid, patch_grid
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, question, regions, write
from tests.training.ranker.build import random_ranker
from tests.training.runs import tiny_run
from training.commands.evaluate import evaluate
from training.evaluation.comparison import evaluate as compare
from training.evaluation.pages import PageViews
from training.evaluation.report import markdown, terminal_text
from training.pages.store import PageStore
from training.ranker import SHIPPED, Ranker
from training.ranker.page import read_page

SIDE = 280  # 20 x 20 tokens of 14 pixels; windows of 10 start at 0, 7 and 10
LARGE = {"width": 10, "height": 10, "stride": 7}
NAMES = ("alpha", "bravo", "charlie", "delta")


class Peeking:
    """A scorer from outside that looks at the pixels."""

    name = "peeking"

    def score(self, view):
        for shown in view.pages:
            shown.page_input.load_image()
        return [np.zeros(len(shown.windows)) for shown in view.pages]


def _word(page_id, text, x, y):
    box = {"x0": x, "y0": y, "x1": x + 30.0, "y1": y + 10.0}
    return {"page_id": page_id, "line": 0, "text": text, "confidence": None, "engine": "test", **box}


def _fill(folder: Path) -> Workspace:
    """`forms`: four documents of one page, two questions each; `books`: one document of three pages."""
    ws = Workspace.create(folder / "ws")
    for name in ("forms", "books"):
        ws.register_source(name, "records", folder)
    Image.new("RGB", (SIDE, SIDE), "white").save(folder / "page.png")
    size = {"path": "page.png", "width": SIDE, "height": SIDE}
    pages, asked, gold, words = [], [], [], []
    for place, name in enumerate(NAMES):
        id_ = f"forms/{name}"
        pages.append(page(id_, **size | {"doc_id": id_}))
        words += [
            _word(id_, "revenue", 20.0, 20.0 + place),
            _word(id_, "costs", 230.0, 240.0),
            _word(id_, "the", 150, 9),
        ]
        for noun, box in (("revenue", (10.0, 10.0, 60.0, 40.0)), ("costs", (220.0, 230.0, 270.0, 260.0))):
            asked.append(question(f"{id_}-{noun}", "train", [id_], doc_id=id_, question=f"What is the {noun}?"))
            gold += regions(f"{id_}-{noun}", [box], role="answer")
    asked.append(question("forms/open", "train", ["forms/alpha"], doc_id="forms/alpha"))
    asked.append(question("forms/none", "train", ["forms/alpha"], doc_id="forms/alpha"))
    gold += regions("forms/none", [], status="unanswerable")
    _put(ws, "forms-train", pages, asked, gold, words)
    leaves = [page(f"books/p{index}", **size | {"doc_id": "books/b"}) for index in range(3)]
    ids = [leaf["page_id"] for leaf in leaves]
    asked = [question("books/1", "test", ids, doc_id="books/b", question="Which profit?", answer_page_index=1)]
    gold = regions("books/1", [(100.0, 100.0, 150.0, 120.0)], page_index=1, role="support")
    _put(ws, "books-test", leaves, asked, gold, [_word("books/p1", "profit", 110.0, 105.0)])
    return ws


def _put(ws, part, pages, asked, gold, words):
    write(ws, "pages", part, pages)
    write(ws, "questions", part, asked)
    write(ws, "annotations", f"{part}.gold", gold)
    write(ws, "words", part, words)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    publish(_fill(folder), folder / "dataset")
    return folder


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """A ranker of random weights in place of the shipped one."""
    random_ranker().save(tmp_path / "weights" / f"{SHIPPED}.safetensors")
    monkeypatch.setattr("training.ranker.model._WEIGHTS", tmp_path / "weights")


@pytest.fixture
def invoke(made):
    def run(*arguments, workspace=None, **options):
        places = ["--dataset", str(made / "dataset"), "--workspace", str(workspace or made / "ws")]
        options.setdefault("catch_exceptions", False)
        given = [str(argument) for argument in arguments]
        return CliRunner().invoke(evaluate, [*given, *places, "--resamples", "50"], **options)

    return run


class TestBaselines:
    def test_scores_files_and_counts(self, invoke, tmp_path):
        done = invoke("--baselines-only", "--out", tmp_path / "out", "--json")
        assert done.exit_code == 0
        summary = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        printed = json.loads(done.stdout)
        assert printed == summary | {"refusals": None, "out": str(tmp_path / "out")}
        assert (summary["schema"], summary["version"]) == ("pinpoint-evaluation", 2)
        assert summary["windows"] == dict.fromkeys(summary["scorers"], LARGE)
        assert summary["ranker"] is None
        assert summary["questions"]["by_source"] == {"books": 1, "forms": 8}
        assert summary["questions"]["documents"] == 5
        assert summary["questions"]["left_out"] == {"status unanswerable": 1, "status unfinished": 1}
        assert summary["differences"] == {}
        assert summary["pages"] == {"distinct": 7, "without_words": 2}
        scores = summary["scores"]["all"]
        assert summary["scorers"] == list(printed["scores"]["all"]) == ["random", "text-density", "bm25", "oracle"]
        assert scores["bm25"]["top1_accuracy"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 9}
        assert scores["oracle"]["evidence_recall@0.25"]["mean"] == 1.0
        for found in scores.values():
            assert found["budget@0.10"]["mean"] == pytest.approx(0.1)
            assert found["evidence_recall@0.25"]["mean"] <= scores["oracle"]["evidence_recall@0.25"]["mean"]
            assert found["page_recall@0.25"]["n"] == 1  # the only question of several pages
            assert (found["all_hit_answer@0.25"]["n"], found["all_hit_support@0.25"]["n"]) == (8, 1)
        assert summary["scores"]["forms"]["bm25"]["top1_accuracy"]["n"] == 8
        assert summary["scores"]["books"]["bm25"]["top1_accuracy"] == {"mean": 1.0, "low": None, "high": None, "n": 1}

    def test_every_score_of_every_question(self, invoke, tmp_path):
        invoke("--baselines-only", "--out", tmp_path)
        rows = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text().splitlines()]
        assert len(rows) == 9 * 4
        summary = json.loads((tmp_path / "evaluation.json").read_text())
        random = [row["evidence_recall@0.25"] for row in rows if row["scorer"] == "random"]
        assert np.mean(random) == pytest.approx(summary["scores"]["all"]["random"]["evidence_recall@0.25"]["mean"])

    def test_same_bytes_twice(self, invoke, tmp_path):
        for name in ("a", "b"):
            invoke("--baselines-only", "--out", tmp_path / name)
        for file in ("evaluation.json", "evaluation.md", "questions.jsonl"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

    def test_text_fits_100_columns_and_writes_nothing_unasked(self, invoke, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = invoke("--baselines-only", "--budgets", "0.05,0.125,0.5")
        assert max(map(len, done.stdout.splitlines())) <= 100
        assert "@0.125" in done.stdout
        assert "WARNING: 2 of 7 pages have no words" in done.stdout
        assert not list(tmp_path.glob("*.json"))

    def test_split_and_source(self, invoke):
        done = invoke("--baselines-only", "--split", "test", "--json")
        assert json.loads(done.stdout)["questions"]["by_source"] == {"books": 1}
        done = invoke("--baselines-only", "--source", "forms", "--json")
        assert json.loads(done.stdout)["questions"]["by_source"] == {"forms": 8}
        with pytest.raises(TrainingError, match="of split test"):
            invoke("--baselines-only", "--split", "validation")

    def test_a_scorer_from_outside_and_a_broken_page(self, invoke, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        (tmp_path / "broken.png").write_bytes(b"no picture")
        rows = ws.read("pages", ["forms-train"]).to_pylist()
        rows[1] |= {"path": "broken.png"}
        (tmp_path / "page.png").write_bytes((made / "page.png").read_bytes())
        moved = json.loads((ws.path / "workspace.json").read_text(encoding="utf-8"))
        moved["sources"]["forms"]["root"] = str(tmp_path)
        (ws.path / "workspace.json").write_text(json.dumps(moved), encoding="utf-8")
        write(ws, "pages", "forms-train", rows)
        scorer = f"{__name__}:Peeking"
        done = invoke("--baselines-only", "--scorer", scorer, "--json", workspace=tmp_path / "ws")
        printed = json.loads(done.stdout)
        assert done.exit_code == 1
        assert printed["questions"]["refused"] == {"wrong-type": 2}
        assert {problem["record"] for problem in printed["refusals"]["problems"]} == {
            "question forms/bravo-revenue",
            "question forms/bravo-costs",
        }
        assert printed["questions"]["scored"] == 7
        assert {found["top1_accuracy"]["n"] for found in printed["scores"]["all"].values()} == {7}
        assert "peeking" in printed["scores"]["all"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["RUN", "--grid", "patches"], "--grid has no meaning with RUN"),
            (["--baselines-only", "--cache", "."], "--cache has no meaning without RUN"),
            (["--baselines-only", "--device", "cpu"], "--device has no meaning without RUN"),
            (["RUN", "--baselines-only", "--cache", "."], "--cache has no meaning with --baselines-only"),
            (["--baselines-only", "--ranker", "x"], "--ranker has no meaning with --baselines-only"),
            (["--baselines-only", "--no-ranker"], "--no-ranker has no meaning with --baselines-only"),
            (["RUN", "--no-ranker", "--ranker", "x"], "--ranker has no meaning with --no-ranker"),
            (["RUN", "--answers", "--ranker", "x"], "--ranker has no meaning with --answers"),
        ],
    )
    def test_options_without_effect(self, made, options, message):
        places = ["--dataset", str(made / "dataset"), "--workspace", str(made / "ws")]
        given = [str(made) if option == "RUN" else option for option in options]  # refused before it is opened
        with pytest.raises(UsageError, match=message):
            CliRunner().invoke(evaluate, [*given, *places], catch_exceptions=False)

    @pytest.mark.parametrize("budgets", ["0", "0.1,0.1", "1.5", "nan"])
    def test_budgets_must_be_shares(self, invoke, budgets):
        with pytest.raises(UsageError, match="different shares"):
            invoke("--baselines-only", "--budgets", budgets)

    def test_misuse(self, invoke):
        assert invoke("--baselines-only", "--budgets", "a").exit_code == 2
        with pytest.raises(UsageError, match="name the RUN"):
            invoke("--no-ranker")
        with pytest.raises(UsageError, match="no ranker 'nowhere'"):
            invoke("--ranker", "nowhere")
        with pytest.raises(UsageError, match="no grid 'nope'"):
            invoke("--baselines-only", "--grid", "nope")

    def test_a_dataset_without_gold_boxes(self, tmp_path):
        ws = Workspace.create(tmp_path / "ws")
        ws.register_source("forms", "records", tmp_path)
        write(ws, "pages", "forms-train", [page("forms/a", "a.png")])
        write(ws, "questions", "forms-train", [question("forms/1", "train", ["forms/a"])])
        publish(ws, tmp_path / "dataset")
        places = ["--dataset", str(tmp_path / "dataset"), "--workspace", str(tmp_path / "ws")]
        with pytest.raises(TrainingError, match="no question to score has gold boxes"):
            CliRunner().invoke(evaluate, ["--baselines-only", *places], catch_exceptions=False)

    def test_another_workspace_is_refused(self, invoke, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        rows = ws.read("pages", ["books-test"]).to_pylist()
        write(ws, "pages", "books-test", [row | {"width": SIDE + 1} for row in rows])
        with pytest.raises(TrainingError, match=r"is 281 x 280 pixels in the workspace, 280 x 280 in the dataset"):
            invoke("--baselines-only", workspace=tmp_path / "ws")


class TestRun:
    @pytest.fixture
    def run(self, tmp_path):
        return tiny_run(tmp_path / "run", train=("forms/alpha", "forms/bravo"), validation=("forms/charlie",))

    def test_scores_the_documents_that_the_run_held_out(self, invoke, run):
        done = invoke(run, "--json")
        printed = json.loads(done.stdout)
        assert printed["questions"]["by_source"] == {"forms": 2}
        assert printed["questions"]["left_out"] == {
            "of documents not held out by the run": 3,
            "of documents that the run has learnt from": 6,
        }
        assert list(printed["scores"]["all"]) == ["random", "text-density", "bm25", "ranker", "pinpoint", "oracle"]
        assert list(printed["differences"]["all"]) == ["random", "text-density", "bm25", "ranker", "oracle"]
        mean = {name: found["evidence_recall@0.25"]["mean"] for name, found in printed["scores"]["all"].items()}
        paired = printed["differences"]["all"]["bm25"]["evidence_recall@0.25"]["mean"]
        assert paired == pytest.approx(mean["pinpoint"] - mean["bm25"])
        assert (run / "evaluation-validation" / "evaluation.md").is_file()
        assert printed["warnings"] == []

    @pytest.mark.parametrize(
        ("split", "expected"), [("all", {"books": 1, "forms": 4}), ("test", {"books": 1}), ("train", {"forms": 4})]
    )
    def test_other_parts(self, invoke, run, split, expected):
        done = invoke(run, "--split", split, "--json")
        printed = json.loads(done.stdout)
        assert printed["questions"]["by_source"] == expected
        memory = "the run has learnt from these documents"
        assert (memory in " ".join(printed["warnings"]), memory in done.stderr) == (split == "train",) * 2

    def test_a_run_that_held_out_nothing_of_this(self, invoke, tmp_path):
        run = tiny_run(tmp_path / "run", train=("forms/alpha",), validation=("elsewhere/1",))
        with pytest.raises(TrainingError, match="no question of the dataset is in the part to score"):
            invoke(run)

    def test_baselines_on_the_run_s_part(self, invoke, run):
        printed = json.loads(invoke(run, "--baselines-only", "--json").stdout)
        assert printed["questions"]["by_source"] == {"forms": 2}
        assert "pinpoint" not in printed["scores"]["all"]

    def test_scores_of_whole_windows_have_differences_between_equal_windows_only(self, invoke, run):
        differences = json.loads(invoke(run, "--json").stdout)["differences"]["all"]
        whole = {"region_accuracy@0.25", "coverage@0.60", "top1_accuracy"}
        assert whole <= set(differences["bm25"]) and not whole & set(differences["ranker"])
        assert set(differences["bm25"]) - set(differences["ranker"]) == {
            *(f"{score}@{r}" for score in ("region_accuracy", "coverage") for r in ("0.60", "0.25", "0.10")),
            "top1_accuracy",
        }

    def test_a_ranker_that_learnt_from_what_the_run_held_out(self, invoke, run, tmp_path):
        random_ranker(pages=["forms/charlie", "forms/alpha"]).save(tmp_path / "known.safetensors")
        printed = json.loads(invoke(run, "--ranker", tmp_path / "known.safetensors", "--json").stdout)
        assert printed["questions"]["by_source"] == {"forms": 2}
        [warning] = printed["warnings"]
        assert warning.startswith("ranker known has learnt from 1 of the 1 pages, which 2 of the 2 questions are asked")


class TestRanker:
    @pytest.fixture
    def folder(self, tmp_path):
        """A ranker that learnt from two documents and held out a third; it knows one page of the book, too."""
        random_ranker(1, pages=["forms/alpha", "forms/bravo", "books/p1"]).save(
            tmp_path / "mine" / "ranker.safetensors"
        )
        documents = {"train": ["forms/alpha", "forms/bravo"], "validation": ["forms/charlie"]}
        (tmp_path / "mine" / "documents.json").write_text(json.dumps(documents))
        return tmp_path / "mine"

    def test_the_shipped_one_is_a_row_without_a_run(self, invoke, tmp_path):
        done = invoke("--out", tmp_path / "out", "--json")
        assert done.exit_code == 0
        printed = json.loads(done.stdout)
        assert printed["scorers"] == ["random", "text-density", "bm25", "ranker", "oracle"]
        assert (printed["reference"], printed["split"], printed["run"]) == ("ranker", "all", None)
        assert printed["ranker"] == {"name": "documents", "fingerprint": random_ranker().fingerprint}
        assert list(printed["differences"]["all"]) == ["random", "text-density", "bm25", "oracle"]
        single = {"width": 1, "height": 1, "stride": 1}
        assert printed["windows"] == dict.fromkeys(printed["scorers"], LARGE) | {"ranker": single}
        assert all(found["budget@0.10"]["mean"] == pytest.approx(0.1) for found in printed["scores"]["all"].values())
        rows = [json.loads(line) for line in (tmp_path / "out" / "questions.jsonl").read_text().splitlines()]
        assert sum(row["scorer"] == "ranker" for row in rows) == 9

    def test_the_report_says_who_was_asked_for_which_windows(self, invoke, tmp_path):
        text = invoke("--out", tmp_path).stdout
        for shown in (text, (tmp_path / "evaluation.md").read_text()):
            assert "windows of 10 x 10 tokens, stride 7: random, text-density, bm25, oracle" in shown
            assert "windows of 1 x 1 tokens, stride 1: ranker" in shown
            assert "those of whole windows only scorers of equal windows" in shown
            assert "the oracle is the ceiling of its own windows" in shown
            assert f"ranker documents, fingerprint {random_ranker().fingerprint[:12]}" in shown
            assert "Evidence recall of ranker minus that of ..., paired" in shown
        assert max(map(len, text.splitlines())) <= 100

    def test_scores_are_those_of_its_own_ranking_of_tokens(self, invoke, made, folder, tmp_path):
        """The tokens in the order of their expected evidence, ties aside, and the area of gold in them."""
        invoke("--ranker", folder, "--split", "all", "--out", tmp_path / "out")
        lines = (tmp_path / "out" / "questions.jsonl").read_text().splitlines()
        rows = {row["question_id"]: row for row in map(json.loads, lines) if row["scorer"] == "ranker"}
        store, ranker = PageStore(Workspace.open(made / "ws")), Ranker.load(folder)
        for sample in load_samples(made / "dataset"):
            if sample.question_id not in rows:
                continue
            inputs = [store.input(page.page_id) for page in sample.pages]
            pages = [read_page(patch_grid(p.width, p.height), p.words, p.load_image()) for p in inputs]
            shares = np.concatenate(ranker.shares(pages, sample.question))
            boxes = [[box.xyxy for box in sample.evidence if box.page_index == index] for index in range(len(pages))]
            gold = np.concatenate(
                [p.grid.evidence_area(np.reshape(own, (-1, 4))) for p, own in zip(pages, boxes, strict=True)], axis=None
            )
            kept = np.argsort(-shares)[: len(shares) // 4]
            row = rows[sample.question_id]
            assert row["evidence_recall@0.25"] == pytest.approx(gold[kept].sum() / gold.sum())

    @pytest.mark.parametrize(
        ("split", "expected"),
        [
            (None, ["charlie"]),
            ("validation", ["charlie"]),
            ("train", ["alpha", "bravo"]),
            ("all", ["charlie", "delta"]),
        ],
    )
    def test_a_folder_knows_what_it_held_out(self, invoke, folder, tmp_path, split, expected):
        done = invoke("--ranker", folder, "--json", "--out", tmp_path / "out", *(["--split", split] if split else []))
        printed = json.loads(done.stdout)
        lines = (tmp_path / "out" / "questions.jsonl").read_text().splitlines()
        forms = {json.loads(line)["doc_id"] for line in lines} - {"books/b"}
        assert forms == {f"forms/{name}" for name in expected}
        assert printed["split"] == (split or "validation")
        learnt = "the ranker has learnt from these documents"
        assert (learnt in " ".join(printed["warnings"])) == (split == "train")
        assert ("of documents that the ranker has learnt from" in printed["questions"]["left_out"]) == (
            split != "train"
        )

    def test_a_file_alone_is_scored_on_everything_with_a_warning(self, invoke, folder):
        printed = json.loads(invoke("--ranker", folder / "ranker.safetensors", "--json").stdout)
        assert printed["split"] == "all" and printed["questions"]["scored"] == 9
        [warning, words] = printed["warnings"]
        assert warning == (
            "ranker ranker has learnt from 3 of the 7 pages, which 5 of the 9 questions are asked over: its scores "
            "there measure its memory and must not be reported as results"
        )
        assert "have no words" in words

    def test_an_empty_name_is_no_ranker(self, invoke):
        with pytest.raises(UsageError, match="no ranker ''; expected documents"):
            invoke("--ranker", "")

    def test_it_is_warned_of_however_it_was_asked_for(self, invoke, tmp_path):
        random_ranker(pages=["forms/alpha"]).save(tmp_path / "weights" / f"{SHIPPED}.safetensors")
        printed = json.loads(invoke("--baselines-only", "--scorer", "ranker", "--json").stdout)
        assert printed["ranker"]["name"] == SHIPPED
        assert printed["warnings"][0].startswith(f"ranker {SHIPPED} has learnt from 1 of the 7 pages")

    def test_a_damaged_list_of_documents(self, invoke, folder):
        (folder / "documents.json").write_text('{"train": []}')
        with pytest.raises(TrainingError, match=r"documents.json: does not list the documents learnt from"):
            invoke("--ranker", folder)

    def test_where_all_windows_are_equal_the_report_says_it_once(self, invoke):
        text = invoke("--baselines-only").stdout
        assert "grid patches, windows of 10 x 10 tokens, stride 7\n" in text
        assert "whole windows" not in text and "fingerprint" not in text

    def test_other_scorers_have_the_scores_they_have_without_it(self, invoke):
        beside = json.loads(invoke("--json").stdout)["scores"]
        alone = json.loads(invoke("--baselines-only", "--json").stdout)["scores"]
        for group, found in alone.items():
            assert found == {name: own for name, own in beside[group].items() if name != "ranker"}

    def test_a_workspace_without_any_words(self, invoke, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        for part in ("forms-train", "books-test"):
            write(ws, "words", part, [])
        done = invoke("--json", workspace=tmp_path / "ws")
        printed = json.loads(done.stdout)
        assert done.exit_code == 0 and printed["pages"] == {"distinct": 7, "without_words": 7}
        assert printed["scores"]["all"]["ranker"]["evidence_recall@0.25"]["n"] == 9


class Corner:
    """Wants the upper left corner of the first page, in windows as it is shown them."""

    name = "corner"

    def score(self, view):
        return [-page.windows.xyxy[:, :2].sum(axis=1) - 1e4 * index for index, page in enumerate(view.pages)]


class TestWindows:
    @pytest.fixture
    def views(self, made):
        store = PageStore(Workspace.open(made / "ws"))
        return lambda spec: PageViews(store, partial(make_grid, "patches"), spec)

    @pytest.mark.parametrize("spec", [WindowSpec(1, 1, 1), WindowSpec(4, 3, 2)])
    def test_windows_of_its_own_are_as_good_as_windows_for_all(self, made, views, spec):
        samples = list(load_samples(made / "dataset"))
        picky = type("Picky", (Corner,), {"name": "picky", "window_spec": spec})()
        mixed = compare(samples, [Corner(), picky], views(WindowSpec()))
        assert mixed.windows == {"corner": WindowSpec(), "picky": spec}
        for name, shown in (("corner", WindowSpec()), ("picky", spec)):
            [alone] = compare(samples, [Corner()], views(shown)).scores.values()
            assert list(mixed.scores[name]) == list(alone)
            for score, column in alone.items():
                np.testing.assert_array_equal(mixed.scores[name][score], column)

    def test_a_page_is_looked_up_once_for_all_windows(self, made, views, monkeypatch):
        [book] = [sample for sample in load_samples(made / "dataset") if len(sample.pages) == 3]
        looked = []
        one = views(WindowSpec())
        real = one.store.input
        monkeypatch.setattr(one.store, "input", lambda page_id: looked.append(page_id) or real(page_id))
        plain, single = one.of(book), one.of(book, WindowSpec(1, 1, 1))
        assert looked == [page.page_id for page in book.pages]
        assert [len(page.windows) for page in plain.pages] == [9] * 3
        assert [len(page.windows) for page in single.pages] == [400] * 3
        for one_view, same in zip(plain.pages, single.pages, strict=True):
            assert one_view.grid is same.grid and one_view.page_input is same.page_input
        assert one.of(book, WindowSpec(1, 1, 1)).pages[0] is single.pages[0]

    def test_windows_that_are_none(self, made, views):
        odd = type("Odd", (Corner,), {"window_spec": (1, 1, 1)})()
        with pytest.raises(TrainingError, match="scorer 'corner' has a window_spec that is no WindowSpec"):
            compare(list(load_samples(made / "dataset")), [odd], views(WindowSpec()))


class TestReport:
    SUMMARY = {  # noqa: RUF012 - a constant of the tests
        "budgets": [0.25],
        "coverages": [0.6],
        "questions": {
            "scored": 2,
            "documents": 1,
            "by_source": {"a|b<i>": 2},
            "left_out": {},
            "refused": {"wrong-type": 3},
        },
        "clipping": {"questions": 1, "mean_share_lost": 0.125, "largest_share_lost": 0.25},
        "bootstrap": {"resamples": 10},
        "reference": None,
        "warnings": ["be\x1b[31m careful"],
        "scores": {"all": {"[b]x|y": {"evidence_recall@0.25": {"mean": 1.0, "low": -0.5, "high": 0.0, "n": 2}}}},
        "differences": {},
    }

    def test_cells_cannot_break_out(self):
        text = markdown(self.SUMMARY)
        assert "| [b]x\\|y | 1.00 [-.50,.00] |" in text
        assert "\x1b" not in text + terminal_text(self.SUMMARY)
        assert "[b]x|y" in terminal_text(self.SUMMARY)

    def test_head_names_what_was_lost(self):
        text = terminal_text(self.SUMMARY)
        assert "3 refused: wrong-type" in text
        assert "12.50%" in text
        assert "there is one" in text
