"""JSON and JSONL files as a stream of records, in memory for one record at a time.

Records go through Python's own decoder, so integers keep all their digits, floats their exact value, and what is no
valid text stays visible as such. (ijson was measured and left: its C backend replaces lone surrogates by other
characters without a word, refuses integers above 64 bits, and 200 KB of nested brackets exhaust memory.)
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pinpoint_data.errors import SourceError
from pinpoint_data.small_files import refuse_special
from pinpoint_data.sources.base import RecordError
from pinpoint_data.sources.fields import Fields

MAX_RECORD_CHARS = 64 * 1024 * 1024
"""A single record above this size is refused: nothing real comes near it."""

_CHUNK = 1024 * 1024
_BLANK = re.compile(r"[ \t\n\r]*")
_PICKLES = (b"\x93NUMPY", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class RawRecord:
    """One record of a file, as decoded.

    Attributes:
        place: Where it stands, for example `data[3]` or `line 12`.
        value: What was decoded, of any type.
        fault: Why it cannot be used, known already while decoding.
    """

    place: str
    value: Any
    fault: RecordError | None = None

    def fields(self) -> Fields:
        """The record's fields.

        Raises:
            RecordError: `bad-json`, `bad-text`, `duplicate-key`, or `bad-record` where it is not an object.
        """
        if self.fault:
            raise self.fault
        if not isinstance(self.value, dict):
            raise RecordError("bad-record", f"expected an object, got a {type(self.value).__name__}")
        return Fields(self.value)

    def name(self, *id_fields: str) -> str:
        """The record's id as the user knows it, or its place where it has none."""
        if isinstance(self.value, dict):
            for field in id_fields:
                if isinstance(self.value.get(field), str | int):
                    return str(self.value[field])
        return self.place


class _Decoder(json.JSONDecoder):
    """Notes keys that an object has twice, which plain decoding would drop."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        super().__init__(object_pairs_hook=self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            self.twice += [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        return found

    def fault(self) -> RecordError | None:
        """The fault of the record decoded last."""
        keys, self.twice = self.twice, []
        return RecordError("duplicate-key", f"key {keys[0]!r} stands twice in one object") if keys else None


def sniff(path: Path) -> None:
    """Refuse what is no JSON text at first sight.

    Raises:
        SourceError: The file is missing, a folder, a pickle, or UTF-16.
    """
    try:
        refuse_special(path)
        with path.open("rb") as handle:
            head = handle.read(8)
    except OSError as error:
        raise SourceError(error.strerror or str(error), file=path) from error
    if head.startswith(_PICKLES):
        raise SourceError("holds a pickle, which can run any code and is not read", file=path)
    if head.startswith(_UTF16):
        raise SourceError("is UTF-16 text", file=path, remedy="store it as UTF-8")


def read_lines(path: Path) -> Iterator[RawRecord]:
    """Records of a JSONL file; a line that is no JSON is a record with a fault, blank lines are skipped.

    Raises:
        SourceError: The file cannot be opened, or is no text file at all.
    """
    sniff(path)
    decoder = _Decoder()
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(MAX_RECORD_CHARS):
            number += 1
            if len(line) == MAX_RECORD_CHARS and not line.endswith(b"\n"):
                _skip_line(handle)
                yield RawRecord(f"line {number}", None, RecordError("bad-json", "is longer than any real record"))
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _record(decoder, line, f"line {number}")


def _skip_line(handle: IO[bytes]) -> None:
    while (line := handle.readline(MAX_RECORD_CHARS)) and not line.endswith(b"\n"):
        pass


def _record(decoder: _Decoder, line: bytes, place: str) -> RawRecord:
    try:
        value = decoder.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RawRecord(place, None, RecordError("bad-text", f"is not UTF-8 text: {error.reason}"))
    except RecursionError:
        return RawRecord(place, None, RecordError("bad-json", "is nested too deeply"))
    except ValueError as error:
        return RawRecord(place, None, RecordError("bad-json", f"is not valid JSON: {error}"))
    return RawRecord(place, value, decoder.fault())


def read_array(path: Path, key: str | None) -> Iterator[RawRecord]:
    """Records of a JSON file that is one object with a list under `key` (or, with None, a list).

    Raises:
        SourceError: The file is not valid JSON from its first to its last character, or has no such list.
    """
    sniff(path)
    with path.open(encoding="utf-8-sig", newline="") as handle:
        cursor = _Cursor(handle, path)
        yield from cursor.array("") if key is None else cursor.member(key)
        if cursor.peek():
            raise cursor.error("goes on after its end")


class _Cursor:
    """A place in a JSON text that is read in chunks."""

    def __init__(self, handle: IO[str], path: Path) -> None:
        self.handle, self.path = handle, path
        self.text, self.at, self.ended, self.place = "", 0, False, "the beginning"
        self.decoder = _Decoder()

    def error(self, message: str) -> SourceError:
        """A failure at this place."""
        return SourceError(message, file=self.path, record=f"after {self.place}", remedy="is the download complete?")

    def more(self) -> None:
        """Read as much again as is held: a record in many chunks is then decoded a few times, not many."""
        try:
            chunk = self.handle.read(max(_CHUNK, len(self.text) - self.at))
        except UnicodeDecodeError as error:
            raise self.error(f"is not UTF-8 text: {error.reason}") from error
        self.text, self.at, self.ended = self.text[self.at :] + chunk, 0, not chunk

    def peek(self) -> str:
        """The next character that is not blank, or "" at the end."""
        while True:
            match = _BLANK.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended:
                return ""
            self.more()

    def take(self, wanted: str) -> str:
        """Step over one of the wanted characters."""
        found = self.peek()
        if not found or found not in wanted:
            expected = " or ".join(repr(c) for c in wanted)
            raise self.error(f"is not valid JSON: expected {expected}, found {repr(found) if found else 'its end'}")
        self.at += 1
        return found

    def value(self) -> Any:
        """Decode one whole value."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self.ended or len(self.text) - self.at > MAX_RECORD_CHARS:
                    raise self.error(f"is not valid JSON: {error.msg}") from error
            except RecursionError as error:
                raise self.error("is nested too deeply") from error
            except ValueError as error:
                raise self.error(f"is not valid JSON: {error}") from error
            else:
                # Near the end of the chunk a number may be cut: "1", "1." and "1e+" all decode as 1.
                if end + 3 <= len(self.text) or self.ended:
                    self.at = end
                    return value
            self.decoder.twice.clear()
            self.more()

    def array(self, name: str) -> Iterator[RawRecord]:
        """The items of the list at this place."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        index, mark = 0, ","
        while mark == ",":
            place = f"{name}[{index}]"
            value = self.value()
            self.place, index = place, index + 1
            yield RawRecord(place, value, self.decoder.fault())
            mark = self.take(",]")

    def member(self, key: str) -> Iterator[RawRecord]:
        """The items of the list under `key` of the object at this place; its other members are passed over."""
        self.take("{")
        names: list[str] = []
        mark = "," if self.peek() != "}" else self.take("}")
        while mark == ",":
            name = self.value() if self.peek() == '"' else self.take('"')
            self.take(":")
            if name == key and key in names:
                raise self.error(f"has {key!r} twice")
            names.append(name)
            if name == key:
                yield from self.array(key)
            else:
                self.value()
                self.decoder.twice.clear()
            self.place, mark = repr(name), self.take(",}")
        if key not in names:
            raise SourceError(f"has no list {key!r}; it has {', '.join(names[:12]) or 'nothing'}", file=self.path)
