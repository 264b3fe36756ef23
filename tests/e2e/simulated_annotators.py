"""Annotators who work through the API as people do: they jitter, miss, add, skip, leave drafts and change proposals.

They see a task only as Label Studio gives it out, and turn pixels into percent with arithmetic of their own, so that
they are no echo of the code under test.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Truth:
    """What is really on a question's pages: (page index, box in page pixels, role)."""

    boxes: tuple[tuple[int, Box, str], ...]


@dataclass(frozen=True)
class Habits:
    """How one person works.

    Attributes:
        jitter: Standard deviation of each edge, as a share of the box's shorter side.
        miss: Probability of overlooking a box.
        extra: Probability of drawing one box too many on a question.
        skip: Probability of skipping a question.
        draft: Probability of leaving a draft instead of submitting.
        slip: Probability of a wrong status.
    """

    jitter: float = 0.06
    miss: float = 0.12
    extra: float = 0.15
    skip: float = 0.04
    draft: float = 0.02
    slip: float = 0.03


@dataclass(frozen=True)
class Work:
    """What one person sends for one task."""

    result: list[dict[str, Any]]
    skipped: bool
    draft: bool
    lead_time: float


def work_on(task: dict[str, Any], truth: Truth, habits: Habits, rng: random.Random) -> Work:
    """One person's work on one task, as the editor would send it."""
    items = task["data"]["items"]
    proposed = [r for p in task.get("predictions", ())[:1] for r in p["result"] if r["type"] == "rectanglelabels"]
    result: list[dict[str, Any]] = []
    for page, box, role in truth.boxes:
        if rng.random() < habits.miss:
            continue
        item = _item_of(items, page, box)
        drawn = _jittered(box, items[item], habits.jitter, rng)
        near = [r for r in proposed if r["item_index"] == item and _iou(_pixels(r, items[item]), box) > 0.6]
        if near and rng.random() < 0.7:
            # Good enough: the proposal stays as it is, numbers and id bit for bit.
            result.append(near[0] | {"origin": "prediction"})
            proposed.remove(near[0])
        else:
            result.append(_region(f"m{len(result)}{rng.randrange(10**6)}", item, items[item], drawn, role))
    if rng.random() < habits.extra:
        item = rng.randrange(len(items))
        width, height = items[item]["width"], items[item]["height"]
        x, y = rng.uniform(0, 0.7) * width + items[item]["x0"], rng.uniform(0, 0.7) * height + items[item]["y0"]
        wrong = (x, y, x + 0.15 * width, y + 0.05 * height)
        result.append(_region(f"x{rng.randrange(10**6)}", item, items[item], wrong, "support"))
    status = "evidence" if truth.boxes else "no_evidence"
    if rng.random() < habits.slip:
        status = rng.choice(["unanswerable", "wrong_answer"])
        result = []
    choice = {"type": "choices", "from_name": "status", "to_name": "pages", "value": {"choices": [status]}}
    result.append(choice | {"id": "s", "origin": "manual"})
    return Work(result, rng.random() < habits.skip, rng.random() < habits.draft, rng.uniform(5, 90))


def _item_of(items: list[dict[str, Any]], page: int, box: Box) -> int:
    """The part of the page that shows most of the box."""

    def shown(item: dict[str, Any]) -> float:
        if item["page_index"] != page:
            return -1.0
        x0, y0 = max(box[0], item["x0"]), max(box[1], item["y0"])
        x1, y1 = min(box[2], item["x0"] + item["width"]), min(box[3], item["y0"] + item["height"])
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)

    return max(range(len(items)), key=lambda i: shown(items[i]))


def _jittered(box: Box, item: dict[str, Any], share: float, rng: random.Random) -> Box:
    scale = share * min(box[2] - box[0], box[3] - box[1])
    x0, y0, x1, y1 = (value + rng.gauss(0, scale) for value in box)
    left, top = item["x0"], item["y0"]
    x0, y0 = max(left, min(x0, x1 - 1)), max(top, min(y0, y1 - 1))
    return x0, y0, min(left + item["width"], max(x1, x0 + 1)), min(top + item["height"], max(y1, y0 + 1))


def _region(name: str, index: int, item: dict[str, Any], box: Box, role: str) -> dict[str, Any]:
    width, height = item["width"], item["height"]
    return {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "evidence",
        "to_name": "pages",
        "item_index": index,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "origin": "manual",
        "value": {
            "x": (box[0] - item["x0"]) / width * 100,
            "y": (box[1] - item["y0"]) / height * 100,
            "width": (box[2] - box[0]) / width * 100,
            "height": (box[3] - box[1]) / height * 100,
            "rotation": 0,
            "rectanglelabels": [role],
        },
    }


def _pixels(region: dict[str, Any], item: dict[str, Any]) -> Box:
    value = region["value"]
    x, y = item["x0"] + value["x"] / 100 * item["width"], item["y0"] + value["y"] / 100 * item["height"]
    return x, y, x + value["width"] / 100 * item["width"], y + value["height"] / 100 * item["height"]


def _iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def f1_at(truth: list[tuple[int, Box]], drawn: list[tuple[int, Box]], threshold: float = 0.5) -> tuple[int, int, int]:
    """True positives, boxes drawn, boxes there: pairs are taken greedily, best IoU first."""
    pairs = sorted(
        ((_iou(a, b), i, j) for i, (p, a) in enumerate(truth) for j, (q, b) in enumerate(drawn) if p == q), reverse=True
    )
    used_truth: set[int] = set()
    used_drawn: set[int] = set()
    for overlap, i, j in pairs:
        if overlap >= threshold and i not in used_truth and j not in used_drawn:
            used_truth.add(i)
            used_drawn.add(j)
    return len(used_truth), len(drawn), len(truth)
