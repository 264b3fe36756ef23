"""Pushes against a server that fails on demand: every task is there once, with its boxes, whatever went wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.label_studio.api_key import ApiKey
from annotation.label_studio.images_choice import ImageOptions
from annotation.label_studio.ledger import Ledger
from annotation.label_studio.push import PushOptions, PushResult, push
from annotation.label_studio.server import AnswerLostError, Server, ServerError
from annotation.label_studio.tasks import TaskOptions
from pinpoint_data.errors import PinpointError, UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation import push_build
from tests.annotation.fake_server import KEY, FakeLabelStudio, fake_label_studio
from tests.loaders import build

OPTIONS = PushOptions(TaskOptions(prelabel="proposal:*"), ImageOptions("upload"), chunk_tasks=4)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return push_build.workspace(tmp_path)


def run(ws: Workspace, fake: FakeLabelStudio, options: PushOptions = OPTIONS, project: str = "evidence") -> PushResult:
    with Server(fake.url, ApiKey(KEY), sleep=fake.sleep) as server:
        return push(ws, server, project, options)


def assert_complete(fake: FakeLabelStudio, count: int = 6) -> None:
    """Every question once, each with one prediction."""
    assert fake.names() == [f"hand/q{i:03d}" for i in range(count)]
    assert sorted(one["task"] for one in fake.predictions.values()) == sorted(fake.tasks)


def counts(result: PushResult) -> dict[str, int]:
    return dict(result.outcome.counts)


def test_a_first_push_and_a_second(ws: Workspace, fake: FakeLabelStudio) -> None:
    result = run(ws, fake, replace(OPTIONS, overlap=3))
    assert_complete(fake)
    assert counts(result) == {"made": 6, "files uploaded": 2} and result.outcome.exit_code == 0
    (project,) = fake.projects.values()
    assert project["maximum_annotations"] == 3 and project["model_version"] == push_build.PRELABEL
    assert 'name="evidence"' in project["label_config"]
    assert result.url == f"{fake.url}/projects/{project['id']}/data"
    assert all(page.startswith("/data/upload/") for task in fake.tasks.values() for page in task["data"]["pages"])
    assert any("Label All Tasks" in line for line in result.notes)
    posts = fake.taken("POST", "/import")
    assert counts(run(ws, fake)) == {"unchanged": 6}
    assert fake.taken("POST", "/import") == posts and fake.taken("PATCH", "/") == 1  # the model version, once
    assert_complete(fake)


@pytest.mark.parametrize(
    "kind",
    [
        "500-before",
        "500-after",
        "500-half",
        "502-before",
        "502-after",
        "reset-before",
        "reset-after",
        "late",
        "drop-predictions",
        "drop-and-lie",
        "429",
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_an_import_that_goes_wrong(ws: Workspace, fake: FakeLabelStudio, kind: str, times: int) -> None:
    options = replace(OPTIONS, images=ImageOptions("data-uri"))
    fake.fault("POST", "/import", kind, times)
    result = run(ws, fake, options)
    assert_complete(fake)
    assert result.outcome.exit_code == 0 and counts(result)["made"] == 6
    assert counts(run(ws, fake, options)) == {"unchanged": 6}


@given(
    faults=st.lists(
        st.tuples(
            st.sampled_from(["/import", "/import/predictions", "/file-uploads", "/api/projects/", "/model-versions"]),
            st.sampled_from(
                ["500-before", "500-after", "502-after", "reset-before", "reset-after", "late", "drop-predictions"]
            ),
        ),
        max_size=6,
    )
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_of_faults_ends_well_or_says_so(ws: Workspace, faults: list[tuple[str, str]]) -> None:
    with fake_label_studio() as fake:
        for path, kind in faults:
            fake.fault("GET" if path in ("/file-uploads", "/model-versions") else "POST", path, kind)
        try:
            run(ws, fake)
        except ServerError:
            fake.tick()  # what is still on its way arrives before the next run looks
            fake.faults.clear()
            run(ws, fake)
        assert_complete(fake)
        fake.faults.clear()
        assert counts(run(ws, fake)) == {"unchanged": 6}


def test_a_lost_answer_is_awaited_before_anything_is_sent_again(ws: Workspace, fake: FakeLabelStudio) -> None:
    fake.fault("POST", "/import", "late")
    run(ws, fake, replace(OPTIONS, images=ImageOptions("data-uri"), chunk_tasks=500))
    assert fake.taken("POST", "/import") == 1
    assert_complete(fake)


def test_a_timeout_is_a_lost_answer(ws: Workspace, fake: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.label_studio.sending.IMPORT_TIMEOUT_S", 0.2)
    fake.fault("POST", "/import", "silent")
    run(ws, fake, replace(OPTIONS, images=ImageOptions("data-uri"), chunk_tasks=500))
    assert fake.taken("POST", "/import") == 1
    assert_complete(fake)


def test_a_killed_run_waits_for_what_it_sent(ws: Workspace, fake: FakeLabelStudio) -> None:
    """The server may still be storing tasks of a client that is gone: sent again, they would be there twice."""
    options = replace(OPTIONS, images=ImageOptions("data-uri"), chunk_tasks=500)
    fake.fault("POST", "/import", "late")
    with Server(fake.url, ApiKey(KEY), sleep=_stopped) as server, pytest.raises(KeyboardInterrupt):
        push(ws, server, "evidence", options)
    assert not fake.tasks
    said: list[str] = []
    with Server(fake.url, ApiKey(KEY), sleep=fake.sleep) as server:
        result = push(ws, server, "evidence", options, said.append)
    assert counts(result) == {"unchanged": 6} and "6 tasks were on their way" in said[0]
    assert_complete(fake)


def _stopped(seconds: float) -> None:
    raise KeyboardInterrupt


def test_predictions_that_the_server_drops_are_named(ws: Workspace, fake: FakeLabelStudio) -> None:
    """`/import` takes a bad box, `/import/predictions` drops it in silence."""
    fake.fault("POST", "/import", "drop-predictions")
    fake.fault("POST", "/import/predictions", "500-after")
    fake.dropped_labels = {"support"}
    result = run(ws, fake, replace(OPTIONS, chunk_tasks=500, images=ImageOptions("data-uri")))
    assert counts(result) == {"made": 6, "repaired": 6}
    changed = push_build.boxes(push_build.questions(6)[:2], shift=1.0)
    for row in changed:
        row["role"] = row["role"] and "support"
    rest = push_build.boxes(push_build.questions(6)[2:])
    build.write(ws, "annotations", "hand-train.proposal-test", changed + rest)
    result = run(ws, fake, replace(OPTIONS, images=ImageOptions("data-uri")))
    assert dict(result.outcome.refused) == {"prediction-refused": 2} and result.outcome.exit_code == 1


def test_a_task_that_the_server_refuses_stands_alone(ws: Workspace, fake: FakeLabelStudio) -> None:
    fake.refused_tasks = ["hand/q002"]
    result = run(ws, fake)
    (problem,) = result.outcome.problems
    assert (problem.code, problem.record) == ("task-refused", "hand/q002") and len(problem.message) < 500
    assert fake.names() == [f"hand/q{i:03d}" for i in (0, 1, 3, 4, 5)]


def test_a_task_that_breaks_the_server_stands_alone(ws: Workspace, fake: FakeLabelStudio) -> None:
    fake.broken = ["hand/q003"]
    result = run(ws, fake)
    (problem,) = result.outcome.problems
    assert (problem.code, problem.record) == ("task-breaks-server", "hand/q003")
    assert len(fake.tasks) == 5


def test_a_server_that_breaks_at_everything_is_left(ws: Workspace, fake: FakeLabelStudio) -> None:
    fake.broken = [f"hand/q{i:03d}" for i in range(6)]
    with pytest.raises(AnswerLostError, match="internal error"):
        run(ws, fake)
    assert not fake.tasks


def test_a_changed_question_is_updated_and_keeps_its_annotations(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    before = {task["data"]["pinpoint_id"]: number for number, task in fake.tasks.items()}
    fake.tasks[before["hand/q001"]]["total_annotations"] = 2
    asked = push_build.questions(6)
    asked[1]["question"] = "And what now?"
    build.write(ws, "questions", "hand-train", asked)
    moved = push_build.boxes(asked[:3], shift=2.0) + push_build.boxes(asked[3:])
    build.write(ws, "annotations", "hand-train.proposal-test", moved)
    result = run(ws, fake)
    assert counts(result) == {"updated": 3, "updated under annotations": 1, "unchanged": 3}
    assert {task["data"]["pinpoint_id"]: number for number, task in fake.tasks.items()} == before
    task = fake.tasks[before["hand/q001"]]
    assert task["data"]["question"] == "And what now?" and task["total_annotations"] == 2
    assert_complete(fake)
    assert counts(run(ws, fake)) == {"unchanged": 6}


@pytest.mark.parametrize("stop", ["/import/predictions", "/api/tasks/", "/api/predictions/"])
def test_an_update_that_is_stopped_half_way_is_finished_later(ws: Workspace, fake: FakeLabelStudio, stop: str) -> None:
    run(ws, fake)
    newer = push_build.boxes(push_build.questions(6), "proposal:test@2", shift=2.0)
    build.write(ws, "annotations", "hand-train.proposal-test-2", newer)
    number = min(fake.predictions if "predictions/" in stop else fake.tasks)
    verb, path = ("POST", stop) if stop.startswith("/import") else ("DELETE", f"{stop}{number}/")
    if stop == "/api/tasks/":
        verb = "PATCH"
    fake.fault(verb, path, "401")
    with pytest.raises(ServerError, match="does not accept the key"):
        run(ws, fake)
    assert not fake.faults
    run(ws, fake)
    assert_complete(fake)
    assert counts(run(ws, fake)) == {"unchanged": 6}


def test_a_new_version_of_the_boxes_takes_the_place_of_the_old(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    fake.add_prediction({"task": min(fake.tasks), "model_version": "a-model", "result": []}, min(fake.projects))
    asked = push_build.questions(6)
    build.write(ws, "annotations", "hand-train.proposal-test-2", push_build.boxes(asked, "proposal:test@2"))
    assert counts(run(ws, fake)) == {"updated": 6}
    versions = sorted(one["model_version"] for one in fake.predictions.values())
    assert versions == ["a-model", *["proposal:test@2"] * 6]  # what a connected model made is not ours to delete
    (project,) = fake.projects.values()
    assert project["model_version"] == "proposal:test@2"


def test_a_lost_or_damaged_ledger_costs_nothing(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    file = ws.path / "files" / "label-studio" / "evidence" / "ledger.jsonl"
    file.write_bytes(file.read_bytes()[:-7])  # a torn last line
    assert counts(run(ws, fake)) == {"unchanged": 6}
    file.write_bytes(b'{"sent": 3}\n\xff\n[]\n{"sending": {}}\nnull\n')
    assert counts(run(ws, fake)) == {"unchanged": 6}
    file.unlink()
    assert counts(run(ws, fake)) == {"unchanged": 6}
    assert_complete(fake)


def test_no_key_and_no_page_stands_in_the_ledger(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    texts = "".join(file.read_text() for file in (ws.path / "files" / "label-studio").rglob("*.json*"))
    assert "hand/q000" in texts and KEY not in texts and "a@example.com" not in texts


def test_tasks_deleted_on_the_server_come_back_and_are_counted(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    gone = max(fake.tasks)
    del fake.tasks[gone]
    fake.predictions = {n: one for n, one in fake.predictions.items() if one["task"] != gone}
    assert counts(run(ws, fake)) == {"made": 1, "unchanged": 5, "deleted there and made again": 1}
    assert_complete(fake)


def test_what_should_not_be_there_is_reported_and_left_alone(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    (project,) = fake.projects
    build.write(ws, "questions", "hand-train", push_build.questions(5))
    twin = json.loads(json.dumps(fake.tasks[min(fake.tasks)]["data"]))
    fake.add_tasks(project, [{"data": twin}, {"data": twin | {"pinpoint_id": "from/elsewhere"}}])
    fake.tasks[fake.next_id + 1] = {"id": fake.next_id + 1, "project": project, "data": {"text": "not ours"}}
    before = len(fake.tasks)
    result = run(ws, fake)
    assert {problem.code: problem.record for problem in result.outcome.problems} == {
        "duplicate-task": "hand/q000",
        "question-gone": "hand/q005",
    }
    assert "2 tasks of the project are not ours" in result.text()
    assert len(fake.tasks) == before


def test_a_duplicate_that_comes_from_elsewhere_meanwhile(ws: Workspace, fake: FakeLabelStudio) -> None:
    """Another machine pushes the same questions into the same project at the same time."""
    fake.fault("POST", "/import", "twice")
    result = run(ws, fake, replace(OPTIONS, images=ImageOptions("data-uri"), chunk_tasks=500))
    assert dict(result.outcome.refused) == {"duplicate-task": 6} and counts(result)["made"] == 6


def test_review_tasks_show_what_the_annotators_drew(ws: Workspace, fake: FakeLabelStudio) -> None:
    review = replace(OPTIONS, tasks=TaskOptions(review=("proposal:*",)))
    run(ws, fake, review, "reviews")
    assert fake.names() == [f"review:hand/q{i:03d}" for i in range(6)]
    (project,) = fake.projects.values()
    assert f'value="{push_build.PRELABEL}"' in project["label_config"] and project["model_version"] == "review"
    assert counts(run(ws, fake, review, "reviews")) == {"unchanged": 6}


def test_ours_is_the_copy_that_people_worked_on(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    (project,) = fake.projects
    first = min(fake.tasks)
    fake.add_tasks(project, [{"data": fake.tasks[first]["data"]}])
    twin = max(fake.tasks)
    fake.tasks[twin]["total_annotations"] = 1
    asked = push_build.questions(6)
    asked[0]["question"] = "New?"
    build.write(ws, "questions", "hand-train", asked)
    run(ws, fake)
    assert fake.tasks[twin]["data"]["question"] == "New?" != fake.tasks[first]["data"]["question"]


def test_a_selection_leaves_the_others_alone(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    result = run(ws, fake, replace(OPTIONS, limit=2))
    assert counts(result) == {"unchanged": 2} and result.outcome.exit_code == 0
    with pytest.raises(UsageError, match="no source elsewhere"):
        run(ws, fake, replace(OPTIONS, tasks=TaskOptions(sources=("elsewhere",))))


def test_projects_by_id_and_title(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    (number,) = fake.projects
    assert counts(run(ws, fake, project=str(number))) == {"unchanged": 6}
    for title in ("ab", "x" * 51, " evidence", "two\nlines"):
        with pytest.raises(UsageError, match="3 to 50"):
            run(ws, fake, project=title)
    with pytest.raises(ServerError, match="no project with id 4711"):
        run(ws, fake, project="4711")
    fake.projects[99] = fake.projects[number] | {"id": 99}
    with pytest.raises(ServerError, match=rf"2 projects called 'evidence': {number}, 99"):
        run(ws, fake)


@pytest.mark.parametrize("kind", ["500-after", "reset-after", "late"])
def test_a_project_is_made_once(ws: Workspace, fake: FakeLabelStudio, kind: str) -> None:
    fake.fault("POST", "/api/projects/", kind)
    run(ws, fake)
    assert len(fake.projects) == 1
    assert_complete(fake)


def test_an_interface_that_would_lose_labels_is_refused(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    (project,) = fake.projects.values()
    project["label_config"] = project["label_config"].replace('value="answer"', 'value="reply"')
    assert "changed in the project: label_config" in run(ws, fake).text()
    project["label_config"] = project["label_config"].replace('value="answer"', 'value="reply"')
    project["total_annotations_number"] = 3
    with pytest.raises(ServerError, match=r"3 annotations .*'reply' of 'evidence'.*push to a new project"):
        run(ws, fake)
    project["label_config"] = "<View><no xml"
    with pytest.raises(ServerError, match="cannot be read"):
        run(ws, fake)


@pytest.mark.parametrize("kind", ["500-before", "500-after", "reset-after", "reset-before", "late"])
def test_uploads_arrive_once(ws: Workspace, fake: FakeLabelStudio, kind: str) -> None:
    fake.fault("POST", "/import", kind)
    run(ws, fake)
    assert_complete(fake)
    stored = {task["data"]["pages"][0] for task in fake.tasks.values()}
    assert stored <= {f"/data/{file['file']}" for file in fake.files.values()} and len(stored) == 2
    files = len(fake.files)
    (ws.path / "files" / "label-studio" / "evidence" / "ledger.jsonl").unlink()
    run(ws, fake)
    assert len(fake.files) == files


def test_uploads_of_another_user_are_taken_over(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    fake.files.clear()  # the list shows a user's own files only
    assert counts(run(ws, fake)) == {"unchanged": 6}
    fake.contents.clear()  # somebody removed them
    assert counts(run(ws, fake)) == {"updated": 6, "files uploaded": 2}


def test_auto_takes_local_files_where_the_server_reads_them(
    ws: Workspace, fake: FakeLabelStudio, tmp_path: Path
) -> None:
    fake.document_root = str(tmp_path)
    auto = replace(OPTIONS, images=ImageOptions("auto"))
    result = run(ws, fake, auto)
    folder = ws.path / "files" / "label-studio" / "pages"
    assert result.images == "local-files" and str(folder) in result.text()
    assert [entry["path"] for entry in fake.storages] == [str(folder)]
    assert not list(folder.glob("pinpoint-check*"))
    run(ws, fake, auto)
    assert len(fake.storages) == 1  # registered once
    (page,) = {
        task["data"]["pages"][0] for name, task in fake.tasks.items() if task["data"]["question_id"].endswith("0")
    }
    assert page.startswith("/data/local-files/?d=ws/files/label-studio/pages/")


def test_auto_uploads_where_local_files_do_not_work(ws: Workspace, fake: FakeLabelStudio) -> None:
    result = run(ws, fake, replace(OPTIONS, images=ImageOptions("auto")))
    assert result.images == "upload" and "local files do not work" in result.text()
    assert_complete(fake)
    with pytest.raises(PinpointError, match="document root"):
        run(ws, fake, replace(OPTIONS, images=ImageOptions("local-files")))


def test_a_folder_of_the_same_name_on_another_machine(ws: Workspace, fake: FakeLabelStudio, tmp_path: Path) -> None:
    fake.document_root, fake.local_files = str(tmp_path), b"something else"
    with pytest.raises(ServerError, match="gives out other files"):
        run(ws, fake, replace(OPTIONS, images=ImageOptions("local-files")))
    assert not fake.tasks


def test_pages_that_nobody_would_see_stop_a_push_before_it_begins(ws: Workspace, fake: FakeLabelStudio) -> None:
    template = ImageOptions("url-template", f"{fake.url}/nowhere/{{path}}")
    with pytest.raises(PinpointError, match="nothing was sent"):
        run(ws, fake, replace(OPTIONS, images=template))
    assert not fake.tasks
    run(ws, fake, replace(OPTIONS, images=template, images_checked=0))
    assert_complete(fake)


def test_a_page_that_vanishes_leaves_out_its_questions(ws: Workspace, fake: FakeLabelStudio) -> None:
    (ws.root_of("hand") / "images" / "p1.png").unlink()
    result = run(ws, fake)
    assert dict(result.outcome.refused) == {"missing-image": 3} and len(fake.tasks) == 3


def test_a_page_that_changed_leaves_out_its_questions(ws: Workspace, fake: FakeLabelStudio) -> None:
    page = ws.root_of("hand") / "images" / "p1.png"
    page.write_bytes(build.picture(120, 80, 7))
    result = run(ws, fake)
    assert dict(result.outcome.refused) == {"changed-page": 3} and len(fake.tasks) == 3


def test_two_projects_of_one_title_have_folders_of_their_own(ws: Workspace, fake: FakeLabelStudio) -> None:
    run(ws, fake)
    (first,) = fake.projects
    fake.projects[first]["title"] = "renamed"
    run(ws, fake)
    folders = {path.parent.name: json.loads(path.read_text()) for path in (ws.path / "files").rglob("project.json")}
    assert set(folders) == {"evidence", "evidence-2"} and folders["evidence"]["project"] == first
    run(ws, fake, project="renamed")
    assert len(list((ws.path / "files").rglob("project.json"))) == 2


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_a_ledger(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(data)
    Ledger(tmp_path).sent({"a": 1})
    found = Ledger(tmp_path)
    assert found.tasks["a"] == 1 and found.unsettled is None


def test_the_summary_is_json(ws: Workspace, fake: FakeLabelStudio) -> None:
    found: dict[str, Any] = json.loads(json.dumps(run(ws, fake).to_json()))
    assert found["counts"]["made"] == 6 and found["project"] in fake.projects and found["problems"] == []
