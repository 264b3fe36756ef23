"""Tasks of a Label Studio export into the table `annotations`: everything kept, every task accounted for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotation.label_studio.exports import looks_like_task
from annotation.label_studio.import_outcome import REMEDIES, ImportOutcome
from annotation.label_studio.left_out import LeftOut, left_out_file, without_people
from annotation.label_studio.merging import Key, Merge, Rows, Stamp, merging
from annotation.label_studio.names import UNKNOWN, Names
from annotation.label_studio.results import Fault, Reading, read_result
from annotation.label_studio.reviews import Review, review_of, store_reviews
from annotation.label_studio.task_text import json_text, text_without_result
from annotation.label_studio.task_view import REVIEW, Catalog, TaskView
from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.sources.base import RecordError
from pinpoint_data.words.base import number, well_formed
from pinpoint_data.workspace import Workspace

PART = "label-studio."
_NO_BOX = dict.fromkeys(("page_index", "x0", "y0", "x1", "y1", "rotation", "quad", "role"))
_FAILED = (RecordError, RecursionError)


def import_tasks(
    workspace: Workspace,
    tasks: Iterable[Any],
    slug: str,
    *,
    names: Names | None = None,
    file: str = "export",
    present: Collection[int] | None = None,
) -> ImportOutcome:
    """Import tasks into the part `label-studio.<slug>` of `annotations`; hold the workspace's lock.

    A newer annotation replaces an older one of the same annotator and question, so a second import of a file changes
    nothing and an older file nothing that a newer one brought. Rows that the tasks do not have are kept. Decisions of
    review tasks go to the overlay of the adjudication.

    Args:
        workspace: With the questions that the tasks are about.
        tasks: Items of an export, and problems met while reading it; see `iter_tasks`.
        slug: Names the project.
        names: What annotators are called.
        file: What problems call the export.
        present: Ids of all tasks that the project has now, where known: rows of others are reported.

    Raises:
        WorkspaceError: The part is there and was not written by an import.
    """
    names = names or Names()
    folder = workspace.path / "files" / "label-studio" / slug
    outcome = ImportOutcome()
    with merging(workspace, f"{PART}{slug}", names) as merge:
        with left_out_file(folder / "left_out.jsonl") as left_out:
            importer = _Importer(Catalog(workspace), merge, left_out, names, outcome, file)
            for displaced in merge.displaced:
                importer.leave_out_rows(*displaced)
            for item in tasks:
                importer.take(item)
            importer.report_unseen(present)
        # Rows whose place another annotation takes are kept in the file before they go.
        merge.write()
    outcome.decisions = store_reviews(workspace, folder, importer.reviews)
    if (folder / "left_out.jsonl").exists():
        outcome.left_out = str(folder / "left_out.jsonl")
    return outcome


@dataclass(frozen=True)
class _Work:
    """One annotation or draft of a task."""

    record: Mapping[str, Any]
    stamp: Stamp
    user: str
    annotator: str

    @property
    def skipped(self) -> bool:
        return self.record.get("was_cancelled") is True and self.stamp.submitted


class _Importer:
    def __init__(
        self, catalog: Catalog, merge: Merge, left_out: LeftOut, names: Names, outcome: ImportOutcome, file: str
    ) -> None:
        self.catalog, self.merge, self.left_out = catalog, merge, left_out
        self.names, self.outcome, self.file = names, outcome, file
        self.reviews: list[Review] = []
        self.seen: set[int] = set()

    def take(self, item: Any) -> None:
        """Import one item of an export, whatever it is."""
        if isinstance(item, Problem):
            self.outcome.refuse(item)
            return
        self.outcome.tasks["read"] += 1
        try:
            became = self._take_task(item)
        except RecordError as error:
            self._refuse_task(item, error)
            became = "refused"
        except RecursionError:
            self._refuse_task(item, RecordError("nested-too-deep", "is nested too deeply"))
            became = "refused"
        self.outcome.tasks[became] += 1

    def _refuse_task(self, item: Any, error: RecordError) -> None:
        task = item.get("id") if isinstance(item, dict) else None
        self.outcome.refused_tasks[error.code] += 1
        self._report(error.code, f"task {task!r:.40}", error.message, error.remedy)
        kept = item
        if isinstance(item, dict):
            lists = {key: item[key] for key in ("annotations", "drafts") if isinstance(item.get(key), list)}
            kept = item | {key: [without_people(one, self.names) for one in found] for key, found in lists.items()}
        self.left_out.add(error.code, error.message, {"task": task}, kept)

    def _take_task(self, task: Any) -> str:
        """Import a task; what became of it."""
        if not looks_like_task(task):
            raise RecordError("not-a-task", "has no data or no list of annotations: it is no task of an export")
        annotations, drafts = task["annotations"], task.get("drafts") or []
        if not isinstance(annotations, list) or not isinstance(drafts, list):
            raise RecordError("not-a-task", "its annotations or drafts are no list")
        view = self.catalog.view(task)
        self.seen.add(view.task_id)
        if not annotations and not drafts:
            return "unannotated"
        works = [work for one in annotations if (work := self._work(view, one, submitted=True))]
        submitted = [work.stamp.annotation_id for work in works]
        for draft in drafts:
            work = self._work(view, draft, submitted=False)
            if work and draft.get("annotation") in submitted:
                self._leave_out(view, work, "draft-over-submission", "changes an annotation and was not submitted")
                self.merge.see((view.question_id, work.annotator))
            elif work:
                works.append(work)
        self._report_strangers(view, works)
        used = [self._take(view, work) for work in self._newest(view, works)]
        if not any(used):
            raise RecordError("nothing-usable", "none of its annotations can be used")
        return "reviewed" if view.kind == REVIEW else "imported"

    def _work(self, view: TaskView, record: Any, *, submitted: bool) -> _Work | None:
        """An annotation or draft; None where it is none."""
        code = "bad-annotation"
        if not submitted and type(record) is int:
            code, message = "drafts-as-ids", f"has draft {record} as a number, without its boxes"
        elif not isinstance(record, dict) or type(record.get("id")) is not int:
            message = f"has {'an annotation' if submitted else 'a draft'} that is no object with an id: {record!r:.60}"
        else:
            user = self.names.key(record.get("completed_by" if submitted else "user"))
            record = without_people(record, self.names)
            work = _Work(record, Stamp.of(view.task_id, record, submitted=submitted), user, self.names.name(user))
            if user == UNKNOWN:
                self._report("no-annotator", f"task {view.task_id}, {work.stamp.name}", "does not say whose it is")
            return work
        self._report(code, f"task {view.task_id}", message)
        self.left_out.add(code, message, _where(view, None), record)
        return None

    def _report_strangers(self, view: TaskView, works: list[_Work]) -> None:
        """Name annotations that are not their annotator's alone: the task list opens, and copies, others' work."""
        authors = {work.stamp.annotation_id: work.annotator for work in works if work.stamp.submitted}
        for work in works:
            editor, source = self.names.key(work.record.get("updated_by")), work.record.get("parent_annotation")
            record = f"task {view.task_id}, {work.stamp.name}"
            if work.stamp.submitted and editor.isdecimal() and work.user.isdecimal() and editor != work.user:
                message = f"of {work.annotator} was changed last by {self.names.name(editor)}"
                self._report("changed-by-other", record, message)
            if type(source) is int and authors.get(source, work.annotator) != work.annotator:
                message = f"of {work.annotator} began as a copy of annotation {source} of {authors[source]}"
                self._report("copied-annotation", record, message)

    def _newest(self, view: TaskView, works: list[_Work]) -> list[_Work]:
        """The annotation of each annotator that holds; the others are left out."""
        newest: dict[str, _Work] = {}
        for work in sorted(works, key=lambda work: work.stamp.rank, reverse=True):
            holds = newest.setdefault(work.annotator, work)
            if holds is work:
                continue
            if work.stamp.submitted:
                self._leave_out(view, work, "superseded", f"{holds.stamp.name} of the same annotator is newer")
            else:
                self._leave_out(view, work, "draft-over-submission", f"{holds.stamp.name} of the same annotator holds")
        return list(newest.values())

    def _take(self, view: TaskView, work: _Work) -> bool:
        """Import one annotation; whether anything of it is used."""
        try:
            if view.kind == REVIEW:
                return self._take_review(view, work)
            return self._take_annotation(view, work)
        except RecordError as error:
            self._leave_out(view, work, error.code, error.message)
        except RecursionError:
            self._leave_out(view, work, "nested-too-deep", "is nested too deeply")
        self.merge.see((view.question_id, work.annotator))
        return False

    def _take_annotation(self, view: TaskView, work: _Work) -> bool:
        key = view.question_id, work.annotator
        if held := self.merge.newer(key, work.stamp):
            if held.continues(work.stamp):
                self.outcome.counts["older than the workspace"] += 1
            else:
                code = "superseded" if work.stamp.submitted else "draft-over-submission"
                self._leave_out(view, work, code, f"{held.name} of the same annotator holds")
            return True
        began = None if work.skipped else _other_prelabel(view, work)
        if began and self.merge.has(key, work.stamp):
            # It was read while its task still held those boxes: what was accepted and moved is right there.
            self.outcome.counts["kept of an earlier prelabel"] += 1
            return True
        reading = Reading() if work.skipped else read_result(work.record.get("result"), view)
        if began:
            message = (
                f"began with boxes of {began:.80}, its task holds those of {view.prelabel_annotator or 'nobody'} now"
            )
            reading.faults.append(Fault("stale-prelabel", message))
        status = "skipped" if work.skipped else reading.status if work.stamp.submitted else None
        if status is None and work.stamp.submitted and not any(f.code == "bad-status" for f in reading.faults):
            reading.faults.append(Fault("no-status", "was submitted without a status"))
        self._report_faults(view, work, reading)
        rows = _rows(view, work, reading, status or "unfinished")
        if displaced := self.merge.put(key, work.stamp, rows):
            self.leave_out_rows(key, *displaced)
        self._count(work, reading, status or "unfinished")
        return True

    def _count(self, work: _Work, reading: Reading, status: str) -> None:
        counts = self.outcome.counts
        counts["annotations"] += 1
        counts["regions"] += len(reading.regions)
        for region in reading.regions:
            counts[region.origin] += 1
        counts["deleted pre-annotations"] += len(reading.deleted)
        self.outcome.annotators.setdefault(work.annotator, Counter())[status] += 1

    def _take_review(self, view: TaskView, work: _Work) -> bool:
        if work.skipped or not work.stamp.submitted:
            raise RecordError("review-undecided", "is a review that was skipped or not submitted")
        reading = read_result(work.record.get("result"), view)
        self._report_faults(view, work, reading)
        try:
            review = review_of(view.question_id, reading, work.annotator, work.stamp)
        except UsageError as error:
            raise RecordError("bad-review", error.message, remedy="decide it again in Label Studio") from error
        self.reviews.append(review)
        return True

    def report_unseen(self, present: Collection[int] | None) -> None:
        """Say which rows of the workspace the server does not have any more."""
        for (question, annotator), stamp in self.merge.unseen():
            record = f"task {stamp.task_id}, annotation {stamp.annotation_id}"
            if stamp.task_id in self.seen:
                self._report(
                    "gone-annotation", record, f"the annotation of {question} by {annotator} is not in its task"
                )
            elif present is not None and stamp.task_id not in present:
                self._report("gone-task", record, f"the task of {question}, annotated by {annotator}, is not there")
            else:
                self.outcome.counts["kept of other tasks"] += 1

    def _report_faults(self, view: TaskView, work: _Work, reading: Reading) -> None:
        for fault in reading.faults:
            self._report(fault.code, f"task {view.task_id}, {work.stamp.name}", fault.message)
            for entry in fault.entries:
                self.left_out.add(fault.code, fault.message, _where(view, work), entry)

    def _leave_out(self, view: TaskView, work: _Work, code: str, message: str) -> None:
        self._report(code, f"task {view.task_id}, {work.stamp.name}", message)
        self.left_out.add(code, message, _where(view, work), work.record)

    def leave_out_rows(self, key: Key, stamp: Stamp, rows: Rows) -> None:
        """Keep rows whose place another annotation took."""
        question, annotator = key
        where = {
            "task": stamp.task_id,
            "question_id": question,
            stamp.kind: stamp.annotation_id,
            "annotator": annotator,
        }
        message = "another annotation of the same annotator is newer"
        self._report("superseded", f"task {stamp.task_id}, {stamp.name}", message)
        self.left_out.add("superseded", message, where, [json.loads(row["raw"]) for row in rows])

    def _report(self, code: str, record: str, message: str, remedy: str | None = None) -> None:
        self.outcome.refuse(Problem(code, self.file, record, message, remedy or REMEDIES.get(code, "")))


def _other_prelabel(view: TaskView, work: _Work) -> str | None:
    """Whose boxes an annotation began with, where the task was given another annotator's since."""
    prediction = work.record.get("prediction")
    began = prediction.get("model_version") if isinstance(prediction, dict) else None
    return began if isinstance(began, str) and began and began != view.prelabel_annotator else None


