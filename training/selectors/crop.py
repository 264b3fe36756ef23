"""CROP: tokens of one rectangle a page, from the gold boxes or from a localiser's file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import TrainingError, UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.located import BLOCKS, Blocks, Located, outwards, read_located

if TYPE_CHECKING:
    from loaders.samples import Sample
    from pinpoint_data.token_grid import TokenGrid
    from training.pages.store import PageStore
    from training.selectors.sample import EncodedSample

# Distances are roots of sums: tokens on either side of a centre must tie, whatever their last bits say.
_DIGITS = 9

Missing = Literal["random", "refuse"]
"""What to do about a question that the localiser has no box for."""


class CropOracle(Selector):
    """The rectangle that a perfect localiser would give CROP: the hull of the gold boxes, on 8 x 8 blocks of the page.

    CROP (Contextual Region-Oriented Visual Token Pruning, EMNLP 2025 main 492, arXiv 2505.21233; no code released, so
    this is a re-implementation) lets a fine-tuned Qwen2-VL-2B name one rectangle of an 8 x 8 grid, and prunes around
    it. Of what follows the localiser this is its training-free part: tokens outside the rectangle go. Ours:

    - gold boxes are quantised outwards; a question with evidence on several pages has one rectangle on each;
    - a hard budget B ranks the tokens: first those whose centre is inside, by distance to the rectangle's centre, then
      those outside, by distance to the rectangle, then pages without a rectangle, in random order. Distances are
      counted in tokens, so that pages of several sizes compare.

    The ceiling of methods that keep one rectangle: evidence recall is 1 as long as the rectangles fit the budget, up
    to tokens that evidence reaches into while their centre is outside. Budgets nest.
    """

    name = "crop-oracle"
    needs: frozenset[Need] = frozenset({"evidence"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens in and around the gold rectangles."""
        rectangles: dict[int, Blocks] = {}
        for index, page in enumerate(sample.pages):
            boxes = sample.view.evidence_on(index)
            if len(boxes):
                hull = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
                rectangles[index] = outwards(hull, page.page_input.width, page.page_input.height)
        return _keep_around(sample, rectangles, budgets)


class CropSelector(Selector):
    """CROP with the rectangles of an external localiser; what is made of them is in `CropOracle`.

    Args:
        boxes: A JSON Lines file; `read_located` says what is in it.
        missing: A question without any line: "random" ranks its tokens at random (no rectangle, no knowledge), and a
            benchmark says how many there were; "refuse" ends with an error.

    Raises:
        UsageError: No file is named, there is none, or `missing` is something else.
        TrainingError: A line of the file is wrong.
    """

    name = "crop"

    def __init__(self, boxes: Path | str | None = None, missing: Missing = "random") -> None:
        if boxes is None:
            raise UsageError(
                "crop needs the rectangles of a localiser",
                remedy='give option boxes: a JSON Lines file of {"question_id", "page_index", "box": '
                f'[x_min, y_min, x_max, y_max]}} in blocks 0 to {BLOCKS - 1}, or "xyxy" in page pixels; '
                "crop-oracle needs no file",
            )
        if missing not in get_args(Missing):
            raise UsageError(f"crop option missing must be one of {', '.join(get_args(Missing))}, got {missing!r}")
        self.missing = missing
        self._file = Path(boxes)
        self._located = read_located(self._file)

    def identity(self) -> dict[str, Any]:
        """The content of the file."""
        return {"located": hashlib.sha256(self._file.read_bytes()).hexdigest()}

    def warnings(self, samples: Sequence[Sample], store: PageStore) -> list[str]:
        """How many questions the localiser says nothing of."""
        without = sum(sample.question_id not in self._located for sample in samples)
        return [f"crop: {self._file.name} has no line for {without:,} questions, ranked at random"] if without else []

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens in and around the localiser's rectangles.

        Raises:
            TrainingError: The file names a page that the question has not got, or has no line for a question where
                `missing` is "refuse".
        """
        located = self._located.get(sample.question_id, {})
        if not located and self.missing == "refuse":
            raise TrainingError("has no line for this question", file=self._file, record=sample.question_id)
        return _keep_around(sample, self._rectangles(sample, located), budgets)

    def _rectangles(self, sample: EncodedSample, located: Mapping[int, Located]) -> dict[int, Blocks]:
        found = {}
        for index, place in located.items():
            if index >= len(sample.pages):
                raise TrainingError(
                    f"page_index {index} is no page of question {sample.question_id}, which has {len(sample.pages)}",
                    file=self._file,
                    record=f"line {place.line}",
                )
            page = sample.pages[index].page_input
            found[index] = place.blocks(page.width, page.height)
        return found


def _keep_around(sample: EncodedSample, rectangles: Mapping[int, Blocks], budgets: Sequence[int]) -> list[Kept]:
    scores = [
        nearness(page.grid, rectangles[index]) if index in rectangles else np.zeros(page.grid.n_tokens)
        for index, page in enumerate(sample.pages)
    ]
    return sample.keep_top(np.concatenate(scores), budgets)


def nearness(grid: TokenGrid, blocks: Blocks) -> FloatArray:
    """(n,): scores of a page's tokens around a rectangle.

    Above 1 where a token's centre is inside (the left and the top edge are), falling with its distance to the
    rectangle's centre; in (0, 1] outside, falling with its distance to the rectangle.

    Args:
        grid: The page's.
        blocks: The rectangle, first and last block each way.
    """
    tokens = grid.token_xyxy()
    centre = (tokens[:, :2] + tokens[:, 2:]) / 2
    block = np.array([grid.page_width, grid.page_height]) / BLOCKS
    low, high = np.array(blocks[:2]) * block, (np.array(blocks[2:]) + 1) * block
    inside = np.all((low <= centre) & (centre < high), axis=1)
    to_edge = np.maximum(np.maximum(low - centre, centre - high), 0)
    away = np.linalg.norm(np.where(inside[:, None], centre - (low + high) / 2, to_edge), axis=1)
    x0, y0, x1, y1 = grid.extent
    side = np.sqrt((x1 - x0) * (y1 - y0) / grid.n_tokens)
    found: FloatArray = np.round(inside + 1 / (1 + away / side), _DIGITS)
    return found
