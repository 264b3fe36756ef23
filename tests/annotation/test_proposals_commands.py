"""`pinpoint propose` and `pinpoint evaluate-proposals` on workspaces made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from annotation.commands.evaluate_proposals import evaluate_proposals
from annotation.commands.propose import propose as propose_command
from annotation.judgements import load_judgements
from annotation.proposals import Settings, propose, run
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation.proposals_build import page_words
from tests.loaders.build import annotation, page, question, regions, write

TOTAL = page_words((50, 50, "Subtotal"), (300, 50, "42"), (50, 90, "Total"), (300, 90, "42"))
OTHER = page_words((50, 50, "Date"), (300, 50, "25/12/2018"))
ANSWER, LABEL = (300.0, 90.0, 320.0, 110.0), (50.0, 90.0, 100.0, 110.0)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "ws")
    made.register_source("bills", "records", tmp_path)
    pages = [page(f"bills/{n}", f"{n}.png", width=600, height=400) for n in range(3)]
    write(made, "pages", "bills-train", pages)
    words = [row for n, found in enumerate((TOTAL, OTHER)) for row in found.rows(f"bills/{n}")]
    write(made, "words", "bills-train", words)
    asked = [
        question("bills/total", "train", ["bills/0"], question="What is the total?", answers=["42"]),
        question("bills/date", "train", ["bills/0", "bills/1"], question="What is the date?", answers=["25 Dec 2018"]),
        question("bills/none", "train", ["bills/2"], question="What is it?", answers=["x"]),
    ]
    write(made, "questions", "bills-train", [row | {"doc_id": row["question_id"]} for row in asked])
    gold = regions("bills/total", [ANSWER]) + regions("bills/date", [(300.0, 50.0, 400.0, 70.0)], page_index=1)
    write(made, "annotations", "bills-train.gold", gold + regions("bills/none", [(1.0, 1.0, 9.0, 9.0)]))
    write(made, "annotations", "label-studio.one", regions("bills/total", [LABEL], annotator="label-studio:7"))
    return made


def call(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def files(ws: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (ws.path / "annotations").glob("*.parquet")}


def test_rows_say_role_score_and_reason_and_nothing_found_is_no_verdict(ws: Workspace) -> None:
    before = files(ws)
    result = call(propose_command, ws.path, "--jobs", 1, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["annotator"] == "proposal:lexical@1"
    assert found["parts"] == [
        {"part": "bills-train.proposal-lexical", "state": "made", "questions": 3, "boxes": found["counts"]["boxes"]}
    ]
    assert {name: data for name, data in files(ws).items() if name in before} == before
    judged = {j.question_id: j for (j,) in load_judgements(ws, ["proposal:*"]).by_question.values()}
    total = judged["bills/total"]
    assert dict(zip(total.roles, total.xyxy.tolist(), strict=True)) == {"answer": [*ANSWER], "support": [*LABEL]}
    assert judged["bills/date"].page.tolist() == [1, 1]
    assert {id_: j.status for id_, j in judged.items()} == {
        "bills/total": "evidence",
        "bills/date": "evidence",
        "bills/none": "unfinished",
    }
    rows = list(ws.iter_rows("annotations", ["bills-train.proposal-lexical"]))
    assert {row["origin"] for row in rows} == {"proposal"}
    regions_of_date = [r for r in rows if r["question_id"] == "bills/date" and r["region_id"]]
    raw = json.loads(regions_of_date[0]["raw"])
    assert (raw["match"], raw["answer"], raw["reason"]) == (
        "normalised",
        "25 Dec 2018",
        '"25/12/2018" says "25 Dec 2018" (normalised); the only place',
    )
    assert 0 < raw["score"] <= 1


def test_a_second_run_leaves_all_as_it_is_until_something_changes(ws: Workspace) -> None:
    assert propose(ws).parts[0].state == "made"
    before = files(ws)
    again = propose(ws)
    assert (again.parts[0].state, files(ws)) == ("unchanged", before)
    assert again.outcome.counts["questions"] == 3
    forced = propose(ws, force=True)
    assert (forced.parts[0].state, files(ws)) == ("made", before)
    write(ws, "words", "bills-train", TOTAL.rows("bills/0"))
    assert propose(ws).parts[0].state == "made"
    assert files(ws) != before


def test_methods_stand_beside_each_other(ws: Workspace) -> None:
    propose(ws)
    propose(ws, Settings(group="blocks"))
    propose(ws, Settings(method="first-exact"))
    parts = [part for part in ws.parts("annotations") if ".proposal-" in part]
    assert parts == [f"bills-train.proposal-{name}" for name in ("first-exact", "lexical", "lexical-blocks")]
    assert propose(ws).parts[0].state == "unchanged"


def test_the_result_does_not_depend_on_jobs_or_on_a_killed_run(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_CHUNK", 1)
    whole = propose(ws, jobs=2)
    made = files(ws)
    assert whole.outcome.counts["questions"] == 3
    ws.remove("annotations", "bills-train.proposal-lexical")
    calls = []

    def killed(proposing: run.Proposing, chunk: run.Chunk) -> int:
        if calls:
            raise KeyboardInterrupt
        calls.append(chunk.number)
        return made_chunk(proposing, chunk)

    made_chunk = run.make_chunk
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "make_chunk", killed)
        propose(ws)
    assert "bills-train.proposal-lexical" not in ws.parts("annotations")
    numbers: list[int] = []
    monkeypatch.setattr(run, "make_chunk", lambda *both: (numbers.append(both[1].number), made_chunk(*both))[1])
    propose(ws)
    assert (numbers, files(ws)) == ([1, 2], made)


def test_a_question_without_its_page_is_named_and_the_rest_goes_on(ws: Workspace) -> None:
    write(ws, "questions", "bills-test", [question("bills/lost", "test", ["bills/gone"])])
    result = call(propose_command, ws.path, "--jobs", 1)
    assert result.exit_code == 1
    assert "unknown-page" in result.output
    assert "bills/lost" in result.output
    assert ws.count("annotations", ["bills-train.proposal-lexical"]) > 3


def test_misuse_is_refused(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="knows no source 'bill'"):
        propose(ws, source="bill")
    with pytest.raises(UsageError, match="has no questions"):
        propose(Workspace.create(tmp_path / "empty"))
    with pytest.raises(UsageError, match="belongs to --method lexical"):
        call(propose_command, ws.path, "--method", "first-exact", "--group", "blocks")
    ws.remove("words", "bills-train")
    with pytest.raises(UsageError, match="run `pinpoint words` first"):
        propose(ws)
    with pytest.raises(UsageError, match=r"no annotation by 'proposal:\*'"):
        call(evaluate_proposals, ws.path)


def test_evaluation_scores_by_source_role_and_pages_and_names_what_fails(ws: Workspace) -> None:
    propose(ws)
    result = call(evaluate_proposals, ws.path, "--json")
    assert result.exit_code == 0
    (found,) = json.loads(result.stdout)["evaluations"]
    assert found["annotator"] == "proposal:lexical@1"
    groups = ("all", "source bills", "one page", "several pages")
    assert set(found["scores"]) == {name + role for name in groups for role in ("", ", answer", ", support")}
    every = found["scores"]["all"]
    assert (every["questions"], every["gold"], every["paired"]) == (3, 3, 2)
    assert every["recall"]["mean"] == pytest.approx(2 / 3)
    assert every["evidence_recall"]["mean"] == pytest.approx(2 / 3)
    assert found["scores"]["all, answer"]["precision"]["mean"] == 1
    assert {kind: entry["examples"] for kind, entry in found["failures"].items()} == {
        "extra-boxes": ["bills/date", "bills/total"],
        "no-words": ["bills/none"],
    }
    text = call(evaluate_proposals, ws.path).output
    assert "proposal:lexical@1" in text
    assert "no-words: the gold boxes hold no word" in text


def test_any_annotator_can_be_scored_over_the_questions_they_finished(ws: Workspace) -> None:
    skipped = regions("bills/date", [ANSWER], annotator="label-studio:7", status="skipped")
    unanswerable = [annotation("bills/none", "gold:other", status="unanswerable")]
    write(ws, "annotations", "label-studio.two", skipped)
    (found,) = json.loads(call(evaluate_proposals, ws.path, "--annotator", "label-studio:*", "--json").stdout)[
        "evaluations"
    ]
    assert (found["scores"]["all"]["questions"], found["scores"]["all"]["paired"]) == (1, 0)
    assert list(found["failures"]) == ["wrong-place"]
    write(ws, "annotations", "bills-other.gold", unanswerable)
    write(ws, "annotations", "label-studio.three", regions("bills/none", [ANSWER], annotator="ann"))
    arguments = (ws.path, "--annotator", "ann", "--gold", "gold:other", "--json")
    (found,) = json.loads(call(evaluate_proposals, *arguments).stdout)["evaluations"]
    assert found["questions_without_evidence_with_boxes"] == 1
    assert found["scores"] == {}
    with pytest.raises(UsageError, match="has gold by gold:bills, gold:other"):
        call(evaluate_proposals, ws.path, "--annotator", "ann")


@pytest.mark.parametrize("annotator", ["gold:bills", "ann"])
def test_boxes_on_pages_that_the_question_does_not_have_are_named_and_not_scored(ws: Workspace, annotator: str) -> None:
    write(ws, "annotations", "label-studio.x", regions("bills/date", [ANSWER], annotator="ann"))
    part = "bills-train.gold" if annotator.startswith("gold") else "label-studio.x"
    rows = ws.read("annotations", [part]).to_pylist()
    stray = next(row for row in rows if row["question_id"] == "bills/date" and row["region_id"])
    write(ws, "annotations", part, [stray | {"region_id": "stray", "page_index": 7}, *rows])
    result = call(evaluate_proposals, ws.path, "--annotator", "ann", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [p.split(":")[0] for p in found["problems"]] == ["page-index-out-of-range"]
    scores = found["evaluations"][0]["scores"]["all"]
    assert (scores["found"], scores["gold"]) == (1, 1)


def test_an_evaluation_that_leaves_boxes_out_says_so_by_its_exit_code(ws: Workspace) -> None:
    write(ws, "annotations", "label-studio.x", regions("bills/date", [ANSWER, (9.0, 9.0, 9.0, 9.0)], annotator="ann"))
    result = call(evaluate_proposals, ws.path, "--annotator", "ann")
    assert result.exit_code == 1
    assert "1 regions could not be used" in result.output
