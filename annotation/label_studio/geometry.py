"""Page pixels and the percent of an item: the one place where the two meet, used by tasks and import alike.

An item is what Label Studio shows as one page of a task: a page, or one of the overlapping parts of a tall one. Its
percent are of the item's own size; pixels are always the whole page's, after EXIF orientation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from pinpoint_data.boxes import rotated_rectangle
from pinpoint_data.errors import GeometryError, UsageError

Xyxy: TypeAlias = tuple[float, float, float, float]
Quad: TypeAlias = tuple[float, float, float, float, float, float, float, float]
Value: TypeAlias = dict[str, float]
Rect: TypeAlias = tuple[int, int, int, int]
"""Whole pixels of a page: left, top, width, height."""

MAX_PARTS = 40
"""A page is never cut into more parts than this, however thin it is."""

_RECTANGLE_PX = 0.5
"""Four corners this close to a turned rectangle are one."""


@dataclass(frozen=True)
class Item:
    """The rectangle of a page that one item of a task shows, in whole pixels.

    Attributes:
        page_index: 0-based, into the question's own pages.
        page_id: The page.
        x0: Left edge of the rectangle on the page.
        y0: Top edge of the rectangle on the page.
        width: Of the rectangle: what Label Studio calls the original width.
        height: Of the rectangle: what Label Studio calls the original height.
        page_width: Of the whole page.
        page_height: Of the whole page.
    """

    page_index: int
    page_id: str
    x0: int
    y0: int
    width: int
    height: int
    page_width: int
    page_height: int

    @property
    def whole(self) -> bool:
        """Whether the item shows the page as it is."""
        return (self.x0, self.y0, self.width, self.height) == (0, 0, self.page_width, self.page_height)

    @property
    def xyxy(self) -> Xyxy:
        """The rectangle as corners on the page."""
        return float(self.x0), float(self.y0), float(self.x0 + self.width), float(self.y0 + self.height)

    def to_json(self) -> dict[str, Any]:
        """The entry of `task["data"]["items"]`."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: object) -> Item:
        """The item of an entry of `task["data"]["items"]`, which a stranger may have written.

        Raises:
            GeometryError: A key is missing or of the wrong type, or the rectangle is not on the page.
        """
        if not isinstance(entry, Mapping):
            raise GeometryError(f"an item must be an object, got {type(entry).__name__}")
        numbers = {name: entry.get(name) for name in _NUMBERS}
        for name, value in numbers.items():
            if type(value) is not int or not 0 <= value < 2**31:
                raise GeometryError(f"an item's {name} must be a whole number of at least 0, got {value!r:.40}")
        if not isinstance(entry.get("page_id"), str):
            raise GeometryError(f"an item's page_id must be text, got {entry.get('page_id')!r:.40}")
        item = cls(page_id=entry["page_id"], **{name: entry[name] for name in _NUMBERS})
        inside = item.x0 + item.width <= item.page_width and item.y0 + item.height <= item.page_height
        if item.width < 1 or item.height < 1 or not inside:
            raise GeometryError(f"an item must have a size and lie on its page, got {item}")
        return item


_NUMBERS = ("page_index", "x0", "y0", "width", "height", "page_width", "page_height")


@dataclass(frozen=True)
class PageBox:
    """A box in page pixels; a turned one keeps its corners.

    Attributes:
        xyxy: The box, or the envelope of a turned one.
        rotation: Degrees clockwise about `quad`'s first corner, or None.
        quad: Corners (x, y each) that were top left, top right, bottom right, bottom left before the turn, or None.
    """

    xyxy: Xyxy
    rotation: float | None = None
    quad: Quad | None = None


def page_to_item(box: PageBox, item: Item) -> Value:
    """Label Studio's `x`, `y`, `width`, `height` (percent of the item) and `rotation` (degrees) of a box.

    The same box and item give the same bits everywhere, so an untouched pre-annotation is known by its numbers.
    Four corners that are no turned rectangle cannot be shown as one: their envelope is.
    """
    turned = turned_rectangle(box)
    if turned is None:
        x0, y0, x1, y1 = box.xyxy
        return _value(x0, y0, x1 - x0, y1 - y0, 0.0, item)
    return _value(*turned, item)


