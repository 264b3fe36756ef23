from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.boxes import (
    area,
    as_xyxy,
    clip,
    disjoint,
    intersection_area,
    iou,
    quad_px_to_xyxy_px,
    rotated_rectangle,
    rotated_rectangle_of_quad,
    union_area,
    xywh_percent_to_xyxy_px,
    xyxy_1000_to_xyxy_px,
    xyxy_percent_to_xyxy_px,
    xyxy_px_to_quad_px,
    xyxy_px_to_xywh_percent,
    xyxy_px_to_xyxy_1000,
    xyxy_px_to_xyxy_percent,
)
from pinpoint_data.errors import GeometryError, PinpointError
from pinpoint_data.unions import disjoint_rectangles, overlaps_another
from tests.domain.strategies import boxes, quick


@pytest.mark.parametrize(
    ("xyxy", "message"),
    [
        ([0, 0, 1, 1], r"boxes must have shape \(n, 4\), got \(4,\)"),
        ([[0, 0, 1]], r"boxes must have shape \(n, 4\), got \(1, 3\)"),
        (7.0, r"boxes must have shape \(n, 4\), got \(\)"),
        ([[0, 0, 1, 1], [0, 0, 1, np.nan]], r"boxes must be finite, got \[0.0, 0.0, 1.0, nan\] at 1"),
        ([[0, 0, np.inf, 1]], "boxes must be finite"),
        ([[0, 0, 1, 1], [2, 0, 2, 1]], r"x0 < x1 and y0 < y1, got \[2.0, 0.0, 2.0, 1.0\] at 1"),
        ([[0, 5, 1, 4]], "x0 < x1 and y0 < y1"),
        ([["a", 0, 1, 1]], "boxes must be numbers"),
        ([[0, 0, 1, 1], [0, 0]], "boxes must be numbers"),
    ],
)
def test_malformed_boxes_are_refused_with_expected_and_actual(xyxy: object, message: str) -> None:
    with pytest.raises(GeometryError, match=message) as error:
        as_xyxy(xyxy, "boxes")  # type: ignore[arg-type]
    assert isinstance(error.value, PinpointError)
    assert isinstance(error.value, ValueError)


def test_no_boxes_have_shape_0_4() -> None:
    assert as_xyxy([]).shape == (0, 4)
    assert union_area([]) == 0
    assert iou([], [[0, 0, 1, 1]]).shape == (0, 1)


def test_hand_computed_areas() -> None:
    a, b = [[0, 0, 4, 2]], [[2, 1, 6, 3], [4, 0, 5, 1], [1, 0.5, 2, 1.5]]
    assert area(b).tolist() == [8, 1, 1]
    assert intersection_area(a, b).tolist() == [[2, 0, 1]]
    assert iou(a, b).tolist() == [[2 / 14, 0, 1 / 8]]
    assert union_area(a + b) == 8 + 8 - 2 + 1
    assert clip([[-5, 1, 2, 9], [7, 7, 8, 8]], (0, 0, 4, 4)).tolist() == [[0, 1, 2, 4], [4, 4, 4, 4]]


@quick
@given(boxes(), boxes())
def test_intersections_and_iou_equal_shapely(a: np.ndarray, b: np.ndarray) -> None:
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            first, second = shapely.box(*one), shapely.box(*other)
            assert intersection_area(a, b)[i, j] == pytest.approx(first.intersection(second).area, abs=1e-9)
            expected = first.intersection(second).area / first.union(second).area
            assert iou(a, b)[i, j] == pytest.approx(expected, abs=1e-9)


@quick
@given(boxes(high=9))
def test_disjoint_rectangles_have_the_union_and_share_no_area(xyxy: np.ndarray) -> None:
    parts = disjoint(xyxy)
    union = shapely.unary_union(shapely.box(*xyxy.T))
    assert union_area(xyxy) == pytest.approx(union.area, abs=1e-9)
    assert shapely.unary_union(shapely.box(*parts.T)).symmetric_difference(union).area < 1e-9
    shared = intersection_area(parts, parts)
    assert (shared[~np.eye(len(parts), dtype=bool)] == 0).all()
    assert set(parts.ravel()) <= set(xyxy.ravel())


