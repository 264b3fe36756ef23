"""A planted problem that an aligner can learn in seconds: the window that holds the question's word is the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from loaders.samples import EvidenceBox, PageRef, Sample
from pinpoint_data.errors import TrainingError
from pinpoint_data.token_grid import TokenGrid, even_grid
from pinpoint_data.words.base import PageWords
from training.backbones.base import EncodedPage, FloatArray
from training.checkpoint import write_run_config
from training.config import TrainConfig, parse_config
from training.fitting.data import label_samples, split_by_document
from training.fitting.distributed import World
from training.fitting.fit import Trainer
from training.pages.cache import PageCache
from training.pages.geometry import Geometries
from training.pages.input import PageInput

KINDS = 12
CELLS = 8
PIXELS = CELLS * 10


class ToyBackbone:
    """Cells of 10 pixels; a word "k3" lights feature 3 on the page, the question "q3" lights feature 2 * 3 + 1.

    Nothing is shared between both sides: the relation must be learnt.
    """

    name = "toy"
    token_dim = KINDS
    question_dim = 2 * KINDS
    shared_dim = 0
    reads_words = True

    def grid(self, width: int, height: int) -> TokenGrid:
        return even_grid(height // 10, width // 10, width, height, "toy")

    def encode_page(self, page: PageInput) -> EncodedPage:
        grid = self.grid(page.width, page.height)
        tokens = np.zeros((grid.n_tokens, KINDS), dtype=np.float32)
        for text, (x0, y0, _, _) in zip(page.words.texts, page.words.xyxy, strict=True):
            tokens[int(y0 // 10) * grid.cols + int(x0 // 10), int(text[1:])] = 3
        return EncodedPage(grid, tokens)

    def encode_question(self, question: str) -> FloatArray:
        tokens = np.zeros((1, 2 * KINDS), dtype=np.float32)
        tokens[0, 2 * int(question[1:]) + 1] = 3
        return tokens

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1, "options": {}}


class ToyStore:
    """Pages in memory, in place of a workspace."""

    has_words = True

    def __init__(self, pages: dict[str, PageWords]) -> None:
        self.pages = pages

    def row(self, page_id: str) -> dict[str, Any]:
        if page_id not in self.pages:
            raise TrainingError("is not in the workspace", record=f"page {page_id}")
        return {"page_id": page_id, "width": PIXELS, "height": PIXELS}

    def input(self, page_id: str) -> PageInput:
        white = Image.new("RGB", (PIXELS, PIXELS), "white")
        return PageInput(page_id, PIXELS, PIXELS, self.pages[page_id], lambda: white)


def toy_problem(documents: int, seed: int = 0, questions: int = 3) -> tuple[list[Sample], ToyStore]:
    """One page a document, every kind of word in a random cell, some questions on each page."""
    rng = np.random.default_rng(seed)
    samples, pages = [], {}
    for document in range(documents):
        cells = rng.choice(CELLS * CELLS, KINDS, replace=False)
        corners = np.stack([cells % CELLS, cells // CELLS], axis=1) * 10.0
        boxes = np.concatenate([corners, corners + 10], axis=1)
        page_id = f"toy/p{document}"
        pages[page_id] = PageWords([f"k{kind}" for kind in range(KINDS)], boxes, np.arange(KINDS))
        page = PageRef(page_id, 0, PIXELS, PIXELS, f"hash-{document}")
        for kind in rng.choice(KINDS, questions, replace=False):
            box = EvidenceBox(0, tuple(boxes[kind].tolist()), "answer")
            number = f"toy/{document}-{kind}"
            samples.append(
                Sample(number, "toy", "train", f"toy/d{document}", f"q{kind}", (), "evidence", (page,), (box,))
            )
    return samples, ToyStore(pages)


def toy_config(**sections: dict[str, Any]) -> TrainConfig:
    """Windows of 2 x 2 cells, a small aligner, one thread."""
    values: dict[str, Any] = {
        "backbone": {"name": "tests.training.toy:ToyBackbone"},
        "windows": {"width": 2, "height": 2, "stride": 2},
        "aligner": {"queries": 8, "dim": 16, "query_scale": 1.0},
        "fit": {"epochs": 2, "batch": 8, "learning_rate": 1e-2, "threads": 1},
        "data": {"validation_fraction": 0.3},
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return parse_config(values)


def toy_trainer(
    folder: Path, config: TrainConfig, documents: int = 16, seed: int = 0, world: World | None = None
) -> Trainer:
    """A new run on the toy problem."""
    samples, store = toy_problem(documents, seed)
    backbone = ToyBackbone()
    geometries = Geometries(backbone, config.windows.spec())
    examples, left_out = label_samples(samples, geometries, config.labels.rule())
    data = split_by_document(examples, config.data)
    data.left_out.update(left_out)
    described = {"dataset": "toy", "sources": None, "fingerprint": data.fingerprint(), "counts": data.counts()}
    if world is None or world.is_main:
        write_run_config(folder, config, backbone, described, data.documents())
    return Trainer(folder, config, data, geometries, PageCache(backbone, store, 2**20), world)


def records_of(trainer: Trainer, kinds: Sequence[str] = ("step", "epoch")) -> Iterator[dict[str, Any]]:
    """What the run has written to its metrics file, without times."""
    from training.checkpoint import METRICS_FILE
    from training.fitting.metrics import read_metrics

    for record in read_metrics(trainer.folder / METRICS_FILE):
        if record["kind"] in kinds:
            yield {name: value for name, value in record.items() if name not in ("ms", "seconds")}
