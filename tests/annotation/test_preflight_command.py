"""`pinpoint label-studio preflight`: files and folders, exit codes, nothing of a hostile file obeyed."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from annotation.label_studio.commands import label_studio
from annotation.label_studio.interface import config_xml
from annotation.label_studio.preflight import Code, codes_table
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation.tasks_build import PRELABEL, prelabel, zoo
from tests.annotation.test_preflight_images import PNG, host, task, uri
from tests.loaders import build


def run(*arguments: object) -> Result:
    return CliRunner().invoke(label_studio, ["preflight", *map(str, arguments)], catch_exceptions=False)


def found(*arguments: object) -> dict[str, int]:
    counts: dict[str, int] = json.loads(run(*arguments, "--json").output)["counts"]
    return counts


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder of an export."""
    ws: Workspace = zoo(tmp_path)
    prelabel(ws, build.regions("zoo/plain.png", [(1.0, 2.0, 30.0, 40.0)], annotator=PRELABEL))
    folder = tmp_path / "out"
    arguments = ["export", str(ws.path), str(folder), "--prelabel", PRELABEL]
    assert CliRunner().invoke(label_studio, arguments).exit_code == 0
    return folder


def file_of(tmp_path: Path, tasks: Any, name: str = "tasks.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(tasks))
    return path


def test_an_export_is_clean(out: Path) -> None:
    result = run(out)
    assert result.exit_code == 0
    assert result.output == "9 tasks, 0 findings\n"


def test_an_unfinished_export_is_named(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"complete": False}))
    assert found(out) == {Code.UNFINISHED_EXPORT.code: 1}


def test_a_changed_or_missing_file_is_named(out: Path) -> None:
    path = out / "tasks-0001.json"
    path.write_text(path.read_text().replace('"answer"', '"Answer"', 1))
    assert found(out).keys() >= {Code.CHANGED_FILE.code}
    path.unlink()
    assert found(out) == {Code.CHANGED_FILE.code: 1, Code.NO_TASKS.code: 1}


def test_missing_page_files_are_found(out: Path) -> None:
    for path in (out / "pages").rglob("*.png"):
        path.unlink()
    result = run(out)
    assert result.exit_code == 1
    assert Code.IMAGE_MISSING.code in result.output
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in result.output


def test_the_interface_of_the_folder_counts(out: Path) -> None:
    (out / "config.xml").write_text(config_xml().replace('"evidence" toName', '"boxes" toName'))
    assert found(out) == {Code.CONTROL_NAME.code: 1}
    own = out.parent / "own.xml"
    own.write_text(config_xml())
    assert found(out, "--config", own) == {}


@pytest.mark.parametrize("manifest", ["{}", "[]", "no json", '{"kind": "other"}', "[" * 100_000])
def test_a_folder_that_is_no_export_is_misuse(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UsageError):
        run(tmp_path)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "a/b.json", 7, None])
def test_a_manifest_that_leads_elsewhere_is_refused(out: Path, name: object) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][0]["name"] = name
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="its manifest names the file"):
        run(out)


def test_several_files_are_one_project(tmp_path: Path) -> None:
    first, second = (file_of(tmp_path, [task(uri(PNG))], name) for name in ("a.json", "b.json"))
    assert found(first) == {}
    assert found(first, second) == {Code.DUPLICATE_TASK.code: 1}


@pytest.mark.parametrize("text", ["", "{", "no json", '[{"data": {}}', "[1, 2", '{"tasks": []}', "\x89PNG"])
def test_what_is_no_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.json").write_text(text)
    assert Code.NO_JSON.code in found(tmp_path / "tasks.json")


def test_a_surrogate_in_a_file_is_found(tmp_path: Path) -> None:
    bad = task(uri(PNG))
    bad["data"]["question"] = "half \ud800"
    result = run(file_of(tmp_path, [bad]))
    assert result.exit_code == 1
    assert Code.SURROGATE.code in result.output


def test_too_many_tasks_in_a_file_are_a_warning(tmp_path: Path) -> None:
    tasks = [task("https://host/1.png", number) for number in range(501)]
    assert found(file_of(tmp_path, tasks), "--sample", 0) == {Code.CHUNK.code: 1}


def test_a_file_above_the_servers_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.label_studio.preflight.files.MAX_REQUEST_BYTES", 100)
    assert found(file_of(tmp_path, [task(uri(PNG))])) == {Code.FILE_SIZE.code: 1}


def test_a_large_file_is_read_a_task_at_a_time(tmp_path: Path) -> None:
    tasks = [task("data:image/png;base64," + "A" * 400_000, number) for number in range(60)]
    path = file_of(tmp_path, tasks)
    del tasks
    tracemalloc.start()
    found(path, "--sample", 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_terminal_escapes_of_a_file_are_shown_not_obeyed(tmp_path: Path) -> None:
    bad = task("\x1b]0;owned\x07")
    bad["data"]["pinpoint_id"] = "\x1b[2J"
    output = run(file_of(tmp_path, [bad])).output
    assert "\x1b" not in output
    assert "\x07" not in output


def test_images_are_fetched_without_a_key(tmp_path: Path) -> None:
    with host({"/a.png": (200, "image/png", PNG)}) as url:
        assert run(file_of(tmp_path, [task(f"{url}/a.png")])).exit_code == 0
        assert found(file_of(tmp_path, [task(f"{url}/b.png")])) == {Code.IMAGE_UNREACHABLE.code: 1}


def test_info_alone_is_no_failure(tmp_path: Path) -> None:
    result = run(file_of(tmp_path, [task("/data/upload/1/a.png")]))
    assert result.exit_code == 0
    assert Code.IMAGE_UNCHECKED.code in result.output


def test_the_title_is_checked(tmp_path: Path) -> None:
    assert found(file_of(tmp_path, [task(uri(PNG))]), "--title", "ab") == {Code.TITLE.code: 1}


def test_misuse(tmp_path: Path) -> None:
    assert CliRunner().invoke(label_studio, ["preflight"]).exit_code == 2
    with pytest.raises(UsageError, match="does not exist"):
        run(tmp_path / "none.json")


def test_the_table_of_codes_is_printed() -> None:
    assert run("--list-codes").output == codes_table()
