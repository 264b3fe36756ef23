"""Judgements: what rows of annotations say that somebody said."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from annotation.judgements import load_judgements
from pinpoint_data.errors import UsageError
from tests.annotation.judged import marks, work, workspace
from tests.loaders.build import annotation, regions, write

A, B = "label-studio:1", "label-studio:2"
LEFT, RIGHT = (10.0, 10.0, 30.0, 20.0), (60.0, 10.0, 90.0, 20.0)


def test_regions_are_sorted_whatever_their_order(tmp_path: Path) -> None:
    rows = work("funsd/q", A, [*marks(RIGHT, page_index=1), *marks(RIGHT), *marks(LEFT, role="support")])
    (found,) = load_judgements(workspace(tmp_path, ["funsd/q"], rows)).by_question["funsd/q"]
    assert found.page.tolist() == [0, 0, 1]
    assert found.xyxy.tolist() == [list(LEFT), list(RIGHT), list(RIGHT)]
    assert (found.roles, found.region_ids) == (("support", "answer", "answer"), ("r2", "r1", "r0"))
    assert found.done
    assert found.marks
    assert found.on_page(1).tolist() == [list(RIGHT)]


def test_regions_without_a_verdict_are_unfinished(tmp_path: Path) -> None:
    rows = [*work("funsd/q", A, marks(LEFT), status=None), *work("funsd/q", B, status="skipped")]
    first, second = load_judgements(workspace(tmp_path, ["funsd/q"], rows)).by_question["funsd/q"]
    assert (first.status, second.status) == ("unfinished", "skipped")
    assert not first.done
    assert not second.done


def test_gold_and_proposals_are_no_people(tmp_path: Path) -> None:
    rows = [*work("funsd/q", A, marks(LEFT)), *work("funsd/q", "proposal:x@1", marks(LEFT), status=None)]
    ws = workspace(tmp_path, ["funsd/q"], rows)
    write(ws, "annotations", "funsd-train.gold", regions("funsd/q", [LEFT], role=None))
    assert load_judgements(ws).annotators == (A,)
    gold = load_judgements(ws, ["gold:*"]).by_question["funsd/q"][0]
    assert (gold.annotator, gold.roles) == ("gold:funsd", ("answer",))
    assert load_judgements(ws, ["*"], exclude=["proposal:*"]).annotators == ("gold:funsd", A)
    for names, exclude in ((["eva"], []), ([], ["eva"])):
        with pytest.raises(UsageError, match="no annotation by 'eva'"):
            load_judgements(ws, names, exclude=exclude)


def test_a_name_with_the_signs_of_a_pattern_is_found_as_it_stands(tmp_path: Path) -> None:
    rows = [*work("funsd/q", "label-studio:[2]*", marks(LEFT)), *work("funsd/q", A, marks(LEFT))]
    ws = workspace(tmp_path, ["funsd/q"], rows)
    assert load_judgements(ws, ["label-studio:[2]*"]).annotators == ("label-studio:[2]*",)
    assert load_judgements(ws, exclude=["label-studio:[2]*"]).annotators == (A,)


def test_who_met_a_question_in_two_projects_has_one_say_the_newest(tmp_path: Path) -> None:
    ws = workspace(tmp_path, ["funsd/q"], work("funsd/q", A, marks(LEFT), created_at="2026-02-02T00:00:00Z"))
    older = work("funsd/q", A, marks(RIGHT), "no_evidence", created_at="2026-01-01T00:00:00Z")
    write(ws, "annotations", "label-studio.zz-older", older)
    found = load_judgements(ws)
    assert [(one.status, one.xyxy.tolist()) for one in found.by_question["funsd/q"]] == [("evidence", [list(LEFT)])]
    assert [(problem.code, problem.file) for problem in found.problems] == [
        ("judged-twice", "annotations/label-studio.zz-older")
    ]


@pytest.mark.parametrize("status", ["unfinished", None])
def test_a_newer_draft_takes_no_vote_away(tmp_path: Path, status: str | None) -> None:
    ws = workspace(tmp_path, ["funsd/q"], work("funsd/q", A, marks(LEFT), created_at="2026-01-01T00:00:00Z"))
    draft = work("funsd/q", A, marks(RIGHT), status, created_at="2026-02-02T00:00:00Z")
    write(ws, "annotations", "label-studio.zz-later", draft)
    found = load_judgements(ws)
    assert [one.status for one in found.by_question["funsd/q"]] == ["evidence"]
    assert [problem.file for problem in found.problems] == ["annotations/label-studio.zz-later"]


@pytest.mark.parametrize(
    "changes",
    [
        {"x0": None},
        {"x0": math.nan},
        {"x1": math.inf},
        {"x1": 5.0},
        {"x1": 5.0 + 1e-9},
        {"x1": 1e300},
        {"page_index": None},
        {"page_index": -1},
        {"role": "title"},
    ],
)
def test_a_region_that_is_none_is_left_out_by_name(tmp_path: Path, changes: dict[str, object]) -> None:
    good = {"region_id": "r0", "page_index": 0, "x0": 5.0, "y0": 5.0, "x1": 9.0, "y1": 9.0, "role": "answer"}
    rows = [annotation("funsd/q", A, **(good | changes)), annotation("funsd/q", A, **(good | {"region_id": "r1"}))]
    found = load_judgements(workspace(tmp_path, ["funsd/q"], rows))
    assert found.by_question["funsd/q"][0].region_ids == ("r1",)
    assert [(problem.code, problem.record) for problem in found.problems] == [("bad-region", f"funsd/q by {A}")]
    assert "region r0" in found.problems[0].message


@pytest.mark.parametrize(
    ("raw", "deleted"),
    [
        (json.dumps({"deleted": ["p0", "p1"], "task": {}}), 2),
        ("{}", 0),
        ('{"deleted": [', 0),
        ('{"deleted": 5}', 0),
        ('["deleted"]', 0),
        ('"deleted"' + "[" * 100_000, 0),
        ('{"deleted": ' + "[" * 100_000, 0),
    ],
)
def test_deleted_pre_annotations_are_counted_from_the_verdict(tmp_path: Path, raw: str, deleted: int) -> None:
    rows = [annotation("funsd/q", A, status="evidence", raw=raw, lead_time_s=2.5, created_at="2026-01-01")]
    (found,) = load_judgements(workspace(tmp_path, ["funsd/q"], rows)).by_question["funsd/q"]
    assert (found.deleted, found.lead_time_s, found.created_at) == (deleted, 2.5, "2026-01-01")
