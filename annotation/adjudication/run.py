"""Rulings on all questions of a workspace, and the tables `evidence` and `verdicts` made from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from annotation.adjudication.conflicts import write_conflicts
from annotation.adjudication.consensus import Candidate
from annotation.adjudication.decide import OVERLAY, Ruling, decide, overrule
from annotation.adjudication.overlay import Decision, Overlay, overlay_path
from annotation.adjudication.policy import Policy
from annotation.agreement.asked import Asked, load_asked
from annotation.agreement.frame import off_page
from annotation.agreement.measure import compare_questions
from annotation.agreement.results import QuestionAgreement
from annotation.judgements import Judgements
from pinpoint_data.errors import Problem, WorkspaceError
from pinpoint_data.words.index import PageWords, WordIndex
from pinpoint_data.workspace import Workspace

_COMMAND = "adjudicate"
_TABLES = ("verdicts", "evidence")


@dataclass(frozen=True, eq=False)
class Adjudication:
    """Rulings, and what they rest on.

    Attributes:
        rulings: One for every question with a finished judgement or a person's decision, in the order of the table.
        asked: What is known of these questions.
        agreement: Figures of those with two or more finished judgements.
        problems: Regions, judgements and decisions that were left out.
        policy: The policy of the votes.
    """

    rulings: tuple[Ruling, ...]
    asked: dict[str, Asked]
    agreement: dict[str, QuestionAgreement]
    problems: tuple[Problem, ...]
    policy: Policy

    @property
    def conflicts(self) -> tuple[Ruling, ...]:
        """The questions that neither votes nor a person decided."""
        return tuple(ruling for ruling in self.rulings if ruling.conflict and ruling.policy != OVERLAY)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary with every conflict."""
        people = sum(ruling.policy == OVERLAY for ruling in self.rulings)
        return {
            "policy": str(self.policy),
            "questions": len(self.rulings),
            "by_vote": len(self.rulings) - people - len(self.conflicts),
            "by_people": people,
            "boxes": sum(len(ruling.boxes) for ruling in self.rulings),
            "statuses": dict(sorted(Counter(ruling.status for ruling in self.rulings).items())),
            "conflicts": dict(sorted(Counter(ruling.conflict for ruling in self.conflicts if ruling.conflict).items())),
            "undecided": [{"question_id": ruling.question_id, **ruling.summary()} for ruling in self.conflicts],
            "problems": [asdict(problem) for problem in self.problems],
        }


def adjudicate(workspace: Workspace, judgements: Judgements, policy: Policy, overlay: Overlay) -> Adjudication:
    """Decide every question. The same judgements, policy and overlay give the same rulings.

    Args:
        workspace: Where the questions are.
        judgements: Those of the annotators who vote; see `load_judgements`.
        policy: How votes decide.
        overlay: People's decisions, which hold over votes.
    """
    judged = judgements.by_question
    asked = load_asked(workspace, judged.keys() | overlay.decisions.keys())
    place = str(overlay_path(workspace))
    problems = [*judgements.problems, *overlay.problems]
    problems += [_unknown(name, "annotations") for name in judged if name not in asked]
    problems += [_unknown(name, place) for name in overlay.decisions if name not in asked]
    rulings = []
    for question_id, known in asked.items():
        works, count = judged.get(question_id, []), len(known.page_ids)
        decision = overlay.decisions.get(question_id)
        if decision is not None and (fault := _off_page(decision, count)):
            problems.append(Problem("bad-decision", place, question_id, fault, "correct or delete its line"))
            decision = None
        problems += [
            off_page(work, region)
            for work in works
            if work.done and work.marks
            for region in np.flatnonzero(work.page >= count).tolist()
        ]
        if decision is None and not any(work.done for work in works):
            continue
        ruling = decide(question_id, works, count, policy)
        rulings.append(ruling if decision is None else overrule(ruling, decision))
    agreement = compare_questions(judged, asked, judgements.annotators, policy.iou)
    return Adjudication(tuple(rulings), asked, agreement, tuple(problems), policy)


