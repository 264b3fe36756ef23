"""Pages of words for the tests of proposals, laid out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from annotation.proposals.pagetext import PageText
from annotation.proposals.rarity import Rarity, count_rarity
from pinpoint_data.words import PageWords

HEIGHT, LETTER, SPACE, LEADING = 20.0, 10.0, 10.0, 30.0
WIDTH = 1000.0

Cell = tuple[float, float, str]


def page_words(*cells: Cell) -> PageWords:
    """Words from (x, y, text): the words of a text stand side by side, each letter 10 wide, 20 high; a cell a line."""
    texts, boxes, lines = [], [], []
    for line, (x, y, text) in enumerate(cells):
        for word in text.split(" "):
            texts.append(word)
            boxes.append([x, y, x + LETTER * len(word), y + HEIGHT])
            lines.append(line)
            x += LETTER * len(word) + SPACE
    xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    return PageWords(texts, xyxy, np.array(lines, np.int64), None, "test")


def page(*cells: Cell, width: float = WIDTH, height: float = 2000.0) -> PageText:
    return PageText(page_words(*cells), width, height)


def lines(*texts: str, x: float = 50.0, y: float = 50.0) -> PageText:
    """Texts under each other."""
    return page(*((x, y + LEADING * number, text) for number, text in enumerate(texts)))


def envelope(words: PageWords, rows: Sequence[int]) -> tuple[float, ...]:
    boxes = words.xyxy[list(rows)]
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())


def rarity(question: str, *pages: PageText) -> Rarity:
    return count_rarity([question, "something else entirely"], [p.words.texts for p in pages])


def word_rows(page_id: str, words: PageWords) -> list[dict[str, Any]]:
    return words.rows(page_id)
