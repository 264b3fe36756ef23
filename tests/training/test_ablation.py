"""`pinpoint ablate` on the planted problem: variants trained, compared, reused, resumed, and one that fails."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from loaders.publishing import publish
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, picture, question, regions, write
from tests.training.toy import PIXELS, ToyBackbone, toy_problem
from training.ablation.run import BASE, load_variants, run_ablation
from training.commands.ablate import ablate
from training.config import load_config

RECIPE = """
[backbone]
name = "tests.training.toy:ToyBackbone"
[windows]
width = 2
height = 2
stride = 2
[aligner]
queries = 8
dim = 16
query_scale = 1.0
[fit]
epochs = 2
batch = 8
learning_rate = 1e-2
threads = 1
[data]
validation_fraction = 0.3
"""
VARIANTS = """
[variants]
base = []
without-intra = ["loss.intra_weight=0"]
wider = ["windows.width=4", "windows.height=4", "windows.stride=4"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The planted problem as a workspace and a published dataset."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ablation")
    ws = Workspace.create(folder / "ws")
    ws.register_source("toy", "records", folder)
    data = picture(PIXELS, PIXELS)
    (folder / "page.png").write_bytes(data)
    samples, store = toy_problem(14)
    size = {"width": PIXELS, "height": PIXELS}
    documents = {sample.pages[0].page_id: sample.doc_id for sample in samples}
    write(ws, "pages", "toy-train", [page(id_, "page.png", doc_id=doc, **size) for id_, doc in documents.items()])
    asked = [
        question(s.question_id, "train", [s.pages[0].page_id], doc_id=s.doc_id, question=s.question) for s in samples
    ]
    write(ws, "questions", "toy-train", asked)
    gold = [row for s in samples for row in regions(s.question_id, [s.evidence[0].xyxy])]
    write(ws, "annotations", "toy-train.gold", gold)
    ends = ("x0", "y0", "x1", "y1")
    words = [
        {
            "page_id": id_,
            "line": 0,
            "text": text,
            "confidence": None,
            "engine": "test",
            **dict(zip(ends, xyxy, strict=True)),
        }
        for id_ in documents
        for text, xyxy in zip(store.pages[id_].texts, store.pages[id_].xyxy.tolist(), strict=True)
    ]
    write(ws, "words", "toy-train", words)
    publish(ws, folder / "dataset")
    (folder / "toy.toml").write_text(RECIPE)
    (folder / "variants.toml").write_text(VARIANTS)
    return folder


@pytest.fixture
def invoke(made, tmp_path):
    def run(*arguments, variants=VARIANTS, expect=0):
        (tmp_path / "variants.toml").write_text(variants)
        places = ["--dataset", made / "dataset", "--workspace", made / "ws", "--config", made / "toy.toml"]
        command = [tmp_path / "out", *places, "--variants", tmp_path / "variants.toml", "--resamples", "50", *arguments]
        done = CliRunner().invoke(ablate, list(map(str, command)), catch_exceptions=False)
        assert done.exit_code == expect, done.output
        return done

    return run


class Modelled(ToyBackbone):
    """A backbone with a model somewhere, which does not change its tokens."""

    def __init__(self, model):
        self.model = model


