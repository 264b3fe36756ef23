"""From generated pages to answers with a vision-language model, command by command, on tiny random checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from pinpoint_data.cli import root
from tests.training.vlm.tiny import tiny_model_folder

pytestmark = pytest.mark.e2e

SETTINGS = {
    "backbone.options.dtype": "float32",
    "fit.device": "cpu",
    "fit.precision": "fp32",
    "fit.epochs": 2,
    "fit.batch": 8,
    "fit.learning_rate": 1e-3,
    "aligner.dim": 16,
    "aligner.queries": 8,
    "data.validation_fraction": 0.5,
}


def pinpoint(*arguments: object) -> Any:
    """Run a command that must succeed; its JSON."""
    done = CliRunner().invoke(root, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace and a published dataset of generated pages."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("documents")
    pinpoint("generate", out / "drawn", "--layout", "spdocvqa", "--documents", 4)
    gold = out / "drawn" / "gold_evidence.jsonl"
    pinpoint("ingest", "spdocvqa", out / "drawn", "--workspace", out / "ws", "--evidence", gold)
    pinpoint("publish", out / "ws", out / "dataset", "--license", "cc-by-4.0")
    return out


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_features_training_scores_and_answers(documents: Path, family: str, tmp_path: Path) -> None:
    model = tiny_model_folder(family, tmp_path / "model")
    data = ("--dataset", documents / "dataset", "--workspace", documents / "ws")
    values = SETTINGS | {"backbone.options.model": model, "backbone.options.device": "cpu"}
    if family == "qwen2-vl":
        values |= {"backbone.options.max_pixels": 100 * 28 * 28}
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    features, run = tmp_path / "features", tmp_path / "run"

    extract = ("features", "extract", features, *data, "--config", family, *settings)
    made, again = pinpoint(*extract), pinpoint(*extract)
    assert (made["counts"]["encoded"], again["plan"]["to_encode"]) == (4, 0)

    trained = pinpoint("train", run, *data, "--config", family, *settings, "--cache", features)
    assert trained["steps"] > 0
    # Encoded on the fly, the same tokens give the same run.
    pinpoint("train", tmp_path / "fly", *data, "--config", family, *settings)
    cached, on_the_fly = (load_file(folder / "aligner.safetensors") for folder in (run, tmp_path / "fly"))
    assert all(torch.allclose(cached[name], on_the_fly[name], atol=1e-5) for name in cached)

    scores = pinpoint("evaluate", run, *data, "--cache", features, "--device", "cpu", "--resamples", 10)
    assert scores["grid"] == family
    recalls = scores["scores"]["all"]
    assert recalls["oracle"]["evidence_recall@0.25"]["mean"] >= recalls["pinpoint"]["evidence_recall@0.25"]["mean"]

    # The model may have moved since; the run finds it where it is told.
    moved = tmp_path / "moved"
    shutil.move(model, moved)
    here = ("--model", moved, "--device", "cpu", "--max-new-tokens", 4)
    answers = pinpoint("evaluate", run, *data, "--answers", "--coverages", "0.6,0.25", "--limit", 3, *here)
    found = answers["scores"]["all"]
    assert set(found) == {"vanilla", "pinpoint@0.60", "pinpoint@0.25"}
    if family == "qwen2-vl":
        fewer = ("--answers", "--modes", "vanilla", "--limit", 3, "--max-pixels", 60 * 28 * 28)
        few = pinpoint("evaluate", run, *data, *fewer, *here)["scores"]["all"]["vanilla"]["visual_tokens"]["mean"]
        assert few <= 60 < found["vanilla"]["visual_tokens"]["mean"]

    page = next((documents / "drawn" / "documents").iterdir())
    one = pinpoint("answer", run, page, "What is the total?", "--vanilla", *here, "--out", tmp_path / "answer")
    vanilla, pinpointed = one["answers"]["vanilla"], one["answers"]["pinpoint@0.60"]
    assert pinpointed["visual_tokens"] < vanilla["visual_tokens"]
    whole = ("--coverage", 1, "--no-refine", "--global-view")
    same = pinpoint("answer", run, page, "What is the total?", *whole, *here)["answers"]["pinpoint@1.00"]
    assert (same["text"], same["visual_tokens"]) == (vanilla["text"], vanilla["visual_tokens"])
