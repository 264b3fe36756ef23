"""Pages, and a backbone that looks at them in the precision of a language model, for the tests of the feature cache."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pinpoint_data.token_grid import TokenGrid, even_grid
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, sha256
from training.backbones.base import EncodedPage
from training.features import FeatureCache, create_cache, extract, page_key, plan_extraction, scan
from training.features.plan import Plan
from training.pages.input import PageInput
from training.pages.store import PageStore

FAKE = "tests.training.features.build:FakeBackbone"


class FakeBackbone:
    """Cells of 10 pixels; tokens are functions of a cell's mean colour. Encodes batches, in inference mode."""

    name = "fake"
    question_dim = 4
    shared_dim = 0
    reads_words = False

    def __init__(self, dtype: str = "bfloat16", revision: str = "a", token_dim: int = 6) -> None:
        self.dtype, self.revision, self.token_dim = dtype, revision, token_dim
        self.batches: list[list[str]] = []

    def grid(self, width: int, height: int) -> TokenGrid:
        return even_grid(height // 10, width // 10, width, height, "fake")

    def encode_page(self, page: PageInput) -> EncodedPage:
        return self.encode_pages([page])[0]

    @torch.inference_mode()
    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        self.batches.append([page.page_id for page in pages])
        grids = [self.grid(page.width, page.height) for page in pages]
        together = torch.cat([self._tokens(p, g) for p, g in zip(pages, grids, strict=True)])
        parts = together.split([grid.n_tokens for grid in grids])
        return [EncodedPage(grid, part) for grid, part in zip(grids, parts, strict=True)]

    def _tokens(self, page: PageInput, grid: TokenGrid) -> Tensor:
        small = np.asarray(page.load_image().resize((grid.cols, grid.rows)), dtype=np.float32).reshape(-1, 3)
        waves = np.sin(small.sum(axis=1, keepdims=True) * (1 + np.arange(self.token_dim))) * 1e5
        # Far outside float16's range where the type has more.
        return torch.from_numpy(waves if self.dtype != "float16" else waves / 10).to(getattr(torch, self.dtype))

    def encode_question(self, question: str) -> Tensor:
        return torch.ones(1, 4)

    def spec(self) -> dict[str, Any]:
        return {"name": "fake", "version": 1, "options": {"dtype": self.dtype, "revision": self.revision}}


def workspace(folder: Path, count: int = 6, *, names: Sequence[str] = (), words: bool = False) -> Workspace:
    """A workspace whose pages are pictures of different colours and sizes."""
    images = folder / "images"
    images.mkdir(parents=True)
    ws = Workspace.create(folder / "ws")
    ws.register_source("src", "records", images)
    rows, said = [], []
    for number in range(count):
        size = (40 + 10 * (number % 3), 50)
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
        page_id = names[number] if names else f"src/{number}"
        found = page("src/x", f"{number}.png", (images / f"{number}.png").read_bytes())
        rows.append(found | {"page_id": page_id, "width": size[0], "height": size[1]})
        box = {"x0": 1.0, "y0": 2.0, "x1": 20.0 + number, "y1": 9.0}
        said.append({"page_id": page_id, "line": 0, "text": "k3", "confidence": 0.5, "engine": "test", **box})
    with ws.writer("pages", "src-train") as writer:
        writer.write_rows(rows)
    if words:
        with ws.writer("words", "src-train") as writer:
            writer.write_rows(said)
    return ws


def rehash(ws: Workspace, path: str) -> None:
    """Make the workspace believe that a changed file was ingested as it is now."""
    rows = ws.read("pages").to_pylist()
    for row in rows:
        if row["path"] == path:
            row["sha256"] = sha256((ws.root_of("src") / path).read_bytes())
    with ws.writer("pages", "src-train") as writer:
        writer.write_rows(rows)


def page_ids(ws: Workspace) -> list[str]:
    return ws.read("pages", columns=["page_id"])["page_id"].to_pylist()


def fill(folder: Path, ws: Workspace, backbone: Any, *, share: tuple[int, int] = (1, 1), **options: Any) -> Plan:
    """Extract what is missing, as the command does."""
    cache, store = create_cache(folder, backbone), PageStore(ws)
    plan = plan_extraction(cache, backbone, store, page_ids(ws), scan(cache).entries, share)
    extract(cache, backbone, store, plan, **options)
    return plan


def expected(ws: Workspace, backbone: Any) -> dict[str, Tensor]:
    store = PageStore(ws)
    return {page_id: backbone.encode_page(store.input(page_id)).tensor().clone() for page_id in page_ids(ws)}


def names(ws: Workspace, cache: FeatureCache) -> set[str]:
    store = PageStore(ws)
    return {page_key(store, page_id, reads_words=cache.reads_words).name for page_id in page_ids(ws)}


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool((a.view(torch.uint8) == b.view(torch.uint8)).all())


class SlowBackbone(FakeBackbone):
    """Takes its time for every batch."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        time.sleep(self.seconds)
        return super().encode_pages(pages)


class InterruptedBackbone(FakeBackbone):
    """Somebody presses Ctrl-C during one of its batches."""

    def __init__(self, interrupt_at: int = 0) -> None:
        super().__init__()
        self.interrupt_at = interrupt_at

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        encoded = super().encode_pages(pages)
        if len(self.batches) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return encoded


if __name__ == "__main__":  # a writer that is a process of its own; it begins when it is told to
    torch.set_num_threads(1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    fill(
        Path(sys.argv[1]),
        Workspace.open(sys.argv[2]),
        SlowBackbone(float(sys.argv[3])),
        batch_tokens=1,
        shard_bytes=150,
    )
