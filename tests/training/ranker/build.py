"""Small pages as the ranker reads them, its features by name, and rankers with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from tests.training.views import Box, square_grid, words_of
from training.ranker.features import FEATURES
from training.ranker.model import Ranker
from training.ranker.page import PAGE_FEATURES, ReadPage, read_page
from training.ranker.question import read_question
from training.ranker.relations import RELATIONS, relate

CELL = 10
Placed = Sequence[tuple[str, Box]]
Draw = Callable[[ImageDraw.ImageDraw], object]


def token_box(x0: float, y0: float, x1: float, y1: float) -> Box:
    """A box given in tokens, in pixels."""
    return (x0 * CELL, y0 * CELL, x1 * CELL, y1 * CELL)


def read(
    placed: Placed = (), rows: int = 10, cols: int = 14, draw: Draw = lambda pen: None, colour: str = "white"
) -> ReadPage:
    """A page of `rows` x `cols` tokens of 10 x 10 pixels; words in tokens."""
    grid = square_grid(rows, cols, CELL)
    image = Image.new("RGB", (grid.page_width, grid.page_height), colour)
    draw(ImageDraw.Draw(image))
    return read_page(grid, words_of([(text, token_box(*box)) for text, box in placed]), image)


def page_map(page: ReadPage, name: str) -> np.ndarray:
    """(rows, cols): a feature of a page."""
    return page.features[:, PAGE_FEATURES.index(name)].reshape(page.grid.rows, page.grid.cols)


def relation_maps(pages: Sequence[ReadPage], question: str) -> list[dict[str, np.ndarray]]:
    """A page's relations to a question by name, (rows, cols) each."""
    related = relate(pages, read_question(question))
    return [
        {name: column.reshape(page.grid.rows, page.grid.cols) for name, column in zip(RELATIONS, values.T, strict=True)}
        for page, values in zip(pages, related, strict=True)
    ]


def relation(page: ReadPage, question: str, name: str) -> np.ndarray:
    """(rows, cols): how one page's tokens stand to a question."""
    return relation_maps([page], question)[0][name]


def random_ranker(seed: int = 0, members: int = 2, hidden: int = 5, **facts: object) -> Ranker:
    rng = np.random.default_rng(seed)
    width = len(FEATURES)
    shapes = {
        "mean": (width,),
        "first.weight": (members, hidden, width),
        "first.bias": (members, hidden),
        "norm.weight": (members, hidden),
        "norm.bias": (members, hidden),
        "second.weight": (members, hidden, hidden),
        "second.bias": (members, hidden),
        "last.weight": (members, hidden),
        "last.bias": (members,),
    }
    tensors = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["scale"] = rng.uniform(0.5, 2, width).astype(np.float32)
    return Ranker("random", tensors, facts)
