"""Whatever fails, whenever: what was finished stays, nothing half-made is read, and a rerun completes the cache."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.training.features.build import FakeBackbone, expected, fill, names, same_bits, workspace
from training.features import open_features, prune, read_cache, scan, verify, writer
from training.pages.store import PageStore

REPO = Path(__file__).resolve().parents[3]


def assert_complete(folder: Path, ws: Workspace, backbone: Any) -> None:
    cache = read_cache(folder)
    outcome, _ = verify(cache, scan(cache))
    assert not outcome.refused
    with open_features(folder, backbone, PageStore(ws)) as reader:
        for page_id, tokens in expected(ws, backbone).items():
            assert same_bits(reader.tokens(page_id), tokens)


OPERATIONS: dict[str, tuple[Any, str]] = {
    "write-shard": (writer, "save_file"),
    "write-index": (pyarrow.parquet, "write_table"),
    "sync": (os, "fsync"),
    "rename": (Path, "replace"),
}


class Fault:
    """Fails the n-th call, before or after doing it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, error: BaseException
    ) -> None:
        self.calls, self.fired = 0, False
        real: Callable[..., Any] = getattr(owner, name)

        def faulty(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == number:
                self.fired = True
                raise error
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, faulty)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failure_at_any_file_operation_loses_nothing(tmp_path: Path, operation: str, error: BaseException) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    largest = max(tokens.nbytes for tokens in expected(ws, backbone).values())
    options = {"batch_tokens": 30, "shard_bytes": 2 * largest}
    for number in itertools.count(1):
        folder = tmp_path / f"cache-{number}"
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, *OPERATIONS[operation], number, error)
            caught: BaseException | None = None
            try:
                fill(folder, ws, backbone, **options)
            except BaseException as failure:  # noqa: BLE001 - looked at below
                caught = failure
        if not fault.fired:
            assert number > 3
            break
        # cache.json is no shard: its failure is the disk's own error.
        assert isinstance(caught, type(error) | TrainingError)
        if isinstance(error, OSError):
            assert "No space left" in str(caught)
        if (folder / "cache.json").exists():
            found = scan(read_cache(folder))
            assert not found.problems
            kept = set(found.entries)
            assert not found.unindexed
            again = fill(folder, ws, backbone, **options)
            assert again.cached == len(kept) and not {page.key.name for page in again.todo} & kept
        else:
            fill(folder, ws, backbone, **options)
        assert_complete(folder, ws, backbone)
        assert not list(folder.glob(".shard*"))


