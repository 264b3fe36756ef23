"""Rectangles on the 8 x 8 blocks of a page, and the file in which a localiser gives them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinpoint_data.errors import TrainingError, UsageError

BLOCKS = 8
"""Blocks of a page each way, those of CROP's localiser."""

Blocks = tuple[int, int, int, int]
"""First block across, first down, last across, last down, from 0; the last ones belong to the rectangle."""

# In blocks: a box that ends on a block's edge up to rounding does not reach into the next.
_TOLERANCE = 1e-9


def outwards(xyxy: tuple[float, ...], width: float, height: float) -> Blocks:
    """The smallest rectangle of blocks that holds a box in page pixels.

    What sticks out of the page is cut off; a box wholly outside falls on the border blocks next to it.
    """
    x0, y0, x1, y1 = xyxy
    across, down = _span(x0 * BLOCKS / width, x1 * BLOCKS / width), _span(y0 * BLOCKS / height, y1 * BLOCKS / height)
    return across[0], down[0], across[1], down[1]


def _span(low: float, high: float) -> tuple[int, int]:
    first = min(max(math.floor(low + _TOLERANCE), 0), BLOCKS - 1)
    last = min(max(math.ceil(high - _TOLERANCE) - 1, first), BLOCKS - 1)
    return first, last


@dataclass(frozen=True)
class Located:
    """One line of a localiser's file.

    Attributes:
        line: Its number, from 1.
        values: Four blocks, or a box in page pixels.
        in_pixels: Which of the two.
    """

    line: int
    values: tuple[float, ...]
    in_pixels: bool

    def blocks(self, width: float, height: float) -> Blocks:
        """The rectangle on a page of this size; a box in pixels is quantised outwards."""
        if self.in_pixels:
            return outwards(self.values, width, height)
        x_min, y_min, x_max, y_max = map(int, self.values)
        return x_min, y_min, x_max, y_max


def read_located(file: Path) -> dict[str, dict[int, Located]]:
    """A localiser's rectangles by question id and page index.

    The file is JSON Lines, a line a question and page:

        {"question_id": "docvqa/1", "page_index": 0, "box": [2, 0, 5, 1]}
        {"question_id": "docvqa/2", "page_index": 3, "xyxy": [120.5, 40, 610, 88]}

    `box` is [x_min, y_min, x_max, y_max] in blocks 0 to 7, the last ones included, x_min <= x_max, y_min <= y_max;
    `xyxy` is in page pixels. `page_index` counts the question's pages from 0. Other fields are passed over, blank
    lines too.

    Raises:
        UsageError: There is no such file.
        TrainingError: It cannot be read, or a line is not of this form, or repeats a question and page.
    """
    found: dict[str, dict[int, Located]] = {}
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                question_id, page_index, located = _parsed(line, number, file)
                earlier = found.setdefault(question_id, {}).setdefault(page_index, located)
                if earlier is not located:
                    raise _wrong(
                        f"question {question_id!r}, page_index {page_index} is on line {earlier.line} already: "
                        "a page has one rectangle",
                        number,
                        file,
                    )
    except FileNotFoundError as error:
        raise UsageError("there is no such file of boxes", file=file) from error
    except OSError as error:
        raise TrainingError(f"cannot be read: {error.strerror}", file=file) from error
    return found


def _parsed(line: bytes, number: int, file: Path) -> tuple[str, int, Located]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _wrong("is no JSON", number, file) from error
    if not isinstance(record, dict):
        raise _wrong("must be an object with question_id, page_index, and box or xyxy", number, file)
    question_id, page_index = record.get("question_id"), record.get("page_index")
    if not isinstance(question_id, str) or not question_id:
        raise _wrong("question_id must be text", number, file)
    if not isinstance(page_index, int) or not _is_index(page_index):
        raise _wrong("page_index must be a whole number from 0", number, file)
    if ("box" in record) == ("xyxy" in record):
        raise _wrong("must have either box, in blocks, or xyxy, in page pixels", number, file)
    values = _blocks(record["box"]) if "box" in record else _pixels(record["xyxy"])
    if values is None:
        wanted = (
            f"box must be [x_min, y_min, x_max, y_max], whole numbers 0 to {BLOCKS - 1}, x_min <= x_max, y_min <= y_max"
            if "box" in record
            else "xyxy must be [x0, y0, x1, y1], finite numbers, x0 < x1, y0 < y1"
        )
        raise _wrong(wanted, number, file)
    return question_id, page_index, Located(number, values, "xyxy" in record)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _blocks(found: Any) -> tuple[float, ...] | None:
    if not (isinstance(found, list) and len(found) == 4 and all(_is_index(v) and v < BLOCKS for v in found)):
        return None
    x_min, y_min, x_max, y_max = found
    return (x_min, y_min, x_max, y_max) if x_min <= x_max and y_min <= y_max else None


def _pixels(found: Any) -> tuple[float, ...] | None:
    if not (isinstance(found, list) and len(found) == 4):
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in found):
        return None
    try:
        x0, y0, x1, y1 = map(float, found)
    except OverflowError:
        return None
    finite = all(map(math.isfinite, (x0, y0, x1, y1)))
    return (x0, y0, x1, y1) if finite and x0 < x1 and y0 < y1 else None


def _wrong(message: str, number: int, file: Path) -> TrainingError:
    return TrainingError(message, file=file, record=f"line {number}")
