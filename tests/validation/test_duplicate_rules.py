"""Boxes that one annotator drew twice, nearly twice, or one inside the other."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.validation import Limits, validate
from tests.validation.build import evidence, region, toy

CODES = ["box-repeated", "box-duplicate", "box-near-duplicate", "box-inside-box"]
BOX = (100, 100, 300, 200)


def found(path: Path, *boxes: tuple[tuple[float, ...], str | None]) -> list[tuple[str, str | None]]:
    rows = [region(xyxy, region_id=f"r{i}", role=role) for i, (xyxy, role) in enumerate(boxes)]
    return [(f.code, f.region_id) for f in validate(toy(path, rows), codes=CODES).findings]


@pytest.mark.parametrize(
    ("other", "role", "code"),
    [
        (BOX, "answer", "box-repeated"),
        (BOX, "support", "box-duplicate"),
        (BOX, None, "box-duplicate"),
        ((100, 100, 302, 200), "answer", "box-duplicate"),
        ((100, 100, 302, 200), "support", "box-duplicate"),
        ((110, 100, 310, 200), "answer", "box-near-duplicate"),  # IoU 0.905
        ((110, 100, 310, 200), "support", None),
        ((100, 100, 240, 200), "answer", "box-inside-box"),
        ((100, 100, 240, 200), "support", None),
        ((99, 120, 160, 180), "answer", "box-inside-box"),  # 98.4 % of it
        ((90, 120, 160, 180), "answer", None),
        ((50, 50, 400, 400), "answer", "box-inside-box"),
        ((130, 100, 330, 200), "answer", None),
        ((300, 100, 500, 200), "answer", None),
    ],
)
def test_two_boxes(tmp_path: Path, other: tuple[float, ...], role: str | None, code: str | None) -> None:
    codes = [c for c, _ in found(tmp_path / "ws", (BOX, "answer"), (other, role))]
    assert codes == ([code] if code else [])


def test_of_a_box_in_another_the_inner_one_is_named(tmp_path: Path) -> None:
    inner, outer = (120, 120, 180, 180), (50, 50, 400, 400)
    assert found(tmp_path / "a", (inner, "answer"), (outer, "answer")) == [("box-inside-box", "r0")]
    assert found(tmp_path / "b", (outer, "answer"), (inner, "answer")) == [("box-inside-box", "r1")]


def test_the_first_of_two_equal_boxes_is_the_one_that_stays(tmp_path: Path) -> None:
    boxes = [(BOX, "answer"), ((100, 100, 302, 200), "answer"), (BOX, "answer"), (BOX, "answer")]
    assert found(tmp_path / "ws", *boxes) == [
        ("box-repeated", "r2"),
        ("box-repeated", "r3"),
        ("box-duplicate", "r1"),
    ]


def test_rotated_regions_are_no_repeats_even_with_equal_envelopes(tmp_path: Path) -> None:
    quads = [[200, 100, 300, 150, 200, 200, 100, 150], [150, 100, 300, 170, 250, 200, 100, 130]]
    rows = [region(BOX, region_id=f"r{i}", rotation=30.0, quad=quad) for i, quad in enumerate(quads)]
    report = validate(toy(tmp_path / "ws", [*rows, region(BOX, region_id="upright")]), codes=CODES)
    assert [(f.code, f.region_id) for f in report.findings] == [("box-duplicate", "r1"), ("box-duplicate", "upright")]


def test_adjudicated_evidence_too(tmp_path: Path) -> None:
    rows = [evidence(BOX), evidence(BOX, evidence_id="e1"), evidence(BOX, "toy/other", evidence_id="e2")]
    report = validate(toy(tmp_path / "ws", [], evidence=rows), codes=CODES)
    assert [(f.code, f.table, f.part, f.region_id) for f in report.findings] == [
        ("box-repeated", "evidence", "toy-train", "e1")
    ]


def test_hostile_numbers_raise_no_warning(tmp_path: Path) -> None:
    inf, huge = float("inf"), 1e200
    boxes = [(-inf, -inf, inf, inf), (0, 0, inf, 0), (-huge, -huge, huge, huge), (0, 0, huge, huge), (0, 0, 5e-324, 1)]
    rows = [region(xyxy, region_id=f"r{i}") for i, xyxy in enumerate(boxes * 2)]
    assert len(validate(toy(tmp_path / "ws", rows)).findings) > 5


corner, side = st.integers(0, 12), st.integers(1, 12)
a_box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def area(a: tuple[int, ...]) -> int:
    return shared(a, a)


@settings(max_examples=25, deadline=None)
@given(boxes=st.lists(st.tuples(a_box, st.sampled_from(["answer", "support"])), max_size=12))
def test_repeats_and_inner_boxes_are_those_of_the_plain_double_loop(
    boxes: list[tuple[tuple[int, ...], str]],
) -> None:
    repeated = {f"r{j}" for j, one in enumerate(boxes) if one in boxes[:j]}
    kept = [(j, *one) for j, one in enumerate(boxes) if one not in boxes[:j]]
    inner = {
        f"r{j}"
        for j, a, role in kept
        if any(i != j and other == role and area(b) >= area(a) and shared(a, b) == area(a) for i, b, other in kept)
    }
    with TemporaryDirectory() as folder:
        rows = [region(xyxy, region_id=f"r{i}", role=role) for i, (xyxy, role) in enumerate(boxes)]
        limits = Limits(inside_share=1.0, near_duplicate_iou=1.0)
        report = validate(toy(Path(folder), rows), codes=CODES, limits=limits)
    assert {f.region_id for f in report.findings if f.code == "box-repeated"} == repeated
    assert {f.region_id for f in report.findings if f.code == "box-inside-box"} == inner
