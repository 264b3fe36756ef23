"""The chunks of a staged part, run by whichever workers; what is given up is listed and stays missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinpoint_data.engines.base import Failed, Workers
from pinpoint_data.errors import Problem, WorkspaceError
from pinpoint_data.progress import progress
from pinpoint_data.workspace import StagedPart

_SHOWN_S = 90.0
"""How long a shared file system may hide what another machine wrote; NFS does for up to a minute."""


@dataclass(frozen=True)
class Chunk:
    """Rows that are worked on and saved together."""

    number: int
    rows: Sequence[Mapping[str, Any]]


def missing_chunks(stage: StagedPart, rows: Sequence[Mapping[str, Any]], size: int) -> list[Chunk]:
    """The chunks of `size` rows that are not on disk yet."""
    return [Chunk(number, rows[number * size : (number + 1) * size]) for number in stage.missing()]


def run_chunks(
    workers: Workers,
    work: Callable[[Chunk], int],
    chunks: Sequence[Chunk],
    stage: StagedPart,
    *,
    label: str,
    key: str,
    files: Sequence[Path] = (),
) -> list[Problem]:
    """Run `work` on every chunk; it saves the chunk and returns the number of its rows.

    Args:
        workers: Who runs them.
        work: Picklable.
        chunks: What is to be done.
        stage: Where the chunks go.
        label: What the progress is of.
        key: The column that names a row.
        files: What every machine must see besides the stage.

    Returns:
        A problem for every chunk that was given up (`failed-block`).

    Raises:
        WorkspaceError: Chunks that were made are not to be seen here.
    """
    problems, made = [], {chunk.number for chunk in chunks}
    needs = [stage.workspace.path / "workspace.json", stage.folder / "fingerprint", *files]
    with progress(label, sum(len(chunk.rows) for chunk in chunks)) as advance:
        for done in workers.map(work, chunks, needs):
            if isinstance(done, Failed):
                problems.append(_problem(stage, done, key))
                made.discard(done.task.number)
            else:
                advance(done)
    _wait_for(stage, made)
    return sorted(problems, key=lambda problem: problem.record)


def _wait_for(stage: StagedPart, made: set[int]) -> None:
    end = time.monotonic() + _SHOWN_S
    while hidden := made.intersection(stage.missing()):
        if time.monotonic() > end:
            raise WorkspaceError(
                f"{len(hidden)} chunks that were made are not to be seen here",
                file=stage.folder,
                remedy="all nodes must write into one shared folder; run the same command again",
            )
        time.sleep(0.2)


def _problem(stage: StagedPart, failed: Failed[Chunk], key: str) -> Problem:
    rows = failed.task.rows
    return Problem(
        "failed-block",
        f"{stage.table}/{stage.part}.parquet",
        f"chunk {failed.task.number} ({rows[0][key]} .. {rows[-1][key]})",
        failed.reason,
        "the part was not changed; run the same command again, it does what is missing",
    )
