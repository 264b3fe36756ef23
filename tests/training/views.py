"""Small pages and questions for the tests of scorers, evaluation and selection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from loaders.samples import EvidenceBox
from pinpoint_data.grids import TokenGrid
from pinpoint_data.windows import WindowSpec, make_windows
from pinpoint_data.words.base import PageWords
from training.pages.input import PageInput
from training.window_scorers.base import PageView, QuestionView

Box = tuple[float, float, float, float]


def square_grid(rows: int, cols: int, cell: int = 10) -> TokenGrid:
    """Cells of `cell` x `cell` pixels."""
    return TokenGrid(
        np.arange(cols + 1) * float(cell), np.arange(rows + 1) * float(cell), cols * cell, rows * cell, "test"
    )


def words_of(placed: Sequence[tuple[str, Box]]) -> PageWords:
    xyxy = np.array([box for _, box in placed], dtype=np.float64).reshape(-1, 4)
    return PageWords([text for text, _ in placed], xyxy, np.arange(len(placed)))


def page_view(
    grid: TokenGrid,
    placed: Sequence[tuple[str, Box]] = (),
    spec: WindowSpec | None = None,
    page_id: str = "test/page",
    colour: str = "white",
) -> PageView:
    size = (grid.page_width, grid.page_height)
    words = words_of(placed)
    page_input = PageInput(page_id, *size, words, lambda: Image.new("RGB", size, colour))
    return PageView(grid, make_windows(grid, spec or WindowSpec(2, 2, 2)), words, page_input)


def question_view(
    pages: Sequence[PageView],
    question: str = "What?",
    evidence: Sequence[tuple[int, Box] | tuple[int, Box, str]] = (),
    question_id: str = "test/1",
) -> QuestionView:
    boxes = tuple(EvidenceBox(e[0], e[1], e[2] if len(e) == 3 else "answer") for e in evidence)
    return QuestionView(question_id, question, tuple(pages), boxes)
