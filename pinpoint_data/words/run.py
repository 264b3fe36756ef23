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
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinpoint_data.errors import Outcome, PinpointError, Problem
from pinpoint_data.progress import progress
from pinpoint_data.words.base import WordEngine, usable_words
from pinpoint_data.words.engines import make_engine
from pinpoint_data.words.workers import Workers
from pinpoint_data.workspace import StagedPart, Workspace

WORDS_VERSION = 1
"""Raised when this code would give other words from the same input."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PartReport:
    """What happened to the words of one pages part.

    `state` is `made`, `unchanged` (its inputs are what they were), or `kept` (another engine made it, and this one was
    not named or has nothing to read in the part).
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
class Chunk:
    """Pages that are read and saved together."""

    stage: StagedPart
    number: int
    engine: WordEngine
    roots: Mapping[str, Path]
    rows: Sequence[Row]


def take_words(
    workspace: Workspace,
    engine: str | WordEngine = "auto",
    *,
    source: str | None = None,
    jobs: int = 1,
    keep_others: bool = False,
) -> WordsRun:
    """Make the words part of every pages part.

    Args:
        workspace: Where the pages are and the words go.
        engine: An engine or its name.
        source: Only pages of this source.
        jobs: Worker processes; the result does not depend on it.
        keep_others: Leave words alone that another engine made (and report those whose pages have changed since).
            Without it they are replaced, but never by nothing: where the engine has nothing to read on any page of a
            part (a text layer of images), the words that are there stay.

    Raises:
        UsageError: There are no pages (of this source), or the engine is unknown.
        WorkspaceError: The workspace or a source's folder cannot be used.
    """
    chosen = make_engine(engine) if isinstance(engine, str) else engine
    run = WordsRun()
    with workspace.lock("pinpoint words"), ExitStack() as stack:
        workers = stack.enter_context(Workers(jobs))
        for part in workspace.parts_of("pages", source):
            _take_part(workspace, part, chosen, workers, run, keep_others=keep_others)
    return run


def _take_part(
    workspace: Workspace, part: str, engine: WordEngine, workers: Workers, run: WordsRun, *, keep_others: bool
) -> None:
    rows: list[Row] = workspace.read("pages", [part]).to_pylist()
    roots = {source: workspace.root_of(source) for source in sorted({row["source"] for row in rows})}
    pages = _hash(rows)
    known = _known(workspace, part)
    others = known if known and known["engine"] != engine.name and workspace.count("words", [part]) else None
    if others and keep_others:
        _keep(workspace, part, others, pages, engine, run)
        return
    with ThreadPoolExecutor(workers.jobs) as threads:
        stamps = list(threads.map(lambda row: engine.stamp(roots[row["source"]], row), rows))
    fingerprint = _hash([WORDS_VERSION, dict(engine.settings()), pages, stamps])
    if known and known["fingerprint"] == fingerprint:
        run.outcome.merge(json.loads(known["outcome"]))
        run.parts.append(PartReport(part, "unchanged", engine.name, workspace.count("words", [part])))
        return
    size = engine.chunk_pages
    stage = workspace.staged("words", part, fingerprint, chunks=-(-len(rows) // size))
    todo = [Chunk(stage, n, engine, roots, rows[n * size : (n + 1) * size]) for n in stage.missing()]
    with progress(f"words of {part}", sum(len(chunk.rows) for chunk in todo)) as advance:
        for done in workers.map(make_chunk, todo):
            advance(done)
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


def make_chunk(chunk: Chunk) -> int:
    """Read the words of a chunk's pages and save them with what was refused; returns the number of pages."""
    outcome = Outcome()
    words: list[dict[str, Any]] = []
    for row in chunk.rows:
        outcome.counts["pages"] += 1
        try:
            found = chunk.engine.read(chunk.roots[row["source"]], row)
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
    chunk.stage.put(chunk.number, words, {"outcome": json.dumps(outcome.to_json(), sort_keys=True)})
    return len(chunk.rows)


def _refusal(error: PinpointError, row: Row) -> Problem:
    """The problem, with the file relative to its source: where the source stands must not change the bytes."""
    code = getattr(error, "code", "no-words-read")
    is_ocr = "ocr" in code and code != "ocr-failed"
    file = row["ocr_path"] if is_ocr and row["ocr_path"] else row["path"]
    return Problem(code, file, row["page_id"], error.message, error.remedy or "")


def _stale(part: str, made_by: str, asked: str) -> Problem:
    again = f"--fallback {made_by[5:]}" if made_by.startswith("auto+") else f"--engine {made_by}"
    return Problem(
        "stale-words",
        f"words/{part}.parquet",
        part,
        f"its pages have changed since {made_by} made the words",
        f"run again with {again}, or with --engine {asked} to replace them",
    )


def _known(workspace: Workspace, part: str) -> dict[str, str] | None:
    """What the finished words part says it was made from; None where there is none, or it is not ours."""
    if part not in workspace.parts("words"):
        return None
    notes = workspace.metadata("words", part)
    return notes if notes.keys() >= {"engine", "fingerprint", "pages", "outcome"} else None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
