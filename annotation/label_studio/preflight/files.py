"""Task files before they are imported by hand: read one task at a time, however large."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotation.label_studio.exports import iter_tasks
from annotation.label_studio.preflight import Preflight
from annotation.label_studio.preflight.codes import Code, Finding
from annotation.label_studio.preflight.tasks import MAX_REQUEST_BYTES
from annotation.label_studio.task_files import CONFIG, MAX_BYTES, MAX_TASKS, read_manifest
from pinpoint_data.errors import Problem, SourceError, UsageError
from pinpoint_data.small_files import read_small_text


@dataclass
class Inputs:
    """What is to be looked at.

    Attributes:
        files: Task files.
        findings: What is wrong with the folders of exports.
        config: Interface of an export, or None.
        document_root: Of an export with local files, where it is on this machine, or None.
    """

    files: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    config: str | None = None
    document_root: Path | None = None


def inputs_of(paths: Sequence[Path]) -> Inputs:
    """Task files, and folders of exports with all their files.

    Raises:
        UsageError: A path does not exist, a folder is no export.
    """
    inputs = Inputs()
    for path in paths:
        if path.is_dir():
            _add_export(path, inputs)
        elif path.is_file():
            inputs.files.append(path)
        else:
            raise UsageError("does not exist", file=path, remedy="name task files, or the folder of an export")
    return inputs


def _add_export(folder: Path, inputs: Inputs) -> None:
    manifest = read_manifest(folder)
    if manifest.get("complete") is not True:
        inputs.findings.append(Finding(Code.UNFINISHED_EXPORT, "", "its manifest says so", str(folder)))
    entries = manifest.get("files", [])
    for entry in entries if isinstance(entries, list) else []:
        name, digest = _entry(entry, folder)
        path = folder / name
        if not path.is_file():
            inputs.findings.append(Finding(Code.CHANGED_FILE, "", "is missing", str(path)))
            continue
        inputs.files.append(path)
        with path.open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != digest:
                inputs.findings.append(Finding(Code.CHANGED_FILE, "", "is not what the export wrote", str(path)))
    if (folder / CONFIG).is_file():
        inputs.config = read_small_text(folder / CONFIG, "replace")
    images = manifest.get("images")
    root = images.get("document_root") if isinstance(images, dict) else None
    if isinstance(root, str) and "\0" not in root and Path(root).is_dir():
        inputs.document_root = Path(root)


def _entry(entry: Any, folder: Path) -> tuple[str, str]:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise UsageError(f"its manifest names the file {name!r:.80}", file=folder, remedy="run the export again")
    return name, str(entry.get("sha256"))


def file_findings(path: Path, check: Preflight) -> Iterator[Finding]:
    """What is wrong with one file and its tasks."""
    name, size, tasks = str(path), path.stat().st_size, 0
    if size > MAX_REQUEST_BYTES:
        yield Finding(Code.FILE_SIZE, "", f"is {size:,} bytes", name)
    try:
        for task in iter_tasks(path):
            if isinstance(task, Problem):
                yield Finding(Code.NO_JSON, "", f"{task.record}: {task.message}", name)
                continue
            tasks += 1
            yield from check.check(task, name)
    except SourceError as error:
        yield Finding(Code.NO_JSON, "", error.message, name)
    # One task may be larger; the limit is the server's, above.
    if tasks > MAX_TASKS or (tasks > 1 and size > MAX_BYTES * 1.01):
        yield Finding(Code.CHUNK, "", f"{tasks:,} tasks, {size:,} bytes", name)
