"""An exported task as the importer sees it: its question, what each item shows, and what was prefilled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from annotation.label_studio.geometry import Item, PageBox, page_to_item, shown_in
from annotation.label_studio.interface import TASK_SCHEMA_VERSION
from annotation.label_studio.task_text import json_text
from pinpoint_data.errors import GeometryError
from pinpoint_data.schema import ROLES
from pinpoint_data.sources.base import RecordError
from pinpoint_data.words.base import number
from pinpoint_data.workspace import Workspace

REVIEW = "review"
PIECE = "~"
"""Between the id of a region and the number of its piece, where no single item shows the whole region."""

PLACE = ("x", "y", "width", "height", "rotation")
"""What places a box in a result."""

_REVIEW_ID = "review:"
_NOT_KEPT = frozenset({"pages", "items", "prelabel"})


@dataclass(frozen=True)
class Prefilled:
    """A pre-annotation of a task.

    Attributes:
        region_id: Its id in the tables.
        box: Its place, in the exact pixels of the tables.
        role: answer or support.
        pieces: The item it was drawn on and the numbers (`PLACE`) that Label Studio was given, by its id in the task;
            several where no item shows all of it.
    """

    region_id: str
    box: PageBox
    role: str
    pieces: dict[str, tuple[int, tuple[float, ...]]]


@dataclass(frozen=True)
class TaskView:
    """What the importer needs of a task.

    Attributes:
        task_id: Label Studio's id.
        question_id: The question.
        kind: Whether it asks for an annotation or for a review.
        items: What the pages of the task show.
        data: `task["data"]`.
        project: Label Studio's id of the project.
    """

    task_id: int
    question_id: str
    kind: Literal["annotation", "review"]
    items: tuple[Item, ...]
    data: Mapping[str, Any]
    project: Any

    @cached_property
    def prelabel_annotator(self) -> str | None:
        """Whose regions the task was prefilled with."""
        prelabel = self.data.get("prelabel")
        annotator = prelabel.get("annotator") if isinstance(prelabel, dict) else None
        return annotator if isinstance(annotator, str) else None

    @cached_property
    def prefilled(self) -> tuple[Prefilled, ...]:
        """What the annotator found already drawn.

        Raises:
            RecordError: `bad-prelabel`.
        """
        prelabel = self.data.get("prelabel")
        if prelabel is None:
            return ()
        regions = prelabel.get("regions") if isinstance(prelabel, dict) else None
        if not isinstance(regions, dict):
            raise RecordError("bad-prelabel", "the task's record of its pre-annotations has no regions")
        found: dict[str, Prefilled] = {}
        for key, region in regions.items():
            base, mark, piece = key.rpartition(PIECE)
            entry = _prefilled(region, key, self.items)
            found.setdefault(base if mark and piece.isdecimal() else key, entry).pieces.update(entry.pieces)
        return tuple(found.values())

    @cached_property
    def text(self) -> str:
        """What the tables keep of the task, as JSON."""
        data = {key: value for key, value in self.data.items() if key not in _NOT_KEPT}
        return json_text({"id": self.task_id, "project": self.project, "data": data})


class Catalog:
    """The questions and page sizes of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        asked = workspace.iter_rows("questions", columns=["question_id", "page_ids"])
        self._pages = {row["question_id"]: tuple(row["page_ids"]) for row in asked}
        pages = workspace.iter_rows("pages", columns=["page_id", "width", "height"])
        self._sizes = {row["page_id"]: (row["width"], row["height"]) for row in pages}

    def view(self, task: Mapping[str, Any]) -> TaskView:
        """A task, checked against the workspace.

        Raises:
            RecordError: `foreign-task`, `newer-task`, `bad-task`, `unknown-question` or `changed-pages`.
        """
        data = task["data"]
        if not isinstance(data.get("pinpoint_id"), str):
            raise RecordError("foreign-task", "was not made by this program: its data has no pinpoint_id")
        version = data.get("schema_version")
        if type(version) is not int or version < 1:
            raise RecordError("bad-task", f"its schema_version must be a whole number, got {version!r:.40}")
        if version > TASK_SCHEMA_VERSION:
            raise RecordError(
                "newer-task",
                f"its schema_version {version} is newer than this program's {TASK_SCHEMA_VERSION}",
                remedy="upgrade pinpoint-data",
            )
        question, kind = data.get("question_id"), data.get("kind")
        if kind not in ("annotation", REVIEW) or not isinstance(question, str):
            raise RecordError("bad-task", f"its kind is {kind!r:.40} and its question_id {question!r:.80}")
        if data["pinpoint_id"] != (_REVIEW_ID if kind == REVIEW else "") + question:
            raise RecordError("bad-task", f"its pinpoint_id {data['pinpoint_id']!r:.80} is not of {question!r:.80}")
        if question not in self._pages:
            raise RecordError(
                "unknown-question",
                f"the workspace has no question {question!r:.80}",
                remedy="ingest its source, or name the workspace that the task was made from",
            )
        if type(task.get("id")) is not int:
            raise RecordError("bad-task", f"its id must be a whole number, got {task.get('id')!r:.40}")
        items = self._items(data.get("items"), question)
        return TaskView(task["id"], question, kind, items, data, task.get("project"))

    def _items(self, entries: Any, question: str) -> tuple[Item, ...]:
        """The items of a task, if the workspace still has these pages."""
        if not isinstance(entries, list) or not entries:
            raise RecordError("bad-task", "its data does not say what its pages show (items)")
        try:
            items = tuple(map(Item.from_json, entries))
        except GeometryError as error:
            raise RecordError("bad-task", error.message) from error
        pages = self._pages[question]
        for item in items:
            size = (item.page_width, item.page_height)
            if item.page_index >= len(pages):
                fault = f"shows page {item.page_index} (0 is the first), but the question has {len(pages)} pages"
            elif pages[item.page_index] != item.page_id:
                fault = f"page {item.page_index} was {item.page_id!r:.80} and is {pages[item.page_index]!r} now"
            elif self._sizes.get(item.page_id) != size:
                fault = f"page {item.page_id!r:.80} was {size} pixels and is {self._sizes.get(item.page_id)} now"
            else:
                continue
            raise RecordError("changed-pages", fault, remedy="bring the pages back as they were when it was made")
        return items


