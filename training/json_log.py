"""A file of JSON lines, written as results come, so that whatever was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import filelock

from pinpoint_data.errors import UsageError, WorkspaceError

Entry = TypeVar("Entry")

# A key leads its line, as `write` puts it: which line is whose is known without parsing gigabytes of numbers.
_KEY = re.compile(rb'\{"key": "([^"\\]+)"')
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def json_digest(content: Any) -> str:
    """32 hexadecimal digits that depend on all of a JSON-ready value, but not on the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def finite(value: Any) -> float | int:
    """A number that was read from JSON, which knows NaN, infinity and true.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return value


class JsonLog:
    """Lines of JSON by key, in a file that one process at a time may write; memory holds only where each line is.

    A line is never changed or removed; of several with one key the last counts. A last line that a killed process
    left unfinished is cut off; a line in the middle that cannot be read is passed over.

    Args:
        path: The file.

    Attributes:
        path: The file.
        unreadable: Lines that were passed over, as far as anybody has asked for them.

    Raises:
        UsageError: Another process writes to the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.unreadable = path, 0
        self._starts: dict[str, int] = {}
        self._end = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise UsageError(
                "is being written by another command", file=path, remedy="wait for it, or use --out"
            ) from error
        try:
            # Unbuffered: what a write that failed has left behind must not come back with the next one.
            self._file = path.open("ab", buffering=0)
            self._reader = path.open("rb")
            self._find_lines()
            self._before = self._end
        except BaseException:
            self._unlock()
            raise

    def __contains__(self, key: object) -> bool:
        return key in self._starts

    def was_there(self, key: str) -> bool:
        """Whether the line of this key was there when the file was opened."""
        return self._starts.get(key, self._before) < self._before

    def read(self, key: str, parse: Callable[[Mapping[str, Any]], Entry]) -> Entry | None:
        """What the line of this key says.

        Args:
            key: Of the line.
            parse: Makes it of the line's fields; a ValueError, KeyError or the like means that it cannot be read.

        Returns:
            None where there is no such line, or none that can be read.
        """
        start = self._starts.get(key)
        if start is None:
            return None
        self._reader.seek(start)
        try:
            return parse(json.loads(self._reader.readline()))
        except _UNUSABLE:
            del self._starts[key]
            self.unreadable += 1
            return None

    def write(self, key: str, fields: Mapping[str, Any]) -> None:
        """Write a line down, whole or not at all.

        Raises:
            WorkspaceError: The file cannot be written, because the disk is full, say.
        """
        line = json.dumps({"key": key, **fields}, ensure_ascii=True).encode() + b"\n"
        try:
            done = 0
            while done < len(line):
                done += self._file.write(line[done:])
        except BaseException as error:
            with suppress(OSError):  # the next one to open the file cuts it off
                self._file.truncate(self._end)
            if isinstance(error, OSError):
                raise WorkspaceError(
                    f"cannot be written: {error.strerror or error}",
                    file=self.path,
                    remedy="make room and run the same command again: all lines so far are whole, and are kept",
                ) from error
            raise
        self._starts[key] = self._end
        self._end += len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._file.close()
        self._unlock()

    def _unlock(self) -> None:
        # Removed while still held: whoever waits for no lock (timeout 0) cannot be left with a dead one.
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _find_lines(self) -> None:
        for line in self._reader:
            if not line.endswith(b"\n"):
                self._file.truncate(self._end)
                break
            if found := _KEY.match(line):
                self._starts[found[1].decode(errors="replace")] = self._end
            else:
                self.unreadable += 1
            self._end += len(line)
