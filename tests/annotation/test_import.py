"""Import of raw exports: what annotators did becomes rows, and nothing is lost."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from annotation.adjudication.overlay import read_overlay
from annotation.label_studio.commands.import_file import import_file
from annotation.label_studio.import_outcome import ImportOutcome
from annotation.label_studio.importing import import_tasks
from annotation.label_studio.ledger import project_folder
from annotation.label_studio.merging import Merge
from annotation.label_studio.names import Names
from annotation.label_studio.tasks import Task, TaskOptions, build_tasks
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.workspace import Workspace
from tests.annotation import export_build as build
from tests.annotation.export_build import drawn, exported, prefill, status, submitted
from tests.loaders.build import write

Json = dict[str, Any]
PART = "label-studio.p"
LATER = "2026-03-02T09:00:00Z"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return build.workspace(tmp_path)


def run(ws: Workspace, *tasks: Json, **options: Any) -> ImportOutcome:
    """Import through JSON text, as files do."""
    return import_tasks(ws, json.loads(json.dumps(tasks)), "p", **options)


def regions(ws: Workspace) -> list[Json]:
    return [row for row in build.rows(ws) if row["region_id"] is not None]


def verdicts(ws: Workspace) -> list[Json]:
    return [row for row in build.rows(ws) if row["region_id"] is None]


def box(row: Json) -> list[float]:
    return [row[name] for name in ("x0", "y0", "x1", "y1")]


def left_out(ws: Workspace) -> list[Json]:
    path = ws.path / "files" / "label-studio" / "p" / "left_out.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def accounted(outcome: ImportOutcome) -> bool:
    tasks = outcome.tasks
    parts = tasks["imported"] + tasks["unannotated"] + tasks["reviewed"] + tasks["refused"]
    return tasks["read"] == parts and tasks["refused"] == outcome.refused_tasks.total()


# What an annotator does with pre-annotations


def test_untouched_regions_come_back_bit_for_bit(ws: Workspace) -> None:
    made = build.tasks(ws)
    outcome = run(
        ws, *(exported(task, i, [submitted(i, [*prefill(task), status()])]) for i, task in enumerate(made.values()))
    )
    sent = {(row["question_id"], row["region_id"]): row for row in build.proposals()}
    assert len(regions(ws)) == len(sent)
    for row in regions(ws):
        before = sent[row["question_id"], row["region_id"]]
        for name in ("page_index", "x0", "y0", "x1", "y1", "rotation", "quad", "role"):
            assert row[name] == before[name]
        assert row["origin"] == "accepted"
    assert outcome.counts["accepted"] == len(sent) and not outcome.refused and accounted(outcome)


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        ({}, "accepted"),
        ({"x": 8.75}, "moved"),
        ({"width": 40.0}, "moved"),
        ({"rotation": 3}, "moved"),
        ({"rectanglelabels": ["support"]}, "moved"),
    ],
)
def test_a_touched_prefilled_region_is_moved(ws: Workspace, change: Json, origin: str) -> None:
    task = build.tasks(ws)["s/q0"]
    result = prefill(task)
    result[0]["value"].update(change)
    run(ws, exported(task, 1, [submitted(1, [*result, status()])]))
    first, second = regions(ws)
    assert (first["region_id"], first["origin"]) == ("first", origin)
    assert second["origin"] == "accepted"
    assert json.loads(first["raw"]) == result[0]


def test_deleted_pre_annotations_are_listed(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    outcome = run(
        ws, exported(task, 1, [submitted(1, [prefill(task)[1], drawn(task, 0, "n", (1, 2, 3, 4)), status()])])
    )
    raw = json.loads(verdicts(ws)[0]["raw"])
    assert raw["deleted"] == ["first"] and raw["prelabel_annotator"] == build.PROPOSAL
    assert [row["origin"] for row in regions(ws)] == ["accepted", "new"]
    assert outcome.counts["deleted pre-annotations"] == 1


def test_boxes_that_were_replaced_under_an_annotation(ws: Workspace) -> None:
    before = build.tasks(ws)["s/q0"]
    work = submitted(1, [*prefill(before), status()], prediction={"model_version": build.PROPOSAL, "result": []})
    other = [build.region_row("s/q0", "other", (70, 10, 80, 20)) | {"annotator": "proposal:lexical@2"}]
    write(ws, "annotations", "s-train.proposal-two", other)
    made = build_tasks(ws, TaskOptions(prelabel="proposal:lexical@2", questions=("s/q0",)), build.Addresses())
    after = next(task for task in made if isinstance(task, Task))
    # Not pulled before the push: the boxes are right, whether they were accepted is not known, and that is said.
    outcome = run(ws, exported(after, 1, [work]))
    assert outcome.refused == Counter({"stale-prelabel": 1}) and "lexical@1" in outcome.problems[0].message
    assert box(regions(ws)[0]) == pytest.approx((10.1, 20.2, 50.3, 40.7))
    # Pulled before: what was known then stays.
    run(ws, exported(before, 1, [work | {"updated_at": LATER}]))
    rows = build.rows(ws)
    assert [row["origin"] for row in regions(ws)] == ["accepted", "accepted"]
    outcome = run(ws, exported(after, 1, [work | {"updated_at": LATER}]))
    assert build.rows(ws) == rows and not outcome.refused and accounted(outcome)
    assert outcome.counts["kept of an earlier prelabel"] == 1


def test_pieces_are_one_region_and_a_moved_piece_moves_it(ws: Workspace) -> None:
    task = build.tasks(ws)["s/tall"]
    result = prefill(task)
    last = max((entry for entry in result if entry["id"].startswith("p1~")), key=lambda entry: entry["item_index"])
    last["value"]["height"] += 5.0
    run(ws, exported(task, 1, [submitted(1, [*result, status()])]))
    inside, long = regions(ws)
    assert inside["origin"] == "accepted"
    assert (long["region_id"], long["origin"]) == ("long", "moved")
    grown = 410.1 + 5.0 / 100 * last["original_height"]
    assert box(long) == pytest.approx([3.3, 70.7, 55.5, grown], abs=1e-6)
    assert json.loads(long["raw"]) == [entry for entry in result if entry["id"].startswith("p1~")]


def test_a_deleted_piece_leaves_the_envelope_of_the_others(ws: Workspace) -> None:
    task = build.tasks(ws)["s/tall"]
    result = [entry for entry in prefill(task) if entry["id"] not in ("p1~0", "p0")]
    run(ws, exported(task, 1, [submitted(1, [*result, status()])]))
    (long,) = regions(ws)
    assert long["origin"] == "moved" and long["y0"] > 70.7 and long["y1"] == pytest.approx(410.1, abs=1e-6)
    assert json.loads(verdicts(ws)[0]["raw"])["deleted"] == ["inside"]


def test_pieces_that_became_of_two_roles_are_two_regions(ws: Workspace) -> None:
    task = build.tasks(ws)["s/tall"]
    result = [entry for entry in prefill(task) if entry["id"] != "p0"]
    result[-1]["value"]["rectanglelabels"] = ["support"]
    run(ws, exported(task, 1, [submitted(1, [*result, status()])]))
    assert [(row["region_id"], row["role"], row["origin"]) for row in regions(ws)] == [
        ("long", "answer", "moved"),
        ("long#2", "support", "moved"),
    ]


# Geometry


def test_a_box_on_a_part_of_a_tall_page_is_placed_on_the_page(ws: Workspace) -> None:
    task = build.tasks(ws)["s/tall"]
    item = task.data["items"][3]
    run(ws, exported(task, 1, [submitted(1, [drawn(task, 3, "n", (50, 25, 10, 50)), status()])]))
    expected = [30.0, item["y0"] + 0.25 * item["height"], 36.0, item["y0"] + 0.75 * item["height"]]
    assert box(regions(ws)[0]) == pytest.approx(expected, abs=1e-9)


def test_box_rotation_keeps_the_corners_and_page_rotation_changes_nothing(ws: Workspace) -> None:
    task = build.tasks(ws)["s/plain"]
    turned = drawn(task, 0, "t", (50, 25, 20, 10))
    turned["value"]["rotation"] = 90
    upright = drawn(task, 0, "u", (50, 25, 20, 10), image_rotation=270)
    run(ws, exported(task, 1, [submitted(1, [turned, upright, status()])]))
    first, second = regions(ws)
    # 90 degrees clockwise about the top-left corner (60, 20): the width 24 goes down, the height 8 to the left.
    assert first["quad"] == pytest.approx([60, 20, 60, 44, 52, 44, 52, 20], abs=1e-9)
    assert box(first) == pytest.approx([52, 20, 60, 44], abs=1e-9) and first["rotation"] == 90
    assert box(second) == [60, 20, 84, 28] and second["rotation"] is None and second["quad"] is None


def test_boxes_over_the_edge_are_cut_and_reported(ws: Workspace) -> None:
    task = build.tasks(ws)["s/plain"]
    result = [
        drawn(task, 0, "over", (90, 90, 20, 20)),
        drawn(task, 0, "exact", (50, 50, 50, 50)),
        drawn(task, 0, "fuzz", (33.3, 0, 66.7 + 1e-13, 10)),
        drawn(task, 0, "away", (101, 10, 5, 5)),
    ]
    outcome = run(ws, exported(task, 1, [submitted(1, [*result, status()])]))
    assert [row["region_id"] for row in regions(ws)] == ["over", "exact", "fuzz"]
    assert box(regions(ws)[0]) == [108, 72, 120, 80]
    assert outcome.refused == Counter({"clipped": 1, "outside-page": 1})
    assert [line["json"]["id"] for line in left_out(ws)] == ["away"]


@pytest.mark.parametrize(
    ("change", "value", "code"),
    [
        ({}, {"x": "10"}, "bad-box"),
        ({}, {"width": -10}, "bad-box"),
        ({}, {"height": 0}, "bad-box"),
        ({}, {"y": None}, "bad-box"),
        ({}, {"y": True}, "bad-box"),
        ({}, {"x": 10**400}, "bad-box"),
        ({}, {"rotation": "90"}, "bad-box"),
        ({}, {"rectanglelabels": ["foo"]}, "bad-label"),
        ({}, {"rectanglelabels": ["answer", "support"]}, "bad-label"),
        ({}, {"rectanglelabels": []}, "bad-label"),
        ({}, {"rectanglelabels": [{}]}, "bad-label"),
        ({"value": None}, None, "bad-box"),
        ({"item_index": 3}, {}, "bad-item-index"),
        ({"item_index": -1}, {}, "bad-item-index"),
        ({"item_index": "1"}, {}, "bad-item-index"),
        ({"item_index": 1.0}, {}, "bad-item-index"),
        ({"item_index": True}, {}, "bad-item-index"),
        ({"item_index": None}, {}, "bad-item-index"),
        ({"original_width": 119}, {}, "wrong-size"),
        ({"original_width": 80, "original_height": 120}, {}, "wrong-size"),
        ({"original_width": "120"}, {}, "wrong-size"),
        ({"from_name": "other"}, {}, "unknown-control"),
        ({"type": "polygonlabels"}, {}, "unknown-control"),
    ],
)
def test_a_box_that_cannot_be_used_is_reported_and_kept(ws: Workspace, change: Json, value: Any, code: str) -> None:
    task = build.tasks(ws)["s/q1"]
    bad = drawn(task, 0, "bad", (10, 10, 10, 10)) | change
    if value is not None:
        bad["value"] = bad["value"] | value
    good = drawn(task, 2, "good", (10, 10, 10, 10))
    outcome = run(ws, exported(task, 1, [submitted(1, [bad, good, status()])]))
    assert [(row["region_id"], row["page_index"]) for row in regions(ws)] == [("good", 2)]
    assert outcome.refused == Counter({code: 1})
    kept = [line["json"] for line in left_out(ws)] or json.loads(verdicts(ws)[0]["raw"])["controls"]
    assert bad in kept


def test_sizes_may_be_missing_or_of_a_smaller_copy_of_the_image(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q1"]
    bare = drawn(task, 1, "bare", (10, 10, 20, 20))
    del bare["original_width"], bare["original_height"]
    half = drawn(task, 1, "half", (10, 10, 20, 20), original_width=45, original_height=70)
    outcome = run(ws, exported(task, 1, [submitted(1, [bare, half, status()])]))
    assert [box(row) for row in regions(ws)] == [[9, 14, 27, 42]] * 2
    assert not outcome.refused


def test_a_project_of_one_image_has_no_item_index(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    entry = drawn(task, 0, "n", (0, 0, 50, 50))
    del entry["item_index"]
    run(ws, exported(task, 1, [submitted(1, [entry, status()])]))
    assert box(regions(ws)[0]) == [0, 0, 60, 40]


def test_region_notes_and_repeated_ids(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    first, other = drawn(task, 0, "a", (1, 1, 10, 10)), drawn(task, 0, "a", (50, 50, 10, 10))
    remark = copy.deepcopy(first) | {"from_name": "region_note", "type": "textarea"}
    remark["value"] = {"x": 1, "y": 1, "width": 10, "height": 10, "rotation": 0, "text": ["about the box"]}
    result = [first, remark, other, copy.deepcopy(first), status(), build.note("about all")]
    outcome = run(ws, exported(task, 1, [submitted(1, result)]))
    assert [row["region_id"] for row in regions(ws)] == ["a", "a#2"]
    assert outcome.refused == Counter({"repeated-id": 1, "duplicate-region": 1})
    assert remark in json.loads(verdicts(ws)[0]["raw"])["controls"]


# Statuses, drafts, people


def test_statuses(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    results: list[Any] = [
        [status("wrong_answer")],
        [],
        None,
        [status("bogus")],
        [status("evidence"), status("no_evidence")],
    ]
    outcome = run(ws, exported(task, 1, [submitted(n, result, user=n) for n, result in enumerate(results)]))
    assert [row["status"] for row in verdicts(ws)] == ["wrong_answer", *["unfinished"] * 4]
    assert outcome.refused == Counter({"no-status": 2, "bad-status": 2}) and accounted(outcome)


def test_skipped_keeps_its_regions_in_raw_only(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    outcome = run(ws, exported(task, 1, [submitted(1, prefill(task), was_cancelled=True)]))
    (row,) = build.rows(ws)
    assert row["status"] == "skipped" and json.loads(row["raw"])["result"] == prefill(task)
    assert not outcome.refused


def test_a_draft_alone_is_unfinished_with_its_boxes(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    work = build.draft(9, [*prefill(task), drawn(task, 0, "n", (1, 1, 5, 5)), status()])
    run(ws, exported(task, 1, [], [work]), names=Names(users={5: "A1@example.com"}))
    assert {row["annotator"] for row in build.rows(ws)} == {"label-studio:5"}
    assert verdicts(ws)[0]["status"] == "unfinished" and len(regions(ws)) == 3
    assert "example.com" not in json.dumps(build.rows(ws))


def test_a_draft_over_a_submission_does_not_count(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    over = build.draft(9, [status("no_evidence")], annotation=1, updated_at=LATER)
    outcome = run(ws, exported(task, 1, [submitted(1, [status("unanswerable")])], [over]))
    assert [row["status"] for row in verdicts(ws)] == ["unanswerable"]
    assert outcome.refused == Counter({"draft-over-submission": 1})
    assert [line["json"]["result"] for line in left_out(ws)] == [over["result"]]


def test_a_draft_by_address_and_an_annotation_by_id_are_one_person(ws: Workspace, tmp_path: Path) -> None:
    task = build.tasks(ws)["s/q0"]
    names = Names({"4": "anna", "a1@example.com": "anna"})
    one = exported(task, 1, [submitted(1, [status("unanswerable")])], [build.draft(9, [])])
    outcome = run(ws, one, names=names)
    assert [(row["annotator"], row["status"]) for row in verdicts(ws)] == [("anna", "unanswerable")]
    assert outcome.refused == Counter({"draft-over-submission": 1})


def test_several_annotators_and_the_newest_of_each(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    work = [
        submitted(1, [status("evidence")], user=4),
        submitted(2, [status("no_evidence")], user=5),
        submitted(3, [status("unanswerable")], user=4, updated_at="2026-03-01T12:00:00+00:00"),
        submitted(4, [status("wrong_answer")], user=4, updated_at="2026-03-01T12:30:00+01:00"),
    ]
    outcome = run(ws, exported(task, 1, work))
    assert [(row["annotator"], row["status"]) for row in verdicts(ws)] == [
        ("label-studio:4", "unanswerable"),
        ("label-studio:5", "no_evidence"),
    ]
    assert outcome.refused == Counter({"superseded": 2})
    assert [line["annotation"] for line in left_out(ws)] == [4, 1]


def test_two_tasks_of_one_question(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    old, new = submitted(1, [status("evidence")]), submitted(2, [status("no_evidence")], updated_at=LATER)
    for order in ([old, new], [new, old]):
        run(ws, *(exported(task, 10 + one["id"], [one]) for one in order))
        assert [row["status"] for row in verdicts(ws)] == ["no_evidence"]
    assert left_out(ws)


def test_work_that_is_not_of_its_annotator_alone_is_named(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    by_two = [
        submitted(1, [*prefill(task), status()], user=4, updated_by=5),
        submitted(2, [*prefill(task), status()], user=5, parent_annotation=1),
        submitted(3, [status()], user={"id": 6, "email": "c@x.de"}, updated_by={"id": 4, "email": "a@x.de"}),
        submitted(4, [status()], user=7, parent_annotation=4),
        submitted(5, [status()], user=8, updated_by=None),
    ]
    outcome = run(ws, exported(task, 1, by_two))
    assert outcome.refused == Counter({"changed-by-other": 2, "copied-annotation": 1})
    said = [problem.message for problem in outcome.problems]
    assert said == [
        "of label-studio:4 was changed last by label-studio:5",
        "of label-studio:5 began as a copy of annotation 1 of label-studio:4",
        "of label-studio:6 was changed last by label-studio:4",
    ]
    # They count all the same: whose hand drew which box nobody can tell.
    assert {row["annotator"] for row in verdicts(ws)} == {f"label-studio:{user}" for user in (4, 5, 6, 7, 8)}


def test_whole_people_of_a_snapshot_stay_ids(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    person = {"id": 4, "email": "a1@example.com", "first_name": "Anna"}
    one = exported(task, 1, [submitted(1, [status()], user=person)], [build.draft(2, [], annotation=None)])
    run(ws, one)
    assert [row["annotator"] for row in build.rows(ws)] == ["label-studio:4"]
    assert "Anna" not in json.dumps(build.rows(ws)) + json.dumps(left_out(ws))


def test_drafts_as_numbers_are_reported(ws: Workspace) -> None:
    task = exported(build.tasks(ws)["s/q0"], 1) | {"drafts": [17]}
    outcome = run(ws, task)
    assert outcome.refused_tasks == Counter({"nothing-usable": 1}) and "drafts-as-ids" in outcome.refused


# Tasks that are not ours, or not any more


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pinpoint_id": None}, "foreign-task"),
        ({"schema_version": 2}, "newer-task"),
        ({"schema_version": "1"}, "bad-task"),
        ({"kind": "other"}, "bad-task"),
        ({"question_id": "s/q1"}, "bad-task"),
        ({"question_id": "s/gone", "pinpoint_id": "s/gone"}, "unknown-question"),
        ({"items": None}, "bad-task"),
        ({"items": [{}]}, "bad-task"),
        ({"prelabel": []}, None),
    ],
)
def test_tasks_that_cannot_be_used(ws: Workspace, change: Json, code: str | None) -> None:
    task = exported(build.tasks(ws)["s/q0"], 1, [submitted(1, [status()])])
    task["data"].update(change)
    outcome = run(ws, task)
    assert accounted(outcome)
    if code is None:
        assert outcome.refused == Counter({"bad-prelabel": 1}) and outcome.tasks["imported"] == 1
    else:
        assert outcome.refused_tasks == Counter({code: 1}) and not build.rows(ws)
        assert left_out(ws)[0]["json"] == task


@pytest.mark.parametrize(
    "change",
    [
        {"xyxy": [1, 2, 3]},
        {"xyxy": [5, 5, 1, 1]},
        {"xyxy": [-50, 0, 10, 10]},
        {"xyxy": [0, 0, 1e308, 1e308]},
        {"xyxy": ["1", 2, 3, 4]},
        {"item_index": 4},
        {"item_index": True},
        {"role": []},
        {"region_id": None},
        {"quad": [1] * 7},
        {"quad": [1e308] * 8, "rotation": 5.0},
        {"quad": [1.0] * 8},
    ],
)
def test_damaged_records_of_pre_annotations(ws: Workspace, change: Json) -> None:
    task = build.tasks(ws)["s/q0"]
    one = exported(task, 1, [submitted(1, [*prefill(task), status()])])
    one["data"]["prelabel"]["regions"]["p0"].update(change)
    outcome = run(ws, one)
    assert outcome.refused == Counter({"bad-prelabel": 1}) and [row["origin"] for row in regions(ws)] == ["new", "new"]


def test_pages_that_changed_since(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q1"]
    for change in ({"page_id": "s/other"}, {"page_width": 121, "width": 121}, {"page_index": 7}):
        one = exported(task, 1, [submitted(1, [status()])])
        one["data"]["items"][0].update(change)
        assert run(ws, one).refused_tasks == Counter({"changed-pages": 1})


def test_every_task_is_accounted_for(ws: Workspace) -> None:
    made = build.tasks(ws)
    outcome = run(
        ws,
        exported(made["s/q0"], 1, [submitted(1, [status()])]),
        exported(made["s/q1"], 2),
        exported({"image": "x.png"}, 3),
        exported(made["s/tall"], 4, [submitted(5, {"no": "list"})]),
        {"nothing": 1},
    )
    assert outcome.tasks == Counter(read=5, imported=1, unannotated=1, refused=3)
    assert outcome.refused_tasks == Counter({"foreign-task": 1, "nothing-usable": 1, "not-a-task": 1})
    assert accounted(outcome)


# Again, and again


def test_importing_twice_gives_the_same_bytes(ws: Workspace) -> None:
    made = build.tasks(ws)
    tasks = [
        exported(task, n, [submitted(2 * n, [*prefill(task), status()], user=5), submitted(2 * n + 1, [])])
        for n, task in enumerate(made.values(), 1)
    ]
    run(ws, *tasks)
    path = ws.part_path("annotations", PART)
    first, kept = path.read_bytes(), left_out(ws)
    outcome = run(ws, *tasks)
    assert path.read_bytes() == first and left_out(ws) == kept and accounted(outcome)
    run(ws, *reversed(tasks))
    assert path.read_bytes() == first


def test_newer_replaces_older_and_never_the_other_way(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    old = exported(task, 1, [submitted(1, [status("evidence")])])
    new = exported(task, 1, [submitted(1, [status("no_evidence")], updated_at=LATER)])
    run(ws, old)
    assert not run(ws, new).refused
    assert [row["status"] for row in verdicts(ws)] == ["no_evidence"]
    outcome = run(ws, old)
    assert [row["status"] for row in verdicts(ws)] == ["no_evidence"]
    assert outcome.counts["older than the workspace"] == 1 and outcome.tasks["imported"] == 1


def test_a_kill_before_the_rows_are_written_loses_none(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build.tasks(ws)["s/q0"]
    old = exported(task, 1, [submitted(1, [status("evidence")])])
    new = exported(task, 1, [submitted(2, [status("no_evidence")], updated_at=LATER)])
    run(ws, old)
    before = build.rows(ws)

    def killed(merge: Merge) -> None:
        # What goes from the table is in the file by now.
        assert [entry["code"] for entry in left_out(ws)] == ["superseded"]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Merge, "write", killed)
        run(ws, new)
    assert build.rows(ws) == before
    run(ws, new)
    assert [row["status"] for row in verdicts(ws)] == ["no_evidence"] and len(left_out(ws)) == 1


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "tomorrow", 7])
def test_times_that_are_none(ws: Workspace, when: object) -> None:
    task = build.tasks(ws)["s/q0"]
    assert run(ws, exported(task, 1, [submitted(1, [status()], updated_at=when)])).tasks["imported"] == 1
    assert not run(ws, exported(task, 1, [submitted(1, [status("no_evidence")])])).refused
    assert [row["status"] for row in verdicts(ws)] == ["no_evidence"]


def test_a_submission_replaces_its_draft_without_a_word(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    names = Names(users={4: "a1@example.com"})
    run(ws, exported(task, 1, [], [build.draft(3, [])]), names=names)
    outcome = run(ws, exported(task, 1, [submitted(9, [status()])]), names=names)
    assert [row["status"] for row in verdicts(ws)] == ["evidence"] and not outcome.refused


def test_what_the_server_lost_is_kept_and_reported(ws: Workspace) -> None:
    made = build.tasks(ws)
    run(ws, *(exported(made[q], n, [submitted(n, [status()])]) for n, q in enumerate(("s/q0", "s/q1", "s/tall"), 1)))
    before = build.rows(ws)
    outcome = run(ws, exported(made["s/q0"], 1), present={1, 2})
    assert build.rows(ws) == before
    assert outcome.refused == Counter({"gone-annotation": 1, "gone-task": 1})
    assert outcome.counts["kept of other tasks"] == 1


def test_another_annotation_of_the_same_person_keeps_the_old_one_in_the_file(ws: Workspace) -> None:
    task = build.tasks(ws)["s/q0"]
    run(ws, exported(task, 1, [submitted(1, [drawn(task, 0, "n", (1, 1, 5, 5)), status()])]))
    outcome = run(ws, exported(task, 1, [submitted(2, [status("no_evidence")], updated_at=LATER)]))
    assert outcome.refused == Counter({"superseded": 1})
    assert [line["json"][0]["id"] for line in left_out(ws)] == ["n"]


def test_names_given_later_rename_and_stay(ws: Workspace) -> None:
    made = build.tasks(ws)
    one = exported(made["s/q0"], 1, [submitted(1, [status()]), submitted(2, [status()], user=5)])
    run(ws, one)
    run(ws, one, names=Names({"4": "zoe"}))
    assert [row["annotator"] for row in verdicts(ws)] == ["label-studio:5", "zoe"]
    run(ws, exported(made["s/q1"], 2, [submitted(3, [status()])]))
    assert {row["annotator"] for row in build.rows(ws)} == {"label-studio:5", "zoe"}


def test_a_part_that_is_not_ours_is_not_touched(ws: Workspace) -> None:
    build.write(ws, "annotations", PART, build.proposals())
    with pytest.raises(WorkspaceError, match="no part that this import wrote"):
        run(ws, exported(build.tasks(ws)["s/q0"], 1))


# Reviews


def test_decisions_go_to_the_overlay_once(ws: Workspace) -> None:
    (task,) = build.tasks(ws, review=(build.PROPOSAL,), questions=("s/q1",)).values()
    shown = [entry for entry in prefill(task) if entry["from_name"] == "by"]
    result = [*shown, drawn(task, 1, "n", (10, 10, 20, 20), "support"), status(), build.note("sure")]
    one = exported(task, 1, [submitted(1, result)])
    outcome = run(ws, one)
    assert outcome.tasks["reviewed"] == 1 and outcome.decisions == 1 and not outcome.refused and not build.rows(ws)
    decision = read_overlay(ws).decisions["s/q1"]
    assert (decision.status, decision.decided_by, decision.note) == ("evidence", "label-studio:4", "sure")
    assert [(b.page_index, b.xyxy, b.role) for b in decision.boxes] == [(1, (9, 14, 27, 42), "support")]
    # Deleting the line undoes the decision for good.
    (ws.path / "files" / "adjudication" / "overlay.jsonl").write_text("", encoding="utf-8")
    assert run(ws, one).decisions == 0 and not read_overlay(ws).decisions
    one["annotations"][0].update(updated_at=LATER)
    assert run(ws, one).decisions == 1


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (submitted(1, [status()]), "bad-review"),
        (submitted(1, []), "bad-review"),
        (submitted(1, [status("no_evidence")], was_cancelled=True), "review-undecided"),
    ],
)
def test_reviews_that_decide_nothing(ws: Workspace, work: Json, code: str) -> None:
    (task,) = build.tasks(ws, review=(build.PROPOSAL,), questions=("s/q1",)).values()
    outcome = run(ws, exported(task, 1, [work]))
    assert code in outcome.refused and outcome.decisions == 0 and accounted(outcome)


# The command


def test_the_command(ws: Workspace, tmp_path: Path) -> None:
    made = build.tasks(ws)
    task = exported(made["s/q0"], 1, [submitted(1, [*prefill(made["s/q0"]), status()])])
    file = build.save(tmp_path / "export.json", [task, exported(made["s/q1"], 2)])
    people = tmp_path / "people.csv"
    people.write_text("id,email,name\n4,a1@example.com,Anna\n5,,Ben\n", encoding="utf-8")
    arguments = [str(ws.path), str(file), "--names", str(people), "--json"]
    done = CliRunner().invoke(import_file, arguments, standalone_mode=False)
    assert done.return_value in (None, 0) and done.exception is None
    summary = json.loads(done.stdout)
    assert summary["part"] == "label-studio.project-7" and summary["tasks"]["read"] == 2
    assert summary["annotators"] == {"Anna": {"evidence": 1}}
    text = CliRunner().invoke(import_file, [*arguments[:2], "--project", "Evidence 1"], standalone_mode=False).stdout
    assert "2 tasks read: 1 imported, 1 unannotated" in text
    assert ws.parts("annotations") == ["label-studio.evidence-1", "label-studio.project-7", "s-train.proposal-lexical"]


def test_a_title_names_one_project(ws: Workspace, tmp_path: Path) -> None:
    task = exported(build.tasks(ws)["s/q0"], 1, [submitted(1, [status()])])
    file = build.save(tmp_path / "export.json", [task])

    def import_as(title: str) -> Json:
        done = CliRunner().invoke(import_file, [str(ws.path), str(file), "--project", title, "--json"])
        return {"refused": str(done.exception)} if isinstance(done.exception, UsageError) else json.loads(done.stdout)

    for number, title in ((7, "研究"), (8, "Evidence 1"), (7, "evidence-1 ")):
        project_folder(ws, "http://localhost", {"id": number, "created_at": f"{title}", "title": title})
    assert import_as("研究")["part"] == "label-studio.project"
    assert import_as("evidence-1 ")["part"] == "label-studio.evidence-1-2"
    assert "project 7, but evidence-1 is project 8" in import_as("Evidence 1")["refused"]
    # None of these may end up in the part of another project.
    for title in ("", "  ", "調査", "../.."):
        assert "makes no name" in import_as(title)["refused"]
    assert import_as("../x")["part"] == "label-studio.x"


@pytest.mark.parametrize("number", [10**300, -5, "7", None])
def test_a_project_id_that_is_none(ws: Workspace, tmp_path: Path, number: object) -> None:
    task = exported(build.tasks(ws)["s/q0"], 1) | {"project": number}
    file = build.save(tmp_path / "export.json", [task])
    done = CliRunner().invoke(import_file, [str(ws.path), str(file), "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["part"] == "label-studio.project"
