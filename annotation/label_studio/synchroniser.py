"""Which tasks are new, changed or as they were, and what is done about it.

The server is the record of what is there: its tasks are compared with ours by `pinpoint_id`, data and pre-annotation.
So it does not matter where an earlier run was stopped, nor whether the ledger is still there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from annotation.label_studio.answers import RefusedError
from annotation.label_studio.inventory import (
    HeldPrediction,
    HeldTask,
    Inventory,
    digest,
    read_inventory,
    read_predictions,
    server_counts,
)
from annotation.label_studio.page_images import PageImages
from annotation.label_studio.push_options import PushOptions, PushResult
from annotation.label_studio.sending import Sender, Wanted
from annotation.label_studio.tasks import REVIEW, Task
from annotation.label_studio.upload import Uploads
from pinpoint_data.errors import Problem


class Synchroniser:
    """Sorts tasks into new, changed and unchanged ones, and sends them in chunks."""

    def __init__(
        self,
        sender: Sender,
        inventory: Inventory,
        images: PageImages,
        options: PushOptions,
        result: PushResult,
    ) -> None:
        self.sender, self.server, self.project = sender, sender.server, sender.project_id
        self.inventory, self.options, self.result, self.outcome = inventory, options, result, result.outcome
        self.uploads = images if isinstance(images, Uploads) else None
        self.predictions: dict[int, list[HeldPrediction]] = {}
        if inventory.tasks:
            self.predictions = read_predictions(self.server, self.project)
        self.versions = {held.version for ones in inventory.tasks.values() for held in ones if held.version}
        self.first_new = inventory.newest
        self._ours: dict[str, int] = {}
        self._new: list[Task] = []
        self._new_bytes = 0
        self._changed: list[tuple[Task, HeldTask]] = []
        self._changed_bytes = 0

    def take(self, item: Task | Problem) -> None:
        """Take up one task, or what is wrong with one."""
        if isinstance(item, Problem):
            self.outcome.refuse(item)
            return
        self.versions.update(prediction["model_version"] for prediction in item.predictions)
        held = self._held(item)
        if held is None:
            self._take_new(item)
            return
        self._ours[item.pinpoint_id] = held.task_id
        if self._is_current(item, held):
            self.outcome.counts["unchanged"] += 1
        else:
            self._changed.append((item, held))
            self._changed_bytes += len(json.dumps(item.data))
        if len(self._changed) >= self.options.chunk_tasks or self._changed_bytes >= self.options.chunk_bytes:
            self._send_changed()

    def _take_new(self, task: Task) -> None:
        size = len(json.dumps(task.payload()))
        if self._new and self._new_bytes + size > self.options.chunk_bytes:
            self._send_new()
        self._new.append(task)
        self._new_bytes += size
        if len(self._new) >= self.options.chunk_tasks:
            self._send_new()

    def _held(self, task: Task) -> HeldTask | None:
        """The task on the server: of several the one that people worked on, else the oldest."""
        held = self.inventory.tasks.get(task.pinpoint_id)
        return max(held, key=lambda one: (one.annotations, -one.task_id)) if held else None

    def _is_current(self, task: Task, held: HeldTask) -> bool:
        missing, extra = self._difference(task, held)
        return held.data == digest(task.data) and not missing and not extra

    def _difference(self, task: Task, held: HeldTask) -> tuple[list[Wanted], list[HeldPrediction]]:
        """Pre-annotations that a task lacks, and those of ours that it has too many."""
        wanted = [Wanted(task.pinpoint_id, {"task": held.task_id, **body}) for body in task.predictions]
        # Others' predictions, from a model that somebody connected, are not ours to delete.
        versions = {held.version, REVIEW, *(one.body["model_version"] for one in wanted)}
        extra = [one for one in self.predictions.get(held.task_id, []) if one.version in versions]
        for one in wanted:
            if same := [old for old in extra if (old.version, old.result) == one.key]:
                extra.remove(same[0])
                wanted = []
        return wanted, extra

    def flush(self) -> None:
        """Send what has gathered."""
        self._send_new()
        self._send_changed()

    def _send_new(self) -> None:
        tasks, self._new, self._new_bytes = self._uploaded(self._new), [], 0
        if not tasks:
            return
        again = sum(task.pinpoint_id in self.sender.ledger.tasks for task in tasks)
        if again:
            self.outcome.counts["deleted there and made again"] += again
        self.outcome.counts["made"] += len(self.sender.import_tasks(tasks))

    def _uploaded(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks with addresses of uploaded pages; those whose pages cannot be read are refused."""
        if self.uploads is None:
            return list(tasks)
        bad = self.uploads.upload([task.data for task in tasks])
        good = []
        for task in tasks:
            errors = [bad[page] for page in task.data["pages"] if page in bad]
            if errors:
                self.outcome.refuse(Problem.of(errors[0], code="bad-page", file="pages", record=task.pinpoint_id))
            else:
                good.append(replace(task, data=self.uploads.resolved(task.data)))
        return good

    def _send_changed(self) -> None:
        changed, self._changed, self._changed_bytes = self._changed, [], 0
        ready = {task.pinpoint_id: task for task in self._uploaded([task for task, _ in changed])}
        pairs = [(ready[task.pinpoint_id], held) for task, held in changed if task.pinpoint_id in ready]
        differences = [(task, held, *self._difference(task, held)) for task, held in pairs]
        # The data comes last: stopped before, the next run sees an old task and finishes it.
        added = self.sender.add_predictions([one for _, _, missing, _ in differences for one in missing])
        for task, held, _, extra in differences:
            try:
                self._update(task, held, extra, repaired=bool(extra) or task.pinpoint_id in added)
            except RefusedError as error:
                if error.status not in (400, 404):
                    raise
                message = f"task {held.task_id} cannot be updated: {error.message}"
                self._report("task-refused", task.pinpoint_id, message, "push again")
        if differences:
            self.sender.start(self.sender.newest)

    def _update(self, task: Task, held: HeldTask, extra: Sequence[HeldPrediction], *, repaired: bool) -> None:
        for one in extra:
            self.server.delete(f"/api/predictions/{one.prediction_id}/")
        if held.data == digest(task.data):
            self.outcome.counts["repaired"] += repaired
            return
        self.server.patch_json(f"/api/tasks/{held.task_id}/", {"data": task.data})
        self.outcome.counts["updated"] += 1
        # Made on what the annotators saw then; the boxes they accepted are those of the earlier version.
        self.outcome.counts["updated under annotations"] += bool(
            held.annotations and held.fingerprint != task.fingerprint
        )

    def finish(self, questions: set[str]) -> None:
        """Let the stream prefill, and report what stands on the server that should not.

        Args:
            questions: Every `question_id` of the workspace.
        """
        self._set_model_version()
        if self.uploads is not None and self.uploads.sent:
            self.outcome.counts["files uploaded"] = self.uploads.sent
        ledger, tasks = self.sender.ledger, self.inventory.tasks
        if rebuilt := {name: number for name, number in self._ours.items() if ledger.tasks.get(name) != number}:
            ledger.sent(rebuilt)
        there = sum(map(len, tasks.values())) + len(self.inventory.foreign) + self.outcome.counts["made"]
        if server_counts(self.server, self.project)[0] != there:
            # Somebody else, or a run before this one, made tasks meanwhile.
            for name, held in read_inventory(self.server, self.project, self.first_new).tasks.items():
                tasks.setdefault(name, []).extend(held)
        strangers = len(self.inventory.foreign)
        for name, held in sorted(tasks.items()):
            ids = ", ".join(str(one.task_id) for one in held)
            if len(held) > 1:
                message = f"stands there {len(held)} times: tasks {ids}"
                self._report("duplicate-task", name, message, "delete all but one")
            if name.removeprefix(f"{REVIEW}:") not in questions:
                if name in ledger.tasks:
                    message = f"task {ids} is of a question that the workspace has no more"
                    self._report("question-gone", name, message, "delete it there, or ingest its source again")
                else:
                    strangers += len(held)
        if strangers:
            self.result.notes.append(f"{strangers:,} tasks of the project are not ours; they were left alone")
        self.outcome.counts = Counter({name: count for name, count in self.outcome.counts.items() if count})

    def _report(self, code: str, name: str, message: str, remedy: str) -> None:
        self.outcome.refuse(Problem(code, self.server.url, name, message, remedy))

    def _set_model_version(self) -> None:
        """The label stream shows the predictions of one version only, and none while it is not set."""
        place = f"/api/projects/{self.project}"
        counts: dict[str, int] = self.server.get_json(f"{place}/model-versions")
        ours = {version: count for version, count in counts.items() if version in {*self.versions, REVIEW}}
        if not ours:
            return
        version = max(ours, key=lambda name: (ours[name], name))
        self.result.model_version = version
        if self.server.get_json(f"{place}/")["model_version"] != version:
            self.server.patch_json(f"{place}/", {"model_version": version})
        if others := sorted(ours.keys() - {version}):
            self.result.notes.append(
                f"the label stream draws boxes of one annotator only, {version}; those of {', '.join(others)} show in "
                "the task list's view alone"
            )
