"""A command that is stopped or killed: no process of Ray stays, and the next run goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pinpoint_data.words import take_words
from pinpoint_data.workspace import Workspace
from tests.engines.conftest import REPO
from tests.words.build import CountingEngine, page_row, workspace
from tests.words.test_run import wait_for

COMMAND = """
import signal, sys
from functools import partial
from pathlib import Path
from pinpoint_data.cli import main
from pinpoint_data.words import register_engine
from tests.words.build import CountingEngine
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: print("told to end", file=sys.stderr))
    register_engine("counting", partial(CountingEngine, Path({log!r}), pause=0.2))
    sys.argv = ["pinpoint", "words", {ws!r}, "--from", "counting", "--engine", "ray", "--jobs", "2"]
    main()
"""

MARK = "PINPOINT_TEST_OF_ORPHANS"
AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")
"""Of a node that was killed: idle, they look for it for a minute before they end themselves."""


def processes(mark: str) -> list[bytes]:
    """What runs with the mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes())
        except OSError:  # gone, or not ours
            continue
    return found


def stopped(tmp_path: Path, ws: Workspace, log: Path, how: signal.Signals) -> tuple[int, str]:
    """Start the command, end it after some chunks, and wait until nothing of it is left."""
    script = tmp_path / "command.py"
    script.write_text(COMMAND.format(ws=str(ws.path), log=str(log)))
    mark, staging = f"{tmp_path}-{how.name}", ws.path / "words/.own-train.staging"
    before = len(list(staging.glob("0*.parquet")))
    env = os.environ | {MARK: mark, "PYTHONPATH": str(REPO)}
    with subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(list(staging.glob("0*.parquet"))) >= before + 2, 120)
        assert len(processes(mark)) > 3
        if how == signal.SIGINT:
            process.send_signal(signal.SIGTERM)
        process.send_signal(how)
        said = process.communicate()[1]
    spared = AGENTS if how == signal.SIGKILL else ()
    wait_for(lambda: all(command.startswith(spared) for command in processes(mark)))
    return process.returncode, said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.usefixtures("ray_is_there")
def test_a_command_that_was_killed_or_stopped_leaves_nothing_and_is_taken_up(tmp_path: Path) -> None:
    rows = [page_row(f"p{n}") for n in range(60)]
    ws, log = workspace(tmp_path / "ws", rows, tmp_path), tmp_path / "log"
    assert stopped(tmp_path, ws, log, signal.SIGKILL)[0] == -signal.SIGKILL
    code, said = stopped(tmp_path, ws, log, signal.SIGINT)
    assert code == 130 and said.splitlines()[-1].startswith("pinpoint: stopped; finished work is kept"), said
    assert "told to end" in said  # Ray leaves a command its own handler
    assert not ws.parts("words")
    read, again = CountingEngine(log).pages_read(), CountingEngine(tmp_path / "again")
    take_words(ws, again)
    assert len(again.pages_read()) <= 60 - 2 * 4 and set(read) | set(again.pages_read()) == {f"p{n}" for n in range(60)}
    whole = workspace(tmp_path / "whole", rows, tmp_path)
    take_words(whole, CountingEngine(tmp_path / "log2"))
    assert ws.part_path("words", "own-train").read_bytes() == whole.part_path("words", "own-train").read_bytes()
