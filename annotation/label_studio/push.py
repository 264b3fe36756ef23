"""Questions of a workspace as tasks of a project on a server; run again, it sends what is new or changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from annotation.label_studio.checks import check_tasks
from annotation.label_studio.images_choice import choose_images
from annotation.label_studio.interface import STREAM, config_xml
from annotation.label_studio.inventory import read_inventory
from annotation.label_studio.ledger import Ledger, project_folder
from annotation.label_studio.page_images import PageImages
from annotation.label_studio.projects import Settings, find_or_make, set_up
from annotation.label_studio.push_options import PushOptions, PushResult
from annotation.label_studio.sending import Sender
from annotation.label_studio.server import Server
from annotation.label_studio.synchroniser import Synchroniser
from annotation.label_studio.tasks import Task, TaskOptions, build_tasks, chosen_questions, shown_annotators
from annotation.label_studio.upload import Uploads
from pinpoint_data.errors import Outcome, Problem, UsageError
from pinpoint_data.progress import progress
from pinpoint_data.workspace import Workspace

MakeTasks: TypeAlias = Callable[[Workspace, TaskOptions, PageImages], Iterator[Task | Problem]]

_WARNINGS = 20

__all__ = ["PushOptions", "PushResult", "push"]


def push(
    ws: Workspace,
    server: Server,
    project: str,
    options: PushOptions,
    say: Callable[[str], None] = lambda line: None,
    make_tasks: MakeTasks = build_tasks,
) -> PushResult:
    """Make a project's tasks what the workspace says; hold the workspace's lock.

    Args:
        ws: The workspace.
        server: The server.
        project: Id or title; a project of a new title is made.
        options: What and how.
        say: Gets a line when something takes long.
        make_tasks: Makes the tasks of the chosen questions; other ones for a review of conflicts.

    Raises:
        UsageError: Something that is asked for does not exist; nothing was sent.
        ServerError: The server cannot be used, or does not keep what it is sent.
    """
    options.images.check()
    rows = chosen_questions(ws, options.tasks)[: options.limit]
    if not rows:
        raise UsageError("no question fits", file=ws.path)
    wanted = options.tasks
    if options.limit is not None:
        wanted = replace(wanted, questions=tuple(row["question_id"] for row in rows))
    # Everything that can be misuse is found out before a project is made.
    shown_annotators(ws, [wanted.prelabel] if wanted.prelabel else [])
    settings = Settings(config_xml(shown_annotators(ws, options.tasks.review)), options.overlap)
    found, made = find_or_make(server, project, settings)
    ledger = Ledger(project_folder(ws, server.url, found))
    outcome = Outcome()
    sender = Sender(server, found["id"], ledger, outcome)
    sender.settle(time.time(), say)
    inventory = read_inventory(server, found["id"])
    sender.start(inventory.newest)
    result = PushResult(f"{server.url}/projects/{found['id']}/data", found["id"], found["title"], "", outcome)
    changed = [] if made else set_up(server, found, settings, foreign_tasks=len(inventory.foreign))
    if changed:
        result.notes.append(f"changed in the project: {', '.join(changed)}")
    if (settings.overlap or found["maximum_annotations"]) > 1:
        result.notes.append(f"several annotators a task: {STREAM}")
    chosen = choose_images(server, found["id"], ws, options.images)
    result.images = chosen.mode
    result.notes += [chosen.why] if chosen.why else []
    fetch = server.fetch
    if isinstance(chosen.images, Uploads):
        chosen.images.adopt(page for ones in inventory.tasks.values() for held in ones for page in held.pages)
        fetch = chosen.images.preview
    bad, warnings = check_tasks(
        make_tasks(ws, wanted, chosen.images), settings.label_config, fetch, options.images_checked
    )
    result.notes += warnings[:_WARNINGS]
    work = Synchroniser(sender, inventory, chosen.images, options, result)
    with progress("push", len(rows)) as advance:
        for item in make_tasks(ws, wanted, chosen.images):
            work.take(item if isinstance(item, Problem) else bad.get(item.pinpoint_id, item))
            advance(0 if isinstance(item, Problem) else 1)
        work.flush()
    work.finish(set(ws.read("questions", columns=["question_id"]).column(0).to_pylist()))
    return result
