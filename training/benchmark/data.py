"""Every figure of a benchmark before any mean: by selector and question, and by selector and gold box."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import Outcome
from pinpoint_data.ranking import IntArray
from training.benchmark.families import headline


@dataclass(frozen=True, eq=False)
class BoxTable:
    """The gold boxes of all questions, question after question, each question's in the order of its pages.

    Attributes:
        question: (n_boxes,) int64: which question a box belongs to.
        role: (n_boxes,): `answer` or `support`.
        page_share: (n_boxes,): area of the box over that of its page.
        y_centre: (n_boxes,): height of its centre on the page, from 0 at the top to 1.
    """

    question: IntArray
    role: npt.NDArray[np.str_]
    page_share: FloatArray
    y_centre: FloatArray

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> BoxTable:
        """The boxes of these questions."""
        question, role, numbers = [], [], []
        for index, sample in enumerate(samples):
            # The order in which a question's evidence is measured: page after page, as given within a page.
            for box in sorted(sample.evidence, key=lambda box: box.page_index):
                page = sample.pages[box.page_index]
                x0, y0, x1, y1 = box.xyxy
                question.append(index)
                role.append(box.role)
                numbers.append(((x1 - x0) * (y1 - y0) / (page.width * page.height), (y0 + y1) / 2 / page.height))
        share, centre = np.array(numbers, dtype=np.float64).reshape(-1, 2).T
        return cls(np.array(question, dtype=np.int64), np.array(role, dtype=np.str_), share.copy(), centre.copy())

    def __len__(self) -> int:
        return len(self.question)


class NumberTable:
    """Rows of named numbers as columns that grow: 8 bytes a number, NaN where a row has none of a name."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._rows = 0

    def add(self, row: Mapping[str, float]) -> None:
        """Add a row."""
        for name, value in row.items():
            column = self._columns.setdefault(name, array("d"))
            column.extend([math.nan] * (self._rows - len(column)))
            column.append(value)
        self._rows += 1

    def columns(self) -> dict[str, FloatArray]:
        """All of it, (n_rows,) by name; no row can be added afterwards."""
        for column in self._columns.values():
            column.extend([math.nan] * (self._rows - len(column)))
        return {name: np.asarray(column) for name, column in self._columns.items()}


@dataclass
class BenchmarkData:
    """What a benchmark measured.

    Attributes:
        budgets: Shares of tokens that were asked for.
        samples: The questions that every selector was scored on, in order.
        selectors: Their names, in order.
        scores: For each selector, for each score (`evidence_recall@0.10`), one number a question (n_questions,); NaN
            where the question has none.
        boxes: The gold boxes of those questions.
        box_recall: For each selector (n_boxes, n_budgets): the share of a box's area inside the grid that is kept;
            NaN for a box outside it.
        seconds: For each selector, for each component, (n_questions,), NaN where it was not used. A component is
            `choice`, the selector's own work at `cost_budget` alone, or a signal that it used for that: `encode`,
            `question`, `vision`, `decoder`...
        flops: The same in floating-point operations.
        clipped: (n_questions,) share of the evidence outside the grids.
        left_out: Questions that were not scored, by reason.
        outcome: Questions refused for all selectors because one could not be asked.
        devices: How many rows were measured on which device: seconds of different ones do not compare.
        reused: How many rows an earlier run had measured.
    """

    budgets: tuple[float, ...]
    samples: list[Sample]
    selectors: list[str]
    scores: dict[str, dict[str, FloatArray]]
    boxes: BoxTable
    box_recall: dict[str, FloatArray]
    seconds: dict[str, dict[str, FloatArray]]
    flops: dict[str, dict[str, FloatArray]]
    clipped: FloatArray
    left_out: Counter[str] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)
    devices: Counter[str] = field(default_factory=Counter)
    reused: int = 0

    @property
    def cost_budget(self) -> float:
        """The share of tokens that seconds and operations are those of selecting."""
        return headline(self.budgets)
