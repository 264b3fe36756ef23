"""Boxes that an annotator finds already drawn: one annotator's rows, cut to the items that show them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from annotation.judgements import DONE
from annotation.label_studio.geometry import Item, PageBox, Xyxy, clipped, page_to_item, shown_in, turned_rectangle
from annotation.label_studio.interface import BY, EVIDENCE, PAGES, label_of
from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.schema import ROLES
from pinpoint_data.workspace import Workspace

_COLUMNS = (
    *("question_id", "annotator", "region_id", "page_index", "x0", "y0", "x1", "y1"),
    *("rotation", "quad", "role", "status", "created_at", "raw"),
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Region:
    """One box to be shown.

    Attributes:
        region_id: Of its row.
        page_index: 0-based, into the question's own pages.
        box: In page pixels, on the page.
        role: `answer` or `support`.
        score: 0 to 1, where its row's raw JSON gives one.
    """

    region_id: str
    page_index: int
    box: PageBox
    role: str
    score: float | None = None


class Prelabels:
    """The rows of the annotators that fit some patterns, by question.

    Raises:
        UsageError: A pattern fits nobody.
    """

    def __init__(self, workspace: Workspace, patterns: Sequence[str]) -> None:
        self._rows: dict[str, dict[str, dict[str, list[Row]]]] = {}
        fits: dict[str, bool] = {}
        for part in workspace.parts("annotations") if patterns else ():
            for row in workspace.iter_rows("annotations", [part], _COLUMNS):
                name = row["annotator"]
                if name not in fits:
                    fits[name] = any(fnmatchcase(name, pattern) for pattern in patterns)
                if fits[name]:
                    self._rows.setdefault(row["question_id"], {}).setdefault(name, {}).setdefault(part, []).append(row)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in fits):
                known = ", ".join(sorted(fits)) or "none"
                raise UsageError(f"no annotation by {pattern!r}", file=workspace.path, remedy=f"annotators: {known}")
        self.annotators = tuple(sorted((name for name, fit in fits.items() if fit), key=_natural))

    def of(self, question_id: str) -> dict[str, list[Row]]:
        """Rows by annotator, older versions (`lexical@1` before `lexical@2`) first.

        Of somebody who met a question in two projects, the newest work.
        """
        found = self._rows.get(question_id, {})
        return {name: max(found[name].items(), key=_age)[1] for name in sorted(found, key=_natural)}


def _age(part: tuple[str, Sequence[Row]]) -> tuple[str, str]:
    return max((row["created_at"] or "" for row in part[1] if row["region_id"] is None), default=""), part[0]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def regions_of(rows: Sequence[Row], sizes: Sequence[tuple[int, int]], problems: list[Problem]) -> list[Region]:
    """The boxes of one annotator's rows on one question, those that cannot be shown named in `problems`.

    Args:
        rows: The rows, verdict included; a verdict that denies evidence leaves no boxes.
        sizes: Width and height of each page of the question.
        problems: Gets what was left out or cut.
    """
    if any(row["region_id"] is None and row["status"] in DONE and row["status"] != "evidence" for row in rows):
        return []
    regions = []
    for row in rows:
        if row["region_id"] is not None:
            region, fault = _region(row, sizes)
            if fault:
                regions += [region] if region else []
                record = f"{row['question_id']} by {row['annotator']}, region {row['region_id']}"
                problems.append(Problem("bad-prelabel", "annotations", record, fault, "run `pinpoint validate`"))
            elif region:
                regions.append(region)
    return regions


def _region(row: Row, sizes: Sequence[tuple[int, int]]) -> tuple[Region | None, str]:
    """The box of a row, and what is wrong with it: nothing, or it was cut, or (without a box) left out."""
    corners = [row[name] for name in ("x0", "y0", "x1", "y1")]
    if None in corners or not all(map(math.isfinite, corners)) or corners[0] >= corners[2] or corners[1] >= corners[3]:
        return None, f"has no area: {corners}"
    if row["page_index"] is None or not 0 <= row["page_index"] < len(sizes):
        return None, f"is on page {row['page_index']} of {len(sizes)}"
    role = row["role"] or "answer"
    if role not in ROLES:
        return None, f"has the role {role!r}; expected one of {', '.join(ROLES)}"
    xyxy: Xyxy = (corners[0], corners[1], corners[2], corners[3])
    width, height = sizes[row["page_index"]]
    inside = clipped(xyxy, (0.0, 0.0, float(width), float(height)))
    if inside is None:
        return None, f"lies outside its page of {width} x {height} pixels: {corners}"
    box = _turned(row, xyxy)
    region = Region(row["region_id"], row["page_index"], box or PageBox(inside), role, _score(row["raw"]))
    cut = box is None and inside != xyxy
    return region, f"reaches out of its page of {width} x {height} pixels and was cut: {corners}" if cut else ""


def _turned(row: Row, xyxy: Xyxy) -> PageBox | None:
    """The turned box of a row; its corners may stick out of the page, Label Studio shows them all the same."""
    quad: list[float] = row["quad"] or []
    if len(quad) != 8 or None in quad or not all(map(math.isfinite, [*quad, row["rotation"] or 0.0])):
        return None
    a, b, c, d, e, f, g, h = quad
    box = PageBox(xyxy, row["rotation"], (a, b, c, d, e, f, g, h))
    return None if turned_rectangle(box) is None else box


def _score(raw: str) -> float | None:
    try:
        found = json.loads(raw).get("score")
    except (ValueError, AttributeError, RecursionError):
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return min(1.0, max(0.0, float(found)))


@dataclass(frozen=True)
class Placed:
    """A region on an item.

    Attributes:
        name: Its id in the task, `p3`, or `p3~0` for a piece of it.
        region: The whole region.
        item_index: The item.
    """

    name: str
    region: Region
    item_index: int

    def entry(self) -> dict[str, Any]:
        """What the task remembers of it, under its name in `task["data"]["prelabel"]["regions"]`."""
        region = self.region
        return {
            "region_id": region.region_id,
            "item_index": self.item_index,
            "page_index": region.page_index,
            "xyxy": list(region.box.xyxy),
            "rotation": region.box.rotation,
            "quad": None if region.box.quad is None else list(region.box.quad),
            "role": region.role,
        }


def task_regions(regions: Sequence[Region], items: Sequence[Item]) -> list[Placed]:
    """Where the regions are drawn.

    A box is put on the item that shows all of it, the one with most room around it; where none does, on as few as
    show all of it together, a piece each (`p3~0`, `p3~1`).
    """
    placed = []
    for number, region in enumerate(regions):
        places = _places(region, items)
        for piece, place in enumerate(places):
            placed.append(Placed(f"p{number}" if len(places) == 1 else f"p{number}~{piece}", region, place))
    return placed


def _places(region: Region, items: Sequence[Item]) -> list[int]:
    """Indices of the items that a box is put on."""
    shown = {
        place: piece
        for place, item in enumerate(items)
        if item.page_index == region.page_index and (piece := shown_in(region.box, item)) is not None
    }
    whole = [place for place, piece in shown.items() if piece == region.box]
    if whole:
        return [max(whole, key=lambda place: (_room(region.box, items[place]), -place))]
    # The parts stand in a row, in order: each step takes the one that goes on from the last and reaches farthest.
    ends = {place: (piece.xyxy[0] + piece.xyxy[1], piece.xyxy[2] + piece.xyxy[3]) for place, piece in shown.items()}
    places: list[int] = []
    reached = min(start for start, _ in ends.values())
    last = max(end for _, end in ends.values())
    while reached < last:
        step = max((p for p, (start, _) in ends.items() if start <= reached), key=lambda p: ends[p][1])
        places.append(step)
        reached = ends[step][1]
    return places


def _room(box: PageBox, item: Item) -> float:
    (x0, y0, x1, y1), (left, top, right, bottom) = box.xyxy, item.xyxy
    # Edges of the page itself cut nothing off.
    sides = ((x0 - left, left > 0), (y0 - top, top > 0), (right - x1, right < item.page_width))
    return min([room for room, cut in (*sides, (bottom - y1, bottom < item.page_height)) if cut], default=math.inf)


def results(placed: Sequence[Placed], items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """The regions of a prediction."""
    for one in placed:
        yield from _result(one.name, EVIDENCE, one.region.role, one.region.box, one.item_index, items)


def shown_results(by: Mapping[str, Sequence[Region]], items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """Other annotators' boxes as regions of the control `by`, on every item that shows some of them."""
    number = 0
    for annotator, regions in by.items():
        for region in regions:
            for index, item in enumerate(items):
                if item.page_index == region.page_index:
                    yield from _result(f"b{number}", BY, label_of(annotator), region.box, index, items)
                    number += 1


def _result(
    name: str, control: str, label: str, box: PageBox, index: int, items: Sequence[Item]
) -> Iterator[dict[str, Any]]:
    """One region, or none where the item shows nothing of the box."""
    item = items[index]
    shown = shown_in(box, item)
    if shown is not None:
        yield {
            "id": name,
            "from_name": control,
            "to_name": PAGES,
            "type": "rectanglelabels",
            "item_index": index,
            "original_width": item.width,
            "original_height": item.height,
            "image_rotation": 0,
            "value": {**page_to_item(shown, item), "rectanglelabels": [label]},
        }
