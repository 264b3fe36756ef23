"""Every selector on every question of a small published dataset: resumed, refused, paired."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from loaders.publishing import publish
from loaders.samples import load_samples
from pinpoint_data.errors import GeometryError, TrainingError, UsageError
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, picture, question, regions, write
from tests.training.blind import BlindBackbone
from training.benchmark.collect import collect
from training.benchmark.log import BenchmarkLog
from training.evaluation.pages import PageViews
from training.ledger import Cost
from training.pages.store import PageStore
from training.selectors import Kept, ModelSource, Selector, SignalSource, make_selector

BUDGETS = (0.1, 0.25, 0.6)
NAMES = ("alpha", "bravo", "charlie")


class Spy(Selector):
    """Ranks by colour and counts what it is asked; fails where it is told to."""

    def __init__(self, name="spy", fails=None):
        self.name, self.fails = name, fails or {}
        self.asked: list[str] = []

    def select(self, sample, budgets):
        # A question costs two calls: for what it costs at one budget, and for all of them.
        if self.asked[-1:] != [sample.question_id]:
            self.asked.append(sample.question_id)
        if error := self.fails.get(sample.question_id):
            raise error
        return self.kept(sample, budgets)

    def kept(self, sample, budgets):
        return sample.keep_top(sample.tokens[:, 0] + sample.tokens[:, 2] / 3, budgets, flops=3.0)


class Random(Spy):
    def kept(self, sample, budgets):
        return sample.keep_top(sample.generator("random").random(sample.n_tokens), budgets)


class Blind(Spy):
    reads_question = False

    def kept(self, sample, budgets):
        scores = sample.generator("blind", of_question=False).random(sample.n_tokens)
        return [Kept(own.mask, flops=float(own.mask.sum())) for own in sample.keep_top(scores, budgets)]


class Killed(Random):
    """Kills its process the third time it is asked."""

    def kept(self, sample, budgets):
        if len(self.asked) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().kept(sample, budgets)


def _fill(folder: Path) -> Workspace:
    """`forms`: three documents of one page, two questions each; `books`: one of two pages. One has no gold boxes."""
    ws = Workspace.create(folder / "ws")
    for name in ("forms", "books"):
        ws.register_source(name, "records", folder)
    pages, asked, gold, words = [], [], [], []
    for place, name in enumerate(NAMES):
        id_, data = f"forms/{name}", picture(120, 80, 40 * place)
        (folder / f"{name}.png").write_bytes(data)
        pages.append(page(id_, f"{name}.png", data, doc_id=id_))
        words.append(_word(id_, name))
        for number in range(2):
            asked.append(question(f"{id_}-{number}", "train", [id_], doc_id=id_))
            box = (5.0 + 20 * number, 15.0, 45.0 + 13 * place, 40.0)
            gold += regions(f"{id_}-{number}", [box, (200.0, 60.0, 210.0, 70.0)][: 1 + (place == 1)])
    asked.append(question("forms/none", "train", ["forms/alpha"], doc_id="forms/alpha"))
    gold += regions("forms/none", [], status="unanswerable")
    _put(ws, "forms-train", pages, asked, gold, words)
    leaves = []
    for index in range(2):
        data = picture(120, 80, 100 + index)
        (folder / f"leaf{index}.png").write_bytes(data)
        leaves.append(page(f"books/p{index}", f"leaf{index}.png", data, doc_id="books/b"))
    asked = [question("books/1", "test", ["books/p0", "books/p1"], doc_id="books/b", answer_page_index=1)]
    gold = regions("books/1", [(10.0, 10.0, 50.0, 33.0), (15.0, 10.0, 70.0, 33.0)], page_index=1, role="support")
    _put(ws, "books-test", leaves, asked, gold, [])
    return ws


def _word(page_id, text):
    box = {"x0": 10.0, "y0": 10.0, "x1": 40.0, "y1": 20.0}
    return {"page_id": page_id, "line": 0, "text": text, "confidence": None, "engine": "test", **box}


def _put(ws, part, pages, asked, gold, words):
    write(ws, "pages", part, pages)
    write(ws, "questions", part, asked)
    write(ws, "annotations", f"{part}.gold", gold)
    if words:
        write(ws, "words", part, words)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    publish(_fill(folder), folder / "dataset")
    return folder


def benchmark(
    folder, log, selectors, *, identities=None, workspace=None, budgets=BUDGETS, stride=2, change=lambda sample: sample
):
    """One run over the dataset of a folder."""
    samples = [change(sample) for sample in load_samples(folder / "dataset")]
    backbone = BlindBackbone()
    store = PageStore(Workspace.open(workspace or folder / "ws"))
    views = PageViews(store, backbone.grid, WindowSpec(2, 2, stride))
    known = {selector.name: {"seed": 0} for selector in selectors} | (identities or {})
    with BenchmarkLog(log) as opened:
        return collect(samples, views, SignalSource(backbone), selectors, known, budgets, opened, device="here")


@pytest.fixture
def run(made, tmp_path):
    return lambda selectors, **options: benchmark(made, tmp_path / "samples.jsonl", selectors, **options)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def same(one, other, seconds=False):
    """Whether two benchmarks measured the same, to the last bit; seconds only where they are not measured anew."""
    assert (one.samples, one.selectors, one.budgets) == (other.samples, other.selectors, other.budgets)
    assert (one.left_out, one.outcome, one.devices) == (other.left_out, other.outcome, other.devices)
    for name in ("scores", "flops", *(["seconds"] if seconds else [])):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert {s: list(columns) for s, columns in mine.items()} == {s: list(columns) for s, columns in theirs.items()}
        for selector, columns in mine.items():
            for score, column in columns.items():
                assert column.tobytes() == theirs[selector][score].tobytes(), (selector, score)
    for selector, recall in one.box_recall.items():
        assert recall.tobytes() == other.box_recall[selector].tobytes()
    assert one.clipped.tobytes() == other.clipped.tobytes()
    assert all(np.array_equal(mine, vars(other.boxes)[name]) for name, mine in vars(one.boxes).items())


class TestFigures:
    def test_shapes_and_counts(self, run):
        data = run([Spy(), Random("random")])
        assert [sample.question_id for sample in data.samples][-2:] == ["forms/charlie-0", "forms/charlie-1"]
        assert (data.selectors, data.budgets) == (["spy", "random"], BUDGETS)
        assert data.left_out == {"status unanswerable": 1}
        assert (data.devices, data.reused, data.outcome.refused) == ({"here": 14}, 0, {})
        assert all(column.shape == (7,) for columns in data.scores.values() for column in columns.values())
        assert all(recall.shape == (10, 3) for recall in data.box_recall.values())
        assert data.boxes.question.tolist() == [0, 0, 1, 2, 3, 3, 4, 4, 5, 6]
        assert set(data.flops["spy"]) == set(data.seconds["spy"]) == {"choice", "encode"}
        assert (data.flops["spy"]["choice"] == 3).all()
        assert set(data.seconds["random"]) == {"choice"}

    def test_costs_are_those_of_one_budget(self, run):
        class Walker(Spy):
            """Walks anew for each budget; what the tower sees is the same for all."""

            def kept(self, sample, budgets):
                sample.ledger.once("vision", lambda: 1, lambda: Cost(2.0, 5.0))
                for place, budget in enumerate(budgets):
                    name = f"decoder.{budget}.{len(budgets)}.{place}"
                    sample.ledger.once(name, lambda: 1, lambda budget=budget: Cost(float(budget), 10.0 * budget))
                return [replace(own, flops=float(own.mask.sum())) for own in super().kept(sample, budgets)]

        data = run([Walker()])
        assert data.cost_budget == 0.25
        assert data.seconds["spy"]["decoder"].tolist() == [12, *[6] * 6]
        assert data.flops["spy"]["decoder"].tolist() == [120, *[60] * 6]
        assert data.flops["spy"]["choice"].tolist() == [12, *[6] * 6]
        assert (data.seconds["spy"]["vision"] == 2).all()
        assert data.scores["spy"]["budget@0.60"][0] == 28 / 48

    def test_scores_are_those_of_the_masks(self, run):
        data = run([Spy()])
        scores = data.scores["spy"]
        # 24 tokens a page; 0.1 of them are 2, 0.25 are 6, 0.6 are 14; the book has twice as many.
        assert [scores[f"budget@{at}"][3] for at in ("0.10", "0.25", "0.60")] == [2 / 24, 6 / 24, 14 / 24]
        assert scores["budget@0.60"][0] == 28 / 48
        assert np.isnan(scores["evidence_recall_answer@0.25"]).tolist() == [True] + [False] * 6
        assert np.isnan(scores["evidence_recall_support@0.25"]).tolist() == [False] + [True] * 6

    def test_boxes_stand_in_the_order_they_are_measured_in(self, run):
        everything = run([Spy()], budgets=(1.0,))
        inside = ~np.isnan(everything.box_recall["spy"][:, 0])
        assert everything.box_recall["spy"][inside].tolist() == [[1.0]] * 8
        # The boxes at x = 200 lie outside their pages.
        assert np.flatnonzero(~inside).tolist() == [5, 7]
        assert everything.boxes.page_share[0] == pytest.approx(40 * 23 / 9600)
        assert everything.boxes.y_centre[0] == pytest.approx(21.5 / 80)
        assert set(everything.boxes.role[:2].tolist()) == {"support"}
        assert everything.clipped[3] == pytest.approx(100 / (100 + 53 * 25))

    def test_no_question_with_gold(self, run):
        data = run([Spy()], change=_without_boxes)
        assert (data.samples, data.left_out.total(), data.box_recall["spy"].shape) == ([], 8, (0, 3))
        assert len(data.boxes) == 0

    def test_names_must_differ(self, run):
        for selectors in ([], [Spy(), Spy()]):
            with pytest.raises(UsageError, match="different names"):
                run(selectors)


def _without_boxes(sample):
    return replace(sample, evidence=())


class TestResume:
    def test_nothing_is_asked_twice_and_nothing_changes(self, run, tmp_path):
        first = run([Spy(), Random("random")])
        before = (tmp_path / "samples.jsonl").read_bytes()
        again = [Spy(), Random("random")]
        second = run(again)
        same(first, second, seconds=True)
        assert [selector.asked for selector in again] == [[], []]
        assert second.reused == 14
        assert (tmp_path / "samples.jsonl").read_bytes() == before

    def test_a_new_selector_computes_itself_alone(self, run, tmp_path):
        first = run([Spy()])
        old, new = Spy(), Random("random")
        second = run([new, old])
        assert (len(old.asked), len(new.asked), second.reused) == (0, 7, 7)
        assert second.scores["spy"]["evidence_recall@0.25"].tobytes() == (
            first.scores["spy"]["evidence_recall@0.25"].tobytes()
        )
        assert len(lines(tmp_path)) == 14

    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            ({"budgets": (0.1, 0.25)}, 7),
            ({"stride": 1}, 7),
            ({"identities": {"spy": {"seed": 0, "options": {"k": 2}}}}, 7),
            ({"identities": {"other": {}}}, 0),
            ("question", 1),
            ("box", 1),
            ("role", 1),
            ("words", 2),
            ("page", 2),
            ("size", 2),
        ],
    )
    def test_what_depends_on_a_change_is_asked_again(self, run, made, tmp_path, change, asked):
        run([Spy()])
        again = Spy()
        if isinstance(change, str):
            changed = _CHANGES.get(change)
            change = {"change": changed} if changed else {"workspace": _changed(made, tmp_path, change)}
        run([again], **change)
        assert len(again.asked) == asked
        # What was measured before is still there.
        back = Spy()
        assert run([back]).reused == 7
        assert back.asked == []

    def test_killed_and_run_again_it_is_as_if_never_stopped(self, made, tmp_path):
        log = tmp_path / "samples.jsonl"
        program = (
            "import sys; from pathlib import Path; import tests.training.benchmark.test_collect as t\n"
            "t.benchmark(Path(sys.argv[1]), Path(sys.argv[2]), [t.Spy(), t.Killed('random'), t.Blind('blind')])"
        )
        command = [sys.executable, "-c", program, made, log]
        killed = subprocess.run(command, check=False, capture_output=True, cwd=Path(__file__).parents[3])
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert [line["selector"] for line in lines(tmp_path)] == ["spy", "random", "blind"] * 2 + ["spy"]
        log.write_bytes(log.read_bytes()[:-9])
        resumed = [Spy(), Random("random"), Blind("blind")]
        found = benchmark(made, log, resumed)
        assert [len(selector.asked) for selector in resumed] == [5, 5, 3]
        same(found, benchmark(made, tmp_path / "other.jsonl", [Spy(), Random("random"), Blind("blind")]))
        assert found.reused == 6
        assert len(lines(tmp_path)) == 21

    def test_stopped_by_hand_the_log_is_whole(self, run, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            run([Spy(), Random("random", {"forms/alpha-1": KeyboardInterrupt()})])
        assert len(lines(tmp_path)) == 5
        again = [Spy(), Random("random")]
        assert run(again).reused == 5
        assert [len(selector.asked) for selector in again] == [4, 5]

    def test_a_line_that_says_nonsense_is_measured_again(self, run, tmp_path):
        first = run([Spy()])
        found = lines(tmp_path)
        found[2]["scores"]["budget@0.10"] = float("nan")
        found[4]["box_recall"] = [[0.5]]
        (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found))
        again = Spy()
        second = run([again])
        assert (len(again.asked), second.reused) == (2, 5)
        same(first, second)


def _changed(made, folder, what):
    """A copy of the workspace with other bytes, another size or other words of a page."""
    ws = Workspace.open(shutil.copytree(made / "ws", folder / "ws"))
    pages = ws.read("pages", ["forms-train"]).to_pylist()
    if what == "page":
        write(ws, "pages", "forms-train", [pages[0] | {"sha256": "0" * 64}, *pages[1:]])
    if what == "size":
        write(ws, "pages", "forms-train", [pages[0] | {"width": 140}, *pages[1:]])
    if what == "words":
        words = ws.read("words", ["forms-train"]).to_pylist()
        write(ws, "words", "forms-train", [words[0] | {"text": "other"}, *words[1:]])
    return ws.path


def _replaced(**values):
    def change(sample):
        return replace(sample, **values) if sample.question_id == "forms/charlie-1" else sample

    return change


def _other_box(**values):
    def change(sample):
        boxes = tuple(replace(box, **values) for box in sample.evidence)
        return replace(sample, evidence=boxes) if sample.question_id == "forms/charlie-1" else sample

    return change


_CHANGES = {
    "question": _replaced(question="Who?"),
    "box": _other_box(xyxy=(5.0, 5.0, 9.0, 9.25)),
    "role": _other_box(role="support"),
}


class TestBlind:
    def test_one_that_is_blind_is_asked_once_a_page(self, run):
        blind, seeing = Blind("blind"), Random("random")
        data = run([blind, seeing])
        assert Counter(seeing.asked) == Counter(sample.question_id for sample in data.samples)
        assert blind.asked == ["books/1", "forms/alpha-0", "forms/bravo-0", "forms/charlie-0"]
        # Both questions over a page are charged what the first one took.
        seconds = data.seconds["blind"]["choice"]
        assert (seconds[1], seconds[3], seconds[5]) == (seconds[2], seconds[4], seconds[6])
        assert data.flops["blind"]["choice"].tolist() == [12.0] + [6.0] * 6

    def test_what_it_keeps_is_that_of_its_pages(self, run, made, tmp_path):
        kept = benchmark(made, tmp_path / "one.jsonl", [Blind("blind")])

        class Asked(Blind):
            reads_question = True

        same(kept, benchmark(made, tmp_path / "two.jsonl", [Asked("blind")]))

    def test_one_that_knows_the_gold_boxes_is_asked_for_each_question(self, run):
        oracle = Blind("blind")
        oracle.needs = frozenset({"evidence"})
        data = run([oracle])
        assert oracle.asked == [sample.question_id for sample in data.samples]

    def test_pages_met_long_ago_are_forgotten(self, run, monkeypatch):
        monkeypatch.setattr("training.benchmark.asking.MOST_TOKENS", 1)
        blind = Blind("blind")
        run([blind])
        assert len(blind.asked) == 4


class TestPairs:
    def test_an_approximation_is_compared_with_what_it_approximates(self, run, tmp_path):
        exact, rough = Spy("x"), Random("x-unpruned")
        data = run([rough, exact])
        assert (len(exact.asked), len(rough.asked)) == (7, 7)
        agreement = data.scores["x-unpruned"]["agreement@0.60"]
        # 14 of 24 each: at least 4 are in both, of at most 24.
        assert ((agreement >= 4 / 24) & (agreement <= 1)).all()
        assert not any("agreement" in name for name in data.scores["x"])
        assert len(lines(tmp_path)) == 14

    def test_where_its_row_is_missing_the_exact_one_is_asked_too_and_not_written_again(self, run, tmp_path):
        first = run([Spy("x"), Random("x-unpruned")])
        found = lines(tmp_path)
        left = [line for line in found if line["selector"] == "x" or line["question_id"] != "forms/alpha-0"]
        (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in left))
        exact, rough = Spy("x"), Random("x-unpruned")
        second = run([exact, rough])
        assert (exact.asked, rough.asked) == (["forms/alpha-0"], ["forms/alpha-0"])
        same(first, second)
        assert [line["selector"] for line in lines(tmp_path)[13:]] == ["x-unpruned"]

    def test_in_the_decoder_of_a_tiny_model(self, made, tmp_path, tiny_model):
        from training.backbones.vlm import VlmBackbone

        backbone = VlmBackbone("qwen2-vl", tiny_model("qwen2-vl"))
        names = ["pyramiddrop-unpruned", "pyramiddrop"]
        selectors = [make_selector(name) for name in names]
        views = PageViews(PageStore(Workspace.open(made / "ws")), backbone.grid, WindowSpec(2, 2, 2))
        samples = list(load_samples(made / "dataset"))[:3]
        with BenchmarkLog(tmp_path / "samples.jsonl") as log:
            source, identities = ModelSource(backbone), {name: {} for name in names}
            data = collect(samples, views, source, selectors, identities, BUDGETS, log, device="here")
        for name in names:
            scores = data.scores[name]
            for at in ("0.10", "0.25", "0.60"):
                assert (scores[f"layer_budget@{at}"] > scores[f"budget@{at}"]).all()
                assert (scores[f"layer_recall@{at}"] >= scores[f"evidence_recall@{at}"]).all()
            assert (data.flops[name]["decoder"] > 0).all()
        assert (data.scores["pyramiddrop-unpruned"]["agreement@0.60"] > 0.2).all()

    def test_its_row_depends_on_the_exact_one(self, run):
        alone = run([Random("x-unpruned")])
        assert not any("agreement" in name for name in alone.scores["x-unpruned"])
        both = run([Random("x-unpruned"), Spy("x")])
        assert (both.reused, len(both.scores["x-unpruned"]["agreement@0.25"])) == (0, 7)
        rough = Random("x-unpruned")
        other = run([rough, Spy("x")], identities={"x": {"seed": 0, "k": 3}})
        assert (other.reused, len(rough.asked)) == (0, 7)


class TestRefusals:
    def test_a_page_that_cannot_be_read_refuses_its_questions_for_all(self, run, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        rows = ws.read("pages", ["forms-train"]).to_pylist()
        write(ws, "pages", "forms-train", [rows[0] | {"path": "gone.png"}, *rows[1:]])
        data = run([Random("random"), Spy()], workspace=ws.path)
        assert data.outcome.refused == {"missing-image": 2}
        assert {len(data.samples), len(data.scores["random"]["budget@0.10"]), len(data.clipped)} == {5}
        assert data.box_recall["random"].shape == (8, 3)
        assert [problem.record for problem in data.outcome.problems] == [f"question forms/alpha-{n}" for n in (0, 1)]

    def test_full_memory_refuses_the_question(self, run):
        full = {"forms/alpha-1": torch.OutOfMemoryError("CUDA out of memory")}
        data = run([Spy(), Random("random", full)])
        assert (data.outcome.refused, len(data.samples)) == ({"out-of-memory": 1}, 6)
        assert "'random'" in data.outcome.problems[0].message
        again = Random("random")
        assert len(run([Spy(), again]).samples) == 7
        assert again.asked == ["forms/alpha-1"]

    def test_a_failing_selector_stops_the_benchmark(self, run, tmp_path):
        broken = {"forms/alpha-1": TrainingError("has no head", file="model", remedy="give it one")}
        with pytest.raises(TrainingError) as caught:
            run([Spy(), Random("random", broken)])
        expected = "model: question forms/alpha-1: selector 'random': has no head (give it one)"
        assert str(caught.value) == expected
        assert len(lines(tmp_path)) == 5

    def test_one_that_keeps_too_much(self, run):
        class Greedy(Spy):
            def kept(self, sample, budgets):
                return [Kept(np.ones(sample.n_tokens, bool)) for _ in budgets]

        with pytest.raises(TrainingError, match=r"question books/1: selector 'spy' kept 48 tokens of a budget of 12"):
            run([Greedy()])

    def test_operations_without_number(self, run):
        class Endless(Spy):
            def kept(self, sample, budgets):
                sample.ledger.once("vision", lambda: 1, lambda: Cost(1.0, float("nan")))
                return super().kept(sample, budgets)

        with pytest.raises(TrainingError, match="'spy' counted operations that are not finite"):
            run([Endless()])

    def test_geometry_that_makes_no_sense_names_the_selector(self, run):
        data = run([Spy(fails={"books/1": GeometryError("boxes must be four numbers")})])
        (problem,) = data.outcome.problems
        assert (problem.code, problem.message) == ("unusable-page", "selector 'spy': boxes must be four numbers")

    def test_a_page_without_tokens_in_the_cache(self, made, tmp_path):
        class Cache:
            backbone, announced = BlindBackbone(), []

            def prefetch(self, page_ids):
                self.announced.append(list(page_ids))
                if "forms/bravo" in page_ids:
                    raise TrainingError("its tokens are not in the feature cache")

            def tokens(self, page_id):
                return torch.ones(24, 3)

        backbone, cache = BlindBackbone(), Cache()
        views = PageViews(PageStore(Workspace.open(made / "ws")), backbone.grid, WindowSpec(2, 2, 2))
        samples = list(load_samples(made / "dataset"))
        announced = []
        for _ in range(2):
            with BenchmarkLog(tmp_path / "samples.jsonl") as log:
                source = SignalSource(backbone, cache=cache)
                data = collect(samples, views, source, [Spy()], {"spy": {}}, BUDGETS, log, device="here")
            assert (data.outcome.refused, len(data.samples)) == ({"page-without-tokens": 2}, 5)
            announced.append([ids for ids in cache.announced if ids])
            cache.announced.clear()
        alpha, bravo, charlie = ([f"forms/{name}"] for name in NAMES)
        # A question's own pages, and the next one's; of questions that are in the log, none.
        book = ["books/p0", "books/p1"]
        assert announced == [[book, alpha, alpha, alpha, bravo, bravo, bravo, charlie, charlie], [bravo, bravo]]
