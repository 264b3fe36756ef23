"""`pinpoint label-studio export`: task files, whole or not there, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from annotation.label_studio.commands import label_studio
from annotation.label_studio.interface import config_xml
from annotation.label_studio.task_files import write_task_files
from annotation.label_studio.tasks import Task
from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation.tasks_build import PRELABEL, prelabel, zoo
from tests.loaders import build


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ws = zoo(tmp_path)
    prelabel(ws, build.regions("zoo/plain.png", [(1.0, 2.0, 30.0, 40.0)], annotator=PRELABEL))
    return ws


def run(*arguments: object) -> Result:
    return CliRunner().invoke(label_studio, list(map(str, arguments)), catch_exceptions=False)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def exported(out: Path) -> list[dict[str, Any]]:
    return [task for path in sorted(out.glob("tasks-*.json")) for task in json.loads(path.read_text())]


def small(number: int, text: str = "") -> Task:
    data = {"pinpoint_id": f"s/{number}", "items": [], "text": text, "fingerprint": ""}
    return Task(f"s/{number}", data, [])


def write(out: Path, tasks: Iterator[Task | Problem]) -> Any:
    return write_task_files(out, tasks, config=config_xml(), images={"mode": "data-uri"}, how_images="Nothing.")


def test_export_writes_everything_an_import_needs(ws: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", ws.path, out, "--prelabel", "proposal:*", "--json")
    assert result.exit_code == 0
    summary = json.loads(result.output)
    tasks = exported(out)
    assert summary["counts"] == {"tasks": 9, "items": 36, "prelabelled": 1}
    assert [task["data"]["pinpoint_id"] for task in tasks] == [row["question_id"] for row in ws.iter_rows("questions")]
    assert (out / "config.xml").read_text() == config_xml()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert manifest["model_versions"] == {PRELABEL: 1}
    (entry,) = manifest["files"]
    data = (out / entry["name"]).read_bytes()
    assert (entry["tasks"], entry["bytes"], entry["sha256"]) == (9, len(data), hashlib.sha256(data).hexdigest())
    readme = (out / "README.txt").read_text()
    assert "Label All Tasks" in readme
    said = ("LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true", f"DOCUMENT_ROOT={out}", str(out / "pages"), PRELABEL)
    assert all(text in readme for text in said)
    assert run("preflight", out).exit_code == 0


def test_a_second_run_gives_the_same_bytes(ws: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("export", ws.path, out)
    first = content(out)
    run("export", ws.path, out)
    assert content(out) == first


def test_a_smaller_export_leaves_no_old_files(tmp_path: Path) -> None:
    write(tmp_path / "out", (small(n) for n in range(1201)))
    assert [len(json.loads(p.read_text())) for p in sorted((tmp_path / "out").glob("tasks-*"))] == [500, 500, 201]
    (tmp_path / "out" / "notes.txt").write_text("mine")
    write(tmp_path / "out", (small(n) for n in range(3)))
    assert sorted(content(tmp_path / "out")) == [
        "README.txt",
        "config.xml",
        "manifest.json",
        "notes.txt",
        "tasks-0001.json",
    ]


def test_files_stay_below_twenty_megabytes(tmp_path: Path) -> None:
    written = write(tmp_path / "out", (small(n, "x" * 7_000_000) for n in range(5)))
    assert [entry["tasks"] for entry in written.files] == [2, 2, 1]
    assert all(entry["bytes"] <= 20_000_000 for entry in written.files)
    assert len(exported(tmp_path / "out")) == 5


def test_one_task_above_the_limit_has_its_own_file(tmp_path: Path) -> None:
    sizes = (10, 21_000_000, 10)
    written = write(tmp_path / "out", (small(n, "x" * size) for n, size in enumerate(sizes)))
    assert [entry["tasks"] for entry in written.files] == [1, 1, 1]


def test_a_killed_export_says_so_and_can_be_repeated(tmp_path: Path) -> None:
    def dying() -> Iterator[Task]:
        yield from (small(n) for n in range(700))
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write(out, dying())
    result = run("preflight", out, "--json")
    assert result.exit_code == 1
    assert "unfinished-export" in json.loads(result.output)["counts"]
    write(out, (small(n) for n in range(700)))
    assert len(exported(out)) == 700
    assert not list(out.glob(".*"))


def test_text_is_plain_ascii_and_whole_again(tmp_path: Path) -> None:
    write(tmp_path / "out", iter([small(1, "ü\U0001f600\u2028</script>")]))
    data = (tmp_path / "out" / "tasks-0001.json").read_bytes()
    assert data.isascii()
    assert json.loads(data)[0]["data"]["text"] == "ü\U0001f600\u2028</script>"


def test_nan_is_refused_not_written(tmp_path: Path) -> None:
    bad = Task("s/1", {"pinpoint_id": "s/1", "items": [], "x": float("nan")}, [])
    with pytest.raises(ValueError, match="JSON compliant"):
        write(tmp_path / "out", iter([bad]))
    assert not list((tmp_path / "out").glob("tasks-*"))


@pytest.mark.parametrize("found", ["notes.txt", "manifest.json", "tasks-0001.json"])
def test_somebody_elses_folder_is_refused(ws: Workspace, tmp_path: Path, found: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / found).write_text("{}")
    with pytest.raises(UsageError, match="neither empty nor an earlier export"):
        run("export", ws.path, out)
    assert content(out) == {found: b"{}"}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write(tmp_path / "out", iter(()))


def test_what_is_left_out_is_named_and_the_exit_code_is_1(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "zoo" / "plain.png").unlink()
    result = run("export", ws.path, tmp_path / "out", "--json")
    assert result.exit_code == 1
    summary = json.loads(result.output)
    assert summary["counts"]["tasks"] == 7
    assert summary["refused"] == {"missing-image": 2}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["left_out"] == {"missing-image": 2}


def test_data_uris_need_nothing_else(ws: Workspace, tmp_path: Path) -> None:
    result = run("export", ws.path, tmp_path / "out", "--images", "data-uri", "--question", "zoo/plain.png")
    assert result.exit_code == 0
    assert sorted(content(tmp_path / "out")) == ["README.txt", "config.xml", "manifest.json", "tasks-0001.json"]
    assert exported(tmp_path / "out")[0]["data"]["pages"][0].startswith("data:image/png;base64,")
    assert run("preflight", tmp_path / "out").exit_code == 0


def test_review_tasks_come_with_their_interface(ws: Workspace, tmp_path: Path) -> None:
    prelabel(ws, build.regions("zoo/plain.png", [(1.0, 2.0, 30.0, 40.0)], annotator="label-studio:7"), "label-studio.a")
    run("export", ws.path, tmp_path / "out", "--review", "label-studio:*", "--question", "zoo/plain.png")
    assert (tmp_path / "out" / "config.xml").read_text() == config_xml(["label-studio:7"])
    assert exported(tmp_path / "out")[0]["data"]["kind"] == "review"
    assert run("preflight", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--images", "url-template"],
        ["--url-template", "https://h/{path}"],
        ["--images", "data-uri", "--document-root", "x"],
        ["--images", "data-uri", "--pages-folder", "x"],
    ],
)
def test_options_that_do_not_fit_are_misuse(ws: Workspace, tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(label_studio, ["export", str(ws.path), str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
