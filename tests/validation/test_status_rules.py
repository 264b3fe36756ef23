"""Verdicts against answers and against one another, and answer boxes on the wrong page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinpoint_data.validation import Finding, validate
from tests.validation.build import Row, decided, page, question, region, toy, verdict, word


def against_answers(path: Path, status: str, answers: list[str], **more: Any) -> tuple[Finding, ...]:
    """Page 1 says "Grand total 1,250 EUR"; page 0 says nothing of it."""
    words = [word("Invoice", (9, 9, 90, 30), "toy/a")]
    words += [word(t, (90 * i, 9, 90 * i + 80, 30), "toy/b") for i, t in enumerate(["Grand", "total", "1,250", "EUR"])]
    made = toy(
        path,
        [verdict(status=status, annotator="ann")],
        pages=[page("toy/a"), page("toy/b")],
        questions=[question(pages=["toy/a", "toy/b"], answers=answers, **more)],
        words=words,
        verdicts=[decided(status=status)],
    )
    return validate(made, codes=["status-against-answers"]).findings


@pytest.mark.parametrize("status", ["unanswerable", "no_evidence"])
def test_an_answer_that_stands_on_the_page_is_not_unanswerable(tmp_path: Path, status: str) -> None:
    found = against_answers(tmp_path / "ws", status, ["1250", "grand total"])
    assert [(f.table, f.annotator) for f in found] == [("annotations", "ann"), ("verdicts", None)]
    assert found[0].message == f"status is {status}, yet the answer '1250 | grand total' stands on page 1"


@pytest.mark.parametrize(
    ("status", "answers"),
    [
        ("evidence", ["1250"]),
        ("wrong_answer", ["1250"]),
        ("skipped", ["1250"]),
        ("unanswerable", ["9999"]),
        ("unanswerable", ["EUR"]),  # three letters stand on most pages by chance
        ("unanswerable", []),
        ("unanswerable", ["not answerable"]),
        ("evidence", ["N/A"]),  # as a form may say
        ("evidence", []),
        ("evidence", ["Not answerable", "1250"]),
    ],
)
def test_statuses_that_fit_the_answers(tmp_path: Path, status: str, answers: list[str]) -> None:
    assert against_answers(tmp_path / "ws", status, answers) == ()


def test_evidence_for_what_the_source_calls_unanswerable(tmp_path: Path) -> None:
    found = against_answers(tmp_path / "ws", "evidence", ["Not answerable"])
    assert found[0].message == "status is evidence, yet the source's answer is 'Not answerable'"
    assert len(found) == 2


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        (
            {"a": "evidence", "b": "unanswerable"},
            "no status has a majority of 2 annotators: 1 evidence, 1 unanswerable",
        ),
        ({"a": "evidence", "b": "no_evidence", "c": "wrong_answer"}, "no status has a majority of 3 annotators"),
        ({"a": "evidence", "b": "evidence", "c": "wrong_answer"}, None),
        ({"a": "evidence", "b": "skipped"}, None),
        ({"a": "evidence", "b": "unfinished"}, None),
        ({"a": "evidence", "proposal:x@1": "unanswerable"}, None),
        ({"a": "evidence", "gold:toy": "unanswerable"}, None),
        ({"a": "unanswerable"}, None),
    ],
)
def test_people_who_disagree_wholly(tmp_path: Path, statuses: dict[str, str], message: str | None) -> None:
    rows = [verdict(status=status, annotator=name) for name, status in statuses.items()]
    found = validate(toy(tmp_path / "ws", rows), codes=["status-disagreement"]).findings
    assert [(f.question_id, f.annotator) for f in found] == ([("toy/q0", None)] if message else [])
    assert all(f.message.startswith(message or "") for f in found)


def test_what_is_adjudicated_is_no_open_disagreement(tmp_path: Path) -> None:
    rows = [verdict(status=status, annotator=status) for status in ("evidence", "unanswerable")]
    made = toy(tmp_path / "ws", rows, verdicts=[decided()])
    assert validate(made, codes=["status-disagreement"]).findings == ()


def off_page(path: Path, boxes: list[Row], index: int | None = 1) -> tuple[Finding, ...]:
    made = toy(
        path,
        [verdict(), *boxes],
        pages=[page("toy/a"), page("toy/b")],
        questions=[question(pages=["toy/a", "toy/b"], answer_page_index=index)],
    )
    return validate(made, codes=["evidence-off-answer-page"]).findings


def on(page_index: int, number: int = 0, role: str | None = "answer") -> Row:
    return region((9, 9, 99, 99), region_id=f"r{number}", page_index=page_index, role=role)


def test_answer_boxes_on_a_page_that_is_not_the_answers(tmp_path: Path) -> None:
    [found] = off_page(tmp_path / "ws", [on(0), on(0, 1), on(0, 2, "support")])
    assert (found.question_id, found.page_index, found.region_id) == ("toy/q0", 0, None)
    assert found.message == "no answer box is there: the source says the answer is on page 1"
    assert len(off_page(tmp_path / "roleless", [on(0, role=None)])) == 1


@pytest.mark.parametrize(
    "boxes",
    [[on(1)], [on(0), on(1, 1)], [on(0, role="support")], [on(1), on(0, 1, "support")], [], [on(7)]],
)
def test_boxes_that_fit_the_answers_page(tmp_path: Path, boxes: list[Row]) -> None:
    assert off_page(tmp_path / "ws", boxes) == ()


@pytest.mark.parametrize("index", [None, -1])
def test_a_source_that_names_no_page_accuses_nobody(tmp_path: Path, index: int | None) -> None:
    assert off_page(tmp_path / "ws", [on(0)], index) == ()
