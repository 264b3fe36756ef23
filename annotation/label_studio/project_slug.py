"""Which part of the annotations an exported file belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from annotation.label_studio.exports import looks_like_task
from annotation.label_studio.ledger import slug
from pinpoint_data.errors import UsageError
from pinpoint_data.small_files import read_small_text
from pinpoint_data.workspace import Workspace


def slug_of_tasks(workspace: Workspace, items: Iterable[Any], title: str | None) -> tuple[str, Iterator[Any]]:
    """The slug of the project that the items of an export are from, and the items.

    Args:
        workspace: What was pushed to, or pulled from, is looked for in it.
        items: Of an export; no more are taken in advance than it needs to meet a task.
        title: The project's title, where the user gives it.

    Raises:
        UsageError: Several projects of the workspace could be meant, or the file is of another one than its title says.
    """
    items = iter(items)
    ahead = []
    project: Any = None
    for item in items:
        ahead.append(item)
        if looks_like_task(item) and type(item.get("project")) is int:
            # No server counts further; a longer number would be no name of a file.
            project = item["project"] if 0 <= item["project"] < 2**63 else None
            break
    found = _known_slug(workspace, project) if title is None else _titled_slug(workspace, project, title)
    return found, chain(ahead, items)


def _known_slug(workspace: Workspace, project: int | None) -> str:
    found = [name for name, known in _projects(workspace).items() if project is not None and known[0] == project]
    if len(found) > 1:
        raise UsageError(
            f"has several projects with the id {project}: {', '.join(found)}",
            file=workspace.path,
            remedy="say with --project which one the file is from",
        )
    if found:
        return found[0]
    return "project" if project is None else f"project-{project}"


def _titled_slug(workspace: Workspace, project: int | None, title: str) -> str:
    """The slug of a project with this title: one that the workspace knows, else what `slug` makes of it."""
    known = _projects(workspace)
    titled = [name for name, (_, other) in known.items() if other == title]
    same = [name for name in titled if known[name][0] == project] or titled
    name = same[0] if same else slug(title)
    if len(same) > 1:
        raise UsageError(
            f"has several projects called {title!r}: {', '.join(same)}",
            file=workspace.path,
            remedy="name the folder of the one that the file is from",
        )
    # Titles without a letter of a to z would all be one project.
    if not same and not any(c.isascii() and c.isalnum() for c in title):
        raise UsageError(f"--project {title!r} makes no name", remedy="use letters a to z or digits")
    if name in known and project is not None and known[name][0] != project:
        raise UsageError(
            f"the file is of project {project}, but {name} is project {known[name][0]} ({known[name][1]})",
            file=workspace.path,
            remedy="leave --project out, or give another name",
        )
    return name


def _projects(workspace: Workspace) -> dict[str, tuple[Any, Any]]:
    """Id and title of the projects that were pushed to or pulled from, by slug."""
    found = {}
    for file in sorted((workspace.path / "files" / "label-studio").glob("*/project.json")):
        try:
            known = json.loads(read_small_text(file))
            found[file.parent.name] = known["project"], known.get("title")
        except (ValueError, KeyError, TypeError, AttributeError):  # the ledger says what is wrong with it
            continue
    return found
