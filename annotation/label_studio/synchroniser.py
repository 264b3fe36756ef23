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
        self.known = set(inventory.tasks)
        self.first_new = inventory.newest
        self._new: list[Task] = []
        self._new_bytes = 0
        self._changed: list[tuple[Task, HeldTask]] = []

    def take(self, item: Task | Problem) -> None:
        """Take up one task, or what is wrong with one."""
        if isinstance(item, Problem):
            self.outcome.refuse(item)
            return
        self.versions.update(prediction["model_version"] for prediction in item.predictions)
        held = self._held(item)
        if held is None:
            self._take_new(item)
        elif self._is_current(item, held):
            self.outcome.counts["unchanged"] += 1
        else:
            self._changed.append((item, held))
        if len(self._changed) >= self.options.chunk_tasks:
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
        changed, self._changed = self._changed, []
        ready = {task.pinpoint_id: task for task in self._uploaded([task for task, _ in changed])}
        pairs = [(ready[task.pinpoint_id], held) for task, held in changed if task.pinpoint_id in ready]
        differences = [(task, held, *self._difference(task, held)) for task, held in pairs]
        # First the new boxes, last the end of the old ones: stopped in between, the next run finds something to do.
        added = self.sender.add_predictions([one for _, _, missing, _ in differences for one in missing])
        for task, held, _, extra in differences:
            try:
                if held.data != digest(task.data):
                    self.server.patch_json(f"/api/tasks/{held.task_id}/", {"data": task.data})
                    self.outcome.counts["updated"] += 1
                    if held.annotations and held.fingerprint != task.fingerprint:
                        self.outcome.counts["updated under annotations"] += 1
                elif extra or task.pinpoint_id in added:
                    self.outcome.counts["repaired"] += 1
                for one in extra:
                    self.server.delete(f"/api/predictions/{one.prediction_id}/")
            except RefusedError as error:
                message = f"task {held.task_id} cannot be updated: {error.message}"
                self.outcome.refuse(Problem("task-refused", self.server.url, task.pinpoint_id, message, "push again"))
        if differences:
            self.sender.start(self.sender.newest)

    def finish(self, questions: set[str]) -> None:
        """Let the stream prefill, and report what stands on the server that should not.

        Args:
            questions: Every `question_id` of the workspace.
        """
        self._set_model_version()
        if self.uploads is not None and self.uploads.sent:
            self.outcome.counts["files uploaded"] = self.uploads.sent
        for name, held in read_inventory(self.server, self.project, self.first_new).tasks.items():
            self.inventory.tasks.setdefault(name, []).extend(held)
        for name, held in sorted(self.inventory.tasks.items()):
            ids = ", ".join(str(one.task_id) for one in held)
            if len(held) > 1:
                self._report(
                    "duplicate-task", name, f"stands there {len(held)} times: tasks {ids}", "delete all but one"
                )
            if name.removeprefix(f"{REVIEW}:") not in questions:
                remedy = "delete it there, or ingest its source again"
                self._report(
                    "question-gone", name, f"task {ids} is of a question that the workspace has no more", remedy
                )
        if self.inventory.foreign:
            self.result.notes.append(
                f"{len(self.inventory.foreign):,} tasks of the project are not ours; they were left alone"
            )
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
