"""What this workspace sent to a project: a folder that belongs to the project, and a log that survives a kill.

WS/files/label-studio/<slug>/project.json   which project of which server the folder belongs to
WS/files/label-studio/<slug>/ledger.jsonl   one line before and one after everything that is sent

The server itself knows which tasks it has, so nothing is lost with a ledger but two things that only it can tell: that
tasks were on their way when the last run ended (the server may still be storing them: sending them again would make
each of them twice), and that somebody deleted a task over there.
"""

from __future__ import annotations

import json
import os
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pinpoint_data.atomic import sync_folder, write_json
from pinpoint_data.small_files import read_small_text
from pinpoint_data.workspace import Workspace

Kind = Literal["tasks", "predictions"]
_MAX_SLUG = 40


@dataclass(frozen=True)
class OnTheWay:
    """Something that was sent, and of which nobody noted how it ended.

    Attributes:
        kind: What was sent.
        ids: The `pinpoint_id` of each task.
        after: The newest task id of the project before it was sent.
        at: When, in seconds since 1970.
    """

    kind: Kind
    ids: tuple[str, ...]
    after: int
    at: float


def slug(title: str) -> str:
    """A project's title as the name of a folder and of a part of the annotations."""
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", ascii_title.lower())[:_MAX_SLUG].strip("-") or "project"


def project_folder(ws: Workspace, url: str, project: Mapping[str, Any]) -> Path:
    """The folder of a project, made at need; its name is the project's slug from then on, also when it is renamed.

    A project is known again by its id and the moment it was made, so neither another address of the same server nor a
    new server at the old address is mistaken.

    Args:
        ws: The workspace.
        url: The server's address, for people who look into the folder.
        project: As the server gives it: `id`, `created_at`, `title`.
    """
    place = ws.path / "files" / "label-studio"
    identity = {"project": project["id"], "created_at": project["created_at"]}
    taken = {file.parent.name: _read(file) for file in sorted(place.glob("*/project.json"))}
    for name, found in taken.items():
        if {key: found.get(key) for key in identity} == identity:
            return place / name
    name = base = slug(str(project["title"]))
    number = 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    write_json(place / name / "project.json", identity | {"title": project["title"], "url": url})
    return place / name


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_small_text(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class Ledger:
    """An append-only log, synced to disk line by line.

    A line that a kill tore, or that was damaged since, is passed over and counted.

    Attributes:
        tasks: Task id on the server by `pinpoint_id`, as last noted.
        unsettled: What was on its way when the last run ended.
        damaged: How many lines could not be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"
        self.tasks: dict[str, int] = {}
        self.unsettled: OnTheWay | None = None
        self.damaged = 0
        torn = False
        for line in self._lines():
            torn = not line.endswith(b"\n")
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.damaged += 1
        self._torn = torn

    def _lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as handle:
                yield from handle

    def _apply(self, entry: dict[str, Any]) -> None:
        if "sending" in entry:
            on_the_way = entry["sending"]
            ids = tuple(str(name) for name in on_the_way["ids"])
            self.unsettled = OnTheWay(on_the_way["kind"], ids, int(on_the_way["after"]), float(entry["at"]))
        elif "sent" in entry:
            self.tasks.update({str(name): int(task) for name, task in entry["sent"].items()})
            self.unsettled = None

    def sending(self, kind: Kind, ids: Sequence[str], after: int) -> None:
        """Note, before it happens, that tasks or their predictions go out."""
        self._append({"sending": {"kind": kind, "ids": list(ids), "after": after}})

    def sent(self, tasks: Mapping[str, int]) -> None:
        """Note how it ended: these tasks are there, whatever else was on its way is not."""
        self._append({"sent": dict(tasks)})

    def _append(self, entry: dict[str, Any]) -> None:
        entry = {"at": time.time()} | entry
        new = not self.path.exists()
        with self.path.open("ab") as handle:
            # After a torn line, so that this one is whole.
            handle.write((b"\n" if self._torn else b"") + json.dumps(entry).encode("ascii") + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        if new:
            sync_folder(self.path.parent)
        self._torn = False
        self._apply(entry)
