"""A file is either whole or not there: under exceptions, a full disk, and kill -9 at the worst moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pinpoint_data.atomic import atomic_path, write_bytes, write_json, write_text

ANY_FAILURE = [ValueError("no"), KeyboardInterrupt(), MemoryError(), SystemExit(3), GeneratorExit()]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("failure", ANY_FAILURE, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: BaseException, before: bytes | None) -> None:
    file = tmp_path / "a.bin"
    if before is not None:
        file.write_bytes(before)
    with pytest.raises(type(failure)), atomic_path(file) as beside:
        beside.write_bytes(b"half")
        raise failure
    assert (file.read_bytes() if file.exists() else None) == before
    assert names(tmp_path) == ([] if before is None else ["a.bin"])


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OSError, match="No space left") as failed:
        write_text(file, "new")
    assert failed.value.filename == str(file)  # which the command line then names
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_that_cannot_begin_leaves_the_file_of_another_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, unlink, removed = tmp_path / "a.txt", Path.unlink, []

    def removes_from_the_second_time_on(path: Path, missing_ok: bool = False) -> None:
        # The first begins between the second's removal and its making.
        if removed:
            unlink(path, missing_ok)
        removed.append(path)

    with atomic_path(file) as beside:
        beside.write_text("of the first")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", removes_from_the_second_time_on)
            with pytest.raises(FileExistsError):
                write_text(file, "of the second")
    assert file.read_text() == "of the first"


def test_nobody_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with atomic_path(file) as beside:
        beside.write_text("new, but not yet")
        assert file.read_text() == "old"
        assert beside.parent == file.parent  # a rename across file systems is no rename
    assert file.read_text() == "new, but not yet"


def test_data_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        steps.append("sync")
        fsync(descriptor)

    def note_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    write_bytes(tmp_path / "a", b"x")
    assert steps == ["sync", "rename", "sync"]


def test_folders_are_made_and_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "deep" / "a.txt", "ärger 年")
    assert (tmp_path / "new" / "deep" / "a.txt").read_bytes() == "ärger 年".encode()


def test_text_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "\ud800")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_same_value_same_bytes(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": {"y": "é", "x": True}}
    write_json(tmp_path / "1", value)
    write_json(tmp_path / "2", dict(reversed(value.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert json.loads((tmp_path / "1").read_text()) == value


KILL_AT = {
    "while writing": "half",
    "before the sync": "os.fsync = die",
    "before the rename": "pathlib.Path.replace = die",
    "after the rename": "pinpoint_data.atomic.sync_folder = die",
}
WRITER = """
import os, pathlib, signal, sys
import pinpoint_data.atomic

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

where, file = sys.argv[1], pathlib.Path(sys.argv[2])
if where != "half":
    exec(where)
with pinpoint_data.atomic.atomic_path(file) as beside:
    with beside.open("wb") as handle:
        handle.write(b"new" * 1000)
        handle.flush()
        if where == "half":
            die()
"""


@contextmanager
def killed(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", WRITER, *arguments]) as process:
        yield process
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_kill_9_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    for i, (moment, where) in enumerate(KILL_AT.items()):
        folder = tmp_path / str(i)
        write_bytes(folder / "a", b"old")
        with killed([where, str(folder / "a")]):
            pass
        expected = b"new" * 1000 if moment == "after the rename" else b"old"
        assert (folder / "a").read_bytes() == expected, moment
        write_bytes(folder / "a", b"next")  # and what the dead process left is in nobody's way
        assert names(folder) == ["a"], moment
