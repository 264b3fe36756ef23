"""Pulling from a server: everything once, then what changed, and nothing lost on the way."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from click.testing import CliRunner

from annotation.adjudication.overlay import read_overlay
from annotation.label_studio.api_key import ApiKey
from annotation.label_studio.commands.pull import pull as pull_command
from annotation.label_studio.interface import config_xml
from annotation.label_studio.pull import CHUNK_TASKS, PullResult, pull
from annotation.label_studio.server import Server
from pinpoint_data.errors import SourceError
from pinpoint_data.workspace import Workspace
from tests.annotation import export_build as build
from tests.annotation.export_build import drawn, exported, prefill, status, submitted
from tests.annotation.server import LabelStudio

Json = dict[str, Any]


class Memory:
    """A server without a network: lists and exports tasks, and remembers which were exported."""

    url = "http://server"

    def __init__(self, tasks: list[Json]) -> None:
        self.tasks = {task["id"]: task for task in tasks}
        self.exported: list[list[int]] = []
        self.fails_after: int | None = None
        self.content: bytes | None = None
        self.hides: set[int] = set()

    def touch(self, task: int, when: str, **changes: Any) -> None:
        self.tasks[task] |= {"updated_at": when} | changes

    def project(self, wanted: str | int) -> Json:
        return {
            "id": 7,
            "title": "P",
            "created_at": build.WHEN,
            "task_number": len(self.tasks),
            "maximum_annotations": 1,
        }

    def users(self) -> dict[int, str]:
        return {4: "a1@example.com"}

    def get_json(self, path: str, **params: Any) -> Any:
        query = json.loads(params["query"])
        tasks = sorted(self.tasks.values(), key=lambda task: (task["updated_at"], task["id"]), reverse=True)
        for rule in query.get("filters", {}).get("items", ()):
            if rule["filter"] == "filter:tasks:draft_exists":
                tasks = [task for task in tasks if task["drafts"]]
            else:
                tasks = sorted((task for task in tasks if task["id"] > rule["value"]), key=lambda task: task["id"])
        size = params["page_size"]
        shown = tasks[(params["page"] - 1) * size : params["page"] * size]
        return {"total": len(tasks), "tasks": [task | {"annotations": None, "drafts": None} for task in shown]}

    def stream_to_file(self, path: str, target: Path, **params: Any) -> int:
        ids = params["ids[]"]
        if self.fails_after is not None and len(self.exported) >= self.fails_after:
            raise SourceError("the line is dead", file=self.url)
        self.exported.append(ids)
        target.parent.mkdir(parents=True, exist_ok=True)
        chosen = [self.tasks[task] for task in ids if task not in self.hides]
        return target.write_bytes(self.content or json.dumps(chosen).encode())


def run(ws: Workspace, memory: Memory, **options: Any) -> PullResult:
    return pull(ws, cast(Server, memory), "P", **options)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return build.workspace(tmp_path)


def memory_of(ws: Workspace) -> Memory:
    made = build.tasks(ws)
    return Memory(
        [exported(task, n, [submitted(n, [*prefill(task), status()])]) for n, task in enumerate(made.values(), 1)]
    )


def test_the_second_pull_takes_only_what_changed(ws: Workspace) -> None:
    memory = memory_of(ws)
    first = run(ws, memory)
    assert first.changed == 4 and first.outcome.tasks["imported"] == 4 and first.part == "label-studio.p"
    assert first.campaign.finished == 4 and "4 of 4 tasks (100%)" in first.text()
    before = build.rows(ws)
    second = run(ws, memory)
    assert second.changed == 0 and memory.exported == [[1, 2, 3, 4]] and "nothing changed" in second.text()
    later = "2026-03-05T00:00:00Z"
    memory.touch(2, later, annotations=[submitted(2, [status("no_evidence")], updated_at=later)])
    third = run(ws, memory)
    assert third.changed == 1 and memory.exported[1:] == [[2]]
    assert build.rows(ws) != before and len([r for r in build.rows(ws) if r["status"] == "no_evidence"]) == 1
    assert run(ws, memory, full=True).changed == 4


def test_a_change_that_became_visible_late_is_not_missed(ws: Workspace) -> None:
    memory = memory_of(ws)
    memory.touch(1, "2026-03-05T12:00:00.5Z")
    run(ws, memory)
    memory.touch(3, "2026-03-05T11:59:59Z", drafts=[build.draft(5, [], annotation=3)])
    assert run(ws, memory).changed == 1


def test_drafts_are_seen_though_their_tasks_do_not_say_so(ws: Workspace) -> None:
    memory = memory_of(ws)
    run(ws, memory)
    memory.tasks[1]["drafts"] = [build.draft(5, [], user="a2@example.com")]
    assert run(ws, memory).changed == 1
    assert run(ws, memory).changed == 0
    memory.tasks[1]["drafts"] = [build.draft(5, [status()], user="a2@example.com", updated_at="2026-03-09T00:00:00Z")]
    assert run(ws, memory).changed == 1
    memory.tasks[1]["drafts"] = []
    assert run(ws, memory).outcome.refused == {"gone-annotation": 1}
    assert run(ws, memory).changed == 0


def test_a_stopped_pull_goes_on_with_what_it_has(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.label_studio.pull.CHUNK_TASKS", 1)
    memory = memory_of(ws)
    memory.fails_after = 2
    with pytest.raises(SourceError, match="dead"):
        run(ws, memory)
    assert not build.rows(ws)
    memory.fails_after = None
    memory.touch(1, "2026-03-05T00:00:00Z")
    assert run(ws, memory).outcome.tasks["imported"] == 4
    # What was fetched and did not change since is not asked for again.
    assert memory.exported == [[1], [2], [1], [3], [4]]
    assert not list(ws.path.glob("files/label-studio/p/.pull"))


def test_rows_of_deleted_tasks_stay(ws: Workspace) -> None:
    memory = memory_of(ws)
    run(ws, memory)
    before = build.rows(ws)
    del memory.tasks[3]
    assert not run(ws, memory).outcome.refused
    result = run(ws, memory, full=True)
    assert result.outcome.refused == {"gone-task": 1} and build.rows(ws) == before


def test_tasks_that_do_not_come_whole_are_asked_for_again(ws: Workspace) -> None:
    memory = memory_of(ws)
    memory.hides = {2}
    memory.touch(3, build.WHEN, total_annotations=2)
    result = run(ws, memory)
    assert result.outcome.refused == {"incomplete-export": 2} and result.outcome.tasks["imported"] == 3
    memory.hides = set()
    memory.touch(3, build.WHEN, total_annotations=1)
    assert run(ws, memory).changed == 2 and memory.exported[1] == [2, 3]


def test_an_answer_that_is_no_export_is_not_kept(ws: Workspace) -> None:
    memory = memory_of(ws)
    memory.content = b"<html>sign in</html>"
    with pytest.raises(SourceError, match="no list"):
        run(ws, memory)
    memory.content = None
    assert run(ws, memory).outcome.tasks["imported"] == 4


def test_a_damaged_state_means_everything(ws: Workspace) -> None:
    memory = memory_of(ws)
    run(ws, memory)
    for text in ("", "[]", '{"tasks": {"x": 1}}'):
        (ws.path / "files" / "label-studio" / "p" / "pull.json").write_text(text, encoding="utf-8")
        assert run(ws, memory).changed == 4


def test_many_tasks_come_in_chunks(ws: Workspace) -> None:
    made = build.tasks(ws)["s/q0"]
    memory = Memory([exported(made, number) for number in range(1, 2 * CHUNK_TASKS + 2)])
    result = run(ws, memory)
    assert [len(ids) for ids in memory.exported] == [CHUNK_TASKS, CHUNK_TASKS, 1]
    assert result.outcome.tasks["unannotated"] == 2 * CHUNK_TASKS + 1


def test_with_a_real_server(ws: Workspace, label_studio: LabelStudio, tmp_path: Path) -> None:
    made = build.tasks(ws)
    review = build.tasks(ws, review=(build.PROPOSAL,), questions=("s/q1",))["s/q1"]
    second = label_studio.make_user("pull-two@example.com")
    with httpx2.Client(base_url=label_studio.url, headers=label_studio.headers(label_studio.token), timeout=60) as api:

        def call(method: str, path: str, body: Any, token: str | None = None) -> Any:
            headers = label_studio.headers(token) if token else None
            return api.request(method, path, json=body, headers=headers).raise_for_status().json()

        config = config_xml((build.PROPOSAL,))
        project = call(
            "POST", "/api/projects/", {"title": "pull test", "label_config": config, "maximum_annotations": 2}
        )["id"]
        payloads = [task.payload() for task in (*made.values(), review)]
        sent = call("POST", f"/api/projects/{project}/import?return_task_ids=true", payloads)["task_ids"]
        ids = dict(zip([*made, "review"], sent, strict=True))

        def submit(name: str, result: list[Json], token: str | None = None, **more: Any) -> int:
            body = {"result": result, "lead_time": 7.5} | more
            return int(call("POST", f"/api/tasks/{ids[name]}/annotations/", body, token)["id"])

        def take(*options: str) -> Json:
            key = tmp_path / "key"
            key.touch(0o600)
            key.write_text(label_studio.token, encoding="utf-8")
            arguments = [str(ws.path), "--url", label_studio.url, "--project", "pull test", "--key-file", str(key)]
            done = CliRunner().invoke(pull_command, [*arguments, "--json", *options], standalone_mode=False)
            assert done.exception is None, done.output
            assert label_studio.token not in done.output
            return cast(Json, json.loads(done.stdout))

        first = submit("s/q0", [*prefill(made["s/q0"]), status()])
        submit("s/q0", [status("no_evidence")], second)
        submit("s/tall", [*prefill(made["s/tall"]), status()], second, was_cancelled=True)
        submit("s/q1", [*prefill(made["s/q1"]), drawn(made["s/q1"], 2, "n", (10, 20, 30, 40)), status()])
        submit("review", [drawn(review, 1, "n", (10, 10, 20, 20)), status(), build.note("sure")])
        draft = call(
            "POST",
            f"/api/tasks/{ids['s/plain']}/drafts",
            {"result": [drawn(made["s/plain"], 0, "d", (1, 2, 3, 4))]},
            second,
        )
        taken = take()
        assert taken["tasks"] == {"read": 5, "imported": 4, "unannotated": 0, "reviewed": 1, "refused": 0}
        assert taken["refused"] == {} and taken["decisions"] == 1 and taken["campaign"]["tasks"] == 5
        statuses = {(r["question_id"], r["status"]) for r in build.rows(ws, taken["part"]) if r["region_id"] is None}
        expected = {("s/q0", "evidence"), ("s/q0", "no_evidence"), ("s/tall", "skipped"), ("s/q1", "evidence")}
        assert statuses == expected | {("s/plain", "unfinished")}
        accepted = [row for row in build.rows(ws, taken["part"]) if row["origin"] == "accepted"]
        before = {row["region_id"]: row for row in build.proposals()}
        assert len(accepted) == 4
        for row in accepted:
            for name in ("x0", "y0", "x1", "y1", "rotation", "quad"):
                assert row[name] == before[row["region_id"]][name]
        assert read_overlay(ws).decisions["s/q1"].note == "sure"
        assert "example.com" not in json.dumps(build.rows(ws, taken["part"]))

        # Every kind of change is seen, another user's drafts too.
        assert take()["changed"] == 0
        call("PATCH", f"/api/drafts/{draft['id']}/", {"result": []}, second)
        assert take()["changed"] == 1
        api.delete(f"/api/drafts/{draft['id']}/", headers=label_studio.headers(second)).raise_for_status()
        assert take()["refused"] == {"gone-annotation": 1}
        call("POST", f"/api/tasks/{ids['s/tall']}/drafts", {"result": []}, second)
        assert take()["changed"] == 1
        call("PATCH", f"/api/annotations/{first}/", {"result": [status("unanswerable")]})
        assert take()["changed"] == 1
        submit("s/plain", [], was_cancelled=True)
        assert take()["changed"] == 1
        api.delete(f"/api/annotations/{first}/").raise_for_status()
        gone = take()
        assert gone["changed"] == 1 and gone["refused"] == {"gone-annotation": 1}
        api.delete(f"/api/tasks/{ids['s/tall']}/").raise_for_status()
        assert take("--full")["refused"] == {"gone-annotation": 2, "gone-task": 1}
        kept = {
            (row["question_id"], row["status"]) for row in build.rows(ws, taken["part"]) if row["region_id"] is None
        }
        assert ("s/tall", "skipped") in kept and ("s/q0", "unanswerable") in kept


def test_the_whole_state_of_an_export_is_not_changed(ws: Workspace) -> None:
    memory = memory_of(ws)
    before = copy.deepcopy(memory.tasks)
    run(ws, memory, names={"4": "anna"})
    assert memory.tasks == before and {row["annotator"] for row in build.rows(ws)} == {"anna"}


def test_a_real_client_reads_the_same(ws: Workspace, label_studio: LabelStudio) -> None:
    with Server(label_studio.url, ApiKey(label_studio.token)) as server:
        made = server.post_json("/api/projects/", {"title": "empty pull", "label_config": config_xml()})
        result = pull(ws, server, made["id"])
    assert result.changed == 0 and result.outcome.tasks["read"] == 0 and "0 of 0" in result.text()
