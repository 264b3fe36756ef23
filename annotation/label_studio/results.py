"""What one annotation (or draft) says: its regions, its status, its note, and what of it cannot be used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from annotation.label_studio.interface import BY, CHOICES, EVIDENCE, NOTE, STATUS
from annotation.label_studio.regions import Box, Region, entry_id, joined, read_box
from annotation.label_studio.task_view import REVIEW, Prefilled, TaskView
from pinpoint_data.sources.base import RecordError
from pinpoint_data.words.base import well_formed

_BOX_TYPES = ("rectanglelabels", "rectangle")


@dataclass(frozen=True)
class Fault:
    """Something about a result that a person should know.

    Attributes:
        code: Stable name of the kind of fault.
        message: What is wrong.
        entries: The result entries that became no region because of it.
    """

    code: str
    message: str
    entries: tuple[Any, ...] = ()


@dataclass
class Reading:
    """A result, read.

    Attributes:
        regions: In the order of the result.
        status: One of `CHOICES`, or None where it has none that can be used.
        note: The annotator's note, or "".
        controls: Entries that are no boxes: statuses, notes, notes of single regions.
        deleted: Ids (in the tables) of the pre-annotations that are not there any more.
        faults: What a person should know.
    """

    regions: list[Region] = field(default_factory=list)
    status: str | None = None
    note: str = ""
    controls: list[Any] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_result(result: Any, view: TaskView) -> Reading:
    """Read the result of one annotation.

    Raises:
        RecordError: `bad-result`: it is neither a list nor null.
    """
    if result is not None and not isinstance(result, list):
        raise RecordError("bad-result", f"its result must be a list, got {result!r:.40}")
    reading = Reading()
    try:
        prefilled = view.prefilled
    except RecordError as error:
        prefilled = ()
        reading.faults.append(Fault(error.code, f"{error.message}; its regions count as new"))
    boxes: dict[str, list[Box]] = {}
    others, ids = [], set()
    for entry in result or ():
        if isinstance(entry, dict) and entry.get("from_name") == EVIDENCE and entry.get("type") in _BOX_TYPES:
            name = entry_id(entry)
            ids.add(name)
            _take_box(name, entry, view, boxes.setdefault(name, []), reading.faults)
        else:
            others.append(entry)
    _take_controls(others, view, ids, reading)
    _take_regions(boxes, prefilled, reading)
    reading.deleted = [before.region_id for before in prefilled if not before.pieces.keys() & ids]
    return reading


def _take_box(name: str, entry: dict[str, Any], view: TaskView, twins: list[Box], faults: list[Fault]) -> None:
    """Add a box to those of its id."""
    try:
        box = read_box(name, entry, view.items)
    except RecordError as error:
        faults.append(Fault(error.code, _named(entry, error.message), (entry,)))
        return
    if any(_is_copy(box, twin) for twin in twins):
        faults.append(Fault("duplicate-region", _named(entry, "stands in the result twice"), (entry,)))
        return
    if twins and name:
        faults.append(Fault("repeated-id", _named(entry, "has the id of another box; both are kept")))
    twins.append(box)


def _is_copy(box: Box, twin: Box) -> bool:
    same_place = (box.item_index, box.role) == (twin.item_index, twin.role)
    return same_place and box.entry["value"] == twin.entry["value"]


def _take_controls(others: list[Any], view: TaskView, ids: Collection[str], reading: Reading) -> None:
    """Status, note and whatever else is no box."""
    choices: list[Any] = []
    for entry in others:
        if not isinstance(entry, dict):
            reading.faults.append(Fault("bad-entry", f"a result entry must be an object, got {entry!r:.40}", (entry,)))
            continue
        name, kind, value = entry.get("from_name"), entry.get("type"), entry.get("value")
        if name == BY and view.kind == REVIEW:
            continue
        reading.controls.append(entry)
        content = value.get(str(kind), value.get("text")) if isinstance(value, dict) else None
        content = content if isinstance(content, list) else [content]
        if name == STATUS and kind == "choices":
            choices += content
        elif name == NOTE and kind == "textarea":
            texts = [well_formed(text) for text in content if isinstance(text, str)]
            reading.note = "\n".join([reading.note, *texts] if reading.note else texts)
        elif kind != "textarea" or entry_id(entry) not in ids:
            # A text with the id of a box is a note on it, whatever its control is called.
            message = f"is from a control {name!r:.40} ({kind!r:.40}) that this program did not make"
            reading.faults.append(Fault("unknown-control", _named(entry, message)))
    reading.status = _status(choices, reading.faults)


def _status(choices: list[Any], faults: list[Fault]) -> str | None:
    if len(choices) == 1 and choices[0] in CHOICES:
        found: str = choices[0]
        return found
    if choices:
        faults.append(Fault("bad-status", f"its status must be one of {', '.join(CHOICES)}, got {choices!r:.80}"))
    return None


def _take_regions(boxes: Mapping[str, list[Box]], prefilled: Iterable[Prefilled], reading: Reading) -> None:
    """Turn boxes into regions, in their order; pieces of one pre-annotation into one."""
    sent = {piece: before for before in prefilled for piece in before.pieces}
    groups: dict[tuple[object, ...], list[Box]] = {}
    for key, twins in boxes.items():
        before = sent.get(key)
        for place, box in enumerate(twins):
            # Only pieces are joined; boxes of one id, or pieces that became of two roles, are regions of their own.
            one = (id(before), box.role, box.item.page_index) if before and len(before.pieces) > 1 else (key, place)
            groups.setdefault(one, []).append(box)
    used: set[str] = set()
    for number, group in enumerate(groups.values()):
        before = sent.get(group[0].id)
        region_id = _free(before.region_id if before else group[0].id or f"r{number}", used)
        try:
            region, beyond = joined(region_id, group, before)
        except RecordError as error:
            entries = tuple(box.entry for box in group)
            reading.faults.append(Fault(error.code, _named(group[0].entry, error.message), entries))
            continue
        used.add(region_id)
        reading.regions.append(region)
        if beyond:
            message = f"reaches {beyond:.4g} pixels out of its page and is cut at the edge"
            reading.faults.append(Fault("clipped", _named(group[0].entry, message)))


def _free(wanted: str, used: Collection[str]) -> str:
    """`wanted`, or the first of `wanted#2`, `wanted#3`, ... that is free."""
    name, number = wanted, 1
    while name in used:
        number += 1
        name = f"{wanted}#{number}"
    return name


def _named(entry: Mapping[str, Any], message: str) -> str:
    found = entry.get("id")
    return f"region {found!r:.40} {message}"
