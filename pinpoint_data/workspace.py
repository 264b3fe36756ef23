"""A workspace: a folder of Parquet tables that commands read and write, and that any other tool can read.

WS/workspace.json                      schema version; for each source its reader and root folder
WS/pages/infovqa-train.parquet         a table is a folder, one part a source and split
WS/questions/... words/... annotations/... evidence/... verdicts/...
WS/words/.infovqa-train.staging/       chunks of an unfinished part; a rerun resumes from them
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa

from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.schema import SCHEMA_VERSION, TABLES
from pinpoint_data.small_files import read_small_text
from pinpoint_data.tables import PartWriter, count_rows, iter_part, part_metadata, read_part, schema_of, write_part

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")
# With what a kill leaves of files that were being written.
_OWN_NAMES = {*TABLES, "files", "logs", ".lock", ".lock.json", ".workspace.json.tmp", "..lock.json.tmp"}


@dataclass(frozen=True)
class Source:
    """Where a source's files stand: pages' paths are relative to `root`."""

    name: str
    reader: str
    root: Path


class Workspace:
    """A folder of tables. Use `Workspace.open` or `Workspace.create`."""

    def __init__(self, path: Path, sources: dict[str, Source]) -> None:
        self.path = path
        self.sources = sources

    @classmethod
    def create(cls, path: Path | str) -> Workspace:
        """Open the workspace at `path`, making it where there is none.

        Tables whose `workspace.json` was removed (because it was damaged) are taken up again; their sources are
        known once they have been ingested anew.

        Raises:
            UsageError: `path` is a folder with other things in it.
            WorkspaceError: It is a workspace that cannot be used.
        """
        path = Path(path)
        if not (path / "workspace.json").exists():
            if path.exists() and (not path.is_dir() or {entry.name for entry in path.iterdir()} - _OWN_NAMES):
                raise UsageError(
                    "is neither empty nor a workspace", file=path, remedy="name a new folder for the workspace"
                )
            path.mkdir(parents=True, exist_ok=True)
            cls(path, {})._save()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> Workspace:
        """Open an existing workspace.

        Raises:
            WorkspaceError: There is none, it is damaged, or a newer version of this program made it.
        """
        path = Path(path)
        file = path / "workspace.json"
        try:
            found = json.loads(read_small_text(file))
            version = int(found["schema_version"])
            sources = {
                name: Source(name, str(entry["reader"]), Path(entry["root"]))
                for name, entry in found["sources"].items()
            }
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise WorkspaceError("is not a workspace", file=path, remedy="make one with `pinpoint ingest`") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise WorkspaceError(
                f"workspace.json is damaged: {error}",
                file=file,
                remedy="remove workspace.json and ingest the sources again; tables stay",
            ) from error
        if version > SCHEMA_VERSION:
            raise WorkspaceError(
                f"schema version {version} is newer than this program's {SCHEMA_VERSION}",
                file=file,
                remedy="upgrade pinpoint-data",
            )
        return cls(path, sources)

    def _save(self) -> None:
        sources = {s.name: {"reader": s.reader, "root": str(s.root)} for s in self.sources.values()}
        write_json(self.path / "workspace.json", {"schema_version": SCHEMA_VERSION, "sources": sources})

    def check_source(self, name: str, reader: str, root: Path) -> None:
        """Refuse a name that stands for other files: pages of both would be looked for under one root.

        Raises:
            UsageError: Another reader's source has this name, or one whose files are still in another folder.
        """
        known = self.sources.get(name)
        if known and known.reader != reader:
            raise UsageError(
                f"the workspace has a source {name!r} from reader {known.reader!r} already",
                file=self.path,
                remedy="give this one another name with --name",
            )
        # Files that a reader keeps in the workspace itself move with it, also when it is copied.
        inside = root.resolve().is_relative_to(self.path.resolve())
        if known and known.root != root.resolve() and known.root.is_dir() and not inside:
            raise UsageError(
                f"the workspace has a source {name!r} from {known.root} already",
                file=self.path,
                remedy="give this one another name with --name; if it takes the other's place, move that folder away",
            )

    def register_source(self, name: str, reader: str, root: Path) -> None:
        """Remember where a source's files stand. A folder that moved is updated by ingesting it again.

        Raises:
            UsageError: See `check_source`.
        """
        self.check_source(name, reader, root)
        self.sources[name] = Source(name, reader, root.resolve())
        self._save()

    def root_of(self, source: str) -> Path:
        """The folder that the paths of a source's pages are relative to.

        Raises:
            WorkspaceError: The source is unknown, or its folder is gone.
        """
        if source not in self.sources:
            raise WorkspaceError(f"knows no source {source!r}", file=self.path, remedy="ingest it first")
        root = self.sources[source].root
        try:
            is_there = root.is_dir()
        except OSError:  # a name that no disk takes
            is_there = False
        if not is_there:
            raise WorkspaceError(
                f"the folder of source {source!r} is gone: {root}",
                file=self.path,
                remedy="run `pinpoint ingest` again with its new place",
            )
        return root

    @contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Hold the workspace for one writing command. The kernel frees the lock of a killed process.

        Raises:
            WorkspaceError: Another command holds it.
        """
        holder = self.path / ".lock.json"
        guard = filelock.FileLock(self.path / ".lock", timeout=0)
        try:
            guard.acquire()
        except filelock.Timeout as error:
            try:
                other = holder.read_text(encoding="utf-8").strip()
            except OSError:  # not written yet, or just removed
                other = "another command"
            raise WorkspaceError(
                f"is in use by {other}", file=self.path, remedy="wait for it to end, or stop it"
            ) from error
        try:
            write_text(holder, f"`{command}` (process {os.getpid()})\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            guard.release()

    def part_path(self, table: str, part: str) -> Path:
        """The file of one part of a table."""
        schema_of(table)
        if not _SLUG.fullmatch(part):
            raise UsageError(
                f"part name {part!r} must be lower-case letters, digits, '.', '_' and '-', and not start with a mark"
            )
        return self.path / table / f"{part}.parquet"

    def parts(self, table: str) -> list[str]:
        """Names of a table's parts, sorted."""
        schema_of(table)
        return sorted(p.stem for p in (self.path / table).glob("[a-z0-9]*.parquet"))

    def parts_of(self, table: str, source: str | None = None) -> list[str]:
        """Names of the parts of `pages` or `questions` that hold rows of a source; all parts for None.

        Raises:
            UsageError: The workspace does not know the source, or there is no such part.
        """
        parts = self.parts(table)
        if source is not None:
            if source not in self.sources:
                known = ", ".join(sorted(self.sources)) or "none"
                raise UsageError(f"knows no source {source!r} (it has: {known})", file=self.path)
            parts = [part for part in parts if source in self.read(table, [part], ["source"])["source"].to_pylist()]
        if not parts:
            raise UsageError(f"has no {table}", file=self.path, remedy="ingest a source first")
        return parts

    def count(self, table: str, parts: Iterable[str] | None = None) -> int:
        """Rows of a table, from the footers alone."""
        return sum(count_rows(table, self.part_path(table, part)) for part in self._chosen(table, parts))

    def metadata(self, table: str, part: str) -> dict[str, str]:
        """Provenance written with a part."""
        return part_metadata(table, self.part_path(table, part))

    def _chosen(self, table: str, parts: Iterable[str] | None) -> list[str]:
        return self.parts(table) if parts is None else list(parts)

    def read(self, table: str, parts: Iterable[str] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table (or of some parts of it), in part order."""
        found = [read_part(table, self.part_path(table, p), columns) for p in self._chosen(table, parts)]
        return pa.concat_tables(found) if found else schema_of(table, columns).empty_table()

    def iter_rows(
        self, table: str, parts: Iterable[str] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rows as dicts, streamed."""
        for part in self._chosen(table, parts):
            for batch in iter_part(table, self.part_path(table, part), columns):
                yield from batch.to_pylist()

    def writer(
        self, table: str, part: str, metadata: Mapping[str, str] | None = None
    ) -> AbstractContextManager[PartWriter]:
        """Replace a part atomically: `with ws.writer("words", "infovqa-train") as w: w.write_rows(rows)`."""
        return write_part(table, self.part_path(table, part), metadata)

    def remove(self, table: str, part: str) -> None:
        """Remove a part, if it is there."""
        self.part_path(table, part).unlink(missing_ok=True)

    def discard_stage(self, table: str, part: str) -> None:
        """Remove chunks of a part that is made: a kill may have come between its rename and their removal."""
        shutil.rmtree(_stage_folder(self, table, part), ignore_errors=True)

    def staged(self, table: str, part: str, fingerprint: str, chunks: int) -> StagedPart:
        """A part that is made in numbered chunks and survives being killed; see `StagedPart`."""
        return StagedPart(self, table, part, fingerprint, chunks)


def _stage_folder(workspace: Workspace, table: str, part: str) -> Path:
    return workspace.part_path(table, part).parent / f".{part}.staging"


class StagedPart:
    """A part made chunk by chunk: each finished chunk is on disk, a rerun does only the missing ones.

    The chunks are thrown away when `fingerprint` (the hash of whatever the rows depend on) or their number has changed.

        stage = ws.staged("words", "infovqa-train", fingerprint, chunks=40)
        for chunk in stage.missing():
            stage.put(chunk, rows)
        stage.finish({"engine": "textract"})
    """

    def __init__(self, workspace: Workspace, table: str, part: str, fingerprint: str, chunks: int) -> None:
        self.workspace, self.table, self.part, self.chunks = workspace, table, part, chunks
        self.folder = _stage_folder(workspace, table, part)
        stamp = self.folder / "fingerprint"
        # Another number of chunks cuts the rows elsewhere: old chunks would repeat some and lose others.
        text = f"{fingerprint} in {chunks}"
        if self.folder.exists() and (not stamp.exists() or stamp.read_text(encoding="utf-8") != text):
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(stamp, text)

    def _file(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06d}.parquet"

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not on disk yet."""
        return [chunk for chunk in range(self.chunks) if not self._file(chunk).exists()]

    def put(self, chunk: int, rows: Sequence[Mapping[str, Any]], metadata: Mapping[str, str] | None = None) -> None:
        """Save one finished chunk atomically, with a note about it (for example what it refused)."""
        # A name of its own: a worker that was believed dead may still write the same chunk.
        beside = self.folder / f".{chunk:06d}-{secrets.token_hex(8)}"
        with write_part(self.table, beside, metadata) as writer:
            writer.write_rows(rows)
        beside.replace(self._file(chunk))

    def notes(self) -> list[dict[str, str]]:
        """The metadata of every finished chunk, in order."""
        done = (self._file(chunk) for chunk in range(self.chunks))
        return [part_metadata(self.table, file) for file in done if file.exists()]

    def discard(self) -> None:
        """Throw the chunks away; the part stays what it was."""
        shutil.rmtree(self.folder)

    def finish(self, metadata: Mapping[str, str] | None = None) -> int:
        """Join the chunks into the part, remove them, and return the number of rows."""
        if left := self.missing():
            raise WorkspaceError(f"{len(left)} of {self.chunks} chunks are not made yet", file=self.folder)
        with self.workspace.writer(self.table, self.part, metadata) as writer:
            for chunk in range(self.chunks):
                for batch in iter_part(self.table, self._file(chunk)):
                    writer.write_rows(batch.to_pylist())
        self.discard()
        return writer.rows