def write_adjudication(workspace: Workspace, found: Adjudication) -> None:
    """Replace the tables `evidence` and `verdicts`, part by part, and the list of conflicts; hold the workspace's lock.

    A part has the name of its questions' part. Each file is replaced as a whole, evidence before verdicts; after a
    kill a rerun ends the work. Parts of an earlier run that have no ruling any more are removed.

    Raises:
        WorkspaceError: A part was not made by this command; nothing was written.
    """
    by_part: dict[str, list[Ruling]] = {}
    for ruling in found.rulings:
        by_part.setdefault(found.asked[ruling.question_id].part, []).append(ruling)
    _check_own(workspace)
    write_conflicts(workspace, found.conflicts)
    page_words = lru_cache(maxsize=64)(WordIndex(workspace).get)
    labels = {"command": _COMMAND, "policy": str(found.policy)}
    for part, rulings in by_part.items():
        with workspace.writer("evidence", part, labels) as writer:
            for ruling in rulings:
                writer.write_rows(list(_evidence_rows(ruling, found.asked[ruling.question_id], page_words)))
        with workspace.writer("verdicts", part, labels) as writer:
            for ruling in rulings:
                writer.write_rows([_verdict_row(ruling, found.agreement.get(ruling.question_id))])
    for table in _TABLES:
        for part in workspace.parts(table):
            if part not in by_part:
                workspace.remove(table, part)


def _check_own(workspace: Workspace) -> None:
    for table in _TABLES:
        for part in workspace.parts(table):
            if workspace.metadata(table, part).get("command") != _COMMAND:
                raise WorkspaceError(
                    "was not made by `pinpoint adjudicate`",
                    file=workspace.part_path(table, part),
                    remedy="move it out of the workspace",
                )


def _evidence_rows(ruling: Ruling, asked: Asked, words: Callable[[str], PageWords]) -> Iterator[dict[str, Any]]:
    for number, box in enumerate(ruling.boxes):
        yield {
            "question_id": ruling.question_id,
            "evidence_id": f"e{number}",
            "page_index": box.page_index,
            **dict(zip(("x0", "y0", "x1", "y1"), box.xyxy, strict=True)),
            "role": box.role,
            "text": _text_inside(box, asked, words),
            "votes": len(box.voters),
            "annotators": list(box.voters),
            "score": None if ruling.policy == OVERLAY else box.score,
            "policy": ruling.policy,
        }


def _text_inside(box: Candidate, asked: Asked, words: Callable[[str], PageWords]) -> str | None:
    """The words whose centre lies in the box, in reading order; None where the page has no words."""
    page = words(asked.page_ids[box.page_index])
    if not len(page):
        return None
    centre = (page.xyxy[:, :2] + page.xyxy[:, 2:]) / 2
    inside = ((centre >= box.xyxy[:2]) & (centre < box.xyxy[2:])).all(1)
    return " ".join(page.texts[place] for place in np.flatnonzero(inside))


def _verdict_row(ruling: Ruling, figures: QuestionAgreement | None) -> dict[str, Any]:
    agreement = ruling.summary()
    if figures is not None:
        agreement |= {"f1": figures.f1, "union_iou": figures.union_iou, "status_share": figures.status_share}
    return {
        "question_id": ruling.question_id,
        "status": ruling.status,
        "agreement": json.dumps(agreement, sort_keys=True, ensure_ascii=False),
        "policy": ruling.policy,
        "decided_by": ruling.decided_by,
    }


def _off_page(decision: Decision, count: int) -> str | None:
    for box in decision.boxes:
        if box.page_index >= count:
            return f"a box is on page {box.page_index} of {count}: the vote holds instead"
    return None


def _unknown(question_id: str, file: str) -> Problem:
    return Problem("unknown-question", file, question_id, "no such question in the workspace", "ingest its source")
