"""What a project on the server holds: the tasks by `pinpoint_id`, with what is needed to see whether they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from annotation.label_studio.server import Server

_PAGE_BYTES = 20_000_000
_PAGE_TASKS = (10, 500)


@dataclass(frozen=True)
class HeldTask:
    """A task of ours on the server.

    Attributes:
        task_id: Its id there.
        data: Digest of its data.
        annotations: Annotations on it, skipped ones included.
        version: `model_version` of the prediction it was made with, or None.
        pages: Addresses of its pages.
        fingerprint: Of what the annotator sees, see `annotation.label_studio.tasks`.
    """

    task_id: int
    data: bytes
    annotations: int
    version: str | None
    pages: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class HeldPrediction:
    """A prediction on the server.

    Attributes:
        prediction_id: Its id there.
        version: Its `model_version`.
        result: Digest of its regions.
    """

    prediction_id: int
    version: str
    result: bytes


@dataclass
class Inventory:
    """The tasks of a project.

    Attributes:
        tasks: Ours by `pinpoint_id`; several where one stands there more than once, oldest first.
        foreign: Ids of tasks without a `pinpoint_id`.
        newest: The highest task id, 0 for an empty project.
    """

    tasks: dict[str, list[HeldTask]] = field(default_factory=dict)
    foreign: list[int] = field(default_factory=list)
    newest: int = 0


def digest(value: Any) -> bytes:
    """A hash of JSON data that does not depend on the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).digest()[:16]


def read_inventory(server: Server, project_id: int, after: int = 0) -> Inventory:
    """The tasks whose id is above `after`."""
    inventory = Inventory(newest=after)
    for task in iter_tasks(server, project_id, after):
        inventory.newest = max(inventory.newest, task["id"])
        data = task["data"]
        name = data.get("pinpoint_id") if isinstance(data, dict) else None
        if not isinstance(name, str):
            inventory.foreign.append(task["id"])
            continue
        inventory.tasks.setdefault(name, []).append(_held(task, data))
    return inventory


def _held(task: dict[str, Any], data: dict[str, Any]) -> HeldTask:
    prelabel = data.get("prelabel")
    pages = data.get("pages")
    version = prelabel.get("annotator") if isinstance(prelabel, dict) else None
    return HeldTask(
        task_id=task["id"],
        data=digest(data),
        annotations=(task.get("total_annotations") or 0) + (task.get("cancelled_annotations") or 0),
        version=version if isinstance(version, str) else None,
        pages=tuple(map(str, pages)) if isinstance(pages, list) else (),
        fingerprint=str(data.get("fingerprint")),
    )


def iter_tasks(server: Server, project_id: int, after: int = 0) -> Iterator[dict[str, Any]]:
    """A project's tasks with id above `after`, in the order of their ids.

    Every page is asked for by id, not by number, so that tasks that come or go meanwhile move none past us. Pages get
    smaller where tasks are large: those with whole images in them are megabytes each.
    """
    size = _PAGE_TASKS[0]
    while True:
        above = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after}
        query = {"filters": {"conjunction": "and", "items": [above]}, "ordering": ["tasks:id"]}
        answer = server.get_json(
            "/api/tasks/", project=project_id, page=1, page_size=size, resolve_uri="false", query=json.dumps(query)
        )
        tasks = sorted(answer["tasks"], key=lambda task: int(task["id"]))
        yield from tasks
        if not tasks or answer["total"] <= len(tasks):
            return
        after = tasks[-1]["id"]
        mean = max(1, len(json.dumps(tasks[:20])) // min(20, len(tasks)))
        size = min(max(_PAGE_BYTES // mean, _PAGE_TASKS[0]), _PAGE_TASKS[1])


def read_predictions(server: Server, project_id: int) -> dict[int, list[HeldPrediction]]:
    """All predictions of a project by task id, oldest first; the counters on tasks may be wrong, these are not."""
    found: dict[int, list[HeldPrediction]] = {}
    for entry in sorted(server.get_json("/api/predictions/", project=project_id), key=lambda entry: int(entry["id"])):
        held = HeldPrediction(entry["id"], str(entry.get("model_version") or ""), digest(entry.get("result")))
        found.setdefault(entry["task"], []).append(held)
    return found


def server_counts(server: Server, project_id: int) -> tuple[int, int]:
    """How many tasks and predictions the server says a project has."""
    project = server.get_json(f"/api/projects/{project_id}/")
    versions = server.get_json(f"/api/projects/{project_id}/model-versions")
    return int(project["task_number"]), sum(versions.values())
