"""Pages, questions and documents that stand in two splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinpoint_data.validation import Finding, validate
from tests.validation.build import Row, page, question, workspace

CODES = ["page-in-two-splits", "question-in-two-splits", "document-in-two-splits"]


def findings(path: Path, pages: list[Row], questions: list[Row], source: str | None = None) -> tuple[Finding, ...]:
    made = workspace(path, {"pages": {"toy-train": pages}, "questions": {"toy-train": questions}})
    return validate(made, codes=CODES, source=source).findings


def asked(name: str, split: str, pages: list[str], text: str | None = None, doc: str | None = None) -> Row:
    return question(f"toy/{name}", pages, split=split, question=text or f"What is {name}?", doc_id=doc or f"toy/{name}")


def test_equal_pages_under_two_names_leak(tmp_path: Path) -> None:
    pages = [page("toy/a", sha256="f" * 64), page("toy/b", sha256="f" * 64), page("toy/c", sha256="e" * 64)]
    rows = [asked("1", "train", ["toy/a"]), asked("2", "train", ["toy/a"]), asked("3", "test", ["toy/c", "toy/b"])]
    [found] = findings(tmp_path / "ws", pages, rows)
    assert (found.code, found.severity, found.table, found.part) == (
        "page-in-two-splits",
        "error",
        "pages",
        "toy-train",
    )
    assert found.page_id == "toy/b"
    assert found.message == "the same page is in train (2 questions, as toy/a) and test (1 question, as toy/b)"


@pytest.mark.parametrize(
    ("first", "second", "leaks"),
    [
        ({"sha256": "f" * 64}, {"sha256": "f" * 64}, True),
        ({"sha256": "f" * 64}, {"sha256": "e" * 64}, False),
        ({"sha256": None}, {"sha256": None}, False),
        ({"sha256": "f" * 64, "pdf_page": 3}, {"sha256": "f" * 64, "pdf_page": 3}, True),
        ({"sha256": "f" * 64, "pdf_page": 3}, {"sha256": "f" * 64, "pdf_page": 4}, False),
        ({"sha256": "f" * 64, "pdf_page": 0}, {"sha256": "f" * 64, "pdf_page": None}, False),
    ],
)
def test_what_makes_two_pages_equal(tmp_path: Path, first: Row, second: Row, leaks: bool) -> None:
    pages = [page("toy/a", **first), page("toy/b", **second)]
    rows = [asked("1", "train", ["toy/a"]), asked("2", "validation", ["toy/b"])]
    assert [f.code for f in findings(tmp_path / "ws", pages, rows)] == ["page-in-two-splits"] * leaks


def test_one_page_id_in_two_splits_leaks_without_any_hash(tmp_path: Path) -> None:
    rows = [asked("1", "validation", ["toy/p0"]), asked("2", "test", ["toy/p0"])]
    assert [f.code for f in findings(tmp_path / "ws", [page()], rows)] == ["page-in-two-splits"]


def test_equal_pages_of_one_split_and_pages_nobody_asks_about_are_no_leak(tmp_path: Path) -> None:
    pages = [page(f"toy/{name}", sha256="f" * 64) for name in "abc"]
    rows = [asked("1", "train", ["toy/a"]), asked("2", "train", ["toy/b"]), asked("3", "somewhere", ["toy/c"])]
    assert findings(tmp_path / "ws", pages, rows) == ()


def test_an_unknown_page_or_no_question_at_all_is_no_leak(tmp_path: Path) -> None:
    rows = [asked("1", "train", ["toy/gone"]), asked("2", "test", ["toy/gone"])]
    assert findings(tmp_path / "a", [page()], rows) == ()
    assert findings(tmp_path / "b", [], []) == ()


def test_the_same_question_of_the_same_page(tmp_path: Path) -> None:
    pages = [page("toy/a", sha256="f" * 64), page("toy/b", sha256="f" * 64), page("toy/c", sha256="e" * 64)]
    rows = [
        asked("1", "train", ["toy/a"], "How much is the total?"),
        asked("2", "test", ["toy/b"], "how much  is the TOTAL"),
        asked("3", "test", ["toy/b"], "How much is the tip?"),
        asked("4", "test", ["toy/c"], "How much is the total?"),
        asked("5", "train", ["toy/a"], "???"),
        asked("6", "test", ["toy/b"], "!!!"),
    ]
    found = [f for f in findings(tmp_path / "ws", pages, rows) if f.code == "question-in-two-splits"]
    assert [(f.question_id, f.severity) for f in found] == [("toy/2", "error")]
    assert found[0].message == "asks of the same page what toy/1 asks in train; this one is in test"


def test_a_question_over_many_shared_pages_is_told_once(tmp_path: Path) -> None:
    ids = ["toy/a", "toy/b", "toy/c"]
    rows = [asked("1", "train", ids, "Why?"), asked("2", "test", ids, "Why?")]
    found = findings(tmp_path / "ws", [page(id_) for id_ in ids], rows)
    assert [f.code for f in found] == ["page-in-two-splits"] * 3 + ["question-in-two-splits"]


def test_a_document_in_two_splits(tmp_path: Path) -> None:
    pages = [page("toy/a"), page("toy/b")]
    rows = [
        asked("1", "train", ["toy/a"], doc="toy/d"),
        asked("2", "test", ["toy/b"], doc="toy/d"),
        asked("3", "test", ["toy/b"], doc="toy/d"),
    ]
    [found] = findings(tmp_path / "ws", pages, rows)
    assert (found.code, found.severity) == ("document-in-two-splits", "warning")
    assert found.message == "document toy/d is in train (1 question) and test (2 questions)"


def test_with_one_source_its_texts_stay_beside_their_questions(tmp_path: Path) -> None:
    other = question("ab/q", ["ab/p"], source="ab", question="Why?", doc_id="ab/d")
    rows = [other, asked("1", "train", ["toy/p0"], "Why?"), other, asked("2", "test", ["toy/p0"], "Why?")]
    found = findings(tmp_path / "ws", [page("ab/p", source="ab"), page()], rows, source="toy")
    assert [(f.code, f.question_id) for f in found] == [
        ("page-in-two-splits", None),
        ("question-in-two-splits", "toy/2"),
    ]
