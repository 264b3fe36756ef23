"""Chunks that were made elsewhere, in a folder that shows them late, or never."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pinpoint_data.engines import chunks
from pinpoint_data.engines.chunks import Chunk, missing_chunks, run_chunks
from pinpoint_data.engines.local import LocalWorkers
from pinpoint_data.errors import WorkspaceError
from pinpoint_data.workspace import StagedPart, Workspace
from tests.validation.build import word

ROWS = [word(f"w{n}", (0, 0, 1, 1)) for n in range(4)]


def save(stage: StagedPart, chunk: Chunk) -> int:
    stage.put(chunk.number, chunk.rows)
    return len(chunk.rows)


class Elsewhere(LocalWorkers):
    """Says at once that a chunk is made; its file comes after `hidden` seconds."""

    def __init__(self, hidden: float) -> None:
        super().__init__(1)
        self.hidden = hidden

    def map(self, work: Callable[[Any], Any], tasks: Sequence[Any], needs: Sequence[Path] = ()) -> Iterator[int]:
        for task in tasks:
            timer = threading.Timer(self.hidden, work, [task])
            timer.daemon = True
            timer.start()
            yield len(task.rows)


def run(tmp_path: Path, hidden: float) -> StagedPart:
    stage = Workspace.create(tmp_path / "ws").staged("words", "a", "f", chunks=2)
    todo = missing_chunks(stage, ROWS, 2)
    assert not run_chunks(Elsewhere(hidden), partial(save, stage), todo, stage, label="words", key="page_id")
    return stage


def test_chunks_that_are_shown_late_are_waited_for(tmp_path: Path) -> None:
    assert run(tmp_path, 0.5).finish() == 4


def test_chunks_that_are_never_shown_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_SHOWN_S", 0.1)
    with pytest.raises(WorkspaceError, match="2 chunks that were made are not to be seen here"):
        run(tmp_path, 3600)
