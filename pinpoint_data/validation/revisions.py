"""Revisions: what a fix changed, and the parts as they were before, so that every fix can be taken back.

WS/files/revisions/000001/revision.json          which parts, with the hashes of their files before and after
WS/files/revisions/000001/changes.jsonl          one line a changed row
WS/files/revisions/000001/annotations/P.parquet  part P as it was
WS/files/revisions/000001/annotations/P.new      part P as it shall be; moved into its place last of all

A revision is made in a hidden folder and renamed when it is whole. If the command is killed after that, the next one
moves the parts that are left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pinpoint_data.atomic import atomic_path, sync_folder, write_json, write_text
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.small_files import read_small_text, refuse_special
from pinpoint_data.tables import iter_part, write_part
from pinpoint_data.validation.findings import Limits
from pinpoint_data.validation.fixes import FIXABLE, Change, mended, plan
from pinpoint_data.validation.view import WorkspaceView
from pinpoint_data.workspace import Workspace


@dataclass(frozen=True)
class RevisedPart:
    """One part of a table that a revision changed, with the sha256 of its file before and after."""

    table: str
    part: str
    before: str
    after: str


@dataclass(frozen=True)
class Revision:
    """A revision on disk."""

    number: int
    folder: Path
    parts: tuple[RevisedPart, ...]

    def old(self, part: RevisedPart) -> Path:
        """The part as it was."""
        return self.folder / part.table / f"{part.part}.parquet"

    def new(self, part: RevisedPart) -> Path:
        """The part as it shall be, until it is moved into its place."""
        return self.folder / part.table / f"{part.part}.new"


def latest(workspace: Workspace) -> Revision | None:
    """The last revision, None where there is none.

    Raises:
        WorkspaceError: Its description is damaged.
    """
    folders = sorted((workspace.path / "files" / "revisions").glob("[0-9]*"))
    if not folders:
        return None
    file = folders[-1] / "revision.json"
    try:
        found = json.loads(read_small_text(file))
        parts = tuple(RevisedPart(**{name: str(value) for name, value in part.items()}) for part in found["parts"])
        for part in parts:
            workspace.part_path(part.table, part.part)  # which refuses what is no name
        return Revision(int(folders[-1].name), folders[-1], parts)
    except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WorkspaceError(
            f"the revision is damaged: {error}", file=file, remedy=f"move {folders[-1]} out of the workspace"
        ) from error


def fix(
    workspace: Workspace, *, source: str | None = None, limits: Limits | None = None, codes: Collection[str] = FIXABLE
) -> tuple[Revision | None, list[Change]]:
    """Mend what is safe to mend; see `fixes.plan`. Hold the workspace's lock.

    Returns:
        The revision (None where there was nothing to mend) and the changes that it holds.
    """
    last = latest(workspace)
    if last:
        complete(workspace, last)
    changes = plan(WorkspaceView(workspace, source), limits or Limits(), codes)
    return commit(workspace, changes), changes


def commit(workspace: Workspace, changes: Sequence[Change]) -> Revision | None:
    """Carry out changes as a new revision; None where there are none. Hold the workspace's lock.

    Rows, parts and provenance that no change names stay what they are.
    """
    if not changes:
        return None
    home = workspace.path / "files" / "revisions"
    before = latest(workspace)
    number = before.number + 1 if before else 1
    staging = home / ".staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    places = dict.fromkeys((change.table, change.part) for change in changes)
    parts = tuple(_stage(workspace, staging, *place, changes) for place in places)
    write_text(staging / "changes.jsonl", "".join(json.dumps(change.to_json()) + "\n" for change in changes))
    made = datetime.now(UTC).isoformat(timespec="seconds")
    description: dict[str, Any] = {"revision": number, "made": made, "parts": [vars(part) for part in parts]}
    write_json(staging / "revision.json", description)
    folder = staging.rename(home / f"{number:06d}")
    sync_folder(home)
    revision = Revision(number, folder, parts)
    complete(workspace, revision)
    return revision


def _stage(workspace: Workspace, staging: Path, table: str, part: str, changes: Sequence[Change]) -> RevisedPart:
    """Write the part before and after into the staging folder."""
    here = workspace.part_path(table, part)
    old, new = staging / table / f"{part}.parquet", staging / table / f"{part}.new"
    with atomic_path(old) as beside:
        shutil.copyfile(here, beside)
    ours = {change.row: change for change in changes if (change.table, change.part) == (table, part)}
    with write_part(table, new, workspace.metadata(table, part)) as writer:
        start = 0
        for batch in iter_part(table, here):
            rows = batch.to_pylist()
            writer.write_rows(list(_mended(rows, start, ours)))
            start += len(rows)
    return RevisedPart(table, part, _sha256(old), _sha256(new))


def _mended(rows: list[dict[str, Any]], start: int, changes: dict[int, Change]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start):
        kept = mended(row, changes[number]) if number in changes else row
        if kept is not None:
            yield kept


def complete(workspace: Workspace, revision: Revision) -> None:
    """Move the new parts into their places, those that a killed command left too; parts changed since stay."""
    for part in revision.parts:
        new, here = revision.new(part), workspace.part_path(part.table, part.part)
        if not new.exists():
            continue
        if here.exists() and _sha256(here) == part.before:
            new.replace(here)
            sync_folder(here.parent)
        else:
            new.unlink()


def undo(workspace: Workspace) -> Revision:
    """Put back what the last revision changed, and forget the revision. Hold the workspace's lock.

    Raises:
        UsageError: There is no revision, or a part was written anew since and its newer rows would be lost.
        WorkspaceError: The revision is damaged; nothing is put back.
    """
    revision = latest(workspace)
    if revision is None:
        raise UsageError("has no fix that could be undone", file=workspace.path)
    complete(workspace, revision)
    now = {part: _sha256_or_none(workspace.part_path(part.table, part.part)) for part in revision.parts}
    for part, found in now.items():
        if found not in (part.before, part.after):
            raise UsageError(
                f"was written anew since fix {revision.number}; undoing that would lose its newer rows",
                file=workspace.part_path(part.table, part.part),
                remedy=f"the part as it was before the fix is {revision.old(part)}",
            )
    for part, found in now.items():
        if found != part.before and _sha256_or_none(revision.old(part)) != part.before:
            raise WorkspaceError("is not the part as it was before the fix", file=revision.old(part))
    for part, found in now.items():
        if found != part.before:
            with atomic_path(workspace.part_path(part.table, part.part)) as beside:
                shutil.copyfile(revision.old(part), beside)
    undone = revision.folder.rename(revision.folder.with_name(f".{revision.folder.name}.undone"))
    shutil.rmtree(undone)
    return revision


def _sha256(path: Path) -> str:
    refuse_special(path)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sha256_or_none(path: Path) -> str | None:
    return _sha256(path) if path.exists() else None