def _where(view: TaskView, work: _Work | None) -> dict[str, Any]:
    found: dict[str, Any] = {"task": view.task_id, "question_id": view.question_id}
    if work:
        found |= {
            work.stamp.kind: work.stamp.annotation_id,
            "annotator": work.annotator,
        }
    return found


def _rows(view: TaskView, work: _Work, reading: Reading, status: str) -> Rows:
    """Rows of `annotations`: the regions, then the verdict."""
    created = work.record.get("created_at")
    common = {
        "question_id": view.question_id,
        "annotator": work.annotator,
        "created_at": well_formed(created) if isinstance(created, str) else None,
    }
    lead = number(work.record.get("lead_time"))
    verdict = {
        **common,
        **_NO_BOX,
        "region_id": None,
        "status": status,
        "origin": "label-studio",
        "lead_time_s": lead if 0 <= lead < float("inf") else None,
        "raw": _verdict_text(view, work, reading),
    }
    return [*(region.row(common) for region in reading.regions), verdict]


def _verdict_text(view: TaskView, work: _Work, reading: Reading) -> str:
    parts = [
        f'{{"task":{view.text}',
        f'"kind":"{work.stamp.kind}"',
        f'"user":{json_text(work.user)}',
        f'"annotation":{text_without_result(work.record)}',
        f'"controls":{_list_text(reading.controls)}',
        f'"deleted":{json_text(reading.deleted)}',
        f'"prelabel_annotator":{json_text(view.prelabel_annotator)}',
    ]
    if work.skipped:
        result = work.record.get("result")
        parts.append(f'"result":{_list_text(result) if isinstance(result, list) else json_text(result)}')
    return ",".join(parts) + "}"


def _list_text(entries: list[Any]) -> str:
    return "[" + ",".join(map(json_text, entries)) + "]"
