"""Runs that look at pages with fewer pixels than the model that answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pinpoint_data.words.base import PageWords
from tests.training.vlm.pictures import noise
from training.answering import Answer, make_answerers
from training.backbones import PageInput, make_backbone
from training.checkpoint import Run, make_aligner
from training.config import parse_config
from training.flops import ModelShape, vision_flops
from training.vlm import open_model

WIDTH, HEIGHT = 300, 420
FEW = 28 * 28 * 40


def untrained_run(folder: Path, name: str, **options: object) -> Run:
    settings = {"model": str(folder), "dtype": "float32", "device": "cpu"} | options
    config = parse_config(
        {
            "backbone": {"name": name, "options": settings},
            "windows": {"width": 3, "height": 3, "stride": 2},
            "aligner": {"queries": 4, "dim": 8, "normalise": "rms"},
        }
    )
    backbone = make_backbone(name, settings)
    aligner = make_aligner(config, backbone).eval()
    return Run(Path("run"), config, backbone, aligner, {}, {"train": [], "validation": []}, {})


def answered(run: Run, folder: Path, **options: object) -> Answer:
    model = open_model(folder, dtype="float32", device="cpu", language=True, **options)
    page = noise(WIDTH, HEIGHT)
    [answerer] = make_answerers(run, model=model, coverages=[0.3], vanilla=False, max_new_tokens=3)
    return answerer.answer("What is the total?", [PageInput("p", WIDTH, HEIGHT, PageWords(), lambda: page)])


@pytest.mark.parametrize(
    ("name", "few", "many"),
    [("qwen2-vl", {"max_pixels": FEW}, {}), ("llava-next", {"view": "base"}, {})],
)
def test_selects_at_low_and_answers_at_high_resolution(
    model_folder: Callable[[str], Path], name: str, few: dict[str, object], many: dict[str, object]
) -> None:
    folder = model_folder(name)
    run = untrained_run(folder, name, **few)
    low = run.backbone.grid(WIDTH, HEIGHT)
    answer = answered(run, folder, **many)
    high = open_model(folder, **many).layout(WIDTH, HEIGHT).grid
    assert low.n_tokens < high.n_tokens
    # The budget is counted on the grid of the model that answers, the pages are looked at on the other.
    assert 0.3 <= answer.budget_used <= 0.6
    shape = ModelShape.of(run.backbone.model.config)
    patches = [(24, 24)] if name == "llava-next" else [(2 * low.rows, 2 * low.cols)]
    look = vision_flops(shape, patches)
    assert {part: answer.flops[f"encode.{part}"] for part in look} == dict(look)
    assert run.backbone.model.weights is not None
    assert "encode" in answer.seconds


def test_same_weights_are_in_memory_once(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = model_folder("qwen2-vl")
    whole = open_model(folder, dtype="float32", device="cpu", language=True)
    few = open_model(folder, dtype="float32", device="cpu", max_pixels=FEW)
    image, layout = noise(WIDTH, HEIGHT), few.layout(WIDTH, HEIGHT)
    alone = few.encode([image], [layout])[0].tokens
    assert few.borrow_weights(whole)
    assert few.weights is whole.weights
    assert torch.equal(few.encode([image], [layout])[0].tokens, alone)
    assert torch.equal(few.embed([5, 6]), whole.embed([5, 6]))
    other = open_model(folder, dtype="bfloat16", device="cpu")
    assert not other.borrow_weights(whole)
    assert other.weights is not whole.weights
