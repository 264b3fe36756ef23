"""The annotators' work from a server into the workspace: everything at first, then what changed.

WS/files/label-studio/<slug>/pull.json   the state of each task at the last pull that ended well
WS/files/label-studio/<slug>/.pull/      exports of a pull that is under way; a rerun takes up those that still hold
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.label_studio.campaign import Campaign, campaign_of
from annotation.label_studio.changes import ServerTask, all_tasks, changed_tasks, drafted_tasks
from annotation.label_studio.exports import iter_tasks, looks_like_task
from annotation.label_studio.import_outcome import ImportOutcome
from annotation.label_studio.importing import PART, import_tasks
from annotation.label_studio.ledger import project_folder
from annotation.label_studio.names import Names
from annotation.label_studio.server import Server
from pinpoint_data.atomic import write_json
from pinpoint_data.errors import Problem, SourceError
from pinpoint_data.progress import progress
from pinpoint_data.workspace import Workspace

CHUNK_TASKS = 200
"""Tasks in one export: their ids stand in the address, which proxies cut at a few thousand characters."""

State = tuple[str, str]
"""When a task's annotations changed last, and the ids and times of its drafts."""


@dataclass(frozen=True)
class PullResult:
    """What a pull brought.

    Attributes:
        title: Of the project.
        part: Of the annotations.
        changed: Tasks that were taken.
        outcome: What became of them.
        campaign: How far the project is.
    """

    title: str
    part: str
    changed: int
    outcome: ImportOutcome
    campaign: Campaign

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        head = {"project": self.title, "part": self.part, "changed": self.changed}
        return head | self.outcome.to_json() | {"campaign": self.campaign.to_json()}

    def text(self) -> str:
        """A summary for people."""
        taken = (
            f"{self.changed:,} tasks changed since the last pull"
            if self.changed
            else "nothing changed since the last pull"
        )
        what = [self.outcome.text()] if self.changed or self.outcome.refused else []
        return "\n".join([f"{self.title}: {taken} (part {self.part})", *what, self.campaign.text()])


def pull(
    ws: Workspace, server: Server, project: str | int, *, names: dict[str, str] | None = None, full: bool = False
) -> PullResult:
    """Take what changed on a project's tasks since the last pull; hold the workspace's lock.

    A pull that is stopped changes nothing, and the next one goes on with what was fetched.

    Args:
        ws: The workspace that the tasks were made from.
        server: The server.
        project: Id or title.
        names: What annotators are called, by user id or e-mail address.
        full: Take every task, and report tasks that were deleted on the server.

    Raises:
        ServerError: The server cannot be used, or has no such project.
    """
    found = server.project(project)
    folder = project_folder(ws, server.url, found)
    known = _read_state(folder)
    whole = full or not known
    pulled = _Pull(server, found["id"], {} if whole else known, folder / ".pull")
    outcome = import_tasks(
        ws,
        pulled.items(),
        folder.name,
        names=Names(names, server.users()),
        file=pulled.file,
        present=pulled.listed.keys() if whole else None,
    )
    write_json(folder / "pull.json", {"tasks": {str(k): list(v) for k, v in sorted(pulled.state.items())}})
    shutil.rmtree(folder / ".pull", ignore_errors=True)
    part = f"{PART}{folder.name}"
    campaign = campaign_of(ws, part, int(found.get("task_number") or 0), int(found.get("maximum_annotations") or 1))
    return PullResult(str(found["title"]), part, outcome.tasks["read"], outcome, campaign)


class _Pull:
    """What changed on some tasks, fetched chunk by chunk.

    Attributes:
        listed: Every task that was looked at.
        state: Of every task that is known, after the pull.
    """

    def __init__(self, server: Server, project_id: int, known: Mapping[int, State], folder: Path) -> None:
        self.server, self.project_id, self.known, self.folder = server, project_id, known, folder
        self.file = f"{server.url}/projects/{project_id}"
        self.state = dict(known)
        times = {task: state[0] for task, state in known.items()}
        self.listed = changed_tasks(server, project_id, times) if known else all_tasks(server, project_id)
        # The drafts that are gone belong to tasks that are not listed as having any.
        drafted = drafted_tasks(server, project_id)
        undrafted = [task for task, state in known.items() if state[1] and task not in drafted]
        self.fresh = sorted({*drafted, *undrafted})
        gone = {task: ServerTask(task, known[task][0], 0) for task in undrafted}
        self.listed = gone | drafted | self.listed

    def items(self) -> Iterator[Any]:
        """The tasks that changed, with a problem for each that did not come whole."""
        lasting = sorted(self.listed.keys() - set(self.fresh))
        with progress("pull (tasks)", len(self.listed)) as advance:
            for ids, again in ((lasting, True), (self.fresh, False)):
                for begin in range(0, len(ids), CHUNK_TASKS):
                    chunk = ids[begin : begin + CHUNK_TASKS]
                    file = self._fetch(chunk, again=again)
                    try:
                        yield from self._chunk(chunk, file)
                    except SourceError:
                        file.unlink()  # it would be taken up again
                        raise
                    advance(len(chunk))

    def _chunk(self, chunk: Sequence[int], file: Path) -> Iterator[Any]:
        missing = set(chunk)
        for item in iter_tasks(file):
            task = item.get("id") if looks_like_task(item) else None
            if task not in missing:
                yield item
                continue
            missing.discard(task)
            state = self.listed[task].updated_at, _drafts_state(item)
            if fault := self._fault(item):
                yield fault
            elif self.known.get(task) == state:
                continue
            else:
                self.state[task] = state
            yield item
        yield from (self._problem(task, "is not in its export") for task in sorted(missing))

    def _fault(self, item: dict[str, Any]) -> Problem | None:
        """A task may lack what the server says it has: it is used, and the next pull looks again."""
        listed, annotations = self.listed[item["id"]], item["annotations"]
        there = len(annotations) if isinstance(annotations, list) else 0
        if there >= listed.annotations:
            return None
        return self._problem(listed.task_id, f"has {there} of {listed.annotations} annotations in its export")

    def _problem(self, task: int, message: str) -> Problem:
        remedy = "was it deleted just now? pull again"
        return Problem("incomplete-export", self.file, f"task {task}", message, remedy)

    def _fetch(self, chunk: Sequence[int], *, again: bool) -> Path:
        """The export of some tasks.

        Args:
            chunk: Ids of the tasks.
            again: Whether a file of a pull that was stopped is as good, as long as no task says it changed.
        """
        state = json.dumps([(task, self.listed[task].updated_at) for task in chunk])
        file = self.folder / f"{hashlib.sha256(state.encode()).hexdigest()[:24]}.json"
        if not (again and file.exists()):
            path = f"/api/projects/{self.project_id}/export"
            query = {"exportType": "JSON", "download_all_tasks": "true", "ids[]": list(chunk)}
            self.server.stream_to_file(path, file, **query)
        return file


def _drafts_state(item: Mapping[str, Any]) -> str:
    """What changes with the drafts of a task; "" where it has none."""
    drafts = item.get("drafts")
    found = [draft for draft in drafts if isinstance(draft, dict)] if isinstance(drafts, list) else []
    return " ".join(sorted(f"{draft.get('id')}@{draft.get('updated_at')}" for draft in found))


def _read_state(folder: Path) -> dict[int, State]:
    """The state of each task; nothing where it is missing or damaged: everything is pulled then."""
    try:
        found = json.loads((folder / "pull.json").read_text(encoding="utf-8"))["tasks"]
        return {int(task): (str(when), str(drafts)) for task, (when, drafts) in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
