"""What the boxes are like: histograms of whoever drew them, by group."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from annotation.judgements import GOLD, Judgement
from annotation.report.campaign import Questions, Row, seconds_of
from pinpoint_data.schema import ROLES

# Bin edges; a value at or above the last one is counted in the last bin.
_PIXELS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_PERCENT = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_SECONDS = (0, 5, 10, 20, 40, 80, 160, 320, 640, 1280)
_COUNTS = tuple(range(12))


class _Sample:
    """The raw numbers of one group; arrays, as there may be millions."""

    def __init__(self) -> None:
        self.boxes = array("q")
        self.percent, self.width, self.height, self.lead = (array("d") for _ in range(4))
        self.roles: Counter[str] = Counter()

    def box(self, xyxy: Sequence[float], page: float, role: str) -> None:
        """A box, with the area of its page (0 where that is unknown)."""
        x0, y0, x1, y1 = xyxy
        self.width.append(x1 - x0)
        self.height.append(y1 - y0)
        if page:
            self.percent.append(100 * ((x1 - x0) * (y1 - y0)) / page)
        self.roles[role] += 1

    def to_json(self, name: str) -> dict[str, Any]:
        charts: list[tuple[str, str, Sequence[float], array[Any]]] = [
            ("Boxes a question", "", _COUNTS, self.boxes),
            ("Area of a box", "% of the page", _PERCENT, self.percent),
            ("Width of a box", "px", _PIXELS, self.width),
            ("Height of a box", "px", _PIXELS, self.height),
            ("Lead time of a question", "s", _SECONDS, self.lead),
        ]
        return {
            "name": name,
            "questions": len(self.boxes),
            "roles": {role: self.roles[role] for role in ROLES},
            "charts": [histogram(*chart) for chart in charts if chart[3]],
        }


class Statistics:
    """Takes judgements and adjudicated boxes one by one, those of known questions only.

    Args:
        questions: The known ones.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._groups = {name: _Sample() for name in ("Annotators", "Adjudicated", "Gold", "Proposals")}
        self._adjudicated: Counter[str] = Counter()

    def add_judgement(self, judgement: Judgement, *, reference: bool) -> None:
        """A judgement of a person, or else of gold or proposals."""
        if judgement.question_id not in self._questions:
            return
        gold = judgement.annotator.startswith(GOLD)
        sample = self._groups["Annotators" if not reference else "Gold" if gold else "Proposals"]
        if judgement.marks:
            sample.boxes.append(len(judgement.xyxy))
            regions = zip(judgement.xyxy.tolist(), judgement.page.tolist(), judgement.roles, strict=True)
            for xyxy, page, role in regions:
                sample.box(xyxy, self._questions.area(judgement.question_id, page), role)
        if judgement.done and (lead := seconds_of(judgement)) is not None:
            sample.lead.append(lead)

    def add_evidence(self, box: Row) -> None:
        """A row of `evidence`."""
        question_id = box["question_id"]
        if question_id in self._questions:
            self._adjudicated[question_id] += 1
            xyxy = [box[name] for name in ("x0", "y0", "x1", "y1")]
            area = self._questions.area(question_id, box["page_index"])
            self._groups["Adjudicated"].box(xyxy, area, box["role"])

    def to_json(self) -> list[dict[str, Any]]:
        """One entry for each group that has boxes or verdicts: annotators, adjudicated evidence, gold, proposals."""
        self._groups["Adjudicated"].boxes = array("q", self._adjudicated.values())
        return [sample.to_json(name) for name, sample in self._groups.items() if sample.boxes or sample.lead]


def histogram(title: str, unit: str, edges: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    """Counts of `values` in [edge, next edge); the last bin takes everything from the last edge on."""
    places = np.searchsorted(edges, values, side="right") - 1
    return {
        "title": title,
        "unit": unit,
        "edges": list(edges),
        "counts": np.bincount(np.maximum(places, 0), minlength=len(edges)).tolist(),
        "n": len(values),
        "median": median(values),
    }
