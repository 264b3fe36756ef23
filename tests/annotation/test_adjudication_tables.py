"""Adjudication of a whole workspace: the tables it writes, what publication makes of them, and how it is undone."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from annotation.adjudication.conflicts import read_conflicts
from annotation.adjudication.overlay import DecidedBox, Decision, append_decisions, overlay_path, read_overlay
from annotation.adjudication.policy import Policy, Quorum
from annotation.adjudication.run import Adjudication, adjudicate, write_adjudication
from annotation.judgements import load_judgements
from loaders.evidence import EvidenceIndex
from pinpoint_data import tables
from pinpoint_data.errors import WorkspaceError
from pinpoint_data.validation.run import validate
from pinpoint_data.workspace import Workspace
from tests.annotation.judged import PART, add_words, campaign, marks, work, workspace
from tests.loaders.build import regions, write

A, B, C = "label-studio:1", "label-studio:2", "label-studio:3"
LEFT, RIGHT = (10.0, 10.0, 30.0, 20.0), (60.0, 10.0, 90.0, 20.0)
NAMES = ["funsd/agreed", "funsd/empty", "funsd/torn", "funsd/lone", "funsd/gold", "funsd/idle"]

MEDOID = Policy(box="medoid")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """Agreed evidence, agreed emptiness, torn, one judgement only, gold only, and nobody's."""
    rows = [
        *work("funsd/agreed", A, [*marks(LEFT), *marks(RIGHT, role="support", page_index=1)]),
        *work("funsd/agreed", B, [*marks(LEFT), *marks(RIGHT, role="support", page_index=1)]),
        *work("funsd/empty", A, marks(LEFT), status="no_evidence"),
        *work("funsd/empty", B, status="no_evidence"),
        *work("funsd/torn", A, marks(LEFT)),
        *work("funsd/torn", B, status="unanswerable"),
        *work("funsd/lone", A, marks(LEFT)),
        *work("funsd/lone", B, marks(RIGHT), status="skipped"),
        *work("funsd/gold", C, marks(LEFT), status=None),
    ]
    made = workspace(tmp_path, NAMES, rows)
    write(made, "annotations", f"{PART}.gold", regions("funsd/gold", [RIGHT]))
    return made


def run(ws: Workspace, policy: Policy = MEDOID, **chosen: Any) -> Adjudication:
    found = adjudicate(ws, load_judgements(ws, **chosen), policy, read_overlay(ws))
    write_adjudication(ws, found)
    return found


def digests(ws: Workspace, table: str) -> dict[str, str]:
    return {p: hashlib.sha256(ws.part_path(table, p).read_bytes()).hexdigest() for p in ws.parts(table)}


def statuses(ws: Workspace) -> dict[str, str]:
    return {row["question_id"]: row["status"] for row in ws.iter_rows("verdicts")}


def test_evidence_and_verdicts_carry_votes_and_provenance(ws: Workspace) -> None:
    add_words(ws, "funsd/agreed-p0", [[("42", (11.0, 11.0, 19.0, 19.0)), ("EUR", (20.0, 11.0, 29.0, 19.0))]])
    found = run(ws)
    rows = list(ws.iter_rows("evidence"))
    assert [(row["question_id"], row["evidence_id"], row["page_index"], row["role"]) for row in rows] == [
        ("funsd/agreed", "e0", 0, "answer"),
        ("funsd/agreed", "e1", 1, "support"),
    ]
    assert [row[name] for name in ("x0", "y0", "x1", "y1") for row in rows[:1]] == list(LEFT)
    assert {(row["votes"], tuple(row["annotators"]), row["score"], row["policy"]) for row in rows} == {
        (2, (A, B), 1.0, str(found.policy))
    }
    assert [row["text"] for row in rows] == ["42 EUR", None]
    verdicts = {row["question_id"]: row for row in ws.iter_rows("verdicts")}
    assert {name: row["status"] for name, row in verdicts.items()} == {
        "funsd/agreed": "evidence",
        "funsd/empty": "no_evidence",
        "funsd/torn": "unfinished",
        "funsd/lone": "unfinished",
    }
    assert {row["decided_by"] for row in verdicts.values()} == {"vote"}
    agreement = json.loads(verdicts["funsd/torn"]["agreement"])
    assert agreement["conflict"] == "status-conflict"
    assert agreement["voters"] == {A: "evidence", B: "unanswerable"}
    assert agreement["f1"] == agreement["status_share"] == 0
    assert json.loads(verdicts["funsd/agreed"]["agreement"])["f1"] == 1
    assert (ws.parts("evidence"), ws.parts("verdicts")) == ([PART], [PART])


