"""The chunks of a staged part, run by whichever workers; what is given up is listed and stays missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinpoint_data.engines.base import Failed, Workers
from pinpoint_data.errors import Problem
from pinpoint_data.progress import progress
from pinpoint_data.workspace import StagedPart


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
    """
    problems = []
    needs = [stage.workspace.path / "workspace.json", stage.folder / "fingerprint", *files]
    with progress(label, sum(len(chunk.rows) for chunk in chunks)) as advance:
        for done in workers.map(work, chunks, needs):
            if isinstance(done, Failed):
                problems.append(_problem(stage, done, key))
            else:
                advance(done)
    return sorted(problems, key=lambda problem: problem.record)


def _problem(stage: StagedPart, failed: Failed[Chunk], key: str) -> Problem:
    rows = failed.task.rows
    return Problem(
        "failed-block",
        f"{stage.table}/{stage.part}.parquet",
        f"chunk {failed.task.number} ({rows[0][key]} .. {rows[-1][key]})",
        failed.reason,
        "the part was not changed; run the same command again, it does what is missing",
    )
