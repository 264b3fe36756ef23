"""Which tasks of a project may have changed since the last pull.

Label Studio moves a task's `updated_at` when an annotation is made, changed, skipped or deleted, but not when a draft
is saved or thrown away. So tasks with drafts are always looked at, whoever's they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from annotation.label_studio.answers import ServerError
from annotation.label_studio.inventory import iter_tasks
from annotation.label_studio.server import Server

# A change may become visible later than another one that is newer: transactions end in any order.
_OVERLAP = timedelta(minutes=10)
_PAGE_BYTES = 20_000_000
_PAGE_TASKS = 500
_ATTEMPTS = 5


@dataclass(frozen=True)
class ServerTask:
    """A task as the server lists it.

    Attributes:
        task_id: Its id.
        updated_at: When something on it changed last.
        annotations: How many annotations it has, skipped ones included.
    """

    task_id: int
    updated_at: str
    annotations: int


def all_tasks(server: Server, project_id: int) -> dict[int, ServerTask]:
    """Every task of a project."""
    return {task["id"]: _listed(task) for task in iter_tasks(server, project_id)}


def drafted_tasks(server: Server, project_id: int) -> dict[int, ServerTask]:
    """Every task of a project with a draft of anybody."""
    has_draft = {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": True}
    query = {"filters": {"conjunction": "and", "items": [has_draft]}, "ordering": ["tasks:id"]}
    return {task.task_id: task for _, task in _listing(server, project_id, query)}


def changed_tasks(server: Server, project_id: int, known: Mapping[int, str]) -> dict[int, ServerTask]:
    """Tasks that are new, or whose annotations changed.

    Args:
        server: The server.
        project_id: The project.
        known: `updated_at` of the tasks at the last pull, by id.
    """
    horizon = max(map(_time, known.values())) - _OVERLAP
    for _ in range(_ATTEMPTS):
        found: dict[int, ServerTask] = {}
        totals = set()
        for total, task in _listing(server, project_id, {"ordering": ["-tasks:updated_at"]}):
            totals.add(total)
            if _time(task.updated_at) < horizon:
                break
            if known.get(task.task_id) != task.updated_at:
                found.setdefault(task.task_id, task)
        # A task that changes meanwhile only comes twice. One that goes away moves the others forward, perhaps past us.
        if len(totals) <= 1:
            return found
    raise ServerError("has a project whose tasks come and go all the time", file=server.url, remedy="pull again later")


def _listing(server: Server, project_id: int, query: Mapping[str, Any]) -> Iterator[tuple[int, ServerTask]]:
    """Tasks as the data manager lists them, each with how many there are in all."""
    common = {"project": project_id, "resolve_uri": "false", "query": json.dumps(query)}
    first = server.get_json("/api/tasks/", **common, page=1, page_size=1)
    # Tasks that hold their pages are megabytes each.
    size = min(max(1, _PAGE_BYTES // max(1, len(json.dumps(first)))), _PAGE_TASKS)
    number, seen, total = 0, 0, int(first["total"])
    while seen < total:
        number += 1
        answer = server.get_json("/api/tasks/", **common, page=number, page_size=size)
        total = int(answer["total"])
        for task in answer["tasks"]:
            yield total, _listed(task)
        if not answer["tasks"]:
            return
        seen += len(answer["tasks"])


def _listed(task: Mapping[str, Any]) -> ServerTask:
    counts = (task.get("total_annotations") or 0) + (task.get("cancelled_annotations") or 0)
    return ServerTask(int(task["id"]), str(task["updated_at"]), counts)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
