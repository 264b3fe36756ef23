"""What the options mean, before any engine starts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from annotation.commands.propose import propose
from pinpoint_data.commands.words import words
from pinpoint_data.engines import ray_data
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.words.build import page_row, textract_word, workspace, write_ocr


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ocr = write_ocr(tmp_path, "o.json", {"WORD": [textract_word("total", 0.1, 0.1, 0.2, 0.2)]})
    return workspace(tmp_path / "ws", [page_row("with", ocr_path=ocr), page_row("bare")], tmp_path)


def run(ws: Workspace, *options: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(words, [str(ws.path), "--jobs", "1", *options])
    return result.exit_code, result.output, result.exception


@pytest.mark.parametrize(
    "options", [["--from", "pdf-text"], ["--engine", "pdf-text"], ["--engine", "pdf-text", "--engine", "local"]]
)
def test_the_old_spelling_names_who_reads(ws: Workspace, options: list[str]) -> None:
    assert "0 words made (pdf-text)" in run(ws, *options)[1]


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "pdf-text", "--engine", "rapidocr"],
        ["--engine", "pdf-text", "--engine", "auto"],
        ["--engine", "local", "--engine", "ray"],
    ],
)
def test_two_of_a_kind_are_refused(ws: Workspace, options: list[str]) -> None:
    code, output, _ = run(ws, *options)
    assert code == 2 and "only one of them can do it: " in output


def test_naming_where_it_runs_names_nobody_who_reads(ws: Workspace) -> None:
    assert run(ws)[0] == 0
    before = ws.part_path("words", "own-train").read_bytes()
    assert "words kept (auto)" not in run(ws, "--engine", "local")[1]
    assert run(ws, "--from", "pdf-text")[1].startswith("own-train: 1 words kept (auto)")
    assert ws.part_path("words", "own-train").read_bytes() == before


@pytest.mark.parametrize("command", [words, propose])
def test_without_ray_the_remedy_is_named(
    ws: Workspace, command: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_data, "version", missing)
    error = CliRunner().invoke(command, [str(ws.path), "--engine", "ray"]).exception
    assert isinstance(error, UsageError) and str(error) == "Ray is not installed (pip install 'pinpoint-data[ray]')"


def test_addresses_that_cannot_be_meant(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_data, "version", lambda name: "2.60.0")
    error = run(ws, "--engine", "ray", "--ray-address", "ray://head:10001")[2]
    assert isinstance(error, UsageError) and "does not work through Ray Client" in str(error)
    error = run(ws, "--ray-address", "auto")[2]
    assert isinstance(error, UsageError) and str(error) == "--ray-address belongs to --engine ray"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert run(ws)[0] == 0
