"""`pinpoint adjudicate` from outside, and the way of a conflict through Label Studio and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from annotation.adjudication.overlay import overlay_path, read_overlay
from annotation.adjudication.review import build_review_tasks, review_options
from annotation.commands.adjudicate import adjudicate
from annotation.label_studio.importing import import_tasks
from annotation.label_studio.page_images import DataUris
from annotation.label_studio.tasks import Task, TaskOptions
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.workspace import Workspace
from tests.annotation.judged import campaign, marks, work, workspace
from tests.loaders.build import write

A, B = "label-studio:1", "label-studio:[2]*"
LEFT, RIGHT = (10.0, 10.0, 30.0, 20.0), (60.0, 10.0, 90.0, 20.0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(adjudicate, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """One question agreed, one contested."""
    rows = [
        *work("funsd/agreed", A, marks(LEFT)),
        *work("funsd/agreed", B, marks(LEFT)),
        *work("funsd/torn", A, marks(LEFT, RIGHT)),
        *work("funsd/torn", B, [*marks(LEFT), *marks(RIGHT, role="support", page_index=1)]),
    ]
    return workspace(tmp_path, ["funsd/agreed", "funsd/torn"], rows)


def test_text_and_json(ws: Workspace) -> None:
    result = run(ws.path)
    assert result.exit_code == 0
    assert "2 questions: 1 decided by vote, 0 by people, 1 conflicts" in result.output
    assert "1 contested-box" in result.output
    found = json.loads(run(ws.path, "--json").output)
    assert found["conflicts"] == {"contested-box": 1}
    assert found["undecided"][0]["question_id"] == "funsd/torn"
    assert found["policy"] == "vote quorum=2 iou=0.5 box=mean judgements=2 contest=0.5"


def test_options_are_the_policy(ws: Workspace) -> None:
    write(ws, "annotations", "label-studio.late", work("funsd/torn", "eva", marks(RIGHT)))
    result = run(ws.path, "--quorum", "50%", "--iou", "0.7", "--box", "medoid", "--contest", 2, "--exclude", "eva")
    assert "policy: vote quorum=1/2 iou=0.7 box=medoid judgements=2 contest=2 exclude=eva" in result.output
    assert "2 decided by vote" in result.output


@pytest.mark.parametrize("options", [("--quorum", "none"), ("--annotator", "nobody"), ("--exclude", "nobody")])
def test_misuse_changes_nothing(ws: Workspace, options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        run(ws.path, *options)
    assert ws.parts("verdicts") == []


def test_a_bad_line_of_the_overlay_is_named_and_the_exit_code_is_1(ws: Workspace) -> None:
    overlay_path(ws).parent.mkdir(parents=True)
    overlay_path(ws).write_text("oops\n")
    result = run(ws.path)
    assert result.exit_code == 1
    assert "bad-decision: overlay.jsonl: line 1" in result.output


def test_a_locked_workspace_is_left_alone(ws: Workspace) -> None:
    with ws.lock("something else"), pytest.raises(WorkspaceError, match="in use by"):
        run(ws.path)


def exported(task: dict[str, Any], result: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A task as Label Studio's raw export gives it, with one reviewer's annotation."""
    annotation = {
        "id": 7,
        "completed_by": 9,
        "was_cancelled": False,
        "created_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T10:00:00Z",
        "lead_time": 3.0,
        "result": result,
    }
    return {"id": 1, "project": 4, **task, "annotations": [annotation | changes], "drafts": [], "predictions": []}


def chosen(status: str) -> dict[str, Any]:
    value = {"value": {"choices": [status]}, "id": "s", "from_name": "status", "to_name": "pages", "type": "choices"}
    return value | {"origin": "manual"}


def test_a_conflict_goes_to_review_and_comes_back_as_a_decision(ws: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "review"
    result = run(ws.path, "--review", out, "--images", "data-uri")
    assert "review in" in result.output
    assert {path.name for path in out.iterdir()} == {"README.txt", "config.xml", "manifest.json", "tasks-0001.json"}
    (task,) = json.loads((out / "tasks-0001.json").read_text())
    assert (task["data"]["pinpoint_id"], task["data"]["kind"]) == ("review:funsd/torn", "review")
    by = [region for region in task["predictions"][0]["result"] if region["from_name"] == "by"]
    likely = [region for region in task["predictions"][0]["result"] if region["from_name"] == "evidence"]
    labels = [region["value"]["rectanglelabels"][0] for region in by]
    assert sorted(labels) == sorted([A, A, B, B])
    assert all(f'value="{name}"' in (out / "config.xml").read_text() for name in (A, B))
    # Half the votes and more: the box of both, and each one's second.
    assert len(likely) == 3

    answer = [likely[0], *by, chosen("evidence")]
    with ws.lock("import"):
        outcome = import_tasks(ws, [exported(task, answer)], "reviews")
    assert outcome.decisions == 1
    (decision,) = read_overlay(ws).decisions.values()
    assert (decision.question_id, decision.status, decision.decided_by) == ("funsd/torn", "evidence", "label-studio:9")
    assert [box.xyxy for box in decision.boxes] == [LEFT]
    assert "1 by people, 0 conflicts" in run(ws.path).output
    assert [row["question_id"] for row in ws.iter_rows("evidence")] == ["funsd/agreed", "funsd/torn"]

    overlay_path(ws).write_text("")
    assert "0 by people, 1 conflicts" in run(ws.path).output


def test_review_tasks_are_the_same_every_time_and_change_with_the_votes(tmp_path: Path) -> None:
    truth, rows = campaign(20, 2, seed=4)
    ws = workspace(tmp_path, list(truth), rows)
    run(ws.path)

    def tasks() -> dict[str, Task]:
        made = build_review_tasks(ws, TaskOptions(), DataUris())
        return {task.pinpoint_id: task for task in made if isinstance(task, Task)}

    first = tasks()
    assert first
    assert {name: task.payload() for name, task in tasks().items()} == {
        name: task.payload() for name, task in first.items()
    }
    run(ws.path, "--box", "medoid")
    assert {name: task.fingerprint for name, task in tasks().items()} != {
        name: task.fingerprint for name, task in first.items()
    }
    one = next(iter(first)).removeprefix("review:")
    options = review_options(ws, TaskOptions(questions=(one, "funsd/none")))
    assert options is not None
    assert options.questions == (one,)


def test_no_conflict_is_no_review_task(tmp_path: Path) -> None:
    rows = [row for who in (A, B) for row in work("funsd/q", who, marks(LEFT))]
    ws = workspace(tmp_path, ["funsd/q"], rows)
    result = run(ws.path, "--review", tmp_path / "review")
    assert result.exit_code == 0
    assert "0 tasks" in result.output
    assert list(build_review_tasks(ws, TaskOptions(), DataUris())) == []


def test_a_folder_with_other_things_is_refused_before_any_work(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="neither empty nor an earlier export"):
        run(ws.path, "--review", tmp_path / "mine")
    assert ws.parts("verdicts") == []
