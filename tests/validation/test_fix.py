"""`--fix`: what is mended, what is left alone, and how it is taken back."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.boxes import quad_px_to_xyxy_px, rotated_rectangle
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.validation import Limits, validate
from pinpoint_data.validation.fixes import plan
from pinpoint_data.validation.revisions import commit, fix, latest, undo
from pinpoint_data.validation.view import WorkspaceView
from pinpoint_data.workspace import Workspace
from tests.validation.build import Row, evidence, page, pinpoint, region, toy, verdict, viscot

CODES = ["box-outside-page", "box-repeated"]
BOX = (100.0, 100.0, 200.0, 150.0)


def rows_of(workspace: Workspace, table: str = "annotations") -> list[Row]:
    return list(workspace.iter_rows(table))


def corners(row: Row) -> tuple[float, ...]:
    return tuple(row[name] for name in ("x0", "y0", "x1", "y1"))


def files(workspace: Workspace) -> dict[str, bytes]:
    """Every file but the lock and the revisions."""
    return {
        str(path.relative_to(workspace.path)): path.read_bytes()
        for path in sorted(workspace.path.rglob("*"))
        if path.is_file() and "files" not in path.parts and not path.name.startswith(".lock")
    }


@pytest.mark.parametrize(
    ("xyxy", "fixed"),
    [
        ((-3, 10, 50, 60), (0, 10, 50, 60)),
        ((900, 700, 1010, 805), (900, 700, 1000, 800)),
        ((-20, -20, 1020, 820), (0, 0, 1000, 800)),
        ((850, 10, 1050, 60), (850, 10, 1000, 60)),  # three quarters of it are on the page
        ((850, 10, 1051, 60), (850, 10, 1051, 60)),  # less: not a slip of the mouse
        ((2000, 2000, 2100, 2100), (2000, 2000, 2100, 2100)),
        ((1010, 60, 900, 10), (1010, 60, 900, 10)),  # corners swapped: somebody must look
        ((900, 10, 1000.0000005, 60), (900, 10, 1000.0000005, 60)),  # no finding, no change
        ((900, 10, float("inf"), 60), (900, 10, float("inf"), 60)),
    ],
)
def test_one_box(tmp_path: Path, xyxy: tuple[float, ...], fixed: tuple[float, ...]) -> None:
    made = toy(tmp_path / "ws", [verdict(), region(xyxy)])
    revision, changes = fix(made)
    assert corners(rows_of(made)[1]) == fixed
    assert (revision is not None) == bool(changes) == (xyxy != fixed)


def test_every_other_column_row_and_part_stays(tmp_path: Path) -> None:
    raw = json.dumps({"value": {"x": 99.5, "text": "<b>\u202e\U0001f600"}})
    annotated = [
        verdict(raw=raw, lead_time_s=2.5),
        region((970, 10, 1004, 60), raw=raw, origin="moved", created_at="2026-01-01"),
        region(BOX, region_id="r1", raw=raw),
        region(BOX, region_id="r2", raw=raw),
        region(BOX, region_id="r3", role="support"),
        region(BOX, region_id="r4", annotator="bob"),
    ]
    made = toy(tmp_path / "ws", annotated, evidence=[evidence(BOX), evidence(BOX, evidence_id="e1")])
    with made.writer("annotations", "other", {"made by": "somebody"}) as writer:
        writer.write_rows([region(BOX, "toy/q9")])
    before, untouched = rows_of(made), made.part_path("annotations", "other").read_bytes()
    fix(made)
    expected = [row | ({"x1": 1000} if row["origin"] == "moved" else {}) for row in before if row["region_id"] != "r2"]
    assert rows_of(made) == expected
    assert [row["evidence_id"] for row in rows_of(made, "evidence")] == ["e0"]
    assert made.part_path("annotations", "other").read_bytes() == untouched


def test_provenance_of_a_part_stays(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    with made.writer("annotations", "toy-train", {"reader": "records", "name": "ü"}) as writer:
        writer.write_rows([region((970, 10, 1004, 60))])
    fix(made)
    assert made.metadata("annotations", "toy-train") == {"reader": "records", "name": "ü"}


def test_what_clipping_makes_equal_is_dropped_too(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((950, 10, 1004, 60)), region((950, 10, 1009, 60), region_id="r1")])
    _, changes = fix(made)
    assert [(c.action, c.region_id) for c in changes] == [("clip", "r0"), ("drop", "r1")]
    assert [(row["region_id"], corners(row)) for row in rows_of(made)] == [("r0", (950, 10, 1000, 60))]


def test_who_judged_a_question_in_two_projects_keeps_the_boxes_of_both(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region(BOX), verdict()])
    with made.writer("annotations", "zwei") as writer:
        writer.write_rows([region(BOX, region_id="again"), region(BOX, region_id="twice"), verdict()])
    _, changes = fix(made)
    assert [(change.part, change.region_id) for change in changes] == [("zwei", "twice")]


def turned(x: float, y: float, width: float, height: float, degrees: float) -> Row:
    quad = rotated_rectangle(x, y, width, height, degrees)
    envelope = quad_px_to_xyxy_px(quad[None])[0].tolist()
    return region(envelope, rotation=degrees, quad=quad.reshape(-1).tolist())


def test_a_rotated_region_becomes_the_box_around_what_is_left_on_the_page(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [turned(900, 400, 80, 40, 45.0)])
    assert fix(made) == (None, [])  # one on the page stays as it is
    made = toy(tmp_path / "out", [turned(960, 400, 80, 40, 45.0)])
    _, [change] = fix(made)
    [row] = rows_of(made)
    assert change.unrotated
    assert (row["rotation"], row["quad"]) == (None, None)
    # The region reaches x = 1016.6; cut at x = 1000, its lowest corner, at (988.3, 484.9), stays.
    assert corners(row) == pytest.approx((931.7157, 400, 1000, 484.8528), abs=1e-4)


def test_corners_that_do_not_fit_their_box_are_left_alone(tmp_path: Path) -> None:
    lying = [0, 0, 5, 0, 5, 5, 0, 5]
    rows = [
        region((900, 10, 1010, 60), region_id=f"r{i}", quad=q) for i, q in enumerate([lying, [1.0], [float("nan")] * 8])
    ]
    made = toy(tmp_path / "ws", rows)
    assert fix(made) == (None, [])


def test_undo_gives_back_every_byte(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60)), region(BOX, region_id="a"), region(BOX, region_id="b")])
    before = files(made)
    first, _ = fix(made)
    after = files(made)
    assert first is not None
    assert before != after
    assert undo(made) == first
    assert files(made) == before
    assert latest(made) is None
    with pytest.raises(UsageError, match="has no fix that could be undone"):
        undo(made)
    fix(made)
    assert files(made) == after  # the same again, byte for byte


def test_revisions_are_undone_one_by_one(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60)), region(BOX, region_id="a"), region(BOX, region_id="b")])
    states = [files(made)]
    for code in CODES:
        fix(made, codes=[code])
        states.append(files(made))
    assert [undo(made).number, undo(made).number] == [2, 1]
    assert files(made) == states[0] != states[1] != states[2]


def test_newer_rows_are_not_undone_away(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    fix(made)
    with made.writer("annotations", "toy-train") as writer:
        writer.write_rows([region(BOX)])
    with pytest.raises(
        UsageError, match=r"toy-train\.parquet: was written anew since fix 1.*000001/annotations/toy-tr"
    ):
        undo(made)
    assert corners(rows_of(made)[0]) == BOX
    made.remove("annotations", "toy-train")
    with pytest.raises(UsageError, match="was written anew"):
        undo(made)


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_kill_between_two_parts_leaves_nothing_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))], evidence=[evidence((970, 10, 1004, 60))])
    before = files(made)
    replace, done = Path.replace, 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal done
        if self.suffix == ".new":
            if done == moves:
                raise KeyboardInterrupt
            done += 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        if moves < 2:
            with pytest.raises(KeyboardInterrupt):
                fix(made)
        else:
            fix(made)
    # The next fix finishes the one before and finds nothing more.
    assert fix(made) == (None, [])
    assert validate(made, codes=CODES).findings == ()
    assert not list(made.path.rglob("*.new"))
    undo(made)
    assert files(made) == before


def test_a_kill_while_the_revision_is_made_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    before = files(made)

    def killed(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            fix(made)
    assert files(made) == before
    assert latest(made) is None
    fix(made)
    assert corners(rows_of(made)[0]) == (970, 10, 1000, 60)
    assert [path.name for path in (made.path / "files" / "revisions").iterdir()] == ["000001"]


def test_a_part_that_changed_after_a_kill_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    with monkeypatch.context() as patch:
        patch.setattr("pinpoint_data.validation.revisions.complete", lambda *args: None)
        fix(made)
    with made.writer("annotations", "toy-train") as writer:
        writer.write_rows([region((980, 10, 1006, 60))])
    revision, _ = fix(made)
    assert revision is not None
    assert revision.number == 2
    assert corners(rows_of(made)[0]) == (980, 10, 1000, 60)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"parts": [{}]}', '{"parts": 3}', '{"parts": [{"table": "annotations", "part": 1}]}', "[" * 9999],
)
def test_a_damaged_revision_is_named(tmp_path: Path, text: str) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    fix(made)
    (made.path / "files" / "revisions" / "000001" / "revision.json").write_text(text, encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"revision\.json: the revision is damaged.*move \S+000001 out"):
        undo(made)


@pytest.mark.parametrize("part", ["../../toy", "/etc/passwd", "A", ""])
def test_a_revision_cannot_point_out_of_the_workspace(tmp_path: Path, part: str) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    fix(made)
    file = made.path / "files" / "revisions" / "000001" / "revision.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["parts"][0]["part"] = part
    file.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"revision\.json: the revision is damaged: part name"):
        undo(made)


coordinate = st.floats(-30, 130, allow_nan=False, width=32)
role = st.sampled_from(["answer", "support", None])
region_box = st.one_of(
    st.tuples(coordinate, coordinate, coordinate, coordinate),
    st.sampled_from([(10.0, 10.0, 60.0, 40.0), (10.0, 10.0, 110.0, 40.0), (10.0, 10.0, 104.0, 40.0)]),
)


@settings(max_examples=25, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(region_box, role, st.sampled_from("ab"), st.one_of(st.none(), st.floats(-180, 180))), max_size=12
    )
)
def test_a_fix_leaves_nothing_to_fix_enlarges_nothing_and_can_be_undone(boxes: list[tuple[Any, ...]]) -> None:
    rows = []
    for number, (xyxy, kind, name, degrees) in enumerate(boxes):
        x0, y0, x1, y1 = xyxy
        shape = {"region_id": f"r{number}", "role": kind, "annotator": name}
        if degrees is None or x1 - x0 < 1 or y1 - y0 < 1:
            rows.append(region(xyxy, **shape))
        else:
            rows.append(turned(x0, y0, x1 - x0, y1 - y0, degrees) | shape)
    with TemporaryDirectory() as folder:
        made = toy(Path(folder), [*rows, verdict()], pages=[page(width=100, height=80)])
        before, old = files(made), {row["region_id"]: row for row in rows_of(made)}
        revision, changes = fix(made)
        new = {row["region_id"]: row for row in rows_of(made)}
        assert list(new) == [id_ for id_ in old if id_ not in {c.region_id for c in changes if c.action == "drop"}]
        for id_, row in new.items():
            if id_ is not None:
                a, b = corners(old[id_]), corners(row)
                assert a == b or (a[0] <= b[0] < b[2] <= a[2] and a[1] <= b[1] < b[3] <= a[3])
        assert plan(WorkspaceView(made), Limits()) == []
        assert fix(made) == (None, [])
        for finding in validate(made, codes=CODES).findings:
            assert finding.code == "box-outside-page"
            x0, y0, x1, y1 = corners(new[finding.region_id])
            kept = max(0, min(x1, 100) - max(x0, 0)) * max(0, min(y1, 80) - max(y0, 0))
            assert not (x0 < x1 and y0 < y1) or kept < 0.75 * (x1 - x0) * (y1 - y0)
        if revision:
            undo(made)
        assert files(made) == before


def test_no_change_makes_no_revision(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    assert commit(made, []) is None
    assert fix(made) == (None, [])
    assert not (made.path / "files").exists()


def test_the_command_prints_each_change_and_reports_what_is_left(tmp_path: Path) -> None:
    hostile = "r\x1b[31m\n<b>"
    made = toy(
        tmp_path / "ws",
        [
            verdict(),
            region((970.25, 10, 1004, 60), region_id=hostile),
            region(BOX, region_id="a"),
            region(BOX, region_id="b"),
        ],
    )
    before = files(made)
    done = pinpoint("validate", made.path, "--fix")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "clip annotations/toy-train: toy/q0, page 0, region r\\x1b[31m <b> by gold:toy: (970.25, 10,"
    )
    assert lines[0].endswith("(970.25, 10, 1004, 60) -> (970.25, 10, 1000, 60)")
    assert lines[1] == "drop annotations/toy-train: toy/q0, page 0, region b by gold:toy: (100, 100, 200, 150)"
    assert lines[2] == "fix 1: 2 boxes; --undo-fix takes it back"
    assert lines[-1] == "findings: 0 error, 0 warning, 0 info"
    again = json.loads(pinpoint("validate", made.path, "--fix", "--json").stdout)
    assert again["fix"] == {"revision": None, "changes": []}
    undone = pinpoint("validate", made.path, "--undo-fix", "--json")
    assert undone.returncode == 1  # the findings are back
    assert json.loads(undone.stdout)["undone"] == {"revision": 1, "parts": ["annotations/toy-train"]}
    assert files(made) == before


def test_a_fix_keeps_to_the_source_and_the_codes_asked_for(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60)), region(BOX, region_id="a"), region(BOX, region_id="b")])
    with made.writer("annotations", "other") as writer:
        writer.write_rows([region(BOX, "ab/q", "a"), region(BOX, "ab/q", "b")])
    found = json.loads(
        pinpoint("validate", made.path, "--fix", "--source", "toy", "--code", "box-repeated", "--json").stdout
    )
    assert [(c["part"], c["region_id"], c["row"], c["after"]) for c in found["fix"]["changes"]] == [
        ("toy-train", "b", 2, None)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fix", "--undo-fix"), "exclude each other"),
        (("--fix", "--code", "box-tiny"), "--fix mends box-outside-page and box-repeated, not box-tiny"),
        (("--undo-fix",), "has no fix that could be undone"),
        (("--json", "--format", "text"), "exclude each other"),
        (("--format", "xml"), "xml"),
        (("--tolerance", "nan"), "must be a number of pixels"),
    ],
)
def test_misuse_changes_nothing(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    before = files(made)
    done = pinpoint("validate", made.path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert files(made) == before


def test_a_fix_waits_for_nobody_elses_lock(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [region((970, 10, 1004, 60))])
    with made.lock("pinpoint ingest"):
        done = pinpoint("validate", made.path, "--fix")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is in use by `pinpoint ingest`" in done.stderr
    assert np.isclose(rows_of(made)[0]["x1"], 1004)


def test_of_the_boxes_of_visual_cot_that_leave_their_page_only_a_slip_is_clipped(
    tmp_path: Path, real_data: Path
) -> None:
    """The other 31 were drawn for images of another size: clipping them would hide that."""
    made = viscot(tmp_path / "ws", sorted((real_data / "viscot_boxes").glob("dude*.jsonl")))
    _, changes = fix(made)
    assert [(c.before, c.after) for c in changes] == [((683, 2434, 1257, 2616), (683, 2434, 1257, 2612))]
    assert len(validate(made, codes=["box-outside-page"]).findings) == 31
