"""One task of a raw export, decoded so that every result entry keeps the very text it stood in.

The tables keep each region's JSON untouched. Encoding it anew costs more than everything else in an import, so the
decoder walks the few levels above the results itself and leaves the values to the C scanner of `json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Parsed = tuple[Any, int]
"""A decoded value and the place after it."""

Decoder = Callable[[str, int], Parsed]

# The C scanner itself: like `raw_decode`, but "Expecting value" is a StopIteration.
_value: Decoder = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_FIRST_KEY = re.compile(r'\{[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_NEXT_KEY = re.compile(r'[ \t\n\r]*,[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_CLOSE = re.compile(r"[ \t\n\r]*\}")
# Lists of objects only: what else they hold is left to the C scanner.
_BEGIN = re.compile(r"\[[ \t\n\r]*(?=\{)")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_CLOSE_LIST = re.compile(r"[ \t\n\r]*\]")


class DuplicateKeyError(ValueError):
    """An object of a task has a key twice: taking either would drop the other."""


class Entry(dict[str, Any]):
    """A result entry.

    Attributes:
        text: Its JSON, as it stood in the file.
    """

    __slots__ = ("text",)
    text: str


class Annotation(dict[str, Any]):
    """An annotation or draft.

    Attributes:
        text: Its JSON, as it stood in the file, without the member `result`.
    """

    __slots__ = ("text",)
    text: str


def decode_task(text: str, at: int) -> Parsed:
    """Decode the JSON value that starts at `text[at]`.

    A task's annotations and drafts are `Annotation`s, the entries of their results `Entry`s.

    Raises:
        json.JSONDecodeError: It is no valid JSON, or `text` ends inside it; `pos` says where.
        DuplicateKeyError: A task or an annotation has a key twice.
        ValueError: A number has more digits than Python converts.
        RecursionError: It is nested too deeply.
    """
    try:
        return _object(text, at, {}, _of_task()) if text[at : at + 1] == "{" else _value(text, at)
    except StopIteration as stop:
        raise json.JSONDecodeError("Expecting value", text, stop.value) from None


def json_text(value: Any) -> str:
    """`value` as JSON text that any reader takes.

    The text that an entry came in is kept. What JSON does not have is changed: NaN and infinities become strings, text
    that no UTF-8 can hold becomes escapes.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if isinstance(value, Entry) and _clean(value.text):
        return value.text
    try:
        text = _encode(value)
    except ValueError:
        text = _encode(_finite(value))
    if not text.isascii() and not _is_unicode(text):
        text = json.dumps(json.loads(text), ensure_ascii=True, separators=(",", ":"))
    return text


def text_without_result(record: Mapping[str, Any]) -> str:
    """An annotation or draft as JSON text, without its member `result`."""
    if isinstance(record, Annotation) and _clean(record.text):
        return record.text
    return json_text({key: value for key, value in record.items() if key != "result"})


def _clean(text: str) -> bool:
    return "NaN" not in text and "Infinity" not in text and (text.isascii() or _is_unicode(text))


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return repr(value) if isinstance(value, float) and value - value != 0 else value


def _object(text: str, at: int, found: dict[str, Any], special: Mapping[str, Decoder]) -> Parsed:
    """Fill `found` with an object, some of whose members have decoders of their own.

    What this does not know (keys with escapes, an empty object, damage) is left to the C scanner: it decodes the
    object, or says what is wrong with it.
    """
    cut, end = None, 0
    member = _FIRST_KEY.match(text, at)
    while member:
        key, previous = member[1], end
        if key in found:
            raise DuplicateKeyError(f"key {key!r} stands twice in one object")
        found[key], end = special.get(key, _value)(text, member.end())
        following = _NEXT_KEY.match(text, end)
        if key == "result":
            # With the comma behind it; the last member with the one before it.
            cut = (member.start(1) - 1, following.start(1) - 1) if following else (previous or member.start(1) - 1, end)
        member = following
    closed = _CLOSE.match(text, end) if end else None
    if closed is None:
        return _value(text, at)
    if isinstance(found, Annotation):
        found.text = text[at : cut[0]] + text[cut[1] : closed.end()] if cut else text[at : closed.end()]
    return found, closed.end()


def _list_of(item: Decoder) -> Decoder:
    """A decoder of lists whose objects are decoded by `item`."""

    def decode(text: str, at: int) -> Parsed:
        items = []
        begin = _BEGIN.match(text, at)
        while begin:
            value, end = item(text, begin.end())
            items.append(value)
            begin = _COMMA.match(text, end)
        closed = _CLOSE_LIST.match(text, end) if items else None
        return (items, closed.end()) if closed else _value(text, at)

    return decode


def _entry(text: str, at: int) -> Parsed:
    value, end = _value(text, at)
    entry = Entry(value)
    entry.text = text[at:end]
    return entry, end


class _Repeated:
    """A decoder of objects that stand there again and again, word for word: they are decoded once.

    Every annotation of a task holds a copy of the prediction it began with.
    """

    def __init__(self) -> None:
        self._text = ""
        self._value: dict[str, Any] = {}

    def __call__(self, text: str, at: int) -> Parsed:
        # The text of an object says where it ends.
        if self._text and text.startswith(self._text, at):
            return self._value, at + len(self._text)
        value, end = _value(text, at)
        if isinstance(value, dict):
            self._text, self._value = text[at:end], value
        return value, end


_RESULT = _list_of(_entry)


def _of_task() -> dict[str, Decoder]:
    """The decoders for the members of one task."""
    members: dict[str, Decoder] = {"result": _RESULT, "prediction": _Repeated()}
    annotations = _list_of(lambda text, at: _object(text, at, Annotation(), members))
    return {"annotations": annotations, "drafts": annotations}
