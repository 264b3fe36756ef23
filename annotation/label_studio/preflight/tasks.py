"""One task, before it is sent: its data, its texts, its size."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from annotation.label_studio.geometry import Item
from annotation.label_studio.interface import PAGES, TASK_SCHEMA_VERSION, Control
from annotation.label_studio.preflight.codes import Code
from annotation.label_studio.preflight.regions import Fault, prediction_faults, shown
from pinpoint_data.errors import GeometryError

MAX_REQUEST_BYTES = 250 * 1024 * 1024
"""The server's DATA_UPLOAD_MAX_MEMORY_SIZE: more in one request is a 500."""


def task_faults(task: Any, controls: Mapping[str, Control], keys: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with a task, whatever it is.

    Args:
        task: An entry of the list to be imported.
        controls: Of the interface.
        keys: Of `data`, that the interface shows as text.
    """
    if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
        yield Code.NO_TASK, f"is {shown(task)}"
        return
    data = task["data"]
    yield from _origin_faults(task)
    yield from _data_faults(data, keys)
    yield from _page_faults(data)
    yield from _text_faults(task)
    yield from prediction_faults(task, controls, items_of(data))
    size = task_bytes(task)
    if size > MAX_REQUEST_BYTES:
        yield Code.TASK_SIZE, f"is {size:,} bytes"


def task_bytes(task: Any) -> int:
    """Bytes of a task as JSON."""
    return len(json.dumps(task, ensure_ascii=True))


def items_of(data: Mapping[str, Any]) -> list[Item | None]:
    """What each of a task's pages shows; None where it does not say."""
    pages, entries = data.get(PAGES), data.get("items")
    count = len(pages) if isinstance(pages, list) else 0
    items: list[Item | None] = []
    for entry in entries if isinstance(entries, list) and len(entries) == count else [None] * count:
        try:
            items.append(Item.from_json(entry))
        except GeometryError:
            items.append(None)
    return items


def _origin_faults(task: Mapping[str, Any]) -> Iterator[Fault]:
    predictions = task.get("predictions")
    ids = isinstance(predictions, list) and any(type(one) is int for one in predictions)
    if ids or task.get("annotations"):
        yield Code.FED_BACK, "its predictions are ids" if ids else "it brings annotations"


def _data_faults(data: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Fault]:
    name = data.get("pinpoint_id")
    if not isinstance(name, str) or not name:
        yield Code.PINPOINT_ID, f"pinpoint_id is {shown(name)}"
    version = data.get("schema_version")
    if type(version) is not int or not 1 <= version <= TASK_SCHEMA_VERSION:
        yield Code.SCHEMA, f"schema_version is {shown(version)}, this program's is {TASK_SCHEMA_VERSION}"
    for key in keys:
        if not isinstance(data.get(key), str):
            yield Code.DATA_KEY, f"{key} is {shown(data.get(key))}"


def _page_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    pages = data.get(PAGES)
    if pages is None or pages == []:
        yield Code.NO_PAGES, f"pages is {shown(pages)}"
        return
    if not isinstance(pages, list):
        yield Code.PAGES_NO_LIST, f"pages is {shown(pages)}"
        return
    entries = data.get("items")
    if not isinstance(entries, list) or len(entries) != len(pages):
        count = f"{len(entries)} items" if isinstance(entries, list) else f"items is {shown(entries)}"
        yield Code.BAD_ITEMS, f"{count}, for {len(pages)} pages"
        return
    for place, entry in enumerate(entries):
        try:
            Item.from_json(entry)
        except GeometryError as error:
            yield Code.BAD_ITEMS, f"item {place}: {error.message}"


def _text_faults(task: Mapping[str, Any]) -> Iterator[Fault]:
    """Texts and numbers that JSON or a database does not take, wherever they stand; each kind named once."""
    found: dict[Code, str] = {}
    stack: list[tuple[str, Any]] = [("", task)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            stack += [(f"{path}.{key}", child) for key, child in value.items()]
            stack += [(f"a key of {path[1:] or 'the task'}", key) for key in value]
        elif isinstance(value, list):
            stack += [(f"{path}[{place}]", child) for place, child in enumerate(value)]
        elif isinstance(value, float) and value - value != 0:
            found.setdefault(Code.NOT_FINITE, f"{path.lstrip('.')} is {value}")
        elif isinstance(value, str) and not (value.isascii() and value.isprintable()):
            kinds = {unicodedata.category(c) for c in value if c not in "\n\t\r"}
            if "Cs" in kinds:
                found.setdefault(Code.SURROGATE, f"{path.lstrip('.')} is {shown(value)}")
            if "Cc" in kinds:
                found.setdefault(Code.CONTROL, f"{path.lstrip('.')} is {shown(value)}")
    yield from found.items()
