"""`pinpoint answer` on tiny models: what is printed, written and refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from pinpoint_data.errors import PageError, TrainingError, UsageError
from tests.training.answering.vlm_runs import vlm_run
from tests.training.runs import tiny_run
from tests.training.vlm.pictures import noise
from training.commands.answer import answer

QUESTION = "What was the total in 2019?"


@pytest.fixture(scope="module")
def run(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("runs") / "qwen"
    vlm_run(folder, model_folder("qwen2-vl"), "qwen2-vl")
    return folder


@pytest.fixture
def page(tmp_path):
    noise(336, 224).save(tmp_path / "page.png")
    return tmp_path / "page.png"


def call(*arguments, **options):
    return CliRunner().invoke(answer, [str(argument) for argument in arguments], **options)


class TestAnswer:
    def test_as_json_with_files(self, run, page, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "selection-p7.png").write_bytes(b"of another question")
        options = ("--vanilla", "--coverage", "0.3", "--max-new-tokens", "4", "--out", out, "--json")
        done = call(run, page, QUESTION, *options, catch_exceptions=False)
        printed = json.loads(done.stdout)
        assert (printed["file"], printed["run"], printed["model"]) == ("page.png", "qwen", "qwen2-vl")
        whole, less = printed["answers"]["vanilla"], printed["answers"]["pinpoint@0.30"]
        assert whole["visual_tokens"] == less["vanilla_tokens"] == 12 * 8
        assert less["visual_tokens"] < whole["visual_tokens"]
        assert less["flops_total"] == sum(less["flops"].values())
        assert printed["selection"]["coverage"] == 0.3
        assert less["budget_used"] == printed["selection"]["budget_used"]
        assert sorted(path.name for path in out.iterdir()) == ["answer.json", "selection.png"]
        written = json.loads((out / "answer.json").read_text())
        assert written == {name: value for name, value in printed.items() if name != "files"}

    def test_as_text(self, run, page, tmp_path):
        done = call(run, page, QUESTION, "--coverage", "0.3", catch_exceptions=False)
        lines = done.stdout.splitlines()
        assert any(line.startswith("vanilla") and "96" in line and "not run" in line for line in lines)
        assert any(line.startswith("pinpoint@0.30") and "prefill" in line for line in lines)
        assert any("x0 y0 x1 y1" in line for line in lines)
        assert [path.name for path in tmp_path.iterdir()] == ["page.png"]

    def test_the_unchanged_model_needs_no_run(self, page, model_folder, tmp_path):
        done = call(page, QUESTION, "--vanilla", "--model", model_folder("qwen2-vl"), "--dtype", "float32", "--out",
                    tmp_path / "out", "--json", catch_exceptions=False)  # fmt: skip
        printed = json.loads(done.stdout)
        assert list(printed["answers"]) == ["vanilla"]
        assert printed["selection"] is None
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["answer.json"]
        done = call(page, QUESTION, "--vanilla", "--model", model_folder("qwen2-vl"), catch_exceptions=False)
        assert "100.0%" in done.stdout
        assert "selected" not in done.stdout

    def test_pages_of_a_pdf_compete(self, run, tmp_path):
        _pdf(tmp_path / "doc.pdf", 3)
        arguments = (run, tmp_path / "doc.pdf", QUESTION, "--dpi", "72", "--max-new-tokens", "2", "--json", "--vanilla")
        printed = json.loads(call(*arguments, catch_exceptions=False).stdout)
        assert [found["number"] for found in printed["selection"]["pages"]] == [1, 2, 3]
        two = json.loads(call(*arguments, "--page", "2", "--page", "3", catch_exceptions=False).stdout)
        assert [found["number"] for found in two["selection"]["pages"]] == [2, 3]
        assert two["answers"]["vanilla"]["visual_tokens"] * 3 == printed["answers"]["vanilla"]["visual_tokens"] * 2

    def test_variants_change_what_is_read(self, run, page):
        counts = {}
        regions = {}
        small = ("--regions", "windows", "--max-tokens-region", "3")
        for options in ((), ("--no-refine", "--budget", "0.2"), ("--global-view",), ("--zoom", "2"), small,
                        ("--max-waste", "0.9")):  # fmt: skip
            done = call(run, page, QUESTION, "--max-new-tokens", "1", "--json", *options, catch_exceptions=False)
            (found,) = json.loads(done.stdout)["answers"].values()
            counts[options], regions[options] = found["visual_tokens"], len(found["regions"])
        assert regions["--max-waste", "0.9"] < regions[()]
        assert counts["--zoom", "2"] > 2 * counts[()]
        assert counts[small] < counts[()] < counts[("--global-view",)]
        assert counts["--no-refine", "--budget", "0.2"] <= 0.2 * 96

    def test_a_model_that_has_moved(self, page, tmp_path, model_folder):
        shutil.copytree(model_folder("qwen2-vl"), tmp_path / "model" / "qwen2-vl")
        vlm_run(tmp_path / "run", tmp_path / "model" / "qwen2-vl", "qwen2-vl")
        (tmp_path / "model").rename(tmp_path / "elsewhere")
        done = call(tmp_path / "run", page, QUESTION)
        assert isinstance(done.exception, TrainingError)
        assert "no model folder" in str(done.exception)
        done = call(tmp_path / "run", page, QUESTION, "--model", tmp_path / "elsewhere" / "qwen2-vl", "--json")
        assert json.loads(done.stdout)["model"] == "qwen2-vl"

    def test_a_run_that_reads_words_selects_for_a_model_that_reads_none(self, page, tmp_path, model_folder):
        tiny_run(tmp_path / "run")
        (tmp_path / "words.json").write_text(json.dumps({"words": ["total"], "bounding_boxes": [[20, 20, 90, 40]]}))
        arguments = (tmp_path / "run", page, QUESTION, "--model", model_folder("qwen2-vl"), "--json")
        done = call(*arguments, "--words", tmp_path / "words.json", catch_exceptions=False)
        assert json.loads(done.stdout)["selection"]["scorer"] == "pinpoint"
        done = call(tmp_path / "run", page, QUESTION, "--words", tmp_path / "words.json")
        assert isinstance(done.exception, UsageError)
        assert "backbone ocr-grid writes no text (name a vision-language model (--model))" in str(done.exception)

    def test_a_sequence_longer_than_the_model_was_made_for_is_said(self, page, tmp_path, model_folder):
        shutil.copytree(model_folder("qwen2-vl"), tmp_path / "short")
        config = json.loads((tmp_path / "short" / "config.json").read_text())
        config["text_config"]["max_position_embeddings"] = 50
        (tmp_path / "short" / "config.json").write_text(json.dumps(config))
        done = call(page, QUESTION, "--vanilla", "--model", tmp_path / "short", catch_exceptions=False)
        assert "vanilla read 96 visual tokens, the model was made for 50" in done.stderr


def _pdf(path, pages):
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(336, 224)
    document.save(path)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("RUN", "PAGE"), "expected RUN, IMAGE or PDF, and QUESTION, got 2"),
            (("PAGE", "What", "was", "it?"), "put the question in quotes"),
            (("RUN", "PAGE", "  "), "question is empty"),
            (("RUN", "PAGE", QUESTION, "--budget", "0.1", "--coverage", "0.1"), "not both"),
            (("RUN", "PAGE", QUESTION, "--no-refine", "--positions", "packed"), "packed needs refinement"),
            (("RUN", "PAGE", QUESTION, "--zoom", "99"), "zoom must be from 0.1 to 10"),
            (("RUN", "PAGE", QUESTION, "--words", "PAGE"), "nothing here reads words"),
            (("RUN", "PAGE", QUESTION, "--no-refine", "--zoom", "2"), "they need refinement"),
            (("RUN", "PAGE", QUESTION, "--device", "cuda:99"), "device 'cuda:99' is not there"),
            (("RUN", "PAGE", QUESTION, "--device", "gpu"), "no device 'gpu'"),
            (("PAGE", QUESTION, "--vanilla"), "no model to answer with: no run is given"),
            (("PAGE", QUESTION, "--vanilla", "--coverage", "0.3"), "--coverage has no meaning without a RUN"),
            (("PAGE", QUESTION, "--vanilla", "--no-refine"), "--refine/--no-refine has no meaning without a RUN"),
        ],
    )
    def test_misuse(self, run, page, arguments, message):
        done = call(*({"RUN": run, "PAGE": page}.get(argument, argument) for argument in arguments))
        assert isinstance(done.exception, UsageError)
        assert message in str(done.exception)

    def test_a_folder_that_cannot_be_made_is_refused_before_the_work(self, run, page, monkeypatch):
        from training.vlm import VisionLanguageModel

        monkeypatch.setattr(VisionLanguageModel, "encode", lambda *_: pytest.fail("a page was encoded"))
        assert isinstance(call(run, page, QUESTION, "--out", page / "out").exception, NotADirectoryError)

    def test_no_such_page_file(self, run, tmp_path):
        assert isinstance(call(run, tmp_path / "none.png", QUESTION).exception, PageError)

    def test_no_such_run(self, page, tmp_path):
        done = call(tmp_path / "none", page, QUESTION)
        assert isinstance(done.exception, TrainingError)
        assert "is no run" in str(done.exception)

    @pytest.mark.parametrize(("weights", "message"), [("*.bin", "pickles only"), (None, "no *.safetensors weights")])
    def test_a_model_without_usable_weights(self, page, tmp_path, model_folder, weights, message):
        folder = shutil.copytree(model_folder("qwen2-vl"), tmp_path / "model")
        (file,) = folder.glob("*.safetensors")
        file.rename(folder / "pytorch_model.bin") if weights else file.unlink()
        done = call(page, QUESTION, "--vanilla", "--model", folder)
        assert isinstance(done.exception, TrainingError)
        assert message in str(done.exception)

    def test_an_unknown_architecture(self, page, tmp_path, model_folder):
        folder = shutil.copytree(model_folder("qwen2-vl"), tmp_path / "model")
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
        done = call(page, QUESTION, "--vanilla", "--model", folder)
        assert isinstance(done.exception, TrainingError)
        assert "is a bert model; supported are llava_next" in str(done.exception)

    def test_a_full_gpu(self, run, page, monkeypatch):
        from training.vlm import VisionLanguageModel

        def full(*_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(VisionLanguageModel, "generate", full)
        done = call(run, page, QUESTION)
        assert isinstance(done.exception, TrainingError)
        assert "smaller coverage or budget" in str(done.exception)


def test_help_imports_no_torch():
    code = (
        "import sys; from click.testing import CliRunner; from training.commands.answer import answer; "
        "assert CliRunner().invoke(answer, ['--help']).exit_code == 0; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
