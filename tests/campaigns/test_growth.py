"""The whole job of benchmarks/growth.py over a few hundred questions: every count comes out, and results are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import growth
from benchmarks.growth import ACCEPTED, LOAD, Measure, commands, measure, run_size, table
from benchmarks.growth_input import QUESTIONS_A_PAGE, RATERS, SOURCE, make_input, records
from pinpoint_data.cli import root
from pinpoint_data.pages import probe_image
from pinpoint_data.workspace import Workspace

QUESTIONS, EVERY = 500, 10
TASKS = QUESTIONS // EVERY


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each command says as JSON; the folder is under `folder`."""
    folder = tmp_path_factory.mktemp("growth")
    found: dict[str, Any] = {"folder": folder}
    for name, command in commands(folder, QUESTIONS, EVERY).items():
        if name == "(input)":
            make_input(folder / "data", QUESTIONS, EVERY)
        elif name != "load_dataset":
            arguments = [*command[command.index("pinpoint_data") + 1 :], "--json"]
            result = CliRunner().invoke(root, [*arguments, "--jobs", "1"] if name == "words" else arguments)
            assert result.exit_code in ACCEPTED.get(name, (0,)), (name, result.output)
            found[name] = json.loads(result.stdout)
    return found


def test_every_question_goes_the_whole_way(said: dict[str, Any]) -> None:
    ws = Workspace.open(said["folder"] / "ws")
    assert said["ingest"]["counts"]["questions"] == ws.count("questions") == QUESTIONS
    assert ws.count("pages") == QUESTIONS // QUESTIONS_A_PAGE
    assert ws.count("words") == 60 * ws.count("pages")
    assert said["label-studio import"]["counts"]["annotations"] == RATERS * TASKS
    assert said["validate"]["looked_at"]["questions"] == QUESTIONS
    assert said["agreement"]["judged"] == said["adjudicate"]["questions"] == TASKS
    assert said["publish"]["configs"][SOURCE] == {"train": 450, "validation": 50}
    assert said["publish"]["counts"]["annotation rows"] == ws.count("annotations")
    labelled = sum(said["windows"]["configs"]["windows_qwen2-vl"].values())
    assert labelled == QUESTIONS - said["adjudicate"]["statuses"].get("unfinished", 0)
    assert (said["report"]["questions"], said["report"]["listed"]) == (QUESTIONS, QUESTIONS)


def test_validation_finds_the_faults_of_the_input(said: dict[str, Any]) -> None:
    by_gold = [f for f in said["validate"]["findings"] if f["annotator"] == f"gold:{SOURCE}"]
    found = {code: [f["question_id"] for f in by_gold if f["code"] == code] for code in said["validate"]["codes"]}
    assert found["box-outside-page"] == [f"{SOURCE}/q0000332"]
    assert set(found["answer-outside-boxes"]) >= {f"{SOURCE}/q0000{n}99" for n in range(5)}


def test_plain_datasets_loads_all_of_it(said: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    command = commands(said["folder"], QUESTIONS, EVERY)["load_dataset"]
    assert command[2] == LOAD and "pinpoint" not in LOAD
    monkeypatch.setattr(sys, "argv", ["-c", *command[3:]])
    exec(LOAD, {})
    assert capsys.readouterr().out == f"{QUESTIONS} rows\n"


def test_the_input_is_the_same_every_time_and_every_page_its_own(tmp_path: Path) -> None:
    for name in "ab":
        make_input(tmp_path / name, 60, 10)
    files = {name: sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in "ab"}
    assert [p.read_bytes() for p in files["a"]] == [p.read_bytes() for p in files["b"]]
    pictures = [probe_image(tmp_path / "a", record["pages"][0]["path"]) for record in records(60)]
    assert len({page.sha256 for page in pictures}) == 60 // QUESTIONS_A_PAGE


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    child = "import time; held = bytearray(80 << 20); time.sleep(1)"
    code = f"import subprocess, sys; held = bytearray(80 << 20); subprocess.run([sys.executable, '-c', {child!r}])"
    took = measure([sys.executable, "-c", f"{code}; print('done')"], tmp_path / "log")
    assert (took.code, took.said) == (0, "done")
    assert took.mib > 160
    assert took.wall >= 1


def test_a_rerun_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def fake(folder: Path, questions: int, every: int) -> dict[str, list[str]]:
        say = f"from pathlib import Path; Path({str(folder / 'data')!r}).mkdir(exist_ok=True); print({questions})"
        stop = f"raise SystemExit(not Path({str(folder / 'good')!r}).exists())"
        return {
            "(input)": [sys.executable, "-c", say],
            "ingest": [sys.executable, "-c", f"from pathlib import Path; {stop}"],
        }

    monkeypatch.setattr(growth, "commands", fake)
    with pytest.raises(SystemExit, match="ingest ended with 1"):
        run_size(tmp_path, 7, EVERY)
    (tmp_path / "7" / "good").touch()
    capsys.readouterr()
    assert {name: took.said for name, took in run_size(tmp_path, 7, EVERY).items()} == {"(input)": "7", "ingest": ""}
    assert "(input)" not in capsys.readouterr().out
    (tmp_path / "7" / "good").unlink()
    assert len(run_size(tmp_path, 7, EVERY)) == 2
    with pytest.raises(SystemExit, match="ingest ended"):
        run_size(tmp_path, 7, EVERY, ["ingest"])


def test_the_table_says_how_each_command_grows() -> None:
    small, large = Measure(2.0, 1.0, 100.0, 0, ""), Measure(30.0, 11.0, 250.0, 0, "")
    lines = table([10, 100], [{"a": small, "b": small}, {"a": large}]).split("\n")
    assert lines[0] == "| command | 10 | 100 | CPU x10 | memory x10 |"
    assert lines[2] == "| a | 1 s (2), 100 MiB | 11 s (30), 250 MiB | 11.0 | 2.5 |"
    assert lines[3] == "| b | 1 s (2), 100 MiB |  |  |  |"
