"""One question: judgements and a policy in, a ruling out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotation.adjudication.consensus import Candidate, candidates
from annotation.adjudication.overlay import Decision
from annotation.adjudication.policy import Policy
from annotation.judgements import Judgement

CONFLICTS = {
    "too-few-judgements": "fewer finished judgements than the policy asks for, or than its quorum needs",
    "status-conflict": "no status has more than half of the votes",
    "no-box-quorum": "most say that there is evidence, but no box has enough votes",
    "contested-box": "a box has a large share of the votes, but not enough of them",
}
"""Why votes may not decide a question. It stays `unfinished` until more votes or a person decide it."""

VOTE = "vote"
OVERLAY = "overlay"
"""What stands as `decided_by` for votes, and as `policy` for a person's decision."""


@dataclass(frozen=True)
class Ruling:
    """What holds for a question.

    Attributes:
        question_id: The question.
        status: One of `DONE`; `unfinished` for a conflict, or where a person holds it back.
        boxes: Its evidence.
        conflict: A key of `CONFLICTS`, or None.
        candidates: Every box that anybody means; those of a conflict are shown in its review.
        voters: Finished judgements: annotator -> status.
        decided_by: `vote` or a person.
        policy: The policy's text, or `overlay`.
    """

    question_id: str
    status: str
    boxes: tuple[Candidate, ...]
    conflict: str | None
    candidates: tuple[Candidate, ...]
    voters: dict[str, str]
    decided_by: str
    policy: str

    def summary(self) -> dict[str, Any]:
        """What the vote was, JSON-ready."""
        votes = Counter(self.voters.values())
        return {"conflict": self.conflict, "statuses": dict(sorted(votes.items())), "voters": self.voters}


def decide(question_id: str, judgements: Sequence[Judgement], page_count: int, policy: Policy) -> Ruling:
    """Decide a question by vote. The order of the judgements does not matter; unfinished ones have no vote.

    Args:
        question_id: The question.
        judgements: All judgements of it, one an annotator.
        page_count: Number of its pages.
        policy: How to decide.
    """
    done = sorted((judgement for judgement in judgements if judgement.done), key=lambda found: found.annotator)
    voters = {judgement.annotator: judgement.status for judgement in done}
    marking = [judgement for judgement in done if judgement.marks]
    found = tuple(candidates(marking, page_count, policy))
    conflict, status, boxes = _vote(voters, found, policy)
    return Ruling(question_id, status, boxes, conflict, found, voters, VOTE, str(policy))


def overrule(ruling: Ruling, decision: Decision) -> Ruling:
    """The ruling where a person decided: the votes are kept beside it."""
    who = (decision.decided_by,)
    boxes = tuple(Candidate(box.page_index, box.xyxy, box.role, who, (), 1.0) for box in decision.boxes)
    return Ruling(
        ruling.question_id,
        decision.status,
        boxes,
        ruling.conflict,
        ruling.candidates,
        ruling.voters,
        decision.decided_by,
        OVERLAY,
    )


def _vote(
    voters: dict[str, str], found: tuple[Candidate, ...], policy: Policy
) -> tuple[str | None, str, tuple[Candidate, ...]]:
    """Conflict, status and boxes."""
    most = Counter(voters.values()).most_common(1)
    if len(voters) < max(policy.judgements, policy.quorum.needed(len(voters))):
        return "too-few-judgements", "unfinished", ()
    status, votes = most[0]
    if 2 * votes <= len(voters):
        return "status-conflict", "unfinished", ()
    if status != "evidence":
        return None, status, ()
    needed = policy.quorum.needed(votes)
    boxes = tuple(box for box in found if len(box.voters) >= needed)
    if any(policy.contest * votes <= len(box.voters) < needed for box in found):
        return "contested-box", "unfinished", ()
    if not boxes:
        return "no-box-quorum", "unfinished", ()
    return None, status, boxes
