"""What is said about one annotator: offset, scale, sizes, speed, pre-annotations left as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinpoint_data.validation import Finding, Limits, validate
from tests.validation.build import Row, page, question, region, toy, verdict

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
CODES = ["annotator-offset", "annotator-scale"]


def jitter(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return box + rng.normal(0, 2, 4)


def moved(*by: float) -> Draw:
    return lambda box, rng: jitter(box, rng) + np.array(by)


def campaign(path: Path, people: dict[str, Draw], questions: int = 40, **more: Any) -> tuple[Finding, ...]:
    """Each person draws the same two 100 x 20 boxes of every question, in the given way, on pages of 1000 x 1000."""
    rng = np.random.default_rng(7)
    rows: list[Row] = []
    for number in range(questions):
        id_ = f"toy/q{number}"
        truth = [np.array([x, y, x + 100, y + 20]) for x, y in rng.uniform(100, 800, (2, 2))]
        for name, draw in people.items():
            boxes = [draw(box, rng).tolist() for box in truth]
            rows += [region(b, id_, f"r{i}", annotator=name, **more) for i, b in enumerate(boxes)]
            rows.append(verdict(id_, annotator=name))
    asked = [question(f"toy/q{number}") for number in range(questions)]
    return validate(toy(path, rows, pages=[page(height=1000)], questions=asked), codes=CODES).findings


def test_people_who_draw_alike_are_no_finding(tmp_path: Path) -> None:
    assert campaign(tmp_path / "ws", dict.fromkeys("abcd", jitter)) == ()


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ((5, 0, 5, 0), "too far right"),
        ((-40, 0, -40, 0), "too far left"),
        ((0, 4, 0, 4), "too far down"),
        ((0, -25, 0, -25), "too far up"),  # more than a line: no IoU is left
    ],
)
def test_of_three_people_the_one_who_is_off_is_named_with_the_shift(
    tmp_path: Path, by: tuple[float, ...], message: str
) -> None:
    [found] = campaign(tmp_path / "ws", {"a": jitter, "off": moved(*by), "c": jitter})
    assert (found.code, found.annotator, found.severity) == ("annotator-offset", "off", "warning")
    assert message in found.message
    size = float(found.message.split(" px")[0].split()[-1])
    assert size == pytest.approx(max(map(abs, by)), abs=1)
    heights = float(found.message.split("(")[1].split(" box heights")[0])
    assert heights == pytest.approx(size / 20, rel=0.15)  # boxes are 20 px high, give or take the jitter
    assert "grows" not in found.message


def test_of_two_people_both_are_named_and_it_is_said_that_either_may_be_off(tmp_path: Path) -> None:
    found = campaign(tmp_path / "ws", {"a": jitter, "b": moved(0, 9, 0, 9)})
    assert [f.annotator for f in found] == ["a", "b"]
    assert "too far up" in found[0].message
    assert "those of b, who may be the one that is off" in found[0].message


def test_an_image_of_another_size_is_told_from_a_plain_offset(tmp_path: Path) -> None:
    people: dict[str, Draw] = {"a": jitter, "b": jitter, "scaled": lambda box, rng: jitter(box, rng) * 1.05}
    found = campaign(tmp_path / "ws", people)
    assert {(f.code, f.annotator) for f in found} == {("annotator-offset", "scaled")}
    assert len(found) == 2
    rates = [float(f.message.split("grows by ")[1].split()[0]) for f in found]
    assert rates == pytest.approx([5, 5], abs=1)


def test_larger_boxes_are_a_scale_and_no_offset(tmp_path: Path) -> None:
    [found] = campaign(tmp_path / "ws", {"a": jitter, "wide": moved(-5, -8, 5, 8), "c": jitter})
    assert (found.code, found.annotator, found.severity) == ("annotator-scale", "wide", "info")
    width, height = (float(text.split()[-1]) for text in found.message.split(" times")[:2])
    assert (width, height) == pytest.approx((1.1, 1.8), abs=0.1)


def test_reaching_further_to_one_side_is_no_offset(tmp_path: Path) -> None:
    """Somebody who draws the label with the value moves one edge, not the box."""
    assert campaign(tmp_path / "ws", {"a": jitter, "label": moved(-45, 0, 0, 0), "c": jitter}) == ()


def test_few_boxes_say_nothing(tmp_path: Path) -> None:
    people = {"a": jitter, "off": moved(0, 9, 0, 9), "c": jitter}
    assert campaign(tmp_path / "few", people, questions=9) == ()
    assert len(campaign(tmp_path / "enough", people, questions=12)) == 1


def test_proposals_are_no_annotators(tmp_path: Path) -> None:
    assert campaign(tmp_path / "ws", {"proposal:lexical@1": moved(0, 9, 0, 9), "a": jitter}) == ()


def test_boxes_of_different_things_are_not_matched_by_force(tmp_path: Path) -> None:
    """Two who mark different places on every page differ in no direction."""

    def wild(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x, y = rng.uniform(100, 800, 2)
        return np.array([x, y, x + 100, y + 20])

    assert campaign(tmp_path / "ws", {"a": jitter, "wild": wild, "c": jitter}) == ()


def sized(path: Path, *sides: float, annotator: str = "ann") -> list[str | None]:
    rng = np.random.default_rng(3)
    usual = rng.lognormal(np.log(40), 0.25, 60)
    rows = [
        region((9, 9, 9 + side, 9 + side), region_id=f"r{i}", annotator=annotator)
        for i, side in enumerate([*usual, *sides])
    ]
    return [f.region_id for f in validate(toy(path, rows), codes=["box-size-unusual"]).findings]


def test_a_box_of_another_size_than_the_annotators_others(tmp_path: Path) -> None:
    assert sized(tmp_path / "none", 50, 25, 70) == []
    assert sized(tmp_path / "two", 700, 4, 60) == ["r60", "r61"]


def test_sizes_are_held_against_the_same_source_and_annotator(tmp_path: Path) -> None:
    small = [region((9, 9, 19, 19), f"a/q{i}", annotator="ann") for i in range(30)]
    large = [region((9, 9, 609, 609), f"b/q{i}", annotator="ann") for i in range(30)]
    other = [region((9, 9, 609, 609), f"a/q{i}", annotator="bob") for i in range(30)]
    asked = [question(f"{s}/q{i}", source=s) for s in "ab" for i in range(30)]
    made = toy(tmp_path / "ws", [*small, *large, *other], questions=asked)
    assert validate(made, codes=["box-size-unusual"]).findings == ()


def timed(path: Path, people: dict[str, float], questions: int = 25, status: str = "evidence") -> list[str | None]:
    rows = [
        verdict(f"toy/q{i}", status, annotator=name, lead_time_s=seconds + i % 3)
        for name, seconds in people.items()
        for i in range(questions)
    ]
    found = validate(toy(path, rows), codes=["annotator-fast"]).findings
    assert all(f.severity == "info" for f in found)
    return [f.annotator for f in found]


def test_one_annotator_far_faster_than_the_others(tmp_path: Path) -> None:
    people = {"a": 30.0, "b": 24.0, "hasty": 3.0}
    assert timed(tmp_path / "fast", people) == ["hasty"]
    assert timed(tmp_path / "few", people, questions=19) == []
    assert timed(tmp_path / "skips", people, status="skipped") == []
    assert timed(tmp_path / "alike", {"a": 30.0, "b": 24.0, "c": 9.0}) == []
    assert timed(tmp_path / "alone", {"a": 0.1}) == []
    assert timed(tmp_path / "unknown", {"a": 30.0, "b": float("nan"), "c": -50.0, "d": float("inf")}) == []


@pytest.mark.parametrize(
    ("origins", "found"),
    [
        (["accepted"] * 20, True),
        (["accepted"] * 19, False),
        (["accepted"] * 40 + ["moved"], False),
        (["accepted"] * 40 + ["new"], False),
        (["import"] * 40, False),
        (["proposal"] * 40, False),
    ],
)
def test_pre_annotations_that_were_all_left_as_they_were(tmp_path: Path, origins: list[str], found: bool) -> None:
    rows = [region((9, 9, 99, 99), f"toy/q{i}", annotator="ann", origin=o) for i, o in enumerate(origins)]
    report = validate(toy(tmp_path / "ws", rows), codes=["annotator-accepts-all"], limits=Limits(sample=20))
    assert [(f.annotator, f.severity) for f in report.findings] == ([("ann", "info")] if found else [])