def _prefilled(region: Any, key: str, items: Sequence[Item]) -> Prefilled:
    """One entry of the task's record of its pre-annotations, which a stranger may have written."""
    try:
        box = _box(region)
        region_id, index, role = region["region_id"], region["item_index"], region["role"]
        if not (isinstance(region_id, str) and role in ROLES and type(index) is int and 0 <= index < len(items)):
            raise GeometryError(f"it is of no region, role or item: {region!r:.120}")
        item = items[index]
        shown = shown_in(box, item)
        x0, y0, x1, y1 = box.xyxy
        # The corners of a turned box may stick out of the page.
        inside = box.quad is not None or (x0 >= 0 and y0 >= 0 and x1 <= item.page_width and y1 <= item.page_height)
        if shown is None or not inside:
            raise GeometryError(f"it is not on its item: {region!r:.120}")
        value = page_to_item(shown, item)
    except (TypeError, KeyError, ValueError) as error:
        raise RecordError("bad-prelabel", f"the record of pre-annotation {key!r:.40} is damaged: {error}") from error
    return Prefilled(region_id, box, role, {key: (index, tuple([value[name] for name in PLACE]))})


def _box(region: Mapping[str, Any]) -> PageBox:
    x0, y0, x1, y1 = xyxy = tuple(map(number, region["xyxy"]))
    # A sum of numbers is finite only if each is.
    if not (x0 < x1 and y0 < y1 and math.isfinite(sum(xyxy))):
        raise GeometryError(f"a box must be finite and have an area, got {xyxy}")
    if region["quad"] is None:
        return PageBox((x0, y0, x1, y1))
    a, b, c, d, e, f, g, h = quad = tuple(map(number, region["quad"]))
    rotation = number(region["rotation"])
    if not math.isfinite(sum(quad) + rotation):
        raise GeometryError(f"corners and rotation must be finite, got {quad}, {rotation}")
    return PageBox((x0, y0, x1, y1), rotation, (a, b, c, d, e, f, g, h))
