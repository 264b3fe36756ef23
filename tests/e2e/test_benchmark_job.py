"""Every registered selector on generated pages, in tiny random models of both families, with answers and CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from pinpoint_data.cli import root
from tests.training.vlm.tiny import tiny_model_folder
from tests.training.vlm.tiny_clip import tiny_clip_folder
from training.benchmark.schema import BenchmarkSummary
from training.selectors import selector_names

pytestmark = pytest.mark.e2e

LAYERS = 6
QUICK = ("--budgets", "0.1,0.5", "--example-budget", 0.5, "--examples", 1, "--resamples", 20, "--dtype", "float32")
WITHOUT_MODEL = {"crop", "pinpoint"}
OF_CLIP = {"trim", "fsr", "cdpruner-clip"}


def pinpoint(*arguments: object) -> Any:
    """Run a command that must succeed; its JSON."""
    done = CliRunner().invoke(root, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Workspace with words, and the dataset published from it."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("documents")
    gold = out / "drawn" / "gold_evidence.jsonl"
    pinpoint("generate", out / "drawn", "--layout", "spdocvqa", "--documents", 2)
    pinpoint("ingest", "spdocvqa", out / "drawn", "--workspace", out / "ws", "--evidence", gold)
    pinpoint("words", out / "ws")
    pinpoint("publish", out / "ws", out / "dataset", "--license", "cc-by-4.0")
    return "--dataset", out / "dataset", "--workspace", out / "ws"


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_every_selector_is_scored_and_answered_for(data: tuple[object, ...], family: str, tmp_path: Path) -> None:
    model = tiny_model_folder(family, tmp_path / "model", layers=LAYERS)
    clip = ("--clip", tiny_clip_folder(tmp_path / "clip")) if family == "llava-next" else ("--max-pixels", 90 * 28 * 28)
    command = ("benchmark", *data, "--model", model, "--device", "cpu", *clip, "--limit", 2, *QUICK)
    answers = ("--answers", "--answer-budgets", "0.5", "--max-new-tokens", 2)
    summary = pinpoint(*command, *answers, "--out", tmp_path / "out")

    missing = WITHOUT_MODEL | (set() if family == "llava-next" else OF_CLIP)
    assert set(summary["unavailable"]) == missing
    assert set(summary["selectors"]) == set(selector_names()) - missing
    BenchmarkSummary.model_validate_json((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))
    assert summary["plumbing"], "figures of random weights must say so"
    assert "plumbing, not results" in (tmp_path / "out" / "benchmark.md").read_text(encoding="utf-8")

    scores, layers = summary["scores"], {}
    for name in summary["selectors"]:
        used = scores[name]["budget@0.50"]["mean"]
        layers[name] = scores[name]["layer_budget@0.50"]["mean"]
        assert used <= 0.5 + 1e-9, name
        assert scores[name]["evidence_recall@0.50"]["mean"] <= 1, name
    best = scores["oracle-token"]["evidence_recall@0.10"]["mean"]
    assert all(found["evidence_recall@0.10"]["mean"] <= best + 1e-9 for found in scores.values())
    # Inside the decoder a method sees more than what it keeps; nobody else does.
    assert layers["fastv"] > 0.6 and layers["pyramiddrop"] > 0.6 and layers["divprune"] == pytest.approx(0.5, abs=0.01)
    assert scores["vtw"]["budget@0.50"]["mean"] == 0 and layers["vtw"] == pytest.approx(0.5, abs=0.01)
    for name in ("pyramiddrop-unpruned", "sparsevlm-unpruned"):
        assert 0 < scores[name]["agreement@0.50"]["mean"] <= 1
    flops = {name: sum(part["mean"] for part in cost["flops"].values()) for name, cost in summary["costs"].items()}
    assert flops["random"] < flops["divprune"] < flops["fastv"] < flops["pyramiddrop"]

    correlation = summary["correlation"]
    assert (
        len(correlation["points"]) == len(summary["selectors"]) - 1
    )  # all but vtw, which keeps nothing to answer from
    again = pinpoint(*command, *answers, "--out", tmp_path / "out")
    assert again["rows"]["reused"] == 2 * len(summary["selectors"])
    assert {k: v for k, v in again.items() if k != "rows"} == {k: v for k, v in summary.items() if k != "rows"}
