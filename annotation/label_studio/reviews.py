"""Decisions that people made in review tasks, on their way into the overlay of the adjudication."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from annotation.adjudication.overlay import DecidedBox, Decision, append_decisions, read_overlay
from annotation.label_studio.merging import Stamp
from annotation.label_studio.results import Reading
from pinpoint_data.atomic import write_text
from pinpoint_data.workspace import Workspace


@dataclass(frozen=True)
class Review:
    """A decision, and the annotation it was made with."""

    decision: Decision
    stamp: Stamp


def review_of(question_id: str, reading: Reading, annotator: str, stamp: Stamp) -> Review:
    """The decision of a submitted review.

    Raises:
        UsageError: It is none: no status, or evidence without a box.
    """
    marks = reading.regions if reading.status == "evidence" else []
    boxes = tuple(DecidedBox(region.page_index, region.xyxy, region.role) for region in marks)
    decided_at = stamp.updated_at or None
    return Review(Decision(question_id, reading.status or "", boxes, annotator, decided_at, reading.note), stamp)


def store_reviews(workspace: Workspace, folder: Path, reviews: Iterable[Review]) -> int:
    """Add decisions to the overlay, each once: a line that a person deletes there does not come back.

    A question's newest decision is added, and only where the overlay has no newer one.

    Returns:
        How many were added.
    """
    newest: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda review: review.stamp.rank):
        newest[review.decision.question_id] = review
    log = folder / "decisions.json"
    taken = set(map(tuple, json.loads(log.read_text(encoding="utf-8")))) if log.exists() else set()
    there = read_overlay(workspace).decisions
    fresh = []
    for question, review in sorted(newest.items()):
        mark = (review.stamp.annotation_id, review.stamp.updated_at)
        before = there.get(question)
        is_newer = before is None or (before.decided_at or "") <= review.stamp.updated_at
        if mark not in taken and is_newer:
            fresh.append(review.decision)
            taken.add(mark)
    added = append_decisions(workspace, fresh)
    if fresh:
        write_text(log, json.dumps(sorted(taken)) + "\n")
    return added
