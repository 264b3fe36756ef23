"""`pinpoint evaluate --answers` with answerers that are given, from the command down to the files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from loaders.publishing import publish
from pinpoint_data.errors import PageError, TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, picture, question, write
from tests.training.blind import blind_run
from tests.training.forms import DOCUMENTS, fill_forms
from tests.training.runs import tiny_run
from tests.training.vlm.tiny import tiny_model_folder
from training.answer_evaluation import AnswerLog, answer_key, answers_terminal
from training.answering import Answer
from training.backbones import make_backbone
from training.checkpoint import Run, make_aligner
from training.commands.evaluate import evaluate
from training.config import parse_config
from training.evaluation.split import first_questions

ALL = ("vanilla", "pinpoint@0.60", "pinpoint@0.25")


def _vlm_run(folder: Path, model: Path) -> Path:
    """Save an untrained run on the model in a folder; windows of 2 x 2 tokens."""
    options = {"model": str(model), "dtype": "float32", "device": "cpu"}
    config = parse_config(
        {
            "backbone": {"name": "qwen2-vl", "options": options},
            "aligner": {"queries": 4, "dim": 8},
            "windows": {"width": 2, "height": 2, "stride": 1},
        }
    )
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    facts = {"step": 0, "epoch": 0, "validation": {}}
    data = {"dataset": "dataset", "sources": None, "fingerprint": "", "counts": {}}
    held_out = {"train": [], "validation": list(DOCUMENTS)}
    Run(folder, config, backbone, make_aligner(config, backbone), facts, held_out, data).save(folder)
    return folder


class Fake:
    """Answers from a table, and remembers what it was asked."""

    def __init__(self, name, texts, ratio=1.0, fails=()):
        self.name, self.texts, self.ratio, self.fails = name, texts, ratio, fails
        self.asked: list[str] = []

    def answer(self, question, pages, question_id=""):
        self.asked.append(question_id)
        assert all(shown.load_image().size == (120, 80) for shown in pages)
        if question_id in self.fails:
            raise self.fails[question_id]
        tokens = 100 * len(pages)
        return Answer(
            text=self.texts.get(question, "?"),
            visual_tokens=int(tokens * self.ratio),
            vanilla_tokens=tokens,
            budget_used=self.ratio,
            flops={"encode.linear": 1e12, "prefill.linear": 3e12 * self.ratio},
            vanilla_flops=4e12,
            seconds={"encode": 0.2, "select": 0.05 * (self.ratio < 1), "prefill": 0.75 * self.ratio, "decode": 1.0},
            regions=(),
        )


class Model:
    """As much of a model as decides about reuse."""

    family, dtype, device = "fake", torch.float32, torch.device("cpu")
    config = SimpleNamespace(text_config=SimpleNamespace(max_position_embeddings=150))

    def __init__(self, fingerprint="one", broken=False):
        self.source = SimpleNamespace(name="fake-vl", fingerprint=fingerprint)
        self.broken, self.loaded = broken, 0

    @property
    def weights(self):
        self.loaded += 1
        if self.broken:
            raise TrainingError("has no weights", file="model")

    def settings(self):
        return {"patch": 14}


def _answerers(**fails):
    right = {"sum?": "42", "colour?": "dark red.", "What is books/1?": "yes"}
    return [
        Fake("vanilla", right, fails=fails),
        Fake("pinpoint@0.60", right | {"colour?": "Dark bed"}, 0.6, fails),
        Fake("pinpoint@0.25", {}, 0.25, fails),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    publish(fill_forms(folder), folder / "dataset")
    tiny_run(folder / "run", validation=DOCUMENTS)
    return folder


@pytest.fixture
def ask(made, tmp_path, monkeypatch):
    """The command on fake answerers; `ask.answerers` may be replaced between calls."""

    def invoke(*arguments, workspace=None, run=None, expect=0):
        monkeypatch.setattr("training.answering.answering_model", lambda *_, **__: invoke.model)
        given: list = []

        def make(run, *, model, coverages, vanilla, max_new_tokens, **refinement):
            given.append((list(coverages), vanilla, max_new_tokens, refinement))
            names = ["vanilla"] * vanilla + [f"pinpoint@{share:.2f}" for share in coverages]
            return [answerer for answerer in invoke.answerers if answerer.name in names]

        monkeypatch.setattr("training.answer_evaluation.run.make_answerers", make)
        places = ["--dataset", str(made / "dataset"), "--workspace", str(workspace or made / "ws")]
        options = ["--answers", "--coverages", "0.6,0.25", "--out", str(tmp_path / "out"), "--resamples", "50"]
        command = [str(run or made / "run"), *places, *options, *map(str, arguments)]
        done = CliRunner().invoke(evaluate, command, catch_exceptions=False)
        assert done.exit_code == expect, done.output
        invoke.made = given[-1]
        return done

    invoke.answerers, invoke.model = _answerers(), Model()
    return invoke


def _lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out" / "answers.jsonl").read_text().splitlines()]


class TestScores:
    def test_scores_costs_and_files(self, ask, tmp_path):
        printed = json.loads(ask("--json").stdout)
        out = tmp_path / "out"
        assert {path.name for path in out.iterdir()} == {
            "answers.jsonl",
            "answers-evaluation.json",
            "answers-evaluation.md",
        }
        summary = json.loads((out / "answers-evaluation.json").read_text())
        assert printed == summary | {"refusals": None, "out": str(out)}
        assert summary["questions"]["by_source"] == {"books": 1, "forms": 8}
        assert summary["questions"]["left_out"] == {"status wrong_answer": 1, "without an accepted answer": 1}
        assert summary["answerers"] == list(ALL)
        vanilla, middle, least = (summary["scores"]["all"][name] for name in ALL)
        assert vanilla["anls"]["mean"] == pytest.approx((8 - 4 / 9 + 1) / 9, abs=0.05)
        assert vanilla["gqa_accuracy"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 9}
        assert middle["gqa_accuracy"]["mean"] == pytest.approx(5 / 9)
        assert middle["anls"]["mean"] == pytest.approx((5 + 4 * 7 / 8) / 9)
        assert least["anls"]["mean"] == 0
        assert summary["scores"]["books"]["vanilla"]["anls"] == {"mean": 1.0, "low": None, "high": None, "n": 1}
        gaps = summary["differences"]["all"]["pinpoint@0.60"]
        assert gaps["gqa_accuracy"]["mean"] == pytest.approx(-4 / 9)
        assert gaps["tflops"]["mean"] == pytest.approx(2.8 - 4)
        costs = summary["costs"]["all"]
        assert [costs[name]["tokens_ratio"] for name in ALL] == pytest.approx([1, 0.6, 0.25])
        assert [costs[name]["flops_ratio"] for name in ALL] == pytest.approx([1, 2.8 / 4, 1.75 / 4])
        assert costs["pinpoint@0.60"]["tflops"] == pytest.approx({"encode.linear": 1, "prefill.linear": 1.8})
        assert costs["pinpoint@0.60"]["seconds"]["first_token"]["median"] == pytest.approx(0.2 + 0.05 + 0.45)
        assert costs["pinpoint@0.60"]["stage_one_share"] == pytest.approx(0.05 / 0.7)
        assert costs["vanilla"]["stage_one_share"] == 0
        assert "vanilla read more tokens than the model was made for (150) in 1 questions" in summary["warnings"]

    def test_text_fits_100_columns(self, ask):
        done = ask()
        assert max(map(len, done.stdout.splitlines())) <= 100
        for part in ("pinpoint@0.25", "Minus vanilla, paired", "first token", "written to"):
            assert part in done.stdout

    def test_markdown_lists_components(self, ask, tmp_path):
        ask()
        assert "| prefill.linear | 3 | 1.8 | 0.75 |" in (tmp_path / "out/answers-evaluation.md").read_text()

    def test_options_reach_the_answerers(self, ask):
        ask("--modes", "pinpoint", "--coverages", "0.25", "--max-new-tokens", "7", "--refinement", "zoom=2.0",
            "--refinement", "regions=windows")  # fmt: skip
        coverages, vanilla, most, refinement = ask.made
        assert (coverages, vanilla, most) == ([0.25], False, 7)
        assert (refinement["zoom"], refinement["regions"]) == (2.0, "windows")
        assert not ask.answerers[0].asked

    @pytest.mark.parametrize("spelling", ["false", "False", " false "])
    def test_false_is_false_in_any_spelling(self, ask, spelling):
        ask("--refinement", f"refine={spelling}")
        assert ask.made[3]["refine"] is False

    def test_without_vanilla_there_are_no_differences(self, ask):
        printed = json.loads(ask("--modes", "pinpoint", "--json").stdout)
        assert (printed["reference"], printed["differences"]) == (None, {})

    def test_a_limit_draws_the_same_questions(self, ask):
        few = json.loads(ask("--limit", "3", "--json").stdout)
        assert few["questions"]["scored"] + sum(few["questions"]["left_out"].values()) == 3
        samples = [SimpleNamespace(question_id=f"q/{number}") for number in range(20)]
        some, more = first_questions(samples, 5), first_questions(samples, 9)
        assert [s for s in more if s in some] == some
        assert first_questions(samples, None) == first_questions(samples, 20) == samples

    def test_a_split_that_the_run_has_learnt_from_is_no_result(self, ask, made, tmp_path):
        run = tiny_run(tmp_path / "learnt", train=DOCUMENTS)
        done = ask("--split", "train", "--json", run=run)
        assert "must not be reported" in done.stderr


class TestResume:
    def test_nothing_is_asked_twice(self, ask, tmp_path):
        first = json.loads(ask("--json").stdout)
        ask.answerers = _answerers()
        second = json.loads(ask("--json").stdout)
        assert all(answerer.asked == [] for answerer in ask.answerers)
        assert second["answers"]["reused"] == 27
        assert {**second, "answers": None} == {**first, "answers": None}
        assert len(_lines(tmp_path)) == 27

    def test_weights_are_loaded_for_new_answers_alone(self, ask):
        ask()
        assert ask.model.loaded == 1
        ask.model = Model(broken=True)
        ask()
        assert ask.model.loaded == 0

    def test_a_torn_last_line_and_a_broken_one(self, ask, tmp_path):
        ask()
        file = tmp_path / "out" / "answers.jsonl"
        lines = file.read_bytes().splitlines(keepends=True)
        lines[3] = b"no json at all\n"
        file.write_bytes(b"".join(lines)[:-40])
        ask.answerers = _answerers()
        printed = json.loads(ask("--json").stdout)
        assert sum(len(answerer.asked) for answerer in ask.answerers) == 2
        assert "1 lines of answers.jsonl cannot be read and were passed over" in printed["warnings"]
        assert file.read_bytes().startswith(b"".join(lines[:26]))
        assert printed["questions"]["scored"] == 9

    def test_what_was_answered_before_an_interruption_stays(self, ask):
        ask.answerers[2].fails = {"forms/bravo-sum": KeyboardInterrupt()}
        assert "Aborted" in ask(expect=1).output
        before = Counter(answerer.name for answerer in ask.answerers for _ in answerer.asked)
        ask.answerers = _answerers()
        printed = json.loads(ask("--json").stdout)
        assert printed["answers"]["reused"] == before.total() - 1
        assert printed["questions"]["scored"] == 9

    @pytest.mark.parametrize(
        "change", [["--max-new-tokens", "5"], ["--refinement", "global_view=true"], "model", "run", "page"]
    )
    def test_what_depends_on_a_change_is_asked_again(self, ask, made, tmp_path, change):
        ask()
        ask.answerers = _answerers()
        arguments, workspace, run = (change, None, None) if isinstance(change, list) else ([], None, None)
        if change == "model":
            ask.model = Model("two")
        if change == "run":
            run = blind_run(tmp_path / "other", DOCUMENTS)
        if change == "page":
            ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
            rows = ws.read("pages", ["forms-train"]).to_pylist()
            write(ws, "pages", "forms-train", [rows[0] | {"sha256": "0" * 64}, *rows[1:]])
            workspace = ws.path
        ask(*arguments, workspace=workspace, run=run)
        asked = [len(answerer.asked) for answerer in ask.answerers]
        expected = {"model": [9, 9, 9], "run": [0, 9, 9], "page": [2, 2, 2]}
        by_option = [9, 9, 9] if change[0] == "--max-new-tokens" else [0, 9, 9]
        assert asked == (by_option if isinstance(change, list) else expected[change])
        # The answers from before are still there.
        ask.answerers = _answerers()
        ask()
        assert not any(answerer.asked for answerer in ask.answerers)

    def test_two_commands_do_not_write_one_file(self, ask, tmp_path):
        with AnswerLog(tmp_path / "out" / "answers.jsonl"), pytest.raises(UsageError, match="another command"):
            ask()


class TestRefusals:
    def test_what_one_cannot_answer_is_refused_for_all(self, ask):
        ask.answerers[1].fails = {"forms/bravo-sum": TrainingError("the GPU's memory is full", remedy="fewer pages")}
        done = ask("--json", expect=1)
        printed = json.loads(done.stdout)
        assert printed["questions"]["refused"] == {"no-answer": 1}
        (problem,) = printed["refusals"]["problems"]
        assert (problem["record"], problem["remedy"]) == ("question forms/bravo-sum", "fewer pages")
        assert {found["anls"]["n"] for found in printed["scores"]["all"].values()} == {8}

    def test_a_model_without_weights_is_one_failure_and_not_one_a_question(self, ask, tmp_path):
        ask.model = Model(broken=True)
        with pytest.raises(TrainingError, match="has no weights"):
            ask()
        assert not any(answerer.asked for answerer in ask.answerers)
        assert not (tmp_path / "out" / "answers-evaluation.json").exists()

    def test_a_page_without_a_hash(self, ask, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        rows = ws.read("pages", ["books-test"]).to_pylist()
        write(ws, "pages", "books-test", [row | {"sha256": None} for row in rows])
        printed = json.loads(ask("--json", workspace=ws.path, expect=1).stdout)
        assert printed["questions"]["refused"] == {"no-page-hash": 1}
        assert printed["questions"]["scored"] == 8

    def test_a_broken_page(self, ask, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        (tmp_path / "broken.png").write_bytes(b"no picture")
        moved = json.loads((ws.path / "workspace.json").read_text(encoding="utf-8"))
        moved["sources"]["books"]["root"] = str(tmp_path)
        (ws.path / "workspace.json").write_text(json.dumps(moved), encoding="utf-8")
        rows = ws.read("pages", ["books-test"]).to_pylist()
        write(ws, "pages", "books-test", [rows[0] | {"path": "broken.png"}, *rows[1:]])
        printed = json.loads(ask("--json", workspace=ws.path, expect=1).stdout)
        assert printed["questions"]["refused"] == {"wrong-type": 1}
        assert printed["questions"]["by_source"] == {"forms": 8}
        assert not any("books/1" in answerer.asked for answerer in ask.answerers)

    def test_all_refused(self, ask):
        for answerer in ask.answerers:
            answerer.answer = _always_fails
        done = ask(expect=1)
        assert "0 questions of 0 documents" in done.stdout
        assert "9 refused: missing-image" in done.stdout

    def test_another_workspace(self, ask, made, tmp_path):
        ws = Workspace.open(shutil.copytree(made / "ws", tmp_path / "ws"))
        rows = ws.read("pages", ["books-test"]).to_pylist()
        write(ws, "pages", "books-test", [row | {"width": 121} for row in rows])
        with pytest.raises(TrainingError, match="is 121 x 80 pixels in the workspace, 120 x 80 in the dataset"):
            ask(workspace=ws.path)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--modes", "guess"], "modes must be different ones of vanilla, pinpoint, got guess"),
            (["--modes", "vanilla,vanilla"], "modes must be different"),
            (["--coverages", "0.5,0.5"], "coverages must be different shares"),
            (["--coverages", "2"], "coverages must be different shares"),
            (["--scorer", "bm25"], "--scorer has no meaning with --answers"),
            (["--budgets", "0.5"], "--budgets has no meaning with --answers"),
            (["--refinement", "zoom"], "needs key=value"),
            (["--refinement", "zooom=1"], "no such setting"),
            (["--refinement", "zoom=100"], "zoom must be from"),
            (["--refinement", "refine=maybe"], "refine: input should be a valid boolean.*, got 'maybe'"),
            (["--refinement", "zoom={a=1}"], "zoom: input should be a valid number, got {'a': 1}"),
            (["--refinement", "zoom=1\nregions='windows'"], "zoom: input should be a valid number"),
        ],
    )
    def test_misuse(self, ask, arguments, message):
        with pytest.raises(UsageError, match=message):
            ask(*arguments)

    def test_options_of_answers_without_answers(self, made):
        places = ["--dataset", str(made / "dataset"), "--workspace", str(made / "ws")]
        for run, options, message in (
            ([str(made / "run")], ["--limit", "3"], "--limit has no meaning without --answers"),
            ([], ["--answers"], "name the RUN that selects"),
        ):
            with pytest.raises(UsageError, match=message):
                CliRunner().invoke(evaluate, [*run, *places, *options], catch_exceptions=False)

    def test_no_accepted_answer_at_all(self, tmp_path, ask):
        ws = Workspace.create(tmp_path / "ws")
        ws.register_source("forms", "records", tmp_path)
        data = picture(120, 80)
        (tmp_path / "a.png").write_bytes(data)
        write(ws, "pages", "forms-train", [page("forms/a", "a.png", data, doc_id="forms/alpha")])
        asked = question("forms/1", "train", ["forms/a"], answers=[], doc_id="forms/alpha")
        write(ws, "questions", "forms-train", [asked])
        publish(ws, tmp_path / "dataset")
        with pytest.raises(TrainingError, match="no question has an accepted answer"):
            ask("--dataset", tmp_path / "dataset", workspace=ws.path)


class TestRealModel:
    """A tiny random checkpoint of the true architecture, behind a run that rests on it."""

    def test_from_the_command_to_the_files_and_again(self, made, tmp_path):
        torch.set_num_threads(1)
        folder = tiny_model_folder("qwen2-vl", tmp_path / "model")
        run = _vlm_run(tmp_path / "run", folder)
        places = ["--dataset", str(made / "dataset"), "--workspace", str(made / "ws"), "--out", str(tmp_path / "out")]
        options = ["--answers", "--coverages", "0.5", "--limit", "4", "--max-new-tokens", "3", "--json"]
        command = [str(run), *places, *options]
        first = CliRunner().invoke(evaluate, command, catch_exceptions=False)
        printed = json.loads(first.stdout)
        assert printed["answerers"] == ["vanilla", "pinpoint@0.50"]
        number = printed["questions"]["scored"]
        assert 2 <= number <= 4
        costs = printed["costs"]["all"]
        assert costs["vanilla"]["flops_ratio"] == costs["vanilla"]["tokens_ratio"] == 1
        assert {"encode", "select", "refine", "prefill"} <= {
            name.split(".")[0] for name in costs["pinpoint@0.50"]["tflops"]
        }
        again = json.loads(CliRunner().invoke(evaluate, command, catch_exceptions=False).stdout)
        assert again["answers"]["reused"] == 2 * number
        assert again["scores"] == printed["scores"]
        # The model has moved: it is the same model, so its answers still hold.
        elsewhere = tmp_path / "elsewhere" / "model"
        elsewhere.parent.mkdir()
        folder.rename(elsewhere)
        moved = [*command, "--model", str(elsewhere)]
        again = json.loads(CliRunner().invoke(evaluate, moved, catch_exceptions=False).stdout)
        assert again["answers"]["reused"] == 2 * number


def _always_fails(question, pages, question_id=""):
    raise PageError("missing-image", "gone")


class TestLog:
    def test_keys_tell_apart(self):
        key = answer_key({"a": 1}, "Where?", ["p", "q"])
        assert key == answer_key({"a": 1}, "Where?", ("p", "q"))
        others = [
            answer_key({"a": 2}, "Where?", ["p", "q"]),
            answer_key({"a": 1}, "Where", ["p", "q"]),
            answer_key({"a": 1}, "Where?", ["q", "p"]),
            answer_key({"a": 1}, "Where?", ["pq"]),
        ]
        assert len({key, *others}) == 5

    def test_round_trip_and_the_last_line_wins(self, tmp_path):
        answers = [Fake("x", {"?": text}, 0.5).answer("?", []) for text in ("one", "tw\udce9\u2028o")]
        with AnswerLog(tmp_path / "answers.jsonl") as log:
            for answer in answers:
                log.append("key", "q/1", "x", "cpu", answer)
        with AnswerLog(tmp_path / "answers.jsonl") as log:
            assert log.get("key") == (answers[1], "cpu")
            assert log.get("other") is None

    @pytest.mark.parametrize(
        "change",
        [
            {"flops": 3},
            {"text": None},
            {"seconds": {"a": "b"}},
            {"budget_used": True},
            {"budget_used": float("nan")},
            {"visual_tokens": 10**400},
        ],
    )
    def test_lines_of_other_shapes_are_passed_over(self, tmp_path, change):
        answer = Fake("x", {}).answer("?", []).to_json() | change
        line = {"key": "key", "device": "cpu", "answer": answer}
        (tmp_path / "answers.jsonl").write_text(json.dumps(line) + "\n[]\n7\n" + "[" * 100_000 + "\n")
        with AnswerLog(tmp_path / "answers.jsonl") as log:
            assert (log.get("key"), log.unreadable) == (None, 4)


def test_names_cannot_break_the_report(ask, tmp_path):
    ask()
    summary = json.loads((tmp_path / "out" / "answers-evaluation.json").read_text())
    summary["warnings"] = ["be\x1b[31m careful [b]"]
    assert "\x1b" not in answers_terminal(summary)
    assert "[b]" in answers_terminal(summary)
