"""Task files for an import by hand: chunks that Label Studio takes, the interface, and how to bring them in."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotation.label_studio.interface import INSTRUCTIONS, STREAM, TASK_SCHEMA_VERSION
from annotation.label_studio.tasks import Task
from pinpoint_data.atomic import write_bytes, write_json, write_text
from pinpoint_data.errors import Outcome, Problem, UsageError
from pinpoint_data.small_files import read_small_text

MAX_TASKS = 500
MAX_BYTES = 20_000_000
"""Larger imports time out; tasks and bytes of one file."""

MANIFEST, CONFIG, README = "manifest.json", "config.xml", "README.txt"
KIND = "pinpoint-data tasks for Label Studio"
_TASK_FILE = re.compile(r"tasks-\d{4,}\.json")


@dataclass
class TaskFiles:
    """What was written.

    Attributes:
        files: Name, tasks, bytes and sha256 of each.
        versions: Tasks by `model_version` of their prediction.
        outcome: Counts, and what was left out.
    """

    files: list[dict[str, Any]] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=lambda: Outcome(Counter(tasks=0)))


def encoded(payload: Mapping[str, Any]) -> bytes:
    """A task as one line of JSON: plain ASCII, no NaN."""
    return json.dumps(payload, ensure_ascii=True, allow_nan=False).encode("ascii")


def write_task_files(
    out: Path, tasks: Iterable[Task | Problem], *, config: str, images: Mapping[str, str], how_images: str
) -> TaskFiles:
    """Write tasks as files into a folder of their own; the same tasks give the same bytes.

    A folder that an export wrote before is brought up to date. Until the last file is there, its manifest says that it
    is not complete.

    Args:
        out: The folder.
        tasks: Tasks, and what was left out between them.
        config: The interface.
        images: How page images are shown (`mode`, ...), for the manifest.
        how_images: What to do for them, for the README.

    Raises:
        UsageError: The folder holds something else.
    """
    check_folder(out)
    head = {"kind": KIND, "schema_version": TASK_SCHEMA_VERSION, "images": dict(images)}
    write_json(out / MANIFEST, {**head, "complete": False})
    written = TaskFiles()
    for number, lines in enumerate(_chunks(_lines(tasks, written)), 1):
        data = b"[\n" + b",\n".join(lines) + b"\n]\n"
        name = f"tasks-{number:04d}.json"
        write_bytes(out / name, data)
        digest = hashlib.sha256(data).hexdigest()
        written.files.append({"name": name, "tasks": len(lines), "bytes": len(data), "sha256": digest})
    names = {entry["name"] for entry in written.files}
    for path in out.iterdir():
        if _TASK_FILE.fullmatch(path.name) and path.name not in names:
            path.unlink()
    write_text(out / CONFIG, config)
    write_text(out / README, _readme(written, how_images))
    versions = dict(sorted(written.versions.items()))
    left_out = dict(sorted(written.outcome.refused.items()))
    tail = {"complete": True, "files": written.files, "model_versions": versions, "left_out": left_out}
    write_json(out / MANIFEST, {**head, "tasks": written.outcome.counts["tasks"], **tail})
    return written


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an export.

    Raises:
        UsageError: The folder is none.
    """
    file = folder / MANIFEST
    try:
        found = json.loads(read_small_text(file))
    except FileNotFoundError as error:
        raise UsageError("is no export: it has no manifest.json", file=folder, remedy="name the task files") from error
    except (ValueError, RecursionError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError(f"manifest.json is damaged: {error}", file=file, remedy="run the export again") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UsageError("is not the manifest of an export", file=file, remedy="name the task files")
    return found


def check_folder(out: Path) -> None:
    """Refuse a folder that holds something other than an export.

    Raises:
        UsageError: It does.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("is a file", file=out, remedy="name a new folder for the export")
    if out.is_dir() and any(out.iterdir()):
        try:
            read_manifest(out)
        except UsageError as error:
            raise UsageError(
                "is neither empty nor an earlier export", file=out, remedy="name a new folder for the export"
            ) from error


def _lines(tasks: Iterable[Task | Problem], written: TaskFiles) -> Iterator[bytes]:
    for task in tasks:
        if isinstance(task, Problem):
            written.outcome.refuse(task)
            continue
        written.outcome.counts["tasks"] += 1
        written.outcome.counts["items"] += len(task.data["items"])
        for prediction in task.predictions:
            written.outcome.counts["prelabelled"] += 1
            written.versions[prediction["model_version"]] += 1
        yield encoded(task.payload())


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and (len(chunk) == MAX_TASKS or size + len(line) > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 2
    if chunk:
        yield chunk


def _readme(written: TaskFiles, how_images: str) -> str:
    names = [entry["name"] for entry in written.files]
    one_by_one = f"{names[0]} to {names[-1]}, one after the other," if len(names) > 1 else "".join(names)
    version = max(written.versions, key=lambda name: (written.versions[name], name), default=None)
    steps = [
        "Check them: pinpoint label-studio preflight THIS-FOLDER",
        "Make a project with a title of 3 to 50 characters; no data yet.",
        "Settings, Labeling Interface, Code: paste config.xml and save.",
        how_images,
        f"Import {one_by_one} while nobody annotates: an import during which somebody saves can lose "
        "its predictions without a message. Never import a file twice: that makes every task again.",
    ]
    if version is not None:
        steps.append(
            f"Settings, Annotation, Live Predictions: choose {version}. Only then does the label stream prefill."
        )
    if len(written.versions) > 1:
        others = ", ".join(sorted(name for name in written.versions if name != version))
        steps.append(
            f"Tasks with other predictions ({others}) open empty in the label stream: make a project for each."
        )
    steps += [
        "To have several annotators a task: PATCH /api/projects/ID with maximum_annotations (there is no button); "
        f"{STREAM}.",
        "When they are done, export as JSON (not JSON_MIN, CSV or COCO) and run: pinpoint label-studio import",
    ]
    lines = [f"{place}. {step}" for place, step in enumerate(steps, 1)]
    tasks = f"{written.outcome.counts['tasks']} tasks for Label Studio, made by pinpoint-data."
    rest = "`pinpoint label-studio push` does all of this by itself."
    return "\n".join([tasks, rest, "", *lines, "", "For annotators:", INSTRUCTIONS, ""])
