"""Which part of the annotations an exported file belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from annotation.label_studio.exports import looks_like_task
from annotation.label_studio.ledger import slug
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace


def slug_of_tasks(workspace: Workspace, items: Iterable[Any], title: str | None) -> tuple[str, Iterator[Any]]:
    """The slug of the project that the items of an export are from, and the items.

    Args:
        workspace: What was pushed to, or pulled from, is looked for in it.
        items: Of an export; no more are taken in advance than it needs to meet a task.
        title: The project's title, where the user gives it.

    Raises:
        UsageError: Several projects of the workspace could be meant.
    """
    items = iter(items)
    if title is not None:
        return slug(title), items
    ahead = []
    project: Any = None
    for item in items:
        ahead.append(item)
        if looks_like_task(item) and type(item.get("project")) is int:
            project = item["project"]
            break
    return _known_slug(workspace, project), chain(ahead, items)


def _known_slug(workspace: Workspace, project: int | None) -> str:
    found = []
    for file in sorted((workspace.path / "files" / "label-studio").glob("*/project.json")):
        try:
            known = json.loads(file.read_text(encoding="utf-8"))["project"]
        except (ValueError, KeyError, TypeError):  # the ledger says what is wrong with it
            continue
        if known == project and project is not None:
            found.append(file.parent.name)
    if len(found) > 1:
        raise UsageError(
            f"has several projects with the id {project}: {', '.join(found)}",
            file=workspace.path,
            remedy="say with --project which one the file is from",
        )
    if found:
        return found[0]
    return "project" if project is None else f"project-{project}"
