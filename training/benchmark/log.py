"""`samples.jsonl`: one JSON line a question and selector, so that a stopped benchmark goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinpoint_data.boxes import FloatArray
from training.json_log import JsonLog, finite

BENCHMARK_LOG_VERSION = 1
"""Goes up whenever the same selector and question would be scored otherwise."""


@dataclass(frozen=True, eq=False)
class Row:
    """What was measured of one selector on one question.

    Attributes:
        scores: By name.
        box_recall: (n_boxes, n_budgets) share of each gold box's area inside the grid that is kept; NaN for a box
            outside it.
        seconds: Of selecting at the headline budget, by component: `choice`, or a signal.
        flops: The same.
        clipped: Share of the evidence outside the grids.
        device: Where it was measured.
    """

    scores: Mapping[str, float]
    box_recall: FloatArray
    seconds: Mapping[str, float]
    flops: Mapping[str, float]
    clipped: float
    device: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; reading it gives the same numbers to the last bit."""
        boxes = [[None if math.isnan(share) else share for share in box] for box in self.box_recall.tolist()]
        return {
            "device": self.device,
            "clipped": self.clipped,
            "scores": dict(self.scores),
            "box_recall": boxes,
            "seconds": dict(self.seconds),
            "flops": dict(self.flops),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any], shape: tuple[int, int]) -> Row:
        """Of a line whose `box_recall` must have this shape.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, OverflowError: It is no such line.
        """
        recall = [[np.nan if share is None else float(finite(share)) for share in box] for box in found["box_recall"]]
        if [len(box) for box in recall] != [shape[1]] * shape[0]:
            raise ValueError(f"box_recall is not of shape {shape}")
        return cls(
            _numbers(found["scores"]),
            np.array(recall, dtype=np.float64).reshape(shape),
            _numbers(found["seconds"]),
            _numbers(found["flops"]),
            float(finite(found["clipped"])),
            _text(found["device"]),
        )


class BenchmarkLog(JsonLog):
    """Rows by what they depend on; rows under other settings stay, for whoever comes back to them."""

    def get(self, key: str, shape: tuple[int, int]) -> Row | None:
        """The row of this key, if it is there and of a question with as many boxes and budgets, `shape`."""
        return self.read(key, lambda line: Row.of_json(line, shape))

    def append(self, key: str, question_id: str, selector: str, row: Row) -> None:
        """Write a row down.

        Raises:
            WorkspaceError: The file cannot be written.
        """
        self.write(key, {"question_id": question_id, "selector": selector, **row.to_json()})


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {_text(name): float(finite(value)) for name, value in found.items()}


def _text(found: Any) -> str:
    """Text that the tables can hold: half a surrogate pair is a ValueError."""
    text = str(found)
    text.encode("utf-8")
    return text
