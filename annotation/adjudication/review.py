"""Review tasks: a conflict with every annotator's boxes to look at, and the likely ones to correct."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from annotation.adjudication.conflicts import Conflict, read_conflicts
from annotation.label_studio.geometry import Item
from annotation.label_studio.interface import config_xml
from annotation.label_studio.page_images import DataUris, LocalFiles, PageImages
from annotation.label_studio.prelabels import regions_of, results
from annotation.label_studio.task_files import TaskFiles, write_task_files
from annotation.label_studio.tasks import Task, TaskOptions, build_tasks, shown_annotators, task_regions
from pinpoint_data.errors import Problem
from pinpoint_data.workspace import Workspace

CONSENSUS = "vote"
"""Whose boxes the prefilled ones are, and the `model_version` of their prediction."""


def review_options(workspace: Workspace, options: TaskOptions) -> TaskOptions | None:
    """The options with what makes tasks reviews: all conflicts and all who voted on them, where none are named.

    Returns:
        None where there is no conflict.

    Raises:
        WorkspaceError: Nothing was adjudicated yet.
    """
    conflicts = read_conflicts(workspace)
    questions = tuple(name for name in options.questions or conflicts if name in conflicts)
    if not questions:
        return None
    # Names are patterns there; a name may hold what a pattern means otherwise.
    voters = sorted({name for question in questions for name in conflicts[question].voters})
    return replace(
        options, questions=questions, review=options.review or tuple(map(glob.escape, voters)), prelabel=None
    )


def build_review_tasks(workspace: Workspace, options: TaskOptions, images: PageImages) -> Iterator[Task | Problem]:
    """`build_tasks` for conflicts: every annotator's boxes are shown, the likely ones are drawn already.

    Raises:
        WorkspaceError: Nothing was adjudicated yet.
    """
    chosen = review_options(workspace, options)
    if chosen is None:
        return
    conflicts = read_conflicts(workspace)
    for task in build_tasks(workspace, chosen, images):
        if isinstance(task, Problem):
            yield task
        else:
            yield from _prefilled(task, conflicts[task.data["question_id"]])


def write_review(
    workspace: Workspace, out: Path, mode: Literal["local-files", "data-uri"], document_root: Path | None, jobs: int
) -> TaskFiles:
    """Write review tasks of all conflicts as files to import by hand, as `label-studio export` does.

    Args:
        workspace: An adjudicated workspace; hold its lock.
        out: A new folder, or that of an earlier export.
        mode: How page images are shown.
        document_root: The server's document root, above `out`; `out` itself by default.
        jobs: Threads that make page images.

    Raises:
        UsageError: The folder holds something else, or does not lie below the document root.
        WorkspaceError: Nothing was adjudicated yet.
    """
    images: PageImages = DataUris()
    place: dict[str, str] = {"mode": mode}
    how = "The page images are inside the tasks; there is nothing to set."
    if mode == "local-files":
        images = local = LocalFiles(out / "pages", document_root or out)
        place["document_root"] = str(local.document_root)
        how = local.setup
    options = review_options(workspace, TaskOptions(jobs=jobs))
    shown = shown_annotators(workspace, options.review) if options else ()
    tasks = build_review_tasks(workspace, TaskOptions(jobs=jobs), images)
    return write_task_files(out, tasks, config=config_xml(shown), images=place, how_images=how)


def _prefilled(task: Task, conflict: Conflict) -> Iterator[Task | Problem]:
    items = [Item(**item) for item in task.data["items"]]
    sizes = list({item.page_index: (item.page_width, item.page_height) for item in items}.values())
    problems: list[Problem] = []
    placed = task_regions(regions_of(list(_rows(conflict)), sizes, problems), items)
    yield from problems
    shown = [region for prediction in task.predictions for region in prediction["result"]]
    result = [*results(placed, items), *shown]
    entries = {one.name: one.entry() for one in placed}
    data = task.data | {"prelabel": {"annotator": CONSENSUS, "regions": entries} if entries else None}
    seen = json.dumps([task.fingerprint, data["prelabel"], result], sort_keys=True, allow_nan=False)
    data["fingerprint"] = hashlib.sha256(seen.encode("ascii")).hexdigest()
    yield Task(task.pinpoint_id, data, [{"model_version": CONSENSUS, "result": result}] if result else [])


def _rows(conflict: Conflict) -> Iterator[dict[str, Any]]:
    """The likely boxes as rows of the table `annotations`."""
    for number, box in enumerate(conflict.likely):
        yield {
            "question_id": conflict.question_id,
            "annotator": CONSENSUS,
            "region_id": f"c{number}",
            "page_index": box.page_index,
            **dict(zip(("x0", "y0", "x1", "y1"), box.xyxy, strict=True)),
            "rotation": None,
            "quad": None,
            "role": box.role,
            "status": None,
            "raw": "{}",
        }
