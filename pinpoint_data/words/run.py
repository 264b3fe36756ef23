"""The words of every page of a workspace: in chunks that survive a kill, in several processes, same bytes always.

A words part carries in its metadata a fingerprint of all it was made from: the engine's settings, the pages' rows
(with their sha256) and the content of their OCR files. A part whose fingerprint still holds is left alone, so a
second run costs one reading of the OCR files. Times are never part of it: the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pinpoint_data.engines.base import NodeError, Workers
from pinpoint_data.engines.chunks import Chunk, missing_chunks, run_chunks
from pinpoint_data.engines.local import LocalWorkers
from pinpoint_data.errors import Outcome, PinpointError, Problem
from pinpoint_data.words.base import WordEngine, usable_words
from pinpoint_data.words.engines import make_engine
from pinpoint_data.workspace import StagedPart, Workspace

WORDS_VERSION = 1
"""Raised when this code would give other words from the same input."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PartReport:
    """What happened to the words of one pages part.

    `state` is `made`, `unchanged` (its inputs are what they were), `kept` (another engine made it, and this one was not
    named or has nothing to read in the part), or `unfinished` (chunks were given up; what was there before stays).
    """

    part: str
    state: str
    engine: str
    words: int


@dataclass
class WordsRun:
    """Counts and problems over all parts, and what happened to each."""

    outcome: Outcome = field(default_factory=lambda: Outcome(Counter(pages=0, words=0)))
    parts: list[PartReport] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What the chunks of a part have in common."""

    stage: StagedPart
    engine: WordEngine
    settings: Mapping[str, Any]
    roots: Mapping[str, Path]


def take_words(
    workspace: Workspace,
    engine: str | WordEngine = "auto",
    *,
    source: str | None = None,
    jobs: int = 1,
    keep_others: bool = False,
    workers: Workers | None = None,
) -> WordsRun:
    """Make the words part of every pages part.

    Args:
        workspace: Where the pages are and the words go.
        engine: An engine or its name.
        source: Only pages of this source.
        jobs: Worker processes; the result does not depend on it.
        workers: Who reads the pages; `jobs` processes of this machine by default. The result does not depend on it.
        keep_others: Leave words alone that another engine made (and report those whose pages have changed since).
            Without it they are replaced, but never by nothing: where the engine has nothing to read on any page of a
            part (a text layer of images), the words that are there stay.

    Raises:
        UsageError: There are no pages (of this source), or the engine is unknown.
        WorkspaceError: The workspace or a source's folder cannot be used.
    """
    chosen = make_engine(engine) if isinstance(engine, str) else engine
    run = WordsRun()
    with workspace.lock("pinpoint words"), workers or LocalWorkers(jobs) as running:
        for part in workspace.parts_of("pages", source):
            _take_part(workspace, part, chosen, running, run, jobs=jobs, keep_others=keep_others)
    return run


def _take_part(
    workspace: Workspace,
    part: str,
    engine: WordEngine,
    workers: Workers,
    run: WordsRun,
    *,
    jobs: int,
    keep_others: bool,
) -> None:
    rows: list[Row] = workspace.read("pages", [part]).to_pylist()
    roots = {source: workspace.root_of(source) for source in sorted({row["source"] for row in rows})}
    pages = _hash(rows)
    known = _known(workspace, part)
    others = known if known and known["engine"] != engine.name and workspace.count("words", [part]) else None
    if others and keep_others:
        _keep(workspace, part, others, pages, engine, run)
        return
    with ThreadPoolExecutor(jobs) as threads:
        stamps = list(threads.map(lambda row: engine.stamp(roots[row["source"]], row), rows))
    fingerprint = _hash([WORDS_VERSION, dict(engine.settings()), pages, stamps])
    if known and known["fingerprint"] == fingerprint:
        workspace.discard_stage("words", part)
        run.outcome.merge(json.loads(known["outcome"]))
        run.parts.append(PartReport(part, "unchanged", engine.name, workspace.count("words", [part])))
        return
    stage = workspace.staged("words", part, fingerprint, chunks=-(-len(rows) // engine.chunk_pages))
    if failed := _read(stage, rows, Reading(stage, engine, engine.settings(), roots), workers):
        for problem in failed:
            run.outcome.refuse(problem)
        run.parts.append(PartReport(part, "unfinished", engine.name, workspace.count("words", [part] if known else [])))
        return
    outcome = Outcome()
    for note in stage.notes():
        outcome.merge(json.loads(note["outcome"]))
    if others and others["pages"] == pages and outcome.counts["no-words"] == len(rows):
        stage.discard()
        _keep(workspace, part, others, pages, engine, run)
        return
    summary = json.dumps(outcome.to_json(), sort_keys=True)
    notes = {"engine": engine.name, "fingerprint": fingerprint, "pages": pages, "outcome": summary}
    words = stage.finish(notes)
    run.outcome.merge(outcome.to_json())
    run.parts.append(PartReport(part, "made", engine.name, words))


def _keep(
    workspace: Workspace, part: str, others: Mapping[str, str], pages: str, engine: WordEngine, run: WordsRun
) -> None:
    """Leave a part to the engine that made it, and say so."""
    run.outcome.merge(json.loads(others["outcome"]))
    if others["pages"] != pages:
        run.outcome.refuse(_stale(part, others["engine"], engine.name))
    run.parts.append(PartReport(part, "kept", others["engine"], workspace.count("words", [part])))


def _read(stage: StagedPart, rows: Sequence[Row], reading: Reading, workers: Workers) -> list[Problem]:
    """Make the missing chunks; returns those that were given up."""
    one_of_each = {row["source"]: reading.roots[row["source"]] / row["path"] for row in reversed(rows)}
    return run_chunks(
        workers,
        partial(make_chunk, reading),
        missing_chunks(stage, rows, reading.engine.chunk_pages),
        stage,
        label=f"words of {stage.part}",
        key="page_id",
        files=[file for file in one_of_each.values() if file.exists()],
    )


def make_chunk(reading: Reading, chunk: Chunk) -> int:
    """Read the words of a chunk's pages and save them with what was refused; returns the number of pages.

    Raises:
        NodeError: The engine is another version here.
    """
    here = reading.engine.settings()
    if dict(here) != dict(reading.settings):
        raise NodeError(f"the word engine is {here} here and {reading.settings} elsewhere", remedy="install the same")
    outcome = Outcome()
    words: list[dict[str, Any]] = []
    for row in chunk.rows:
        outcome.counts["pages"] += 1
        try:
            found = reading.engine.read(reading.roots[row["source"]], row)
        except PinpointError as error:
            outcome.refuse(_refusal(error, row))
            continue
        if found is None:
            outcome.counts["no-words"] += 1
            continue
        usable, dropped = usable_words(found, row["width"], row["height"])
        outcome.counts["words"] += len(usable)
        if not len(found):
            outcome.counts["pages-without-text"] += 1
        outcome.counts.update(dropped)
        words += usable.rows(row["page_id"])
    reading.stage.put(chunk.number, words, {"outcome": json.dumps(outcome.to_json(), sort_keys=True)})
    return len(chunk.rows)


def _refusal(error: PinpointError, row: Row) -> Problem:
    """The problem, with the file relative to its source: where the source stands must not change the bytes."""
    code = getattr(error, "code", "no-words-read")
    is_ocr = "ocr" in code and code != "ocr-failed"
    file = row["ocr_path"] if is_ocr and row["ocr_path"] else row["path"]
    return Problem(code, file, row["page_id"], error.message, error.remedy or "")


def _stale(part: str, made_by: str, asked: str) -> Problem:
    again = f"--fallback {made_by[5:]}" if made_by.startswith("auto+") else f"--from {made_by}"
    return Problem(
        "stale-words",
        f"words/{part}.parquet",
        part,
        f"its pages have changed since {made_by} made the words",
        f"run again with {again}, or with --from {asked} to replace them",
    )


def _known(workspace: Workspace, part: str) -> dict[str, str] | None:
    """What the finished words part says it was made from; None where there is none, or it is not ours."""
    if part not in workspace.parts("words"):
        return None
    notes = workspace.metadata("words", part)
    return notes if notes.keys() >= {"engine", "fingerprint", "pages", "outcome"} else None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