def test_publication_reads_it_and_publishes_nothing_undecided(ws: Workspace) -> None:
    run(ws)
    index = EvidenceIndex(ws)
    published = {name: index.of(name, "funsd", 2) for name in NAMES}
    assert {name: verdict.status for name, (verdict, _) in published.items()} == {
        "funsd/agreed": "evidence",
        "funsd/empty": "no_evidence",
        "funsd/torn": "unfinished",
        "funsd/lone": "unfinished",
        "funsd/gold": "evidence",
        "funsd/idle": "unfinished",
    }
    assert not any(problems for _, problems in published.values())
    assert [box["xyxy"] for box in published["funsd/agreed"][0].boxes] == [list(LEFT), list(RIGHT)]
    assert published["funsd/gold"][0].policy == "gold"
    assert all(not verdict.boxes for verdict, _ in published.values() if verdict.status != "evidence")


def test_conflicts_are_kept_for_review(ws: Workspace) -> None:
    assert [ruling.question_id for ruling in run(ws).conflicts] == ["funsd/torn", "funsd/lone"]
    found = read_conflicts(ws)
    assert {name: conflict.code for name, conflict in found.items()} == {
        "funsd/torn": "status-conflict",
        "funsd/lone": "too-few-judgements",
    }
    assert [box.xyxy for box in found["funsd/torn"].likely] == [LEFT]


def test_a_damaged_list_of_conflicts_is_one_clear_error(ws: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="no conflicts yet"):
        read_conflicts(ws)
    run(ws)
    for text in ("{", "[5]", '[{"question_id": "q"}]', "[" * 100_000):
        (ws.path / "files" / "adjudication" / "conflicts.json").write_text(text)
        with pytest.raises(WorkspaceError, match="is damaged"):
            read_conflicts(ws)


def test_a_decision_holds_and_deleting_its_line_undoes_it(ws: Workspace) -> None:
    run(ws)
    before = {table: digests(ws, table) for table in ("evidence", "verdicts")}
    append_decisions(
        ws,
        [
            Decision("funsd/torn", "evidence", (DecidedBox(1, RIGHT, "support"),), "eva", "2026-01-01"),
            Decision("funsd/idle", "wrong_answer", (), "eva"),
            Decision("funsd/agreed", "unfinished", (), "eva", note="look again"),
        ],
    )
    found = run(ws)
    assert [ruling.question_id for ruling in found.conflicts] == ["funsd/lone"]
    assert statuses(ws) == {
        "funsd/agreed": "unfinished",
        "funsd/empty": "no_evidence",
        "funsd/torn": "evidence",
        "funsd/lone": "unfinished",
        "funsd/idle": "wrong_answer",
    }
    (box,) = ws.iter_rows("evidence")
    assert (box["question_id"], box["page_index"], box["annotators"], box["policy"]) == (
        "funsd/torn",
        1,
        ["eva"],
        "overlay",
    )
    assert (box["votes"], box["score"]) == (1, None)
    overlay_path(ws).write_text("")
    run(ws)
    assert {table: digests(ws, table) for table in ("evidence", "verdicts")} == before