def test_a_full_disk_says_so_and_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    Fault(monkeypatch, writer, "save_file", 3, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(TrainingError, match=r"bytes cannot be written: .*No space left.*finished shards are kept"):
        fill(tmp_path / "cache", ws, backbone, batch_tokens=1, shard_bytes=1)
    assert len(scan(read_cache(tmp_path / "cache")).entries) >= 2


def test_the_shard_of_an_index_part_that_failed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Fault(monkeypatch, pyarrow.parquet, "write_table", 1, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(TrainingError, match="Input/output error"):
        fill(tmp_path / "cache", workspace(tmp_path), FakeBackbone())
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cache.json"]


def test_an_error_of_the_backbone_keeps_what_came_before(tmp_path: Path) -> None:
    class Breaks(FakeBackbone):
        def encode_pages(self, pages: Any) -> Any:
            if len(self.batches) == 3:
                raise KeyboardInterrupt
            return super().encode_pages(pages)

    ws = workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "cache", ws, Breaks(), batch_tokens=1)
    assert len(scan(read_cache(tmp_path / "cache")).entries) == 3
    assert fill(tmp_path / "cache", ws, FakeBackbone()).cached == 3
    assert_complete(tmp_path / "cache", ws, FakeBackbone())


def test_a_device_without_memory_names_the_remedy(tmp_path: Path) -> None:
    class Small(FakeBackbone):
        def encode_pages(self, pages: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match=r"not enough memory for \d+ tokens at once \(lower --batch-tokens\)"):
        fill(tmp_path / "cache", workspace(tmp_path), Small())


def start_writers(folder: Path, ws: Workspace, *seconds: float) -> list[subprocess.Popen[str]]:
    """Processes that fill one cache from one moment on, each as slow as it is told."""
    command = [sys.executable, "-m", "tests.training.features.build", str(folder), str(ws.path)]
    writers = [
        subprocess.Popen([*command, str(pause)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO)
        for pause in seconds
    ]
    for process in writers:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in writers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return writers


def test_processes_write_the_same_pages_while_one_is_killed_and_another_prunes(tmp_path: Path) -> None:
    ws, folder = workspace(tmp_path, 12), tmp_path / "cache"
    other, doomed = start_writers(folder, ws, 0.02, 0.2)

    class Pruner(FakeBackbone):
        def encode_pages(self, pages: Any) -> Any:
            prune(read_cache(folder), grace_hours=1)
            if len(list(folder.glob("shard-*.parquet"))) > 3:
                doomed.kill()
            return super().encode_pages(pages)

    fill(folder, ws, Pruner(), batch_tokens=1, shard_bytes=150)
    other.communicate()
    doomed.communicate()
    assert (other.returncode, doomed.returncode) == (0, -signal.SIGKILL)
    assert_complete(folder, ws, FakeBackbone())
    cache = read_cache(folder)
    prune(cache, grace_hours=0)
    found = scan(cache)
    assert len(found.entries) == 12 and not found.duplicates and not found.unindexed and not found.unfinished
    assert_complete(folder, ws, FakeBackbone())


def test_what_a_killed_writer_leaves_is_not_read_and_goes_when_it_is_old(tmp_path: Path) -> None:
    backbone, ws, folder = FakeBackbone(), workspace(tmp_path), tmp_path / "cache"
    fill(folder, ws, backbone, share=(1, 2))
    leftovers = [
        ".shard-00000000000000aa.safetensors.tmp",
        "shard-00000000000000bb.safetensors",
        ".shard-00000000000000bb.parquet.tmp",
        "..cache.json-00000000000000cc.tmp",
    ]
    for name in leftovers:
        (folder / name).write_bytes(b"half")
    fill(folder, ws, backbone)
    assert_complete(folder, ws, backbone)
    cache = read_cache(folder)
    young = prune(cache)
    assert young.leftovers == 0 and {path.name for path in young.waiting} == set(leftovers)
    for name in leftovers[1:]:
        os.utime(folder / name, (0, 0))
    assert prune(cache).leftovers == 3
    assert [path.name for path in folder.iterdir() if path.name in leftovers] == leftovers[:1]
    assert prune(cache, grace_hours=0).freed_bytes == 4
    assert_complete(folder, ws, backbone)


@pytest.mark.parametrize("number", range(1, 9))
def test_pruning_that_is_interrupted_keeps_every_page(tmp_path: Path, number: int) -> None:
    backbone, ws, folder = FakeBackbone(), workspace(tmp_path), tmp_path / "cache"
    fill(folder, ws, backbone, share=(1, 2))
    twice = tmp_path / "twice"
    fill(twice, ws, backbone)
    for file in twice.glob("shard-*"):
        file.rename(folder / file.name)
    cache = read_cache(folder)
    assert scan(cache).duplicates
    real, calls = os.unlink, itertools.count(1)

    def stop(path: Any, **options: Any) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        real(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", stop)
        with contextlib.suppress(KeyboardInterrupt):
            prune(cache, wanted=names(ws, cache))
    assert_complete(folder, ws, backbone)
    prune(cache, grace_hours=0)
    assert not scan(cache).duplicates and not scan(cache).unindexed
    assert_complete(folder, ws, backbone)


def test_only_one_prunes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    fill(folder, workspace(tmp_path), FakeBackbone())
    cache = read_cache(folder)

    def another(plan: Any) -> None:
        with pytest.raises(UsageError, match="pruned by another command"):
            prune(cache)

    prune(cache, report=another)