def item_to_page(value: Mapping[str, Any], item: Item) -> PageBox:
    """The box in page pixels of Label Studio's `x`, `y`, `width`, `height`, `rotation`: inverse of `page_to_item`.

    Boxes that reach out of the item come through as they are.

    Raises:
        GeometryError: A number is missing, no number or not finite, or the box has no size.
    """
    x, y, width, height = (_number(value, name) for name in ("x", "y", "width", "height"))
    rotation = _number(value, "rotation") if value.get("rotation") is not None else 0.0
    if width <= 0 or height <= 0:
        raise GeometryError(f"width and height must be above 0, got {width} x {height} percent")
    left, top = item.x0 + x / 100 * item.width, item.y0 + y / 100 * item.height
    wide, high = width / 100 * item.width, height / 100 * item.height
    if rotation % 360 == 0:
        return PageBox(_checked((left, top, left + wide, top + high)))
    quad = rotated_rectangle(left, top, wide, high, rotation)
    x0, y0, x1, y1 = (float(v) for v in np.concatenate([quad.min(0), quad.max(0)]))
    a, b, c, d = quad.tolist()
    return PageBox(_checked((x0, y0, x1, y1)), rotation, (*a, *b, *c, *d))


def clipped(xyxy: Xyxy, to: Xyxy) -> Xyxy | None:
    """The part of a box inside another, or None where they share no area."""
    x0, y0 = max(xyxy[0], to[0]), max(xyxy[1], to[1])
    x1, y1 = min(xyxy[2], to[2]), min(xyxy[3], to[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def shown_in(box: PageBox, item: Item) -> PageBox | None:
    """What an item shows of a box: all of it, or the part of its envelope inside, or None.

    A turned box may stick out of its page a little (its corners do); that is still all of it.
    """
    page = (0.0, 0.0, float(item.page_width), float(item.page_height))
    on_page = clipped(box.xyxy, page)
    inside = clipped(box.xyxy, item.xyxy)
    return box if inside is not None and inside == on_page else inside and PageBox(inside)


def turned_rectangle(box: PageBox) -> tuple[float, float, float, float, float] | None:
    """(x, y, width, height, degrees in 0..360) of a turned rectangle in pixels; None where there is none.

    From `math`, not NumPy: its results do not depend on the processor.
    """
    if box.quad is None or not (box.rotation or 0.0) % 360:
        return None
    quad = box.quad
    width = math.hypot(quad[2] - quad[0], quad[3] - quad[1])
    height = math.hypot(quad[6] - quad[0], quad[7] - quad[1])
    degrees = float(box.rotation or 0.0) % 360
    if not (width > 0 and height > 0):
        return None
    made = rotated_rectangle(quad[0], quad[1], width, height, degrees).ravel()
    if np.abs(made - np.array(quad)).max() > _RECTANGLE_PX:
        return None
    return quad[0], quad[1], width, height, degrees


@dataclass(frozen=True)
class Cutting:
    """How a page that is much longer than wide is shown in parts.

    Attributes:
        max_aspect: Long side of a part over its short side, at most.
        split_above: Pages up to this long : short stay whole.
        overlap: Share of a part that the next one shows again, at least.
    """

    max_aspect: float = 1.6
    split_above: float = 2.0
    overlap: float = 0.12

    def __post_init__(self) -> None:
        if not (1 <= self.max_aspect <= self.split_above and 0 <= self.overlap <= 0.5):
            raise UsageError(f"parts of a page need 1 <= max_aspect <= split_above and 0 <= overlap <= 0.5, got {self}")

    def parts(self, width: int, height: int) -> list[Rect]:
        """The rectangles that a page is shown in: itself, or equal overlapping parts along its long side.

        Args:
            width: Of the page, in pixels.
            height: Of the page, in pixels.
        """
        long, short = max(width, height), min(width, height)
        if long <= self.split_above * short:
            return [(0, 0, width, height)]
        # As few parts as the largest allowed size needs, then no larger than that number needs.
        count = min(MAX_PARTS, math.ceil((long / (short * self.max_aspect) - self.overlap) / (1 - self.overlap)))
        size = math.ceil(long / (count - (count - 1) * self.overlap))
        starts = [place * (long - size) // (count - 1) for place in range(count)]
        if height >= width:
            return [(0, start, width, size) for start in starts]
        return [(start, 0, size, height) for start in starts]


def _value(x: float, y: float, width: float, height: float, rotation: float, item: Item) -> Value:
    return {
        "x": (x - item.x0) * 100 / item.width,
        "y": (y - item.y0) * 100 / item.height,
        "width": width * 100 / item.width,
        "height": height * 100 / item.height,
        "rotation": rotation,
    }


def _number(value: Mapping[str, Any], name: str) -> float:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise GeometryError(f"{name} must be a number, got {found!r:.40}")
    try:
        number = float(found)
    except OverflowError as error:
        raise GeometryError(f"{name} is too large") from error
    if not math.isfinite(number):
        raise GeometryError(f"{name} must be finite, got {number}")
    return number


def _checked(xyxy: Sequence[float]) -> Xyxy:
    x0, y0, x1, y1 = xyxy
    if not (all(map(math.isfinite, xyxy)) and x0 < x1 and y0 < y1):
        raise GeometryError(f"a box must be finite and have an area, got {list(xyxy)}")
    return x0, y0, x1, y1
