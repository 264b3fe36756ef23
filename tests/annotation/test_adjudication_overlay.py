"""The overlay of people's decisions: a file that people edit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.adjudication.overlay import DecidedBox, Decision, append_decisions, overlay_path, read_overlay
from pinpoint_data import atomic
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.schema import ROLES
from pinpoint_data.workspace import Workspace
from tests.domain.strategies import quick

BOX = DecidedBox(0, (1.0, 2.0, 30.5, 20.25))


def decision(
    question_id: str = "funsd/q", status: str = "evidence", note: str = "", at: str = "2026-01-01"
) -> Decision:
    return Decision(question_id, status, (BOX,) if status == "evidence" else (), "label-studio:3", at, note)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


def put(ws: Workspace, *lines: str | bytes) -> None:
    path = overlay_path(ws)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))


def test_no_file_is_no_decision(ws: Workspace) -> None:
    assert read_overlay(ws).decisions == {}
    assert append_decisions(ws, []) == 0
    assert not overlay_path(ws).exists()


def test_what_is_appended_is_read(ws: Workspace) -> None:
    first, second = decision(), decision("funsd/r", "no_evidence", "nothing\nhere")
    assert append_decisions(ws, [first, second]) == 2
    assert read_overlay(ws).decisions == {"funsd/q": first, "funsd/r": second}


def test_the_last_line_of_a_question_holds_and_deleting_it_undoes_it(ws: Workspace) -> None:
    append_decisions(ws, [decision()])
    append_decisions(ws, [decision(status="unanswerable", at="2026-01-02")])
    assert read_overlay(ws).decisions["funsd/q"].status == "unanswerable"
    lines = overlay_path(ws).read_text().splitlines()
    put(ws, *lines[:-1])
    assert read_overlay(ws).decisions["funsd/q"].status == "evidence"


def test_the_same_decision_is_added_once_even_after_a_person_overruled_it(ws: Workspace) -> None:
    pulled = decision()
    append_decisions(ws, [pulled])
    append_decisions(ws, [decision(status="no_evidence", note="by hand")])
    assert append_decisions(ws, [pulled, pulled]) == 0
    assert read_overlay(ws).decisions["funsd/q"].note == "by hand"


def test_what_people_wrote_stays_byte_for_byte(ws: Workspace) -> None:
    mine = '\ufeff{"question_id": "funsd/a",  "status": "no_evidence", "decided_by": "me"}\r\n\r\nnot json'
    put(ws, mine)
    append_decisions(ws, [decision()])
    assert overlay_path(ws).read_bytes().startswith(mine.encode() + b"\n")
    found = read_overlay(ws)
    assert set(found.decisions) == {"funsd/a", "funsd/q"}
    assert [(p.code, p.record) for p in found.problems] == [("bad-decision", "line 3")]


GOOD = {"question_id": "funsd/q", "status": "evidence", "decided_by": "me"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "Expecting"),
        ("[]", "JSON object"),
        ("[" * 100_000, ""),
        (b"\xff\xfe", "utf-8"),
        ({"status": "evidence", "decided_by": "me"}, "question_id must be a text"),
        (GOOD | {"decided_by": 5}, "decided_by must be a text"),
        (GOOD | {"boxes": 5}, "boxes must be a list"),
        (GOOD, "evidence' with 0 boxes"),
        (GOOD | {"status": "skipped"}, "status 'skipped' is not one of"),
        (
            GOOD | {"status": "no_evidence", "boxes": [{"page_index": 0, "xyxy": [0, 0, 9, 9], "role": "answer"}]},
            "1 boxes",
        ),
        (GOOD | {"boxes": [7]}, "must be an object"),
        (GOOD | {"boxes": [{"page_index": "0", "xyxy": [0, 0, 9, 9], "role": "answer"}]}, "page_index must be a whole"),
        (
            GOOD | {"boxes": [{"page_index": True, "xyxy": [0, 0, 9, 9], "role": "answer"}]},
            "page_index must be a whole",
        ),
        (GOOD | {"boxes": [{"page_index": -1, "xyxy": [0, 0, 9, 9], "role": "answer"}]}, "page -1"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [0, 0, 9], "role": "answer"}]}, "four numbers"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [0, 0, float("nan"), 9], "role": "answer"}]}, "no area"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [0, 0, 10**400, 9], "role": "answer"}]}, "no area"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [0, 0, 1e200, 9], "role": "answer"}]}, "no page"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [9, 0, 9, 9], "role": "answer"}]}, "no area"),
        (GOOD | {"boxes": [{"page_index": 0, "xyxy": [0, 0, 9, 9], "role": "title"}]}, "role 'title'"),
    ],
)
def test_a_bad_line_is_named_and_the_others_hold(ws: Workspace, line: object, fault: str) -> None:
    put(
        ws,
        decision("funsd/a").line(),
        line if isinstance(line, str | bytes) else json.dumps(line),
        decision("b").line(),
    )
    found = read_overlay(ws)
    assert set(found.decisions) == {"funsd/a", "b"}
    assert [problem.record for problem in found.problems] == ["line 2"]
    assert fault in found.problems[0].message
    assert str(overlay_path(ws)) in found.problems[0].remedy


def test_lone_surrogates_do_not_reach_the_tables(ws: Workspace) -> None:
    put(ws, r'{"question_id": "q", "status": "no_evidence", "decided_by": "a\ud800", "note": "\udfff"}')
    assert read_overlay(ws).decisions["q"].decided_by == "a\N{REPLACEMENT CHARACTER}"
    append_decisions(ws, [Decision("r", "no_evidence", (), "a\ud800")])
    assert read_overlay(ws).decisions["r"].decided_by == "a\N{REPLACEMENT CHARACTER}"


def test_an_impossible_decision_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="with 0 boxes"):
        Decision("q", "evidence", (), "me")


def test_a_kill_while_appending_leaves_the_old_file(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    append_decisions(ws, [decision()])
    before = overlay_path(ws).read_bytes()

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        append_decisions(ws, [decision("funsd/r")])
    assert overlay_path(ws).read_bytes() == before


def test_a_folder_in_its_place_is_one_clear_error(ws: Workspace) -> None:
    overlay_path(ws).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_overlay(ws)


side = st.tuples(st.floats(0, 1e5), st.floats(0.001, 1e4)).map(lambda p: (p[0], p[0] + p[1]))
decided_boxes = st.builds(
    lambda page, x, y, role: DecidedBox(page, (x[0], y[0], x[1], y[1]), role),
    st.integers(0, 99),
    side,
    side,
    st.sampled_from(ROLES),
)
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@quick
@given(text, st.lists(decided_boxes, max_size=3).map(tuple), text, st.none() | text, st.just("") | text)
def test_every_decision_survives_its_line(
    tmp_path_factory: pytest.TempPathFactory,
    question_id: str,
    boxes: tuple[DecidedBox, ...],
    who: str,
    when: str | None,
    note: str,
) -> None:
    ws = Workspace.create(tmp_path_factory.mktemp("ws") / "ws")
    made = Decision(question_id, "evidence" if boxes else "no_evidence", boxes, who, when, note)
    append_decisions(ws, [made])
    assert read_overlay(ws).decisions == {question_id: made}
