"""Whose evidence a question is published with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.evidence import EvidenceIndex, RowsByKey, Verdict
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import annotation, regions, write

BOX = (1.0, 2.0, 3.0, 4.0)


def verdict_of(
    tmp_path: Path, rows: Sequence[dict[str, Any]], annotator: str | None = None, pages: int = 1
) -> tuple[Verdict, list[str]]:
    ws = Workspace.create(tmp_path / "ws")
    write(ws, "annotations", "a", rows)
    verdict, problems = EvidenceIndex(ws, annotator).of("s/q", "s", pages)
    return verdict, [problem.code for problem in problems]


def adjudicated(ws: Workspace, status: str, boxes: Sequence[tuple[float, ...]]) -> None:
    write(
        ws,
        "verdicts",
        "v",
        [{"question_id": "s/q", "status": status, "agreement": None, "policy": "majority", "decided_by": "rule"}],
    )
    rows = [
        {
            "question_id": "s/q",
            "evidence_id": f"e{index}",
            "page_index": 0,
            **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
            "role": "support",
            "text": "Total",
            "votes": 2,
            "annotators": ["ann", "bob"],
            "score": 0.75,
            "policy": "majority",
        }
        for index, box in enumerate(boxes)
    ]
    write(ws, "evidence", "e", rows)


def test_gold_is_the_default(tmp_path: Path) -> None:
    rows = [*regions("s/q", [BOX, (5, 6, 7, 8)]), *regions("s/q", [(0, 0, 9, 9)], annotator="ann")]
    verdict, problems = verdict_of(tmp_path, rows)
    assert (verdict.status, verdict.policy, problems) == ("evidence", "gold", [])
    assert [box["xyxy"] for box in verdict.boxes] == [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]


def test_a_chosen_annotator_stands_alone(tmp_path: Path) -> None:
    rows = [*regions("s/q", [BOX]), *regions("s/q", [(0, 0, 9, 9)], annotator="ann", role=None)]
    verdict, _ = verdict_of(tmp_path, rows, "ann")
    assert (verdict.policy, len(verdict.boxes)) == ("single:ann", 1)
    assert (verdict.boxes[0]["annotators"], verdict.boxes[0]["role"]) == (["ann"], "answer")


def test_the_sources_own_gold_comes_first(tmp_path: Path) -> None:
    rows = [*regions("s/q", [BOX], annotator="gold:other"), *regions("s/q", [BOX, (0, 0, 9, 9)])]
    assert len(verdict_of(tmp_path, rows)[0].boxes) == 2


def test_two_foreign_golds_are_not_chosen_between(tmp_path: Path) -> None:
    rows = [*regions("s/q", [BOX], annotator="gold:a"), *regions("s/q", [BOX], annotator="gold:b")]
    with pytest.raises(UsageError, match=r"gold:a, gold:b.*--annotator"):
        verdict_of(tmp_path, rows)


@pytest.mark.parametrize("status", ["no_evidence", "unanswerable", "wrong_answer", "skipped", "unfinished"])
def test_no_status_but_evidence_has_boxes(tmp_path: Path, status: str) -> None:
    verdict, _ = verdict_of(tmp_path, regions("s/q", [BOX], status=status))
    assert (verdict.status, verdict.boxes) == (status, [])


def test_regions_without_a_verdict_are_unfinished(tmp_path: Path) -> None:
    verdict, _ = verdict_of(tmp_path, regions("s/q", [BOX], status=None))
    assert (verdict.status, verdict.policy, verdict.boxes) == ("unfinished", "gold", [])


def test_nobody_has_looked(tmp_path: Path) -> None:
    assert verdict_of(tmp_path, regions("s/other", [BOX]))[0] == Verdict("unfinished", "none", [])


def test_an_adjudication_overrules_everybody(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws")
    write(ws, "annotations", "a", regions("s/q", [(0, 0, 9, 9)]))
    adjudicated(ws, "evidence", [BOX])
    verdict, _ = EvidenceIndex(ws).of("s/q", "s", 1)
    assert verdict == Verdict(
        "evidence",
        "majority",
        [
            {
                "evidence_id": "e0",
                "page_index": 0,
                "xyxy": [1.0, 2.0, 3.0, 4.0],
                "role": "support",
                "text": "Total",
                "votes": 2,
                "annotators": ["ann", "bob"],
                "score": 0.75,
            }
        ],
    )


def test_an_adjudication_without_evidence_hides_the_boxes(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws")
    write(ws, "annotations", "a", regions("s/q", [BOX]))
    adjudicated(ws, "no_evidence", [])
    assert EvidenceIndex(ws).of("s/q", "s", 1)[0] == Verdict("no_evidence", "majority", [])


@pytest.mark.parametrize(
    ("box", "page_index", "code"),
    [
        (BOX, 1, "page-index-out-of-range"),
        (BOX, -1, "page-index-out-of-range"),
        (BOX, None, "page-index-out-of-range"),
        ((3, 2, 3, 4), 0, "box-degenerate"),
        ((3, 2, 1, 4), 0, "box-degenerate"),
        ((float("nan"), 2, 3, 4), 0, "box-degenerate"),
        ((1, 2, float("inf"), 4), 0, "box-degenerate"),
        ((None, 2, 3, 4), 0, "box-degenerate"),
    ],
)
def test_a_box_that_is_none_is_named_and_left_out(tmp_path: Path, box: Any, page_index: int, code: str) -> None:
    bad = annotation("s/q", "gold:s", region_id="bad", page_index=page_index)
    bad |= dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    verdict, problems = verdict_of(tmp_path, [bad, *regions("s/q", [BOX])])
    assert (problems, len(verdict.boxes)) == ([code], 1)


def test_a_box_of_a_role_that_is_none_is_named_and_left_out(tmp_path: Path) -> None:
    bad = annotation("s/q", "gold:s", region_id="bad", page_index=0) | {"role": "legend"}
    bad |= dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))
    verdict, problems = verdict_of(tmp_path, [bad, *regions("s/q", [BOX])])
    assert (problems, len(verdict.boxes)) == (["unknown-value"], 1)


def test_evidence_without_a_usable_box_is_unfinished(tmp_path: Path) -> None:
    verdict, problems = verdict_of(tmp_path, regions("s/q", []))
    assert (verdict.status, problems) == ("unfinished", ["evidence-without-boxes"])


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=9), max_size=5))
def test_rows_are_found_in_table_order_however_they_are_scattered(chunks: list[list[str]]) -> None:
    keys = [key for chunk in chunks for key in chunk]
    column = pa.chunked_array(chunks, pa.string())
    rows = RowsByKey(pa.table({"key": column, "place": pa.array(range(len(keys)), pa.int64())}), "key")
    for key in "abcde":
        expected = [{"key": key, "place": place} for place, found in enumerate(keys) if found == key]
        assert rows.rows(key) == expected
        assert (key in rows) == bool(expected)
