"""A workspace, its tasks, and exports as a Label Studio server gives them, made by hand for the tests of the import."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotation.label_studio.page_images import PagePart
from annotation.label_studio.tasks import Task, TaskOptions, build_tasks
from pinpoint_data.boxes import quad_px_to_xyxy_px, rotated_rectangle
from pinpoint_data.workspace import Workspace
from tests.loaders.build import annotation, page, picture, question, write

Json = dict[str, Any]
PROPOSAL = "proposal:lexical@1"
SIZES = {"q0": [(120, 80)], "q1": [(120, 80), (90, 140), (50, 50)], "tall": [(60, 900)], "plain": [(120, 80)]}
WHEN = "2026-03-01T10:00:00.000000Z"


class Addresses:
    """Page images at addresses that nobody fetches."""

    def url(self, part: PagePart) -> str:
        return f"https://pages.example/{part.name()}"


def region_row(question_id: str, region_id: str, box: Sequence[float], **changes: Any) -> Json:
    corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    base = annotation(question_id, PROPOSAL, region_id=region_id, page_index=0, role="answer", origin="proposal")
    return base | corners | changes


def turned_row(
    question_id: str, region_id: str, x: float, y: float, w: float, h: float, degrees: float, **more: Any
) -> Json:
    quad = rotated_rectangle(x, y, w, h, degrees)
    box = quad_px_to_xyxy_px(quad[None])[0].tolist()
    return region_row(question_id, region_id, box, rotation=degrees, quad=quad.ravel().tolist(), **more)


def proposals() -> list[Json]:
    """q0: two boxes; q1: on two pages, one turned; tall: one inside a part, one over several; plain: none."""
    return [
        region_row("s/q0", "first", (10.1, 20.2, 50.3, 40.7)),
        region_row("s/q0", "second", (1 / 3, 2 / 3, 9.9, 11.1), role="support"),
        region_row("s/q1", "page-2", (5.5, 6.6, 44.4, 77.7), page_index=1),
        turned_row("s/q1", "turned", 60.0, 20.0, 25.0, 10.0, 33.25, role="support"),
        region_row("s/tall", "inside", (7.7, 10.1, 33.3, 30.9)),
        region_row("s/tall", "long", (3.3, 70.7, 55.5, 410.1)),
    ]


def workspace(path: Path, rows: Sequence[Json] | None = None) -> Workspace:
    ws = Workspace.create(path / "ws")
    root = path / "files"
    root.mkdir()
    ws.register_source("s", "records", root)
    pages, asked = [], []
    for name, sizes in SIZES.items():
        ids = []
        for index, (width, height) in enumerate(sizes):
            data = picture(width, height, 20 + 7 * len(pages))
            (root / f"{name}-{index}.png").write_bytes(data)
            ids.append(f"s/{name}-{index}")
            pages.append(page(ids[-1], f"{name}-{index}.png", data, width=width, height=height))
        asked.append(question(f"s/{name}", "train", ids))
    write(ws, "pages", "s-train", pages)
    write(ws, "questions", "s-train", asked)
    write(ws, "annotations", "s-train.proposal-lexical", proposals() if rows is None else rows)
    return ws


def tasks(ws: Workspace, **options: Any) -> dict[str, Task]:
    """The real tasks of the workspace, by question."""
    made = build_tasks(ws, TaskOptions(prelabel=PROPOSAL, **options), Addresses())
    return {task.data["question_id"]: task for task in made if isinstance(task, Task)}


def exported(task: Task | Json, task_id: int, annotations: Sequence[Json] = (), drafts: Sequence[Json] = ()) -> Json:
    """A task of the raw export; only the shape is the server's, the keys and their order are as it gives them."""
    data = task.data if isinstance(task, Task) else task
    return {
        "id": task_id,
        "annotations": [one | {"task": task_id} for one in annotations],
        "drafts": [one | {"task": task_id} for one in drafts],
        "predictions": [100 + task_id],
        "data": copy.deepcopy(data),
        "meta": {},
        "created_at": WHEN,
        "updated_at": WHEN,
        "allow_skip": True,
        "inner_id": task_id,
        "total_annotations": len(annotations),
        "cancelled_annotations": 0,
        "total_predictions": 1,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": 7,
        "updated_by": None,
        "comment_authors": [],
    }


def submitted(number: int, result: Any, user: Any = 4, **changes: Any) -> Json:
    return {
        "id": number,
        "completed_by": user,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": WHEN,
        "updated_at": WHEN,
        "draft_created_at": None,
        "lead_time": 12.5,
        "prediction": {},
        "result_count": len(result) if isinstance(result, list) else 0,
        "unique_id": f"00000000-0000-4000-8000-{number:012}",
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "project": 7,
        "updated_by": user if isinstance(user, int) else None,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    } | changes


def draft(number: int, result: Any, user: str = "a1@example.com", **changes: Any) -> Json:
    return {
        "id": number,
        "user": user,
        "result": result,
        "lead_time": 3.5,
        "was_postponed": False,
        "created_at": WHEN,
        "updated_at": WHEN,
        "annotation": None,
    } | changes


def status(choice: str = "evidence") -> Json:
    value = {"choices": [choice]}
    return {
        "value": value,
        "id": "st",
        "from_name": "status",
        "to_name": "pages",
        "type": "choices",
        "origin": "manual",
    }


def note(text: str) -> Json:
    return {"value": {"text": [text]}, "id": "no", "from_name": "note", "to_name": "pages", "type": "textarea"}


def drawn(
    task: Task, item_index: int, name: str, percent: Sequence[float], role: str = "answer", **changes: Any
) -> Json:
    """A box drawn by hand: x, y, width, height in percent of the item."""
    item = task.data["items"][item_index]
    value = dict(zip(("x", "y", "width", "height"), percent, strict=True))
    return {
        "original_width": item["width"],
        "original_height": item["height"],
        "image_rotation": 0,
        "item_index": item_index,
        "value": value | {"rotation": 0, "rectanglelabels": [role]},
        "id": name,
        "from_name": "evidence",
        "to_name": "pages",
        "type": "rectanglelabels",
        "origin": "manual",
    } | changes


def prefill(task: Task) -> list[Json]:
    """The prediction as the editor gives it back untouched."""
    return [region | {"origin": "prediction"} for one in copy.deepcopy(task.predictions) for region in one["result"]]


def save(path: Path, items: Any) -> Path:
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def rows(ws: Workspace, part: str = "label-studio.p") -> list[Json]:
    return list(ws.iter_rows("annotations", [part])) if part in ws.parts("annotations") else []
