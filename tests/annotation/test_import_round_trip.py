"""Boxes through tasks, a simulated editor and the import: equal within 1e-6 px, untouched ones bit-equal."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.label_studio.geometry import Cutting, Item
from annotation.label_studio.prelabels import regions_of, results, task_regions
from annotation.label_studio.results import Reading, read_result
from annotation.label_studio.task_view import TaskView
from pinpoint_data.boxes import quad_px_to_xyxy_px, rotated_rectangle
from tests.annotation.export_build import PROPOSAL, region_row

Json = dict[str, Any]
SIDES = st.integers(1, 6000)
SHARES = st.floats(0, 1, allow_subnormal=False)


@st.composite
def pages(draw: st.DrawFn) -> list[tuple[int, int]]:
    return draw(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4))


@st.composite
def proposed(draw: st.DrawFn, sizes: list[tuple[int, int]]) -> Json:
    """A row of a proposal on one of the pages, turned or not, always with some area on the page."""
    page = draw(st.integers(0, len(sizes) - 1))
    width, height = sizes[page]
    x, y = draw(SHARES) * 0.9 * width, draw(SHARES) * 0.9 * height
    w, h = (0.01 + draw(SHARES)) * (width - x) / 1.01, (0.01 + draw(SHARES)) * (height - y) / 1.01
    role = draw(st.sampled_from(["answer", "support"]))
    turn = draw(st.none() | st.floats(-360, 360, allow_subnormal=False))
    if turn is None or abs(math.remainder(turn, 360)) < 1e-6:
        return region_row("q", "r", (x, y, x + w, y + h), page_index=page, role=role)
    quad = rotated_rectangle(x, y, w, h, turn)
    box = quad_px_to_xyxy_px(quad[None])[0].tolist()
    return region_row("q", "r", box, page_index=page, role=role, rotation=turn, quad=quad.ravel().tolist())


@st.composite
def campaigns(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[Json]]:
    sizes = draw(pages())
    rows = draw(st.lists(proposed(sizes), min_size=1, max_size=5))
    return sizes, [row | {"region_id": f"r{number}"} for number, row in enumerate(rows)]


def sent(sizes: list[tuple[int, int]], rows: list[Json]) -> tuple[TaskView, list[Json]]:
    """The task of these rows as the server gives it back, and the prefilled result."""
    items = [
        Item(place, f"p{place}", *rect, *size) for place, size in enumerate(sizes) for rect in Cutting().parts(*size)
    ]
    placed = task_regions(regions_of(rows, sizes, []), items)
    data = {"prelabel": {"annotator": PROPOSAL, "regions": {one.name: one.entry() for one in placed}}}
    result = json.loads(json.dumps(list(results(placed, items))))
    return TaskView(1, "q", "annotation", tuple(items), json.loads(json.dumps(data)), 7), result


def by_id(reading: Reading) -> dict[str, Any]:
    return {region.region_id: region for region in reading.regions}


RUN = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@RUN
@given(campaigns())
def test_untouched_regions_are_bit_equal(campaign: tuple[list[tuple[int, int]], list[Json]]) -> None:
    sizes, rows = campaign
    view, result = sent(sizes, rows)
    reading = read_result(result, view)
    before = {region.region_id: region for region in regions_of(rows, sizes, [])}
    assert by_id(reading).keys() == before.keys() and not reading.faults and not reading.deleted
    for name, region in by_id(reading).items():
        box = before[name].box
        assert (region.xyxy, region.rotation, region.quad, region.origin) == (
            box.xyxy,
            box.rotation,
            box.quad,
            "accepted",
        )
        assert (region.page_index, region.role) == (before[name].page_index, before[name].role)


@RUN
@given(campaigns())
def test_boxes_drawn_anew_are_equal_within_a_millionth_of_a_pixel(
    campaign: tuple[list[tuple[int, int]], list[Json]],
) -> None:
    """The same numbers under other ids: nothing is remembered, all is geometry."""
    sizes, rows = campaign
    view, result = sent(sizes, rows)
    names = {place: entry["id"] for place, entry in enumerate(result)}
    fresh = [entry | {"id": f"new{place}"} for place, entry in enumerate(result)]
    reading = read_result(fresh, view)
    before = {region.region_id: region.box for region in regions_of(rows, sizes, [])}
    entries = view.data["prelabel"]["regions"]
    assert len(reading.deleted) == len(before)
    for region in reading.regions:
        entry = names[int(region.region_id.removeprefix("new"))]
        if "~" in entry:
            continue
        box, (width, height) = before[entries[entry]["region_id"]], sizes[region.page_index]
        inside = [min(max(v, 0), limit) for v, limit in zip(box.xyxy, (width, height) * 2, strict=True)]
        assert region.origin == "new" and region.xyxy == pytest.approx(inside, abs=1e-6, rel=0)
        if box.quad is not None:
            assert region.quad == pytest.approx(box.quad, abs=1e-6, rel=0)


@RUN
@given(campaigns(), st.data())
def test_a_moved_box_is_where_it_was_put(
    campaign: tuple[list[tuple[int, int]], list[Json]], data: st.DataObject
) -> None:
    """An editor that works in pixels of the item, with arithmetic of its own."""
    sizes, rows = campaign
    view, result = sent(sizes, rows)
    entry = data.draw(st.sampled_from([one for one in result if "~" not in one["id"]] or [None]))
    if entry is None:
        return
    item = view.items[entry["item_index"]]
    x, y = data.draw(SHARES) * 0.9 * item.width, data.draw(SHARES) * 0.9 * item.height
    w, h = (0.01 + data.draw(SHARES) * 0.05) * item.width, (0.01 + data.draw(SHARES) * 0.05) * item.height
    angle = data.draw(st.sampled_from([0.0, 30.0, 90.0, -45.0]))
    edited = copy.deepcopy(result)
    moved = next(one for one in edited if one["id"] == entry["id"])
    moved["value"] |= {
        "x": x / item.width * 100,
        "y": y / item.height * 100,
        "width": w / item.width * 100,
        "height": h / item.height * 100,
        "rotation": angle,
    }
    name = view.data["prelabel"]["regions"][entry["id"]]["region_id"]
    found = by_id(read_result(edited, view)).get(name)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [
        (x + u * cos - v * sin + item.x0, y + u * sin + v * cos + item.y0) for u, v in ((0, 0), (w, 0), (w, h), (0, h))
    ]
    xs, ys = zip(*corners, strict=True)
    expected = [max(min(xs), 0), max(min(ys), 0), min(max(xs), item.page_width), min(max(ys), item.page_height)]
    if found is None:
        assert expected[0] >= expected[2] or expected[1] >= expected[3]
        return
    assert found.xyxy == pytest.approx(expected, abs=1e-6, rel=0)
    if angle:
        assert found.quad == pytest.approx([v for corner in corners for v in corner], abs=1e-6, rel=0)


def test_the_examples_are_what_they_seem(tmp_path: Path) -> None:
    """A long page is cut, so pieces are part of the campaigns above."""
    _, result = sent([(60, 900)], [region_row("q", "r", (3.3, 70.7, 55.5, 410.1))])
    assert [entry["id"] for entry in result][:2] == ["p0~0", "p0~1"]
