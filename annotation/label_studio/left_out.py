"""What an import did not turn into rows, whole, in WS/files/label-studio/<slug>/left_out.jsonl: nothing is lost.

The file only grows, and holds each record once however often it is met.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from annotation.label_studio.names import Names
from annotation.label_studio.task_text import json_text
from pinpoint_data.atomic import atomic_path

_PEOPLE = ("completed_by", "updated_by", "last_created_by", "created_by", "user")


class LeftOut:
    """Collects records beside the file; see `left_out_file`."""

    def __init__(self, known: set[bytes], handle: IO[bytes]) -> None:
        self._known, self._handle = known, handle
        self.added = 0

    def add(self, code: str, message: str, where: Mapping[str, Any], value: Any) -> None:
        """Keep one record.

        Args:
            code: Why it was left out.
            message: The same, in words.
            where: What it belongs to: task, annotation, question, annotator.
            value: The record, as decoded.
        """
        head = json_text({"code": code, "message": message, **where})
        try:
            text = json_text(value)
        except RecursionError:
            text = '"nested too deeply to be written"'
        # A line end inside a JSON text is a blank between values, never part of one.
        line = f'{head[:-1]},"json":{text}}}'.replace("\n", " ").replace("\r", " ").encode("utf-8")
        digest = hashlib.blake2b(line, digest_size=16).digest()
        if digest not in self._known:
            self._known.add(digest)
            self._handle.write(line + b"\n")
            self.added += 1


@contextmanager
def left_out_file(path: Path) -> Iterator[LeftOut]:
    """Collect records, and add those that are new to the file `path` at the end, all or none."""
    known: set[bytes] = set()
    if path.exists():
        with path.open("rb") as handle:
            known = {hashlib.blake2b(line.rstrip(b"\n"), digest_size=16).digest() for line in handle}
    with tempfile.TemporaryFile() as fresh:
        collected = LeftOut(known, fresh)
        yield collected
        if not collected.added:
            return
        fresh.seek(0)
        with atomic_path(path) as beside, beside.open("wb") as target:
            if path.exists():
                with path.open("rb") as handle:
                    shutil.copyfileobj(handle, target)
            shutil.copyfileobj(fresh, target)


def without_people(record: Any, names: Names) -> Any:
    """An annotation or draft with users' ids in place of their names and e-mail addresses."""
    if not isinstance(record, dict):
        return record
    told = [key for key in _PEOPLE if isinstance(record.get(key), dict | str)]
    if not told and "created_username" not in record:
        return record
    changed = {key: _impersonal(record[key], names) for key in told}
    return {key: changed.get(key, value) for key, value in record.items() if key != "created_username"}


def _impersonal(user: Any, names: Names) -> Any:
    key = names.key(user)
    return {"id": user.get("id")} if isinstance(user, dict) else key
