"""Samples for the tests of selectors: any tokens on a small grid, or a tiny model of a true architecture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from pinpoint_data.grids import TokenGrid
from pinpoint_data.windows import WindowSpec, make_windows
from pinpoint_data.words.base import PageWords
from tests.training.views import page_view, question_view, square_grid
from training.backbones.base import EncodedPage
from training.pages.input import PageInput
from training.selectors import EncodedSample, ModelSource, Need, SignalSource
from training.window_scorers.base import PageView


class GivenTokens:
    """A backbone whose tokens are given: those of page `p` are `tokens[p]`, those of any question `question`."""

    name = "given"
    reads_words = True

    def __init__(self, tokens: dict[str, np.ndarray], grids: dict[str, TokenGrid], question: np.ndarray) -> None:
        self._tokens, self._grids, self._question = tokens, grids, question
        self.token_dim = self.question_dim = self.shared_dim = question.shape[1]

    def grid(self, width: int, height: int) -> TokenGrid:
        return next(g for g in self._grids.values() if (g.page_width, g.page_height) == (width, height))

    def encode_page(self, page: PageInput) -> EncodedPage:
        return EncodedPage(self._grids[page.page_id], self._tokens[page.page_id])

    def encode_question(self, question: str) -> np.ndarray:
        return self._question

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1, "options": {}}


def given_sample(
    tokens: np.ndarray | Sequence[np.ndarray],
    shapes: tuple[int, int] | Sequence[tuple[int, int]],
    question: np.ndarray | None = None,
    *,
    placed: Sequence[Any] = (),
    evidence: Sequence[Any] = (),
    question_text: str = "What?",
    question_id: str = "test/1",
    seed: int = 0,
    colour: str = "white",
    run: Any = None,
) -> EncodedSample:
    """A sample whose pages have these tokens (n, d) on grids of these (rows, cols), cells of 10 pixels.

    `placed` (words) go on the first page; `evidence` is `(page, box)` or `(page, box, role)`.
    """
    several = isinstance(tokens, (list, tuple))
    all_tokens = [np.asarray(t, dtype=np.float32) for t in (tokens if several else [tokens])]
    all_shapes = list(shapes) if several else [shapes]
    asked = np.zeros((1, all_tokens[0].shape[1])) if question is None else np.asarray(question)
    grids = {f"test/page{i}": square_grid(*shape) for i, shape in enumerate(all_shapes)}
    views = [
        page_view(grid, placed if i == 0 else (), page_id=name, colour=colour)
        for i, (name, grid) in enumerate(grids.items())
    ]
    backbone = GivenTokens(dict(zip(grids, all_tokens, strict=True)), grids, asked.astype(np.float32))
    view = question_view(views, question_text, evidence, question_id)
    return SignalSource(backbone, run=run, seed=seed).sample(view)


def on_grid(sample: EncodedSample, grid: TokenGrid) -> EncodedSample:
    """The sample, its one page seen through another grid of as many tokens."""
    (page,) = sample.pages
    page_input = replace(page.page_input, width=grid.page_width, height=grid.page_height)
    return sample.source.sample(replace(sample.view, pages=(replace(page, grid=grid, page_input=page_input),)))


def model_page(model: Any, image: Image.Image, page_id: str = "test/page0", spec: WindowSpec | None = None) -> PageView:
    """A page of an opened model's own grid."""
    grid = model.layout(*image.size).grid
    words = PageWords()
    page_input = PageInput(page_id, *image.size, words, lambda: image)
    return PageView(grid, make_windows(grid, spec or WindowSpec()), words, page_input)


def model_sample(
    model: Any,
    images: Sequence[Image.Image],
    question: str = "What is the total?",
    *,
    needs: Collection[Need] = (),
    evidence: Sequence[Any] = (),
    question_id: str = "test/1",
    clip: Any = None,
) -> EncodedSample:
    """A sample over images as an opened model (with its language model, for decoder signals) sees them."""
    from training.backbones.vlm import VlmBackbone

    name = "llava-next" if model.family == "llava-next" else "qwen2-vl"
    source = ModelSource(VlmBackbone(name, model), needs=needs, clip=clip)
    views = [model_page(model, image, f"test/page{i}") for i, image in enumerate(images)]
    return source.sample(question_view(views, question, evidence, question_id))


def unit_rows(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors (count, width)."""
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


__all__ = ["given_sample", "model_page", "model_sample", "on_grid", "square_grid", "unit_rows"]
