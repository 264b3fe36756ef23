"""Proposals for all questions of a workspace: in chunks that survive a kill, in several processes, always the same."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from typing import Any

from annotation.proposals.engine import propose_boxes
from annotation.proposals.pagetext import PageText
from annotation.proposals.rarity import Rarity, count_rarity
from annotation.proposals.settings import Proposal, Settings
from pinpoint_data.engines.base import Workers
from pinpoint_data.engines.chunks import Chunk, missing_chunks, run_chunks
from pinpoint_data.engines.local import LocalWorkers
from pinpoint_data.errors import Outcome, Problem, UsageError
from pinpoint_data.words import WordIndex
from pinpoint_data.workspace import StagedPart, Workspace

_CHUNK = 200
_COLUMNS = ("question_id", "source", "page_ids", "question", "answers")
_REASON = "no page of the question says an answer, or repeats its words"

Row = Mapping[str, Any]
Size = tuple[float, float]


@dataclass(frozen=True)
class PartReport:
    """What happened to the proposals of one questions part; `state` is `made`, `unchanged` or `unfinished`."""

    part: str
    state: str
    questions: int
    boxes: int


@dataclass
class ProposalRun:
    """Counts and problems over all parts, and what happened to each."""

    outcome: Outcome = field(default_factory=lambda: Outcome(Counter(questions=0, boxes=0)))
    parts: list[PartReport] = field(default_factory=list)


@dataclass(frozen=True)
class Proposing:
    """What the chunks of a part have in common."""

    stage: StagedPart
    sizes: Mapping[str, Size]
    rarity: Rarity
    settings: Settings


def propose(
    workspace: Workspace,
    settings: Settings | None = None,
    *,
    source: str | None = None,
    jobs: int = 1,
    force: bool = False,
    workers: Workers | None = None,
) -> ProposalRun:
    """Make the proposals part of every questions part. Rows of other annotators are never touched.

    Args:
        workspace: Where the questions and words are.
        settings: How to propose.
        source: Only questions of this source.
        jobs: Worker processes; the result does not depend on it.
        force: Also make parts anew that nothing has changed in.
        workers: Who works; `jobs` processes of this machine by default. The result does not depend on it.

    Raises:
        UsageError: There are no questions (of this source), or no page has words.
        WorkspaceError: A table is damaged, or another command writes.
    """
    chosen = settings or Settings()
    run = ProposalRun()
    with workspace.lock("pinpoint propose"), workers or LocalWorkers(jobs) as running:
        parts = workspace.parts_of("questions", source)
        if not workspace.count("words"):
            raise UsageError("has no words", file=workspace.path, remedy="run `pinpoint words` first")
        for part in parts:
            _propose_part(workspace, part, chosen, running, run, force=force)
    return run


def _propose_part(
    workspace: Workspace, part: str, settings: Settings, workers: Workers, run: ProposalRun, *, force: bool
) -> None:
    rows: list[Row] = workspace.read("questions", [part], _COLUMNS).to_pylist()
    wanted = {page for row in rows for page in row["page_ids"]}
    sizes = _sizes(workspace, wanted)
    fingerprint = _fingerprint(workspace, rows, sizes, settings)
    target = f"{part}.proposal-{settings.name}"
    known = workspace.metadata("annotations", target) if target in workspace.parts("annotations") else {}
    if known.get("fingerprint") == fingerprint and not force:
        workspace.discard_stage("annotations", target)
        _report(run, target, "unchanged", json.loads(known["outcome"]))
        return
    stage = workspace.staged("annotations", target, fingerprint, chunks=-(-len(rows) // _CHUNK))
    todo = missing_chunks(stage, rows, _CHUNK)
    rarity = _rarity(workspace, rows, wanted) if todo else Rarity()
    work = partial(make_chunk, Proposing(stage, sizes, rarity, settings))
    if failed := run_chunks(workers, work, todo, stage, label=f"proposals for {part}", key="question_id"):
        for problem in failed:
            run.outcome.refuse(problem)
        boxes = workspace.count("annotations", [target] if known else [])
        run.parts.append(PartReport(target, "unfinished", len(rows), boxes))
        return
    outcome = Outcome()
    for note in stage.notes():
        outcome.merge(json.loads(note["outcome"]))
    notes = {"annotator": settings.annotator, "fingerprint": fingerprint, "settings": json.dumps(asdict(settings))}
    stage.finish(notes | {"outcome": json.dumps(outcome.to_json(), sort_keys=True)})
    _report(run, target, "made", outcome.to_json())


def _sizes(workspace: Workspace, wanted: set[str]) -> dict[str, Size]:
    rows = workspace.iter_rows("pages", columns=["page_id", "width", "height"])
    return {row["page_id"]: (row["width"], row["height"]) for row in rows if row["page_id"] in wanted}


def _fingerprint(workspace: Workspace, rows: Sequence[Row], sizes: Mapping[str, Size], settings: Settings) -> str:
    """A hash of all that the proposals depend on: settings, questions, page sizes, and the tables of their words."""
    digest = hashlib.sha256(
        json.dumps([settings.annotator, asdict(settings), list(rows), sorted(sizes.items())], sort_keys=True).encode()
    )
    for part in workspace.parts("words"):
        if not sizes.keys().isdisjoint(workspace.read("words", [part], ["page_id"])["page_id"].unique().to_pylist()):
            digest.update(hashlib.sha256(workspace.part_path("words", part).read_bytes()).digest())
    return digest.hexdigest()


def _rarity(workspace: Workspace, rows: Sequence[Row], wanted: set[str]) -> Rarity:
    index = WordIndex(workspace)
    pages: Iterator[Sequence[str]] = (index.get(page).texts for page in sorted(wanted) if page in index)
    return count_rarity((row["question"] for row in rows), pages)


def make_chunk(proposing: Proposing, chunk: Chunk) -> int:
    """Propose for the questions of a chunk and save them; returns their number."""
    words = WordIndex(proposing.stage.workspace)
    outcome = Outcome()
    made: list[dict[str, Any]] = []

    @lru_cache(maxsize=256)
    def page_text(page: str) -> PageText:
        return PageText(words.get(page), *proposing.sizes[page])

    for row in chunk.rows:
        outcome.counts["questions"] += 1
        if lost := [page for page in row["page_ids"] if page not in proposing.sizes]:
            outcome.refuse(_lost(row, lost, proposing.stage.part))
            continue
        texts = [page_text(page) for page in row["page_ids"]]
        found = propose_boxes(row["question"], row["answers"], texts, proposing.rarity, proposing.settings)
        _count(outcome, found, texts)
        made += _rows(row["question_id"], found, proposing.settings.annotator)
    proposing.stage.put(chunk.number, made, {"outcome": json.dumps(outcome.to_json(), sort_keys=True)})
    return len(chunk.rows)


def _count(outcome: Outcome, found: Sequence[Proposal], texts: Sequence[PageText]) -> None:
    outcome.counts["boxes"] += len(found)
    answers = [proposal.match for proposal in found if proposal.match != "question-words"]
    outcome.counts[f"questions-{answers[0] if answers else 'question-words' if found else 'without-proposal'}"] += 1
    outcome.counts["questions-without-words"] += not any(len(text.words) for text in texts)


def _lost(row: Row, pages: Sequence[str], part: str) -> Problem:
    return Problem(
        "unknown-page", f"annotations/{part}", row["question_id"], f"no page {pages[0]!r}", "ingest the source again"
    )


def _rows(question_id: str, found: Sequence[Proposal], annotator: str) -> list[dict[str, Any]]:
    """A row a box, then the verdict: `evidence`, or `unfinished`, as nothing found is no verdict."""
    empty = dict.fromkeys(("region_id", "page_index", "x0", "y0", "x1", "y1", "rotation", "quad", "role", "status"))
    common = {"question_id": question_id, "annotator": annotator, "origin": "proposal"}
    base = {**empty, **common, "lead_time_s": None, "created_at": None}
    rows = []
    for number, proposal in enumerate(found):
        box = dict(zip(("x0", "y0", "x1", "y1"), proposal.xyxy, strict=True))
        why = {"match": proposal.match, "answer": proposal.answer, "reason": proposal.reason, "score": proposal.score}
        place = {"region_id": f"p{number}", "page_index": proposal.page, "role": proposal.role}
        rows.append({**base, **box, **place, "raw": json.dumps(why)})
    verdict = {"status": "evidence", "raw": "{}"} if found else {"status": "unfinished", "raw": _nothing()}
    return [*rows, {**base, **verdict}]


def _nothing() -> str:
    return json.dumps({"reason": _REASON})


def _report(run: ProposalRun, part: str, state: str, found: Mapping[str, Any]) -> None:
    counts = found["counts"]
    run.parts.append(PartReport(part, state, counts.get("questions", 0), counts.get("boxes", 0)))
    run.outcome.merge(found)
