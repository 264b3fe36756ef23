"""Untrained runs on tiny vision-language models, and pages of noise."""

from __future__ import annotations

from pathlib import Path

from pinpoint_data.words.index import PageWords
from tests.training.vlm.pictures import noise
from training.backbones import make_backbone
from training.checkpoint import Run, load_run, make_aligner
from training.config import parse_config
from training.pages.input import PageInput


def vlm_run(folder: Path, model: Path, name: str, **options: object) -> Run:
    """A run whose backbone is the model in a folder; windows of 4 x 4 tokens."""
    config = parse_config(
        {
            "backbone": {"name": name, "options": {"model": str(model), "dtype": "float32", "device": "cpu"} | options},
            "aligner": {"queries": 4, "dim": 8},
            "windows": {"width": 4, "height": 4, "stride": 3},
        }
    )
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    facts = {"step": 0, "epoch": 0, "validation": {}}
    data = {"dataset": "dataset", "sources": None, "fingerprint": "", "counts": {}}
    documents: dict[str, list[str]] = {"train": [], "validation": []}
    Run(folder, config, backbone, make_aligner(config, backbone), facts, documents, data).save(folder)
    return load_run(folder)


def page(number: int, width: int, height: int) -> PageInput:
    """A page of noise without words."""
    return PageInput(f"page-{number}", width, height, PageWords(), lambda: noise(width, height, seed=number))
