"""Predictions of one task, held against the interface and the task's items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from annotation.label_studio.geometry import Item, clipped, item_to_page
from annotation.label_studio.interface import BY, Control
from annotation.label_studio.preflight.codes import Code
from pinpoint_data.errors import GeometryError

Fault = tuple[Code, str]
"""A kind of problem and what was found."""

_PLACE = ("x", "y", "width", "height")
_HUGE = 10**15
_VALUE_KEYS = {"textarea": "text"}
_FUZZ = 1e-6
"""Percent that float arithmetic may be off."""


def prediction_faults(
    task: Mapping[str, Any], controls: Mapping[str, Control], items: Sequence[Item | None]
) -> Iterator[Fault]:
    """What is wrong with a task's predictions.

    Args:
        task: The task.
        controls: Of the interface.
        items: What each of its pages shows, None where it does not say.
    """
    predictions = task.get("predictions")
    if predictions is None:
        predictions = []
    if not isinstance(predictions, list):
        yield Code.BAD_PREDICTION, f"predictions is {shown(predictions)}"
        return
    for prediction in predictions:
        if type(prediction) is int:
            continue  # a raw export, reported as such
        if not isinstance(prediction, Mapping) or not isinstance(prediction.get("result"), list):
            yield Code.BAD_PREDICTION, f"a prediction is {shown(prediction)}"
            continue
        yield from _head_faults(prediction)
        yield from _result_faults(prediction["result"], controls, items)
        yield from _prelabel_faults(task, prediction["result"])


def _head_faults(prediction: Mapping[str, Any]) -> Iterator[Fault]:
    version = prediction.get("model_version")
    if not isinstance(version, str) or not version:
        yield Code.MODEL_VERSION, f"model_version is {shown(version)}"
    score = prediction.get("score")
    if score is not None and not (_is_number(score) and 0 <= score <= 1):
        yield Code.SCORE, f"score is {shown(score)}"


def _prelabel_faults(task: Mapping[str, Any], result: Sequence[Any]) -> Iterator[Fault]:
    data = task.get("data")
    prelabel = data.get("prelabel") if isinstance(data, Mapping) else None
    regions = prelabel.get("regions") if isinstance(prelabel, Mapping) else None
    known = set(regions) if isinstance(regions, Mapping) else set()
    sent = {
        str(region.get("id"))
        for region in result
        if isinstance(region, Mapping) and region.get("type") == "rectanglelabels" and region.get("from_name") != BY
    }
    if known != sent:
        yield Code.PRELABEL, f"{len(known - sent)} of prelabel are not sent, {len(sent - known)} sent are not in it"


def _result_faults(
    result: Sequence[Any], controls: Mapping[str, Control], items: Sequence[Item | None]
) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, region in enumerate(result):
        if not isinstance(region, Mapping) or not isinstance(region.get("value"), Mapping):
            yield Code.BAD_REGION, f"entry {place} of result is {shown(region)}"
            continue
        name = region.get("id")
        if not isinstance(name, str) or not name:
            yield Code.REGION_ID, f"region {place} has the id {shown(name)}"
        elif name in seen:
            yield Code.DUPLICATE_REGION, f"{shown(name)} stands twice"
        else:
            seen.add(name)
        where = f"region {name if isinstance(name, str) else place}"
        for code, message in region_faults(region, controls, items):
            yield code, f"{where}: {message}"


def region_faults(
    region: Mapping[str, Any], controls: Mapping[str, Control], items: Sequence[Item | None]
) -> Iterator[Fault]:
    """What is wrong with one region."""
    control = controls.get(_text(region.get("from_name")))
    value = region["value"]
    if control is None:
        yield Code.CONTROL_NAME, f"from_name is {shown(region.get('from_name'))}, not one of {', '.join(controls)}"
    else:
        if region.get("to_name") != control.to_name:
            yield Code.OBJECT_NAME, f"to_name is {shown(region.get('to_name'))}, not {control.to_name}"
        if region.get("type") != control.type or _VALUE_KEYS.get(control.type, control.type) not in value:
            yield Code.TYPE, f"type is {shown(region.get('type'))} with {', '.join(map(shown, value))}"
        else:
            yield from _label_faults(value, control)
    if "x" in value or "rectanglelabels" in value:
        yield from _item_faults(region, items)


def _label_faults(value: Mapping[str, Any], control: Control) -> Iterator[Fault]:
    found = value.get(control.type)
    names = found if isinstance(found, list) else [None]
    known = all(isinstance(name, str) and name in control.values for name in names)
    if control.type == "choices" and not known:
        yield Code.CHOICE, f"choices are {shown(found)}, not of {', '.join(control.values)}"
    if control.type == "rectanglelabels" and (not known or len(names) != 1):
        yield Code.LABEL, f"labels are {shown(found)}, not one of {', '.join(control.values)}"


def _item_faults(region: Mapping[str, Any], items: Sequence[Item | None]) -> Iterator[Fault]:
    index, item = region.get("item_index"), None
    if index is None:
        yield Code.NO_ITEM, "item_index is missing"
    elif type(index) is not int:
        yield Code.ITEM_TYPE, f"item_index is {shown(index)}"
    elif not 0 <= index < len(items):
        yield Code.ITEM_RANGE, f"item_index is {index}, the task has {len(items)} pages (0 is the first)"
    else:
        item = items[index]
    size = region.get("original_width"), region.get("original_height")
    if None in size:
        yield Code.NO_SIZE, f"original size is {shown(size[0])} x {shown(size[1])}"
    elif item is not None and size != (item.width, item.height):
        yield Code.WRONG_SIZE, f"{shown(size[0])} x {shown(size[1])}, but the item is {item.width} x {item.height}"
    yield from _place_faults(region["value"], item)


def _place_faults(value: Mapping[str, Any], item: Item | None) -> Iterator[Fault]:
    bad = [name for name in (*_PLACE, "rotation") if not _is_number(value.get(name, 0 if name == "rotation" else None))]
    if bad:
        yield Code.NUMBER, ", ".join(f"{name} is {shown(value.get(name))}" for name in bad)
        return
    x, y, width, height = (value[name] for name in _PLACE)
    place = f"x {x}, y {y}, width {width}, height {height}"
    if not all(map(math.isfinite, (x, y, width, height, value.get("rotation", 0)))):
        return  # found with all the others that are not finite
    if width <= 0 or height <= 0:
        yield Code.AREA, place
    elif value.get("rotation", 0) % 360:
        yield from _turned_faults(value, item, place)
    elif max(x, y, width, height) > 100 + _FUZZ:
        yield Code.PIXELS, place
    else:
        if x < -_FUZZ or y < -_FUZZ:
            yield Code.NEGATIVE, place
        if x + width > 100 + _FUZZ or y + height > 100 + _FUZZ:
            yield Code.BEYOND, place


def _turned_faults(value: Mapping[str, Any], item: Item | None, place: str) -> Iterator[Fault]:
    """A turned box may have its corner, and a side, beyond the item; none of it on the item is wrong."""
    if item is None:
        return
    try:
        off = clipped(item_to_page(value, item).xyxy, item.xyxy) is None
    except GeometryError:
        off = True
    if off:
        yield Code.PIXELS, f"{place}, turned: lies wholly outside the item"


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < _HUGE)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def shown(value: Any) -> str:
    """A value in a message, cut short."""
    return repr(value)[:80] if not isinstance(value, Mapping | list) else f"{type(value).__name__} {str(value)[:60]}"
