"""The raw JSON export of a Label Studio project as a stream of tasks, in memory for a task at a time.

A damaged or cut file gives every whole task before the damage and, from the next place where a whole task begins,
every one after it; each damaged stretch is a `Problem` that names its bytes.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from annotation.label_studio.task_text import decode_task
from pinpoint_data.errors import Problem, SourceError
from pinpoint_data.sources.json_files import sniff

MAX_TASK_CHARS = 256 * 1024 * 1024
"""A longer task is damage: Label Studio takes no more than 250 MiB in a request."""

REMEDY = "export the project as JSON, not as JSON_MIN, CSV, COCO, YOLO or another format"

_CHUNK = 1024 * 1024
_BLANK = re.compile(r"[ \t\n\r]*")
_TASK = re.compile(r'\{[ \t\n\r]*"(?:id|annotations|data|drafts|predictions|allow_skip)"[ \t\n\r]*:')
_COCO = re.compile(r'\{[ \t\n\r]*"(?:images|categories|info|licenses)"[ \t\n\r]*:')
# Longer than what the end of a chunk may cut: the beginning of a task, a literal (-Infinity), an escape.
_EDGE = 64
_END = object()


def iter_tasks(path: Path, advance: Callable[[int], None] | None = None) -> Iterator[Any]:
    """The items of a raw export: a list of tasks, or one task.

    What is no UTF-8 comes as surrogate escapes.

    Args:
        path: The file.
        advance: Called with the number of bytes read.

    Yields:
        Each item as decoded, of whatever type, and a `Problem` (`damaged-export`) for each stretch that is no JSON.

    Raises:
        SourceError: The file cannot be read, or is an export of another format.
    """
    sniff(path)
    with path.open("rb") as handle:
        yield from _Reader(handle, path, advance or (lambda size: None)).items()


def looks_like_task(value: Any) -> bool:
    """Whether a decoded item has what every exported task has."""
    return isinstance(value, dict) and isinstance(value.get("data"), dict) and "annotations" in value


class _DamageError(Exception):
    """What stands at this place cannot be decoded."""


class _Reader:
    """A place in a file that is read in chunks: `text[at:]` is what was read and not used yet."""

    def __init__(self, handle: BinaryIO, path: Path, advance: Callable[[int], None]) -> None:
        self.handle, self.path, self.advance = handle, path, advance
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at, self.base, self.ended = "", 0, 0, False
        # What may follow: an item, a mark between items, or the end of a file that is one task.
        self.follows, self.fresh = "item", True

    def items(self) -> Iterator[Any]:
        """All items, with the damaged stretches among them."""
        self._begin()
        while True:
            try:
                item = self._next()
            except _DamageError as damage:
                begin = self._offset()
                whole = self._recover()
                yield self._problem(str(damage), begin)
                if not whole:
                    return
                self.follows = "item"
            else:
                if item is _END:
                    return
                yield item

    def _begin(self) -> None:
        """Step into the list, or refuse what is none."""
        self._more()
        self.at = int(self.text.startswith("\ufeff"))
        first = self._peek()
        if not first:
            raise SourceError("is empty", file=self.path, remedy=REMEDY)
        if first == "[":
            self.at += 1
            self.follows = "mark" if self._peek() == "]" else "item"
        elif _COCO.match(self.text, self.at) or not _TASK.search(self.text, self.at):
            raise SourceError("is no list of Label Studio tasks", file=self.path, remedy=REMEDY)
        elif first == "{":
            self.follows = "only item"

    def _next(self) -> Any:
        if self.follows == "end" or (self.follows == "mark" and self._mark() == "]"):
            if self._peek():
                raise _DamageError("goes on after its end")
            return _END
        value, self.at = self._decode()
        if self.fresh:
            self._refuse_others(value)
        self.follows, self.fresh = "end" if self.follows == "only item" else "mark", False
        return value

    def _refuse_others(self, value: Any) -> None:
        """Refuse what the first item shows to be another format."""
        if self.follows == "only item" and not looks_like_task(value):
            raise SourceError("is an object, and no Label Studio task", file=self.path, remedy=REMEDY)
        if isinstance(value, dict) and "annotator" in value and not {"data", "annotations"} & value.keys():
            raise SourceError(
                "is a JSON_MIN export, which has neither the pages nor the ids of boxes", file=self.path, remedy=REMEDY
            )

    def _mark(self) -> str:
        mark = self._peek()
        if mark not in (",", "]"):
            raise _DamageError("expected ',' or ']'" if mark else "the file ends inside the list")
        self.at += 1
        return mark

    def _peek(self) -> str:
        """The next character that is not blank, or "" at the end."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            self.at = blank.end() if blank else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self._more()

    def _more(self) -> None:
        """Read as much again as is held: a task in many chunks is then decoded a few times, not many."""
        held = len(self.text) - self.at
        chunk = self.handle.read(max(_CHUNK, held))
        self.base = self._offset()
        self.ended = not chunk
        self.text, self.at = self.text[self.at :] + self.decoder.decode(chunk, self.ended), 0
        self.advance(len(chunk))

    def _offset(self) -> int:
        """The byte of the file that this place is."""
        return self.base + len(self.text[: self.at].encode("utf-8", "surrogateescape"))

    def _decode(self) -> tuple[Any, int]:
        """The value at this place, and the place after it."""
        self._peek()
        while True:
            try:
                value, end = decode_task(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self._is_cut(error):
                    raise _DamageError(f"is not valid JSON: {error.msg}") from error
                if self.ended:
                    raise _DamageError("the file ends inside a task") from error
                if len(self.text) - self.at > MAX_TASK_CHARS:
                    raise _DamageError(f"a task is longer than {MAX_TASK_CHARS:,} characters") from error
            except RecursionError as error:
                raise _DamageError("is nested too deeply") from error
            except ValueError as error:
                raise _DamageError(str(error)) from error
            else:
                # A number that the end of the chunk cuts decodes too.
                if isinstance(value, dict | list) or end + _EDGE < len(self.text) or self.ended:
                    return value, end
            self._more()

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more text could mend it."""
        return error.pos + _EDGE >= len(self.text) or error.msg.startswith("Unterminated string")

    def _recover(self) -> bool:
        """Step to the next whole task, or to the end of the file."""
        while True:
            found = _TASK.search(self.text, self.at)
            if found is None:
                self.at = max(self.at, len(self.text) - (0 if self.ended else _EDGE))
                if self.ended:
                    return False
                self._more()
                continue
            self.at = found.start()
            try:
                value, end = self._decode()
            except _DamageError:
                self.at += 1
                continue
            if looks_like_task(value):
                return True
            self.at = end

    def _problem(self, fault: str, begin: int) -> Problem:
        return Problem(
            "damaged-export",
            self.path.name,
            f"bytes {begin:,} to {self._offset():,}",
            fault,
            "export the project again; the whole tasks around the damage are read",
        )
