"""Pushes to a real Label Studio: killed half way, repeated, changed, and what the server makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from annotation.label_studio.api_key import ApiKey
from annotation.label_studio.images_choice import ImageOptions
from annotation.label_studio.push import PushOptions, PushResult, push
from annotation.label_studio.server import Server
from annotation.label_studio.tasks import TaskOptions
from pinpoint_data.workspace import Workspace
from tests.annotation import push_build
from tests.annotation.server import LabelStudio
from tests.loaders import build

TASKS = 60


def exported(label_studio: LabelStudio, project: int) -> list[dict[str, Any]]:
    """What the raw export has, asked for without our code."""
    answer = httpx2.get(
        f"{label_studio.url}/api/projects/{project}/export",
        params={"exportType": "JSON", "download_all_tasks": "true"},
        headers=label_studio.headers(label_studio.token),
        timeout=60,
    )
    tasks: list[dict[str, Any]] = answer.raise_for_status().json()
    return tasks


def project_of(label_studio: LabelStudio, title: str) -> dict[str, Any] | None:
    headers = label_studio.headers(label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=headers, timeout=60) as client:
        listed = client.get("/api/projects/", params={"page_size": 100}).raise_for_status().json()["results"]
        number = next((entry["id"] for entry in listed if entry["title"] == title), None)
        found: dict[str, Any] | None = number and client.get(f"/api/projects/{number}/").raise_for_status().json()
        return found


def run(ws: Workspace, label_studio: LabelStudio, title: str, images: str) -> PushResult:
    options = PushOptions(TaskOptions(prelabel="proposal:*"), ImageOptions(images), overlap=2)
    with Server(label_studio.url, ApiKey(label_studio.token)) as server:
        return push(ws, server, title, options)


def test_a_push_that_is_killed_half_way(tmp_path: Path, label_studio: LabelStudio) -> None:
    ws = push_build.workspace(tmp_path, TASKS)
    command = [sys.executable, "-P", "-m", "pinpoint_data", "label-studio", "push", str(ws.path), "--jobs", "1"]
    command += [
        "--url",
        label_studio.url,
        "--project",
        "killed",
        "--prelabel",
        "proposal:*",
        "--chunk",
        "3",
        "--overlap",
        "2",
    ]
    environment = os.environ | {"LABEL_STUDIO_API_KEY": label_studio.token}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        there = 0
        while process.poll() is None and there < TASKS // 3:
            time.sleep(0.02)
            there = (project_of(label_studio, "killed") or {}).get("task_number") or 0
        assert process.poll() is None, "the push ended before it was killed"
        process.kill()
    for says in ("made", f"{TASKS} unchanged"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and says in done.stdout, done.stderr
        assert label_studio.token not in done.stdout + done.stderr
    project = project_of(label_studio, "killed")
    assert project is not None and project["model_version"] == push_build.PRELABEL
    assert project["maximum_annotations"] == 2
    tasks = exported(label_studio, project["id"])
    names = Counter(task["data"]["pinpoint_id"] for task in tasks)
    assert len(names) == TASKS and set(names.values()) == {1}
    assert all(len(task["predictions"]) == 1 for task in tasks)


@pytest.mark.parametrize("images", ["local-files", "upload"])
def test_changed_questions_and_their_annotations(tmp_path: Path, label_studio: LabelStudio, images: str) -> None:
    ws, title = push_build.workspace(tmp_path, 4), f"changed {images}"
    made = run(ws, label_studio, title, images)
    assert made.outcome.counts["made"] == 4 and made.images == images
    first = min(exported(label_studio, made.project), key=lambda task: int(task["id"]))
    headers = label_studio.headers(label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=headers, timeout=60) as client:
        assert client.get(first["data"]["pages"][0]).raise_for_status().content.startswith(b"\x89PNG")
        client.post(f"/api/tasks/{first['id']}/annotations/", json={"result": []}).raise_for_status()
    asked = push_build.questions(4)
    asked[0]["question"] = "What is <b>this</b> \N{HEAVY BLACK HEART}?"
    build.write(ws, "questions", "hand-train", asked)
    build.write(ws, "annotations", "hand-train.proposal-test", push_build.boxes(asked, shift=3.0))
    counts = dict(run(ws, label_studio, title, images).outcome.counts)
    assert counts == {"updated": 4, "updated under annotations": 1}
    tasks = {task["id"]: task for task in exported(label_studio, made.project)}
    assert len(tasks) == 4 and all(len(task["predictions"]) == 1 for task in tasks.values())
    assert tasks[first["id"]]["data"]["question"] == asked[0]["question"]
    assert len(tasks[first["id"]]["annotations"]) == 1
    assert dict(run(ws, label_studio, title, images).outcome.counts) == {"unchanged": 4}


def test_predictions_that_were_lost_are_put_back(tmp_path: Path, label_studio: LabelStudio) -> None:
    """What a busy SQLite database loses while the import answers 201, and what the stream then shows."""
    ws = push_build.workspace(tmp_path, 5)
    made = run(ws, label_studio, "lost boxes", "upload")
    headers = label_studio.headers(label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=headers, timeout=60) as client:
        held = client.get("/api/predictions/", params={"project": made.project}).raise_for_status().json()
        for prediction in held[:3]:
            client.delete(f"/api/predictions/{prediction['id']}/").raise_for_status()
        client.patch(f"/api/projects/{made.project}/", json={"model_version": ""}).raise_for_status()
        result = run(ws, label_studio, "lost boxes", "upload")
        assert dict(result.outcome.counts) == {"unchanged": 2, "repaired": 3}
        # The stream gives a task with the boxes of the project's version only.
        task = client.get(f"/api/projects/{made.project}/next").raise_for_status().json()
        assert [one["model_version"] for one in task["predictions"]] == [push_build.PRELABEL]
    assert json.loads(json.dumps(result.to_json()))["model_version"] == push_build.PRELABEL