def test_decisions_that_fit_no_question_are_named_and_votes_hold(ws: Workspace) -> None:
    append_decisions(
        ws,
        [
            Decision("funsd/agreed", "evidence", (DecidedBox(9, RIGHT),), "eva"),
            Decision("funsd/nowhere", "no_evidence", (), "eva"),
        ],
    )
    found = run(ws)
    assert sorted((problem.code, problem.record) for problem in found.problems) == [
        ("bad-decision", "funsd/agreed"),
        ("unknown-question", "funsd/nowhere"),
    ]
    assert statuses(ws)["funsd/agreed"] == "evidence"


def test_a_rerun_gives_the_same_bytes_and_never_touches_annotations(ws: Workspace) -> None:
    before = digests(ws, "annotations")
    run(ws)
    made = {table: digests(ws, table) for table in ("evidence", "verdicts")}
    run(ws)
    assert {table: digests(ws, table) for table in ("evidence", "verdicts")} == made
    assert digests(ws, "annotations") == before


def test_the_order_of_rows_means_nothing(tmp_path: Path) -> None:
    truth, rows = campaign(30, 4, seed=3)
    found = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        random.Random(seed).shuffle(rows)
        ws = workspace(folder, list(truth), rows)
        run(ws, Policy(Quorum.parse("0.5")))
        found.append((digests(ws, "evidence"), digests(ws, "verdicts")))
    assert found[0] == found[1] == found[2]


def test_parts_without_rulings_are_removed_and_gold_holds_again(ws: Workspace) -> None:
    run(ws)
    ws.remove("annotations", "label-studio.test")
    run(ws)
    assert (ws.parts("evidence"), ws.parts("verdicts")) == ([], [])
    assert EvidenceIndex(ws).of("funsd/gold", "funsd", 2)[0].status == "evidence"


def test_only_the_chosen_annotators_vote(ws: Workspace) -> None:
    found = run(ws, Policy(Quorum(count=1), judgements=1, annotators=(A,)), annotators=[A])
    assert statuses(ws)["funsd/torn"] == "evidence"
    assert {ruling.policy for ruling in found.rulings} == {
        "vote quorum=1 iou=0.5 box=mean judgements=1 contest=0.5 annotators=label-studio:1"
    }


def test_somebody_elses_tables_are_not_replaced(ws: Workspace) -> None:
    row = {"question_id": "funsd/agreed", "status": "no_evidence", "agreement": None, "policy": "p", "decided_by": "x"}
    write(ws, "verdicts", "mine", [row])
    with pytest.raises(WorkspaceError, match="not made by `pinpoint adjudicate`"):
        run(ws)
    assert ws.parts("evidence") == []


def test_a_kill_between_two_parts_leaves_whole_files_and_a_rerun_ends_it(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ws)
    before = digests(ws, "verdicts")
    append_decisions(ws, [Decision("funsd/torn", "unanswerable", (), "eva")])
    close = tables.PartWriter.close

    def killed(self: tables.PartWriter) -> None:
        if self.table == "verdicts":
            raise KeyboardInterrupt
        close(self)

    with monkeypatch.context() as patch:
        patch.setattr(tables.PartWriter, "close", killed)
        with pytest.raises(KeyboardInterrupt):
            run(ws)
    assert digests(ws, "verdicts") == before
    run(ws)
    assert statuses(ws)["funsd/torn"] == "unanswerable"


def test_what_it_writes_passes_validation(tmp_path: Path) -> None:
    truth, rows = campaign(40, 3, seed=9)
    ws = workspace(tmp_path, list(truth), rows)
    run(ws)
    found = [finding for finding in validate(ws).to_json()["findings"] if finding["table"] in ("evidence", "verdicts")]
    # The drawn truth does not care for the page that the source names.
    assert {finding["code"] for finding in found} <= {"evidence-off-answer-page"}


def test_surrogates_and_other_hostile_names_reach_the_tables_as_text(tmp_path: Path) -> None:
    name = 'label-studio:<script>"\N{BELL}'
    rows = [*work("funsd/q", name, marks(LEFT)), *work("funsd/q", B, marks(LEFT))]
    ws = workspace(tmp_path, ["funsd/q"], rows)
    run(ws)
    (box,) = ws.iter_rows("evidence")
    assert name in box["annotators"]
