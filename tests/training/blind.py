"""A backbone that looks at pixels alone: no page has to have words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pinpoint_data.token_grid import TokenGrid, even_grid
from training.backbones.base import EncodedPage, FloatArray
from training.checkpoint import Run, make_aligner
from training.config import parse_config
from training.pages.input import PageInput

CELL = 20


class BlindBackbone:
    """Cells of 20 pixels; a token is the cell's mean colour, a question its length."""

    name = "blind"
    token_dim = 3
    question_dim = 2
    shared_dim = 0
    reads_words = False

    def grid(self, width: int, height: int) -> TokenGrid:
        return even_grid(height // CELL, width // CELL, width, height, "blind")

    def encode_page(self, page: PageInput) -> EncodedPage:
        grid = self.grid(page.width, page.height)
        pixels = page.load_image().resize((grid.cols, grid.rows))
        return EncodedPage(grid, np.asarray(pixels, dtype=np.float32).reshape(-1, 3) / 255)

    def encode_question(self, question: str) -> FloatArray:
        return np.array([[len(question), 1.0]], dtype=np.float32)

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1, "options": {}}


def blind_run(folder: Path, documents: tuple[str, ...] = ()) -> Path:
    """Save an untrained run that claims to have held out `documents`."""
    config = parse_config(
        {
            "backbone": {"name": "tests.training.blind:BlindBackbone"},
            "windows": {"width": 3, "height": 3, "stride": 2},
            "aligner": {"queries": 4, "dim": 8},
        }
    )
    backbone = BlindBackbone()
    facts = {"step": 0, "epoch": 0, "validation": {}}
    data = {"dataset": "dataset", "sources": None, "fingerprint": "", "counts": {}}
    held_out = {"train": [], "validation": list(documents)}
    Run(folder, config, backbone, make_aligner(config, backbone), facts, held_out, data).save(folder)
    return folder
