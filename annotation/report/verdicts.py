"""What adjudication came to: decided questions, and the conflicts that wait for somebody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from sys import intern
from typing import Any

from annotation.adjudication.decide import CONFLICTS
from annotation.judgements import DONE
from annotation.report.text import shown
from pinpoint_data.errors import WorkspaceError
from pinpoint_data.schema import STATUSES

Row = dict[str, Any]

HELD_BACK = "held-back"
OPEN = CONFLICTS | {HELD_BACK: "somebody wants to look at it again"}
"""Why a question with a verdict row is not decided, with the explanation."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The adjudicated verdict on a question.

    Attributes:
        status: See the table `verdicts`, as the next two.
        policy: Who or what decides.
        decided_by: Who decided.
        reason: The key of `OPEN` that keeps the question undecided; None where it is decided.
    """

    status: str
    policy: str
    decided_by: str
    reason: str | None

    @classmethod
    def of(cls, row: Row) -> Verdict:
        """From a row of `verdicts`.

        Raises:
            WorkspaceError: Its status is none.
        """
        if row["status"] not in STATUSES:
            raise WorkspaceError(
                f"the status {row['status']!r} of a verdict is none",
                file="verdicts",
                record=row["question_id"],
                remedy="run `pinpoint adjudicate` again",
            )
        return cls(intern(row["status"]), intern(row["policy"]), intern(row["decided_by"]), _open_reason(row))


def _open_reason(row: Row) -> str | None:
    if row["status"] in DONE:
        return None
    try:
        conflict = json.loads(row["agreement"] or "{}").get("conflict")
    except (ValueError, AttributeError, RecursionError):
        return HELD_BACK
    return intern(conflict) if isinstance(conflict, str) and conflict in CONFLICTS else HELD_BACK


def verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """One question's verdict; `open` is the place of the reason in `OPEN`, or None."""
    if verdict is None:
        return None
    return {
        "status": STATUSES.index(verdict.status),
        "policy": shown(verdict.policy),
        "by": shown(verdict.decided_by),
        "open": None if verdict.reason is None else list(OPEN).index(verdict.reason),
    }


def adjudication_json(verdicts: Iterable[Verdict], votes: Counter[int]) -> dict[str, Any]:
    """Decided questions by status, by policy and by who decided; open ones by reason; the evidence's votes.

    Args:
        verdicts: Of the questions that the workspace knows.
        votes: Votes -> boxes of decided questions that have so many.
    """
    counts = Counter(verdicts)
    decided = {verdict: count for verdict, count in counts.items() if verdict.reason is None}

    def by(name: str, known: dict[Verdict, int]) -> Counter[Any]:
        found: Counter[Any] = Counter()
        for verdict, count in known.items():
            found[getattr(verdict, name)] += count
        return found

    reasons, statuses = by("reason", counts), by("status", decided)
    return {
        "decided": sum(decided.values()),
        "open": {name: reasons[name] for name in OPEN if reasons[name]},
        "statuses": {status: statuses[status] for status in STATUSES if statuses[status]},
        "decided_by": _shown(by("decided_by", decided)),
        "policies": _shown(by("policy", decided)),
        "boxes": votes.total(),
        "votes": {str(count): boxes for count, boxes in sorted(votes.items())},
    }


def _shown(counts: Counter[str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, count in counts.items():
        found[shown(name)] += count
    return dict(sorted(found.items()))
