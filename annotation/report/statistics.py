"""What the boxes are like: histograms of whoever drew them, by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from annotation.judgements import GOLD, FloatArray, Judgement
from annotation.report.campaign import Campaign, seconds_of
from pinpoint_data.boxes import area
from pinpoint_data.schema import ROLES

# Bin edges; a value at or above the last one is counted in the last bin.
_PIXELS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_PERCENT = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_SECONDS = (0, 5, 10, 20, 40, 80, 160, 320, 640, 1280)
_COUNTS = tuple(range(12))


@dataclass
class _Sample:
    """The raw numbers of one group."""

    boxes: list[float] = field(default_factory=list)
    percent: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    lead: list[float] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)

    def add(self, xyxy: FloatArray, areas: Sequence[float], roles: Iterable[str]) -> None:
        """Boxes (n, 4) of one question, with the area of each one's page (0 where the page is unknown)."""
        self.boxes.append(len(xyxy))
        self.width += (xyxy[:, 2] - xyxy[:, 0]).tolist()
        self.height += (xyxy[:, 3] - xyxy[:, 1]).tolist()
        with np.errstate(over="ignore"):  # the area of an absurdly large box is infinite, and in the last bin
            self.percent += [100 * box / page for box, page in zip(area(xyxy).tolist(), areas, strict=True) if page]
        self.roles.update(roles)

    def to_json(self, name: str) -> dict[str, Any]:
        charts = [
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


def statistics_json(campaign: Campaign) -> list[dict[str, Any]]:
    """One entry for each group that has boxes or verdicts: annotators, adjudicated evidence, gold, proposals."""
    groups = [("Annotators", list(campaign.judgements()))]
    references = [
        judgement
        for row in campaign.questions
        for judgement in campaign.references.by_question.get(row["question_id"], ())
    ]
    groups.append(("Gold", [j for j in references if j.annotator.startswith(GOLD)]))
    groups.append(("Proposals", [j for j in references if not j.annotator.startswith(GOLD)]))
    pages = {row["question_id"]: _page_areas(campaign, row["page_ids"]) for row in campaign.questions}
    found = {name: _of_judgements(judgements, pages) for name, judgements in groups}
    found["Adjudicated"] = _of_evidence(campaign, pages)
    order = ("Annotators", "Adjudicated", "Gold", "Proposals")
    return [found[name].to_json(name) for name in order if found[name].boxes or found[name].lead]


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


def _page_areas(campaign: Campaign, page_ids: Sequence[str]) -> list[float]:
    rows = [campaign.pages.get(page_id) for page_id in page_ids]
    return [float(row["width"] * row["height"]) if row else 0.0 for row in rows]


def _of_judgements(judgements: Iterable[Judgement], pages: dict[str, list[float]]) -> _Sample:
    sample = _Sample()
    for judgement in judgements:
        if judgement.marks:
            areas = pages[judgement.question_id]
            sample.add(judgement.xyxy, [_at(areas, page) for page in judgement.page.tolist()], judgement.roles)
        if judgement.done and (lead := seconds_of(judgement)) is not None:
            sample.lead.append(lead)
    return sample


def _of_evidence(campaign: Campaign, pages: dict[str, list[float]]) -> _Sample:
    sample = _Sample()
    for question_id, areas in pages.items():
        if rows := campaign.evidence.get(question_id):
            xyxy = np.array([[row[name] for name in ("x0", "y0", "x1", "y1")] for row in rows], np.float64)
            sample.add(xyxy, [_at(areas, row["page_index"]) for row in rows], [row["role"] for row in rows])
    return sample


def _at(areas: Sequence[float], page: int) -> float:
    return areas[page] if page < len(areas) else 0.0