@quick
@given(boxes(high=9), st.randoms(use_true_random=False))
def test_union_does_not_depend_on_order_or_repetition(xyxy: np.ndarray, random: object) -> None:
    order = list(range(len(xyxy)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert union_area(np.concatenate([xyxy[order], xyxy])) == pytest.approx(union_area(xyxy), abs=1e-9)


@quick
@given(st.lists(boxes(high=5), max_size=6))
def test_unions_of_many_items_equal_those_of_each(items: list[np.ndarray]) -> None:
    owner = np.repeat(np.arange(len(items)), [len(item) for item in items])
    stacked = np.concatenate([np.zeros((0, 4)), *items])
    shuffle = np.random.default_rng(0).permutation(len(stacked))
    parts, of = disjoint_rectangles(stacked[shuffle], owner[shuffle])
    for i, item in enumerate(items):
        assert area(parts[of == i]).sum() == pytest.approx(union_area(item), abs=1e-9)


@quick
@given(st.lists(boxes(high=5), max_size=4), st.integers(1, 9))
def test_boxes_that_overlap_another_of_their_item(items: list[np.ndarray], pairs: int) -> None:
    stacked = np.concatenate([np.empty((0, 4)), *items])
    owner = np.repeat(np.arange(len(items)), [len(item) for item in items])
    shapes = [shapely.box(*box) for box in stacked]
    expected = [
        any(i != j and owner[i] == owner[j] and a.intersection(b).area > 0 for j, b in enumerate(shapes))
        for i, a in enumerate(shapes)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinpoint_data.unions._PAIRS", pairs)
        assert overlaps_another(stacked, owner).tolist() == expected


def test_boxes_that_touch_do_not_overlap() -> None:
    xyxy = np.array([[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]], np.float64)
    for ordered in (xyxy, xyxy[::-1]):
        assert not overlaps_another(ordered, np.zeros(4, np.intp)).any()


def test_union_of_thousands_of_boxes_is_cut_in_bounded_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 1000, (700, 2))
    xyxy = np.concatenate([corner, corner + rng.uniform(1, 40, (700, 2))], 1)
    monkeypatch.setattr("pinpoint_data.unions._CHUNK", 10_000)
    monkeypatch.setattr("pinpoint_data.unions._PAIRS", 1000)
    assert union_area(xyxy) == pytest.approx(shapely.unary_union(shapely.box(*xyxy.T)).area, rel=1e-12)


def test_formats_by_hand_on_a_page_that_is_not_square() -> None:
    px = [[20, 100, 60, 400]]
    assert xyxy_px_to_xyxy_percent(px, 200, 1000).tolist() == [[10, 10, 30, 40]]
    assert xyxy_px_to_xywh_percent(px, 200, 1000).tolist() == [[10, 10, 20, 30]]
    assert xyxy_px_to_xyxy_1000(px, 200, 1000).tolist() == [[100, 100, 300, 400]]
    assert xyxy_px_to_quad_px(px).tolist() == [[[20, 100], [60, 100], [60, 400], [20, 400]]]
    with pytest.raises(GeometryError, match="page size must be positive, got 0 x 5"):
        xyxy_px_to_xyxy_1000(px, 0, 5)


@quick
@given(boxes(low=1), st.integers(1, 20000), st.integers(1, 20000))
def test_formats_round_trip_within_a_millionth_of_a_pixel(xyxy: np.ndarray, width: int, height: int) -> None:
    for there, back in (
        (xyxy_px_to_xyxy_percent, xyxy_percent_to_xyxy_px),
        (xyxy_px_to_xywh_percent, xywh_percent_to_xyxy_px),
        (xyxy_px_to_xyxy_1000, xyxy_1000_to_xyxy_px),
    ):
        np.testing.assert_allclose(back(there(xyxy, width, height), width, height), xyxy, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(quad_px_to_xyxy_px(xyxy_px_to_quad_px(xyxy)), xyxy)


def test_quarter_turn_is_clockwise_about_the_top_left_corner() -> None:
    turned = rotated_rectangle(100, 50, 30, 10, 90)
    np.testing.assert_allclose(turned, [[100, 50], [100, 80], [90, 80], [90, 50]], atol=1e-12)
    np.testing.assert_allclose(quad_px_to_xyxy_px([turned]), [[90, 50, 100, 80]], atol=1e-12)


sides = st.floats(0.5, 1e4)


@quick
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), sides, sides, st.floats(-179.9, 179.9))
def test_rotation_keeps_shape_and_round_trips(x: float, y: float, width: float, height: float, turn: float) -> None:
    quad = rotated_rectangle(x, y, width, height, turn)
    assert shapely.Polygon(quad).area == pytest.approx(width * height, rel=1e-6)
    expected = shapely.affinity.rotate(shapely.box(x, y, x + width, y + height), turn, origin=(x, y))
    assert shapely.hausdorff_distance(shapely.Polygon(quad), expected) < 1e-6
    assert rotated_rectangle_of_quad(quad) == pytest.approx((x, y, width, height, turn), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("bad", [(0, 0, 0, 5, 0), (0, 0, 5, -1, 0), (0, 0, 5, 5, np.nan)])
def test_rotated_rectangle_refuses_nonsense(bad: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="rotated rectangle must be finite with width, height > 0"):
        rotated_rectangle(*bad)
