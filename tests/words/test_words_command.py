"""`pinpoint words`, as a user runs it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pinpoint_data.commands.words import words
from pinpoint_data.errors import UsageError
from pinpoint_data.words import engines
from pinpoint_data.workspace import Workspace
from tests.words.build import CountingEngine, page_row, textract_word, workspace, write_ocr


def run(*arguments: object):
    return CliRunner().invoke(words, [str(argument) for argument in arguments])


@pytest.fixture
def ws(tmp_path) -> Workspace:
    ocr = write_ocr(tmp_path, "o.json", {"WORD": [textract_word("total", 0.1, 0.1, 0.2, 0.2)]})
    return workspace(tmp_path / "ws", [page_row("with", ocr_path=ocr), page_row("bare")], tmp_path)


@pytest.fixture
def counting(tmp_path, monkeypatch):
    monkeypatch.setitem(engines._factories, "counting", lambda: CountingEngine(tmp_path / "log"))


def test_counts_as_text_and_json(ws):
    text = run(ws.path, "--jobs", 1)
    assert text.exit_code == 0
    assert "own-train: 1 words made (auto)" in text.output
    assert "2 pages, 1 words, 1 no-words" in text.output
    assert "--fallback rapidocr" in text.output
    found = json.loads(run(ws.path, "--jobs", 1, "--json").output)
    assert found["counts"] == {"no-words": 1, "pages": 2, "words": 1}
    assert found["parts"] == [{"part": "own-train", "state": "unchanged", "engine": "auto", "words": 1}]


def test_failed_pages_give_exit_code_1(tmp_path):
    made = workspace(tmp_path / "ws", [page_row("p", ocr_path="gone.json")], tmp_path)
    result = run(made.path, "--jobs", 1)
    assert result.exit_code == 1
    assert "missing-ocr-file: gone.json: p: no such file" in result.output


def test_a_fallback_reads_the_bare_pages(ws, counting):
    result = run(ws.path, "--fallback", "counting", "--jobs", 1)
    assert result.exit_code == 0
    assert [row["engine"] for row in ws.iter_rows("words")] == ["textract", "counting"]


def test_words_are_never_replaced_by_nothing(ws):
    assert run(ws.path, "--jobs", 1).exit_code == 0
    before = ws.part_path("words", "own-train").read_bytes()
    named = run(ws.path, "--from", "pdf-text", "--jobs", 1)
    assert (named.exit_code, named.output.splitlines()[0]) == (0, "own-train: 1 words kept (auto)")
    assert ws.part_path("words", "own-train").read_bytes() == before
    assert list(ws.path.glob("words/.*")) == []


def test_an_empty_part_of_another_engine_is_made_anew(ws):
    assert "0 words made (pdf-text)" in run(ws.path, "--from", "pdf-text", "--jobs", 1).output
    assert "1 words made (auto)" in run(ws.path, "--jobs", 1).output


def test_words_of_another_engine_are_kept_unless_an_engine_is_named(ws, counting):
    assert run(ws.path, "--from", "counting", "--jobs", 1).exit_code == 0
    before = ws.part_path("words", "own-train").read_bytes()
    kept = run(ws.path, "--jobs", 1)
    assert kept.exit_code == 0
    assert "own-train: 2 words kept (counting)\n2 pages, 2 words" in kept.output
    assert ws.part_path("words", "own-train").read_bytes() == before
    with ws.writer("pages", "own-train") as writer:
        writer.write_rows([page_row("other")])
    stale = run(ws.path, "--jobs", 1)
    assert stale.exit_code == 1
    assert "stale-words" in stale.output
    assert "--from counting" in stale.output
    assert "own-train: 0 words made (auto)" in run(ws.path, "--from", "auto", "--jobs", 1).output


def test_misuse(ws):
    assert isinstance(run(ws.path, "--from", "tesseract").exception, UsageError)
    assert isinstance(run(ws.path, "--source", "unknown").exception, UsageError)
    assert run(ws.path, "--from", "pdf-text", "--fallback", "rapidocr").exit_code == 2
    assert run("--help").exit_code == 0
