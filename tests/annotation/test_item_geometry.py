"""Page pixels and percent of an item: exact inverses, also for parts of tall pages and turned boxes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import box as shapely_box

from annotation.label_studio.geometry import (
    MAX_PARTS,
    Cutting,
    Item,
    PageBox,
    clipped,
    item_to_page,
    page_to_item,
    shown_in,
)
from pinpoint_data.boxes import rotated_rectangle
from pinpoint_data.errors import GeometryError, UsageError

sizes = st.tuples(st.integers(1, 4000), st.integers(1, 14000))
shares = st.floats(0, 1)


@st.composite
def items(draw: st.DrawFn) -> Item:
    width, height = draw(sizes)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Item(0, "s/p", x0, y0, draw(st.integers(1, width - x0)), draw(st.integers(1, height - y0)), width, height)


@st.composite
def boxes_in(draw: st.DrawFn, item: Item) -> PageBox:
    xs = sorted(item.x0 + draw(shares) * item.width for _ in range(2))
    ys = sorted(item.y0 + draw(shares) * item.height for _ in range(2))
    assume(xs[1] - xs[0] > 1e-3 and ys[1] - ys[0] > 1e-3)
    return PageBox((xs[0], ys[0], xs[1], ys[1]))


@given(st.data(), items())
def test_page_to_item_and_back(data: st.DataObject, item: Item) -> None:
    box = data.draw(boxes_in(item))
    value = page_to_item(box, item)
    assert min(value.values()) >= -1e-9
    assert value["x"] + value["width"] <= 100 + 1e-9
    assert value["y"] + value["height"] <= 100 + 1e-9
    back = item_to_page(value, item)
    assert back.xyxy == pytest.approx(box.xyxy, rel=1e-9, abs=1e-9 * max(item.page_width, item.page_height))
    assert (back.rotation, back.quad) == (None, None)


@given(st.data(), items(), st.floats(-720, 720))
def test_a_turned_box_and_back(data: st.DataObject, item: Item, degrees: float) -> None:
    assume(abs(math.remainder(degrees, 360)) > 1e-6)
    x0, y0, x1, y1 = data.draw(boxes_in(item)).xyxy
    quad = rotated_rectangle(x0, y0, x1 - x0, y1 - y0, degrees)
    envelope = (*quad.min(0).tolist(), *quad.max(0).tolist())
    box = PageBox(envelope, degrees, tuple(quad.ravel().tolist()))
    value = page_to_item(box, item)
    assert 0 <= value["rotation"] < 360
    back = item_to_page(value, item)
    near = 1e-9 * max(item.page_width, item.page_height)
    assert back.quad == pytest.approx(box.quad, rel=1e-9, abs=near)
    assert back.xyxy == pytest.approx(box.xyxy, rel=1e-9, abs=near)


def test_rotation_against_shapely() -> None:
    item = Item(0, "s/p", 100, 200, 400, 300, 1000, 1000)
    found = item_to_page({"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 25}, item)
    # y points down, so what shapely calls counter-clockwise is clockwise on the page.
    plain = shapely_box(140, 260, 260, 380)
    turned = affinity.rotate(plain, 25, origin=(140, 260))
    assert found.xyxy == pytest.approx(turned.bounds)
    assert np.allclose(sorted(np.array(found.quad).reshape(4, 2).tolist()), sorted(turned.exterior.coords[:4]))


def test_the_same_box_gives_the_same_bits() -> None:
    item = Item(0, "s/p", 0, 613, 1083, 1700, 1083, 6001)
    box = PageBox((33.3, 700.1, 99.7, 820.9))
    assert page_to_item(box, item) == page_to_item(box, item)
    assert page_to_item(box, item)["x"] == (33.3 - 0) * 100 / 1083


def test_corners_that_are_no_rectangle_are_shown_as_their_envelope() -> None:
    item = Item(0, "s/p", 0, 0, 200, 100, 200, 100)
    skewed = PageBox((10, 10, 60, 50), 10.0, (10, 10, 60, 12, 55, 50, 20, 48))
    assert page_to_item(skewed, item) == {"x": 5, "y": 10, "width": 25, "height": 40, "rotation": 0}


@pytest.mark.parametrize(
    "value",
    [
        {"x": 1, "y": 1, "width": 0, "height": 1},
        {"x": 1, "y": 1, "width": -1, "height": 1},
        {"x": "1", "y": 1, "width": 1, "height": 1},
        {"x": True, "y": 1, "width": 1, "height": 1},
        {"y": 1, "width": 1, "height": 1},
        {"x": math.nan, "y": 1, "width": 1, "height": 1},
        {"x": 10**400, "y": 1, "width": 1, "height": 1},
        {"x": 1e308, "y": 1, "width": 1e308, "height": 1},
        {"x": 1, "y": 1, "width": 1, "height": 1, "rotation": "90"},
        {"x": 1, "y": 1, "width": 1, "height": 1, "rotation": math.inf},
        {"x": 1e17, "y": 1, "width": 1, "height": 1},
    ],
)
def test_numbers_that_are_no_box_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(GeometryError):
        item_to_page(value, Item(0, "s/p", 0, 0, 200, 100, 200, 100))


@given(sizes, st.sampled_from([(1.6, 2.0, 0.12), (1.0, 1.0, 0.0), (2.0, 3.0, 0.5), (1.4, 5.0, 0.2)]))
def test_parts_cover_the_page_and_overlap(size: tuple[int, int], how: tuple[float, float, float]) -> None:
    cutting = Cutting(*how)
    width, height = size
    parts = cutting.parts(width, height)
    long, short = max(size), min(size)
    assert len(parts) <= MAX_PARTS
    if long <= cutting.split_above * short:
        assert parts == [(0, 0, width, height)]
        return
    along = 1 if height >= width else 0
    spans = [(part[along], part[along] + part[along + 2]) for part in parts]
    assert spans[0][0] == 0
    assert spans[-1][1] == long
    assert all(part[1 - along] == 0 and part[3 - along] == short for part in parts)
    assert len({end - start for start, end in spans}) == 1
    length = spans[0][1] - spans[0][0]
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end - start >= cutting.overlap * length - 2  # whole pixels
    if len(parts) < MAX_PARTS:
        assert length <= math.ceil(cutting.max_aspect * short)


@pytest.mark.parametrize(
    ("size", "count"), [((1000, 1414), 1), ((850, 1100), 1), ((400, 6000), 11), ((2084, 13938), 5), ((6000, 400), 11)]
)
def test_pages_of_the_real_world(size: tuple[int, int], count: int) -> None:
    assert len(Cutting().parts(*size)) == count


@pytest.mark.parametrize("how", [(0.5, 2.0, 0.1), (3.0, 2.0, 0.1), (1.6, 2.0, 0.6), (1.6, 2.0, -0.1)])
def test_impossible_cuts_are_refused(how: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        Cutting(*how)


@given(st.data(), sizes)
def test_pieces_join_to_the_box(data: st.DataObject, size: tuple[int, int]) -> None:
    parts = [Item(0, "s/p", *rect, *size) for rect in Cutting(1.0, 1.0, 0.1).parts(*size)]
    box = data.draw(boxes_in(Item(0, "s/p", 0, 0, *size, *size)))
    pieces = [piece for item in parts if (piece := shown_in(box, item))]
    xs0, ys0, xs1, ys1 = zip(*(piece.xyxy for piece in pieces), strict=True)
    assert (min(xs0), min(ys0), max(xs1), max(ys1)) == box.xyxy


def test_a_turned_box_whose_corner_sticks_out_is_all_there() -> None:
    item = Item(0, "s/p", 0, 0, 200, 100, 200, 100)
    quad = rotated_rectangle(5, 5, 50, 20, 30)
    box = PageBox((*quad.min(0).tolist(), *quad.max(0).tolist()), 30.0, tuple(quad.ravel().tolist()))
    assert box.xyxy[0] < 0
    assert shown_in(box, item) is box
    assert shown_in(PageBox((300.0, 0.0, 310.0, 5.0)), item) is None


def test_clipped() -> None:
    assert clipped((0, 0, 10, 10), (5, 5, 20, 20)) == (5, 5, 10, 10)
    assert clipped((0, 0, 10, 10), (10, 0, 20, 20)) is None


def test_an_item_survives_json() -> None:
    item = Item(2, "s/p", 0, 538, 400, 613, 400, 6000)
    assert Item.from_json(item.to_json()) == item
    assert not item.whole


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"width": 401},
        {"y0": -1},
        {"height": 1.5},
        {"x0": True},
        {"x0": "0"},
        {"page_id": None},
        {"page_index": None},
        {"page_width": 10**30},
    ],
)
def test_hostile_items_are_refused(change: dict[str, object]) -> None:
    entry = Item(0, "s/p", 0, 0, 400, 613, 400, 6000).to_json() | change
    with pytest.raises(GeometryError):
        Item.from_json(entry)
    with pytest.raises(GeometryError):
        Item.from_json([entry])
