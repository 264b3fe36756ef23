"""Result entries of Label Studio as regions in page pixels.

`x`, `y`, `width` and `height` are percent of the item, always of the unrotated one: `image_rotation` (the toolbar's
turn of the page) changes nothing. `original_width` and `original_height` are those of the upright image (EXIF).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from annotation.label_studio.geometry import Item, PageBox, Quad, Xyxy, clipped, item_to_page
from annotation.label_studio.task_text import json_text
from annotation.label_studio.task_view import Prefilled
from pinpoint_data.errors import GeometryError
from pinpoint_data.schema import ROLES
from pinpoint_data.sources.base import RecordError
from pinpoint_data.words.base import number, well_formed

ACCEPTED, MOVED, NEW = "accepted", "moved", "new"
"""Origins: prefilled and untouched, prefilled and changed in place, size, role or rotation, drawn by the annotator."""

_FUZZ_PX = 1e-6


class Box(NamedTuple):
    """One result entry that is a box.

    Attributes:
        id: As exported, or "" where it has none.
        item_index: The item it was drawn on.
        item: That item.
        role: answer or support.
        entry: The entry itself.
    """

    id: str
    item_index: int
    item: Item
    role: str
    entry: Mapping[str, Any]

    def placed(self) -> PageBox:
        """The box in page pixels; it may reach out of the page.

        Raises:
            RecordError: `bad-box`.
        """
        try:
            return item_to_page(self.entry["value"], self.item)
        except GeometryError as error:
            raise RecordError("bad-box", error.message) from error

    def untouched(self, prefilled: Prefilled) -> bool:
        """Whether its numbers are bit for bit those that the task was sent with."""
        value = self.entry["value"]
        place = (value.get("x"), value.get("y"), value.get("width"), value.get("height"), value.get("rotation", 0.0))
        return self.role == prefilled.role and prefilled.pieces.get(self.id) == (self.item_index, place)


class Region(NamedTuple):
    """One region of an annotation, as it stands in the tables.

    Attributes:
        region_id: Unique inside the annotation; a prefilled region has the id of its row in the tables.
        page_index: 0-based, into the question's own pages.
        xyxy: Page pixels, inside the page.
        rotation: Degrees clockwise about the first corner of `quad`, or None.
        quad: The corners of a turned box, which may reach out of the page, or None.
        role: answer or support.
        origin: `accepted`, `moved` or `new`.
        raw: Its JSON as exported; a list where several pieces made it.
    """

    region_id: str
    page_index: int
    xyxy: Xyxy
    rotation: float | None
    quad: Quad | None
    role: str
    origin: str
    raw: str

    def row(self, common: dict[str, Any]) -> dict[str, Any]:
        """The row of `annotations`."""
        x0, y0, x1, y1 = self.xyxy
        return common | {
            "region_id": self.region_id,
            "page_index": self.page_index,
            "x0": x0,
            "y0": y0,
            "x1": x1,
            "y1": y1,
            "rotation": self.rotation,
            "quad": None if self.quad is None else list(self.quad),
            "role": self.role,
            "status": None,
            "origin": self.origin,
            "lead_time_s": None,
            "raw": self.raw,
        }


def read_box(name: str, entry: Mapping[str, Any], items: Sequence[Item]) -> Box:
    """The box of a result entry with the id `name`; its numbers are looked at when it is `placed`.

    Raises:
        RecordError: `bad-box`, `bad-label`, `bad-item-index` or `wrong-size`.
    """
    value = entry.get("value")
    if not isinstance(value, dict):
        raise RecordError("bad-box", f"has no value, got {value!r:.40}")
    labels = value.get("rectanglelabels")
    if not isinstance(labels, list) or len(labels) != 1 or labels[0] not in ROLES:
        raise RecordError("bad-label", f"must have one label of {', '.join(ROLES)}, got {labels!r:.80}")
    index = entry.get("item_index")
    if index is None and len(items) == 1:
        index = 0
    if type(index) is not int or not 0 <= index < len(items):
        raise RecordError("bad-item-index", f"is on item {index!r:.40} of {len(items)} (0 is the first)")
    item = items[index]
    if entry.get("original_width") != item.width or entry.get("original_height") != item.height:
        _check_size(entry, item)
    return Box(name, index, item, labels[0], entry)


def entry_id(entry: Mapping[str, Any]) -> str:
    """The id of a result entry, or "" where it has none."""
    found = entry.get("id")
    return well_formed(found) if isinstance(found, str) else ""


def _check_size(entry: Mapping[str, Any], item: Item) -> None:
    """Percent fit an image of another resolution, but not one of another shape: that is another image."""
    size = entry.get("original_width"), entry.get("original_height")
    if size == (None, None):
        return
    width, height = map(number, size)
    # Both sides of a smaller copy are rounded to whole pixels: they are off by less than one.
    scale = max(width / item.width, height / item.height)
    near = abs(width - scale * item.width) < 1 and abs(height - scale * item.height) < 1
    if not (near and width >= 1 and height >= 1):
        raise RecordError(
            "wrong-size",
            f"was drawn on an image of {size[0]!r:.20} x {size[1]!r:.20} pixels, "
            f"but the task shows {item.width} x {item.height}",
        )


def on_page(box: PageBox, item: Item) -> tuple[Xyxy, float]:
    """The part of a box on its page, and how far the box reaches out of the page, in pixels.

    Raises:
        RecordError: `outside-page`: there is no such part.
    """
    inside = clipped(box.xyxy, (0.0, 0.0, float(item.page_width), float(item.page_height)))
    if inside is None:
        raise RecordError("outside-page", f"lies outside its page: ({', '.join(f'{v:.6g}' for v in box.xyxy)})")
    beyond = max(abs(a - b) for a, b in zip(box.xyxy, inside, strict=True))
    return inside, beyond if beyond > _FUZZ_PX else 0.0


def joined(region_id: str, boxes: Sequence[Box], prefilled: Prefilled | None) -> tuple[Region, float]:
    """The region that one box, or the pieces of one region, stand for.

    Args:
        region_id: For the tables.
        boxes: Of one page and one role.
        prefilled: The pre-annotation with their id, if there is one.

    Returns:
        The region, and how far it reached out of its page, in pixels.

    Raises:
        RecordError: `bad-box` or `outside-page`.
    """
    first, page = boxes[0], boxes[0].item.page_index
    raw = json_text(first.entry) if len(boxes) == 1 else "[" + ",".join(json_text(b.entry) for b in boxes) + "]"
    if prefilled and len(boxes) == len(prefilled.pieces) and all(box.untouched(prefilled) for box in boxes):
        whole = prefilled.box
        return Region(region_id, page, whole.xyxy, whole.rotation, whole.quad, first.role, ACCEPTED, raw), 0.0
    placed = [box.placed() for box in boxes]
    whole = placed[0] if len(placed) == 1 else PageBox(_envelope([box.xyxy for box in placed]))
    xyxy, beyond = on_page(whole, first.item)
    origin = MOVED if prefilled else NEW
    return Region(region_id, page, xyxy, whole.rotation, whole.quad, first.role, origin, raw), beyond


def _envelope(boxes: Sequence[Xyxy]) -> Xyxy:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
