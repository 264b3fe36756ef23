"""`pinpoint agreement` from outside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from annotation.commands.agreement import agreement
from pinpoint_data.errors import UsageError
from tests.annotation.judged import campaign, marks, work, workspace


def run(*arguments: object) -> Result:
    return CliRunner().invoke(agreement, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    truth, rows = campaign(12, 3)
    return workspace(tmp_path, list(truth), rows).path


def test_tables_for_people(folder: Path) -> None:
    result = run(folder, "--resamples", 20)
    assert result.exit_code == 0
    for word in ("alpha of boxes at IoU 0.5", "Jaccard of words", "vitality", "most disputed", "label-studio:2"):
        assert word in result.output


def test_json_for_machines(folder: Path) -> None:
    found = json.loads(run(folder, "--json", "--iou", "0.35", "--resamples", 20).output)
    assert [entry["iou"] for entry in found["overall"]["sweep"]] == [0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert found["overall"]["f1"]["low"] <= found["overall"]["f1"]["value"] <= found["overall"]["f1"]["high"]
    assert {row["annotator"] for row in found["annotators"]} == {f"label-studio:{n}" for n in range(3)}
    assert "questions" not in found


def test_files(folder: Path, tmp_path: Path) -> None:
    for suffix in ("json", "csv", "parquet"):
        assert run(folder, "--resamples", 0, "--out", tmp_path / f"out.{suffix}").exit_code == 0
    whole = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["questions"]
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert len(whole) == len(table) == len(lines) == 12
    assert whole == table
    assert json.loads(lines[0]["annotators"]) == whole[0]["annotators"]
    assert float(lines[0]["dispute"]) == whole[0]["dispute"]


def test_a_file_of_unknown_kind_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected \.json, \.csv, \.parquet"):
        run(tmp_path, "--out", tmp_path / "out.xlsx")


def test_exit_code_1_says_that_something_was_left_out(tmp_path: Path) -> None:
    rows = [*work("funsd/q", "a", marks((1.0, 1.0, 9.0, 9.0), page_index=5)), *work("funsd/q", "b", [])]
    result = run(workspace(tmp_path, ["funsd/q"], rows).path)
    assert result.exit_code == 1
    assert "page-index-out-of-range" in result.output
