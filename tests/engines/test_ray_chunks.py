"""Words on Ray: the bytes of the local engine, whatever dies on the way."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pinpoint_data.engines import NodeError
from pinpoint_data.engines.ray_data import RayWorkers
from pinpoint_data.words import take_words
from pinpoint_data.workspace import Workspace
from tests.engines.doomed import Deadly
from tests.words.build import CountingEngine, page_row, workspace
from tests.words.test_run import ocr_pages


def sha256(ws: Workspace) -> str:
    return hashlib.sha256(ws.part_path("words", "own-train").read_bytes()).hexdigest()


def made_locally(folder: Path, rows: list[dict], root: Path, engine: object = "auto") -> str:
    ws = workspace(folder, rows, root)
    take_words(ws, engine)
    return sha256(ws)


def test_a_command_on_a_cluster_makes_the_bytes_of_the_local_engine(tmp_path: Path, cluster: str) -> None:
    import ray

    rows = [*ocr_pages(tmp_path, 70), page_row("bad", ocr_path="gone.json")]
    ws = workspace(tmp_path / "ws", rows, tmp_path)
    command = [sys.executable, "-m", "pinpoint_data", "words", "ws", "--engine", "ray", "--json"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
    result = subprocess.run([*command, "--ray-address", cluster], **options)
    assert result.returncode == 1, result.stderr
    assert all(line.startswith("words of own-train: ") for line in result.stderr.splitlines()), result.stderr
    found = json.loads(result.stdout)
    assert found["parts"][0]["state"] == "made" and found["refused"] == {"missing-ocr-file": 1}
    assert sha256(ws) == made_locally(tmp_path / "local", rows, tmp_path)
    assert sum(node["Alive"] for node in ray.nodes()) == 3


def test_deadly_chunks_are_retried_then_listed_and_the_rest_is_done(
    tmp_path: Path, cluster: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [page_row(f"p{n}") for n in range(12)]
    ws = workspace(tmp_path / "ws", rows, tmp_path)
    log = tmp_path / "log"
    doomed = Deadly(log, always="p5", once="p8", broken="p3")
    with RayWorkers() as workers:
        run = take_words(ws, doomed, workers=workers)
    assert [part.state for part in run.parts] == ["unfinished"] and not ws.parts("words")
    printed = capfd.readouterr()
    assert printed.out == "" and all(line.startswith("words of ") for line in printed.err.splitlines()), printed
    first, second = run.outcome.problems
    assert (first.code, first.file) == ("failed-block", "words/own-train.parquet")
    assert first.record == "chunk 1 (p2 .. p3)" and first.message == "OSError: the disk is full"
    assert second.record == "chunk 2 (p4 .. p5)" and second.message.startswith("3 workers were killed over it")
    read = CountingEngine(log).pages_read()
    assert read.count("p5") == 3 and read.count("p8") == 2
    assert {f"p{n}" for n in (0, 1, 6, 7, 8, 9, 10, 11)} <= set(read)

    again = CountingEngine(tmp_path / "again")
    assert take_words(ws, again).parts[0].state == "made"
    assert sorted(again.pages_read()) == ["p2", "p3", "p4", "p5"]
    assert sha256(ws) == made_locally(tmp_path / "local", rows, tmp_path, CountingEngine(tmp_path / "log2"))


def test_a_part_that_was_there_stays_when_chunks_fail(tmp_path: Path, cluster: str) -> None:
    ws = workspace(tmp_path / "ws", [page_row(f"p{n}") for n in range(4)], tmp_path)
    take_words(ws, CountingEngine(tmp_path / "log", text="old"))
    before = sha256(ws)
    with RayWorkers() as workers:
        run = take_words(ws, Deadly(tmp_path / "log", broken="p0"), workers=workers)
    assert (run.parts[0].state, run.parts[0].words, run.outcome.exit_code) == ("unfinished", 4, 1)
    assert sha256(ws) == before


def double(number: int) -> int:
    return 2 * number


def test_a_node_that_does_not_see_the_files_is_told_once(tmp_path: Path, cluster: str) -> None:
    with RayWorkers() as workers, pytest.raises(NodeError) as caught:
        list(workers.map(double, range(50), [tmp_path / "nowhere" / "workspace.json"]))
    message = str(caught.value)
    assert message.startswith("on node 1") and f"{tmp_path}/nowhere/workspace.json: is not there" in message
    assert "all nodes share" in message


def test_a_cluster_that_is_not_there_is_named_at_once(cluster: str) -> None:
    """In a process of its own: this one is connected already."""
    code = (
        "from pinpoint_data.engines.ray_data import RayWorkers\n"
        "with RayWorkers(address='127.0.0.1:1') as workers: list(workers.map(abs, [1]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "PinpointError: Ray cannot be used at 127.0.0.1:1: [Errno 111] Connection refused" in result.stderr
