"""Projects of a server: found by id or title, made, and set up without harm to what people did in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from annotation.label_studio.answers import AnswerLostError, RefusedError, ServerError
from annotation.label_studio.interface import controls
from annotation.label_studio.server import Server
from pinpoint_data.errors import UsageError

_TITLE_CHARACTERS = range(3, 51)
_ATTEMPTS = 3
_PAUSE_S = 2.0


@dataclass(frozen=True)
class Settings:
    """How a project is set up.

    Attributes:
        label_config: The labelling interface, as XML.
        overlap: Annotators a task, or None to leave a project as it is (1 for a new one).
    """

    label_config: str
    overlap: int | None = None


def list_projects(server: Server, **params: Any) -> Iterator[dict[str, Any]]:
    """Every project that the key's owner sees."""
    page = 1
    while True:
        answer = server.get_json("/api/projects/", page=page, page_size=100, **params)
        yield from answer["results"]
        if not answer.get("next"):
            return
        page += 1


def find_project(server: Server, wanted: str) -> dict[str, Any] | None:
    """A project by its id (digits) or its exact title; None where there is none.

    Raises:
        ServerError: Several projects have this title.
    """
    if wanted.isascii() and wanted.isdigit():
        try:
            return _project(server, int(wanted))
        except RefusedError as error:
            if error.status != 404:
                raise
            return None
    found = [entry["id"] for entry in list_projects(server, include="id,title") if entry["title"] == wanted]
    if len(found) > 1:
        ids = ", ".join(str(number) for number in sorted(found))
        raise ServerError(
            f"has {len(found)} projects called {wanted!r}: {ids}", file=server.url, remedy="name one by its id"
        )
    return _project(server, found[0]) if found else None


def find_or_make(server: Server, wanted: str, settings: Settings) -> tuple[dict[str, Any], bool]:
    """The project, and whether it was made now.

    Raises:
        UsageError: A new project cannot have this title.
        ServerError: There is no project of this id, or several of this title.
    """
    found = find_project(server, wanted)
    if found is not None:
        return found, False
    if wanted.isascii() and wanted.isdigit():
        raise ServerError(f"has no project with id {wanted}", file=server.url, remedy="name a new one by a title")
    if len(wanted) not in _TITLE_CHARACTERS or not wanted.isprintable() or wanted != wanted.strip():
        raise UsageError(f"{wanted!r} cannot be the title of a project", remedy="use 3 to 50 printable characters")
    return _make(server, wanted, settings), True


def _make(server: Server, title: str, settings: Settings) -> dict[str, Any]:
    body = {
        "title": title,
        "label_config": settings.label_config,
        "maximum_annotations": settings.overlap or 1,
        "show_collab_predictions": True,
        "show_skip_button": True,
    }
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            made: dict[str, Any] = server.post_json("/api/projects/", body)
            return _project(server, made["id"])
        except AnswerLostError:
            # Two projects may have one title: look before asking again.
            server.sleep(_PAUSE_S)
            found = find_project(server, title)
            if found is not None:
                return found
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def set_up(server: Server, project: dict[str, Any], settings: Settings, *, foreign_tasks: int) -> list[str]:
    """Give a project our interface and settings where they differ; returns what was changed.

    Args:
        server: The server.
        project: As `find_project` gives it.
        settings: How it should be.
        foreign_tasks: Tasks in it that we did not make.

    Raises:
        ServerError: Another interface would take meaning from annotations that exist, or from others' tasks.
    """
    changes: dict[str, Any] = {}
    if _plain(project["label_config"]) != _plain(settings.label_config):
        losses = config_losses(project["label_config"], settings.label_config)
        annotated = (project.get("total_annotations_number") or 0) + (project.get("skipped_annotations_number") or 0)
        if losses and (annotated or foreign_tasks):
            raise ServerError(
                f"project {project['id']} ({project['title']}) holds {annotated:,} annotations and {foreign_tasks:,} "
                f"tasks of others, and our interface would take away: {', '.join(losses)}",
                file=server.url,
                remedy="push to a new project",
            )
        changes["label_config"] = settings.label_config
    if settings.overlap is not None and project["maximum_annotations"] != settings.overlap:
        changes["maximum_annotations"] = settings.overlap
    if not project["show_collab_predictions"]:
        changes["show_collab_predictions"] = True
    if changes:
        server.patch_json(f"/api/projects/{project['id']}/", changes)
    return sorted(changes)


def config_losses(old: str, new: str) -> list[str]:
    """What an interface has and another has not: Label Studio lets labels go that are in use, without a word."""
    try:
        before = controls(old)
    except UsageError:
        return ["an interface that cannot be read"]
    after = controls(new)
    losses = []
    for name, control in before.items():
        kept = after.get(name)
        if kept is None or (kept.type, kept.to_name) != (control.type, control.to_name):
            losses.append(f"control {name!r}")
        else:
            losses += [f"{value!r} of {name!r}" for value in control.values if value not in kept.values]
    return losses


def _plain(config: str) -> str:
    return "".join(config.split())


def _project(server: Server, number: int) -> dict[str, Any]:
    project: dict[str, Any] = server.get_json(f"/api/projects/{number}/")
    return project
