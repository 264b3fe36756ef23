"""A real Label Studio takes what we make, and preflight says what it has not been told yet."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from annotation.label_studio.commands import label_studio as commands
from annotation.label_studio.interface import config_xml
from annotation.label_studio.preflight import Code
from tests.annotation.server import LabelStudio
from tests.annotation.tasks_build import PRELABEL, prelabel, zoo
from tests.loaders import build


def test_an_exported_folder_is_taken_and_its_pages_are_served(
    label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    ws = zoo(tmp_path)
    prelabel(ws, build.regions("zoo/tall.png", [(10.0, 590.0, 90.0, 2605.0)], annotator=PRELABEL))
    out, pages = tmp_path / "out", label_studio.document_root / "exported pages"
    places = ["--pages-folder", str(pages), "--document-root", str(label_studio.document_root)]
    made = CliRunner().invoke(commands, ["export", str(ws.path), str(out), "--prelabel", PRELABEL, *places])
    assert made.exit_code == 0, made.output
    look = ["preflight", str(out), "--url", label_studio.url, "--json"]

    headers = label_studio.headers(label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=headers, timeout=60, trust_env=False) as client:
        before = CliRunner().invoke(commands, look)
        assert before.exit_code == 1
        found = json.loads(before.stdout)
        assert set(found["counts"]) == {Code.IMAGE_UNREACHABLE.code}
        assert "as a storage" in found["findings"][0]["remedy"]

        project = {"title": "tasks by hand", "label_config": (out / "config.xml").read_text()}
        project_id = client.post("/api/projects", json=project).raise_for_status().json()["id"]
        storage = {"project": project_id, "path": str(pages), "use_blob_urls": True, "title": "pages"}
        client.post("/api/storages/localfiles", json=storage).raise_for_status()
        after = CliRunner().invoke(commands, look)
        assert json.loads(after.stdout) == {"tasks": 9, "counts": {}, "findings": [], "findings_total": 0}

        body = (out / "tasks-0001.json").read_bytes()
        kind = {"Content-Type": "application/json"}
        answer = client.post(f"/api/projects/{project_id}/import", content=body, headers=kind).raise_for_status().json()
        assert (answer["task_count"], answer["prediction_count"]) == (9, 1)


def test_both_interfaces_are_taken(label_studio: LabelStudio) -> None:
    headers = label_studio.headers(label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=headers, timeout=60, trust_env=False) as client:
        for shown in ([], ["label-studio:3", 'a<b>&"c"']):
            project = {"title": "interface", "label_config": config_xml(shown)}
            assert client.post("/api/projects", json=project).status_code == 201
