"""A workspace from outside: opened, locked, written in parts, resumed after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.schema import SCHEMA_VERSION, TABLES
from pinpoint_data.workspace import Workspace
from tests.conftest import REPO
from tests.validation.build import page, toy, word


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_create_open_and_remember_sources(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "deep" / "ws")
    (tmp_path / "data").mkdir()
    made.register_source("infovqa", "infovqa", tmp_path / "deep" / ".." / "data")
    found = Workspace.create(made.path)
    assert found.sources == Workspace.open(made.path).sources
    assert found.root_of("infovqa") == tmp_path / "data"
    with pytest.raises(UsageError, match=r"has a source 'infovqa' from .*data already"):
        found.register_source("infovqa", "infovqa", tmp_path)
    (tmp_path / "data").rmdir()
    found.register_source("infovqa", "infovqa", tmp_path)
    assert Workspace.open(made.path).root_of("infovqa") == tmp_path
    with pytest.raises(UsageError, match="has a source 'infovqa' from reader 'infovqa' already"):
        found.register_source("infovqa", "records", tmp_path)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="neither empty nor a workspace"):
        Workspace.create(tmp_path)
    with pytest.raises(UsageError, match="neither empty nor a workspace"):
        Workspace.create(tmp_path / "thesis.tex")
    assert files(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("left", [".workspace.json.tmp", "..lock.json.tmp"])
def test_what_a_kill_left_of_a_first_write_does_not_stop_the_next_run(tmp_path: Path, left: str) -> None:
    path = tmp_path / "ws"
    path.mkdir()
    (path / left).write_text("{")
    made = Workspace.create(path)
    with made.lock("a test"):
        assert (path / "workspace.json").is_file()
    assert files(path) == [".lock", "workspace.json"]


def test_tables_without_their_workspace_file_are_taken_up(tmp_path: Path) -> None:
    """What the error about a damaged workspace.json tells people to do works."""
    made = Workspace.create(tmp_path / "ws")
    with made.lock("a test"), made.writer("verdicts", "mine") as writer:
        writer.write_rows([dict.fromkeys(TABLES["verdicts"].names, "x")])
    (made.path / "workspace.json").unlink()
    found = Workspace.create(made.path)
    assert (found.sources, found.count("verdicts")) == ({}, 1)
    (made.path / "workspace.json").unlink()
    (made.path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="neither empty nor a workspace"):
        Workspace.create(made.path)


@pytest.mark.parametrize("name", ["gone", "a-file", "a-file/below", "empty"])
def test_what_is_no_workspace(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkspaceError, match="is not a workspace"):
        Workspace.open(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"schema_version": 1}',
        '{"schema_version": "one", "sources": {}}',
        '{"schema_version": 1e999, "sources": {}}',
        '{"schema_version": 1, "sources": []}',
        '{"schema_version": 1, "sources": {"a": {}}}',
        '{"schema_version": 1, "sources": {"a": {"reader": "x", "root": 5}}}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda text: repr(text)[:30],
)
def test_a_damaged_workspace_file(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "workspace.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorkspaceError, match=r"workspace\.json is damaged") as caught:
        Workspace.open(tmp_path)
    assert caught.value.remedy


def test_a_newer_workspace_is_refused(tmp_path: Path) -> None:
    file = Workspace.create(tmp_path / "ws").path / "workspace.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(WorkspaceError, match=f"schema version {SCHEMA_VERSION + 1} is newer than this program's"):
        Workspace.create(tmp_path / "ws")


def test_a_source_that_moved_away_is_named(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    made.register_source("a", "records", tmp_path / "gone")
    with pytest.raises(WorkspaceError, match="the folder of source 'a' is gone"):
        made.root_of("a")
    with pytest.raises(WorkspaceError, match="knows no source 'b'"):
        made.root_of("b")


def test_parts_of_a_table_are_read_in_order(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    for part in ("b-train", "a-test", "a-train.gold"):
        with made.writer("pages", part, {"from": part}) as writer:
            writer.write_rows([page(f"{part}/0"), page(f"{part}/1")])
    (made.path / "pages" / ".hidden.parquet").write_bytes(b"")
    (made.path / "pages" / "notes.txt").write_bytes(b"")
    assert made.parts("pages") == ["a-test", "a-train.gold", "b-train"]
    assert made.parts("words") == []
    ids = [f"{part}/{i}" for part in made.parts("pages") for i in range(2)]
    assert [row["page_id"] for row in made.iter_rows("pages")] == ids
    assert made.read("pages")["page_id"].to_pylist() == ids
    assert made.read("pages", ["b-train"], ["height", "page_id"]).to_pylist()[0] == {
        "height": 800,
        "page_id": "b-train/0",
    }
    assert (made.count("pages"), made.count("pages", ["a-test"]), made.count("words")) == (6, 2, 0)
    assert made.read("words").num_rows == 0
    assert made.metadata("pages", "a-train.gold") == {"from": "a-train.gold"}
    made.remove("pages", "a-test")
    made.remove("pages", "a-test")
    assert made.parts("pages") == ["a-train.gold", "b-train"]


@pytest.mark.parametrize("part", ["", ".", "..", "../x", "a/b", "A", "-a", ".a", "a b", "a\n", "a\\b", "é"])
def test_part_names_cannot_leave_the_table(tmp_path: Path, part: str) -> None:
    with pytest.raises(UsageError, match="part name"):
        Workspace.create(tmp_path / "ws").part_path("pages", part)


def test_unknown_tables_and_columns_are_named(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    for call in (made.parts, made.read, lambda t: list(made.iter_rows(t)), lambda t: made.part_path(t, "a")):
        with pytest.raises(UsageError, match=r"no table '\.\./x'"):
            call("../x")
    with pytest.raises(UsageError, match="has no column colour"):
        made.read("pages", columns=["colour"])
    with pytest.raises(UsageError, match="has no column colour"):
        made.read("verdicts", columns=["colour"])


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt()])
def test_a_failed_writer_leaves_the_old_part(tmp_path: Path, failure: BaseException) -> None:
    made = toy(tmp_path / "ws")
    before = {f: (made.path / f).read_bytes() for f in files(made.path)}
    with pytest.raises(type(failure)), made.writer("pages", "toy-train") as writer:
        writer.write_rows([page(f"toy/{i}") for i in range(30_000)])
        raise failure
    assert {f: (made.path / f).read_bytes() for f in files(made.path)} == before


HOLDER = """
import sys, time
from pinpoint_data.workspace import Workspace
with Workspace.open(sys.argv[1]).lock("pinpoint words"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_writing_command_at_a_time_and_a_killed_one_frees_the_lock(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(made.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        expected = rf"is in use by `pinpoint words` \(process {other.pid}\)"
        with pytest.raises(WorkspaceError, match=expected), made.lock("pinpoint ingest"):
            pytest.fail("two held the lock")
        other.send_signal(signal.SIGKILL)
    with made.lock("pinpoint ingest"):
        pass


def test_a_lock_is_free_after_a_failure_and_not_shared_inside_a_process(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    with pytest.raises(ValueError, match="no"), made.lock("a"):
        raise ValueError("no")
    with made.lock("a"), pytest.raises(WorkspaceError, match="is in use by `a`"), made.lock("b"):
        pytest.fail("two held the lock")
    with made.lock("b"):
        pass


def rows_of(chunk: int) -> list[dict[str, object]]:
    return [word(f"{chunk}.{i}", (0, 0, 1, 1)) for i in range(3)]


def test_a_staged_part_equals_one_written_at_once(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    with made.writer("words", "once", {"engine": "x"}) as writer:
        writer.write_rows([row for chunk in range(4) for row in rows_of(chunk)])
    stage = made.staged("words", "staged", "f", chunks=4)
    with pytest.raises(WorkspaceError, match="4 of 4 chunks are not made yet"):
        stage.finish()
    for chunk in (2, 0, 3, 1):
        assert chunk in stage.missing()
        stage.put(chunk, rows_of(chunk), {"refused": str(chunk)})
    assert made.parts("words") == ["once"]  # nothing half-made is ever listed
    assert [note["refused"] for note in stage.notes()] == ["0", "1", "2", "3"]
    assert stage.finish({"engine": "x"}) == 12
    assert made.part_path("words", "staged").read_bytes() == made.part_path("words", "once").read_bytes()
    assert not stage.folder.exists()


def test_chunks_of_other_inputs_are_thrown_away(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    made.staged("words", "a", "first", chunks=3).put(1, rows_of(1))
    assert made.staged("words", "a", "first", chunks=3).missing() == [0, 2]
    assert made.staged("words", "a", "first", chunks=2).missing() == [0, 1]  # chunk 1 means other rows now
    made.staged("words", "a", "first", chunks=2).put(1, rows_of(1))
    assert made.staged("words", "a", "second", chunks=2).missing() == [0, 1]


def test_a_chunk_that_two_workers_write_at_once_is_whole(tmp_path: Path) -> None:
    """A worker that was believed dead still writes, while another does its chunk again."""
    made = Workspace.create(tmp_path / "ws")
    stage = made.staged("words", "a", "f", chunks=1)

    class Late(list):
        def __iter__(self):
            stage.put(0, rows_of(0))
            return super().__iter__()

    stage.put(0, Late(rows_of(0)))
    assert stage.finish() == 3
    assert [row["text"] for row in made.read("words", ["a"]).to_pylist()] == [row["text"] for row in rows_of(0)]


def test_a_damaged_chunk_is_named_and_no_part_is_made(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    stage = made.staged("words", "a", "f", chunks=2)
    for chunk in range(2):
        stage.put(chunk, rows_of(chunk))
    chunk_file = stage.folder / "000001.parquet"
    chunk_file.write_bytes(chunk_file.read_bytes()[:-9])
    with pytest.raises(WorkspaceError, match=r"000001\.parquet: the table is damaged"):
        made.staged("words", "a", "f", chunks=2).finish()
    assert made.parts("words") == []
    chunk_file.unlink()  # the remedy that the message gives
    stage.put(1, rows_of(1))
    assert stage.finish() == 6


STAGER = """
import os, signal, sys
from pathlib import Path
from tests.validation.build import word
from pinpoint_data.workspace import Workspace
def rows_of(chunk):
    return [word(f"{chunk}.{i}", (0, 0, 1, 1)) for i in range(3)]
die_at = int(sys.argv[2])
stage = Workspace.open(sys.argv[1]).staged("words", "staged", "f", chunks=4)
print(*stage.missing(), flush=True)
for chunk in stage.missing():
    if chunk == die_at:
        Path.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
    stage.put(chunk, rows_of(chunk))
if die_at == 4:
    import shutil
    shutil.rmtree = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
stage.finish({"engine": "x"})
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws")
    with made.writer("words", "once", {"engine": "x"}) as writer:
        writer.write_rows([row for chunk in range(4) for row in rows_of(chunk)])
    started = []
    for die_at in (1, 3, 4, -1):
        run = subprocess.run(
            [sys.executable, "-c", STAGER, str(made.path), str(die_at)],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPO,
        )
        assert run.returncode == (0 if die_at == -1 else -signal.SIGKILL), run.stderr
        started.append(run.stdout.strip())
    assert started == ["0 1 2 3", "1 2 3", "3", ""]
    assert made.part_path("words", "staged").read_bytes() == made.part_path("words", "once").read_bytes()
    assert not list(made.path.rglob("*.staging"))