class TestAblation:
    def test_a_run_whose_model_was_named_by_a_relative_path_is_known_again(self, invoke, tmp_path, monkeypatch):
        (tmp_path / "models" / "mine").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        name = "backbone.name=tests.training.test_ablation:Modelled"
        command = ["--only", "base", "--set", name, "--set", "backbone.options.model=models/mine", "--json"]
        reused = [json.loads(invoke(*command).stdout)["variants"]["base"]["reused"] for _ in range(2)]
        assert reused == [0, 1]

    def test_trains_compares_and_reuses(self, invoke, tmp_path):
        done = invoke()
        out = tmp_path / "out"
        assert max(map(len, done.stdout.splitlines())) <= 100
        assert "Minus base, paired" in done.stdout
        summary = json.loads((out / "ablation.json").read_text())
        assert summary["order"] == ["base", "without-intra", "wider"]
        assert summary["questions"]["scored"] > 3
        base, other, wider = (summary["variants"][name] for name in ("base", "without-intra", "wider"))
        assert base["scores"]["evidence_recall@0.25"]["mean"] > 0.5  # the problem is easy; random choice gives 0.25
        assert "differences" not in base
        gap = other["differences"]["evidence_recall@0.25"]["mean"]
        means = [found["scores"]["evidence_recall@0.25"]["mean"] for found in (other, base)]
        assert gap == pytest.approx(means[0] - means[1])
        assert "region_accuracy@0.60" in other["differences"]
        assert not [name for name in wider["differences"] if name.startswith(("region_accuracy", "top1"))]
        assert {"evidence_recall@0.10", "all_hit@0.80", "full_coverage_budget"} <= set(wider["differences"])
        assert (base["parameters"], base["seconds"] > 0, base["reused"]) == (other["parameters"], True, 0)
        assert (out / "base" / "evaluation-validation" / "questions.jsonl").is_file()
        weights = (out / "base" / "aligner.safetensors").read_bytes()
        again = json.loads(invoke("--json").stdout)
        assert [found["reused"] for found in again["variants"].values()] == [1, 1, 1]
        assert {name: found["scores"] for name, found in again["variants"].items()} == {
            name: found["scores"] for name, found in summary["variants"].items()
        }
        assert (out / "base" / "aligner.safetensors").read_bytes() == weights

    def test_resumes_what_was_stopped(self, invoke, tmp_path, monkeypatch):
        whole = tmp_path / "whole"
        invoke("--only", "base")
        (tmp_path / "out").rename(whole)
        with monkeypatch.context() as patched:
            patched.setattr("training.commands.ablate._report", lambda record: signal.raise_signal(signal.SIGINT))
            done = invoke("--only", "base", expect=130)
        assert "SIGINT: stopped" in done.stderr
        assert (tmp_path / "out" / "base" / "state.safetensors").is_file()
        done = invoke("--only", "base")
        assert "base: resumed" in done.stderr
        resumed, straight = (folder / "base" / "aligner.safetensors" for folder in (tmp_path / "out", whole))
        assert resumed.read_bytes() == straight.read_bytes()

    def test_one_that_fails_is_listed_and_the_others_go_on(self, invoke, tmp_path):
        failing = VARIANTS.replace("wider = [", 'broken = ["fit.learning_rate=1e30", "fit.clip_norm=1e30"]\nwider = [')
        done = invoke("--json", "--seeds", "2", "--set", "fit.epochs=1", variants=failing, expect=1)
        printed = json.loads(done.stdout)
        assert set(printed["variants"]) == {"base", "without-intra", "wider"}
        assert [failed["run"] for failed in printed["failed"]] == ["broken", "broken-seed1"]
        assert "broken: failed" in done.stderr
        assert "FAILED" in (tmp_path / "out" / "ablation.md").read_text()

    def test_what_failed_and_where_are_both_named(self, invoke, monkeypatch):
        def refuse(*_, **__):
            raise TrainingError("is no picture", file="scan.png", record="page toy/7", remedy="scan it again")

        monkeypatch.setattr("training.ablation.run.new_run", refuse)
        done = invoke("--only", "base", expect=1)
        assert "FAILED: base: scan.png: page toy/7: is no picture (scan it again)" in done.stdout
        assert "Evidence recall" not in done.stdout  # no table of nothing

    def test_a_folder_with_another_run_is_not_taken_for_the_variant(self, invoke):
        invoke("--only", "base")
        done = invoke("--only", "base", "--set", "aligner.queries=4", "--json", expect=1)
        (failed,) = json.loads(done.stdout)["failed"]
        assert "holds a run with other settings (aligner.queries)" in failed["why"]
        done = invoke("--only", "base", "--source", "toy", "--json", expect=1)
        assert "(--source)" in json.loads(done.stdout)["failed"][0]["why"]

    def test_a_run_on_other_data_is_not_taken_either(self, invoke, made, tmp_path):
        invoke("--only", "base")
        ws = Workspace.open(made / "ws")
        gold = ws.read("annotations", ["toy-train.gold"]).to_pylist()
        try:
            write(ws, "annotations", "toy-train.gold", gold[4:])
            publish(ws, tmp_path / "dataset")
        finally:
            write(ws, "annotations", "toy-train.gold", gold)
        done = invoke("--only", "base", "--dataset", tmp_path / "dataset", "--json", expect=1)
        assert "holds a run on other data" in json.loads(done.stdout)["failed"][0]["why"]

    def test_seeds(self, invoke, tmp_path):
        invoke("--only", "base")
        printed = json.loads(invoke("--only", "base", "--seeds", "2", "--json").stdout)
        assert (tmp_path / "out" / "base-seed1").is_dir()
        found = printed["variants"]["base"]
        assert (found["seeds"], found["reused"]) == (2, 1)
        means = [seed["full_coverage_budget"] for seed in found["by_seed"]]
        assert means[0] != means[1]
        assert found["scores"]["full_coverage_budget"]["mean"] == pytest.approx(np.mean(means))

    def test_a_setting_that_is_none_ends_it_before_anything_is_trained(self, invoke, tmp_path):
        with pytest.raises(UsageError, match=r"variant odd: unknown setting 'aligner\.querie'"):
            invoke(variants=VARIANTS + 'odd = ["aligner.querie=3"]\n')
        assert not (tmp_path / "out" / "base").exists()


class TestVariants:
    def test_the_papers(self):
        variants = load_variants()
        assert variants[0].name == BASE
        assert variants[0].settings == ()
        changed = {variant.name: load_config("ocr-grid", variant.settings) for variant in variants}
        assert changed["without-intra"].loss.intra_weight == 0
        assert changed["without-inter"].loss.inter_weight == 0
        assert [changed[f"queries-{k}"].aligner.queries for k in (25, 50, 200)] == [25, 50, 200]
        assert [changed[f"windows-{n}"].windows.width for n in (6, 14)] == [6, 14]

    def test_only_some(self):
        assert [variant.name for variant in load_variants(only=["queries-25", "base"])] == ["base", "queries-25"]
        with pytest.raises(UsageError, match="has no variant 'bse'; it has base, "):
            load_variants(only=["bse"])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("base = []", "must hold one table"),
            ("[variants]", "must hold one table"),
            ("[variants]\nbase = []\n[more]\n", "must hold one table"),
            ("[variants", "cannot be read as TOML"),
            ('[variants]\n"../up" = []', "is no name of a folder"),
            ('[variants]\n"a/b" = []', "is no name of a folder"),
            ('[variants]\n".hidden" = []', "is no name of a folder"),
            ('[variants]\n"dot." = []', "is no name of a folder"),
            ('[variants]\n"" = []', "is no name of a folder"),
            ('[variants]\n"Ablation.json" = []', "is the name of a file that is written beside the runs"),
            ("[variants]\nbase-seed3 = []", "ends like the folder of a further seed"),
            ("[variants]\nbase = []\nBase = []", "two variants have names"),
            ('[variants]\nbase = "a=1"', "variant base: must be a list"),
            ("[variants]\nbase = [1]", "variant base: must be a list"),
        ],
    )
    def test_what_is_no_list_of_variants(self, tmp_path, text, message):
        file = tmp_path / "variants.toml"
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            load_variants(file)


def test_nothing_to_do_gives_an_empty_ablation():
    assert run_ablation([], None).runs == []
