"""Box rules, each seen from outside: a workspace in, findings out; geometry against plain-Python oracles."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.validation import Finding, Limits, validate
from tests.validation.build import evidence, page, question, region, toy, verdict, viscot

BOX_CODES = [
    "box-outside-page",
    "box-degenerate",
    "page-index-out-of-range",
    "box-covers-page",
    "box-repeated",
    "box-tiny",
]


def boxes_found(path: Path, regions: list[dict[str, object]], limits: Limits | None = None) -> tuple[Finding, ...]:
    return validate(toy(path, [verdict(), *regions]), codes=BOX_CODES, limits=limits).findings


@pytest.mark.parametrize(
    ("xyxy", "codes"),
    [
        ((100, 100, 200, 150), []),
        ((0, 0, 1000, 100), []),
        ((900, 700, 1000, 800), []),
        ((900, 700, 1000.0000005, 800), []),
        ((900, 700, 1000.00001, 800), ["box-outside-page"]),
        ((-0.1, 10, 50, 60), ["box-outside-page"]),
        ((10, -3, 50, 60), ["box-outside-page"]),
        ((10, 700, 50, 800.5), ["box-outside-page"]),
        ((2000, 2000, 2100, 2100), ["box-outside-page"]),
        ((200, 100, 100, 150), ["box-degenerate"]),
        ((100, 150, 200, 100), ["box-degenerate"]),
        ((100, 100, 100, 150), ["box-degenerate"]),
        ((float("nan"), 100, 200, 150), ["box-degenerate"]),
        ((100, 100, float("inf"), 150), ["box-degenerate"]),
        ((None, 100, 200, 150), ["box-degenerate"]),
        ((1200, 100, 1100, 150), ["box-outside-page", "box-degenerate"]),
        ((0, 0, 1000, 800), ["box-covers-page"]),
        ((0, 0, 1000, 760), ["box-covers-page"]),
        ((0, 0, 1000, 759), []),
        ((-500, -500, 1500, 1500), ["box-outside-page", "box-covers-page"]),
        ((100, 100, 101.9, 150), ["box-tiny"]),
        ((100, 100, 102, 102), []),
    ],
)
def test_one_box(tmp_path: Path, xyxy: tuple[float, ...], codes: list[str]) -> None:
    found = boxes_found(tmp_path / "ws", [region(xyxy)])
    assert [f.code for f in found] == codes
    assert all((f.table, f.question_id, f.region_id, f.page_index) == ("annotations", "toy/q0", "r0", 0) for f in found)


def test_the_message_gives_the_numbers_of_every_edge(tmp_path: Path) -> None:
    [found] = boxes_found(tmp_path / "ws", [region((-2.5, 10, 1312, 100))])
    assert found.message == (
        "reaches 2.5 px beyond the left edge and 312 px beyond the right edge "
        "(box (-2.5, 10, 1312, 100), page 1000 x 800)"
    )
    assert (found.severity, found.annotator) == ("error", "gold:toy")
    assert found.remedy


def test_tolerance_is_in_pixels_and_inclusive(tmp_path: Path) -> None:
    shifted = [region((900, 700, 1003, 800))]
    assert [f.code for f in boxes_found(tmp_path / "a", shifted, Limits(tolerance_px=2.9))] == ["box-outside-page"]
    assert boxes_found(tmp_path / "b", shifted, Limits(tolerance_px=3)) == ()


@pytest.mark.parametrize(("index", "found"), [(0, False), (1, False), (2, True), (-1, True), (None, True)])
def test_page_index_of_a_box(tmp_path: Path, index: int | None, found: bool) -> None:
    made = toy(
        tmp_path / "ws",
        [verdict(), region((10, 10, 90, 90), page_index=index)],
        pages=[page("toy/a"), page("toy/b")],
        questions=[question(pages=["toy/a", "toy/b"])],
    )
    assert bool(validate(made, codes=["page-index-out-of-range"]).findings) is found


def test_page_index_of_an_answer(tmp_path: Path) -> None:
    rows = [question(f"toy/q{i}", answer_page_index=index) for i, index in enumerate([0, 1, None, -1])]
    found = validate(toy(tmp_path / "ws", [], questions=rows), codes=["page-index-out-of-range"]).findings
    assert [f.question_id for f in found] == ["toy/q1", "toy/q3"]
    assert found[0].message == "answer_page_index: page index 1, the question has 1 page"


def test_each_box_is_held_against_its_own_page(tmp_path: Path) -> None:
    made = toy(
        tmp_path / "ws",
        [region((0, 0, 300, 50), region_id=f"r{i}", page_index=i) for i in range(3)],
        pages=[page("toy/b", 200, 900), page("toy/c", 400, 900), page("toy/a", 299, 900)],
        questions=[question(pages=["toy/a", "toy/b", "toy/c"])],
    )
    found = validate(made, codes=["box-outside-page"]).findings
    assert [(f.region_id, f.page_index) for f in found] == [("r0", 0), ("r1", 1)]


def test_a_page_of_unknown_size_accuses_no_box(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", pages=[page(width=0, height=0)])
    found = validate(made).findings
    assert [(f.code, f.page_id) for f in found] == [("page-without-size", "toy/p0")]


def test_duplicates_are_of_one_annotator_question_and_page(tmp_path: Path) -> None:
    box, near, far = (100, 100, 300, 200), (100.5, 100, 300, 200), (103, 100, 303, 200)
    made = toy(
        tmp_path / "ws",
        [
            region(box, region_id="first"),
            region(near, region_id="second"),
            region(far, region_id="moved"),
            region((503, 100, 700, 200), region_id="narrower"),
            region((500, 100, 700, 200), region_id="wider"),
            region(box, region_id="other-page", page_index=1),
            region(box, region_id="other-annotator", annotator="bob"),
            region(box, "toy/q1", region_id="other-question"),
        ],
        pages=[page("toy/a"), page("toy/b")],
        questions=[question(f"toy/q{i}", ["toy/a", "toy/b"]) for i in range(2)],
    )
    found = validate(made, codes=["box-duplicate"]).findings
    assert [(f.region_id, f.message) for f in found] == [
        ("second", "has an IoU of 0.9975 with region first of the same annotator"),
        ("wider", "has an IoU of 0.9850 with region narrower of the same annotator"),
    ]


def test_of_many_copies_all_but_the_first_are_named(tmp_path: Path) -> None:
    copies = [region((100, 100, 300, 200), region_id=f"r{i}") for i in range(3_000)]
    found = validate(toy(tmp_path / "ws", copies), codes=["box-repeated", "box-duplicate"]).findings
    assert {f.code for f in found} == {"box-repeated"}
    assert {f.region_id for f in found} == {f"r{i}" for i in range(1, 3_000)}


def test_adjudicated_evidence_is_checked_like_annotations(tmp_path: Path) -> None:
    boxes = [(10, 10, 1100, 90), (10, 10, 5, 90), (20, 20, 40, 40), (20, 20, 40, 40), (50, 50, 51, 90)]
    rows = [evidence(xyxy, evidence_id=f"e{i}") for i, xyxy in enumerate(boxes)]
    rows.append(evidence((60, 60, 90, 90), evidence_id="e5", page_index=7))
    found = validate(toy(tmp_path / "ws", [], evidence=rows), codes=BOX_CODES).findings
    assert {(f.table, f.annotator) for f in found} == {("evidence", None)}
    assert {f.code: f.region_id for f in found} == {
        "box-outside-page": "e0",
        "box-degenerate": "e1",
        "box-repeated": "e3",
        "box-tiny": "e4",
        "page-index-out-of-range": "e5",
    }


def plain_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - shared)


corner = st.integers(0, 60)
side = st.integers(30, 60)
a_box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=25, deadline=None)
@given(boxes=st.lists(st.tuples(a_box, st.integers(0, 1)), max_size=25), threshold=st.sampled_from([0.3, 0.8, 0.98]))
def test_duplicates_are_those_of_the_plain_double_loop(
    boxes: list[tuple[tuple[int, ...], int]], threshold: float
) -> None:
    rows = [region(xyxy, region_id=f"r{i}", page_index=p) for i, (xyxy, p) in enumerate(boxes)]
    expected = {
        f"r{j}"
        for j, (b, page_b) in enumerate(boxes)
        if any(page_a == page_b and plain_iou(a, b) > threshold for a, page_a in boxes[:j])
    }
    with TemporaryDirectory() as folder:
        made = toy(Path(folder), rows, questions=[question(pages=["toy/p0", "toy/p0"])])
        report = validate(made, codes=["box-repeated", "box-duplicate"], limits=Limits(duplicate_iou=threshold))
    assert {f.region_id for f in report.findings} == expected


finite = st.floats(-50, 150, allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(st.tuples(finite, finite, finite, finite), min_size=1, max_size=30), tolerance=st.floats(0, 9))
def test_outside_and_degenerate_are_those_of_plain_python(
    boxes: list[tuple[float, float, float, float]], tolerance: float
) -> None:
    rows = [region(xyxy, region_id=f"r{i}") for i, xyxy in enumerate(boxes)]
    limit = tolerance + 1e-6
    outside = {
        f"r{i}"
        for i, (x0, y0, x1, y1) in enumerate(boxes)
        if min(x0, x1) < -limit or min(y0, y1) < -limit or max(x0, x1) - 100 > limit or max(y0, y1) - 80 > limit
    }
    degenerate = {f"r{i}" for i, (x0, y0, x1, y1) in enumerate(boxes) if not (x1 > x0 and y1 > y0)}
    with TemporaryDirectory() as folder:
        made = toy(Path(folder), rows, pages=[page(width=100, height=80)])
        found = validate(made, limits=Limits(tolerance_px=tolerance)).findings
    assert {f.region_id for f in found if f.code == "box-outside-page"} == outside
    assert {f.region_id for f in found if f.code == "box-degenerate"} == degenerate


def test_the_known_bad_boxes_of_visual_cot(tmp_path: Path, real_data: Path) -> None:
    """32 boxes of DUDE reach beyond their page; 8 of DocVQA have their corners swapped; InfographicVQA has neither."""
    files = sorted((real_data / "viscot_boxes").glob("*.jsonl"))
    report = validate(viscot(tmp_path / "ws", files), codes=["box-outside-page", "box-degenerate"])
    assert report.looked_at["boxes"] == 360 + 888 + 603
    sources = Counter((f.code, (f.question_id or "").split("/")[0]) for f in report.findings)
    assert sources == {("box-outside-page", "dude"): 32, ("box-degenerate", "docvqa"): 8}
