"""What adjudication came to: decided questions, and the conflicts that wait for somebody."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from annotation.adjudication.decide import CONFLICTS
from annotation.judgements import DONE
from annotation.report.campaign import Campaign, Row
from annotation.report.text import shown
from pinpoint_data.schema import STATUSES

HELD_BACK = "held-back"
OPEN = CONFLICTS | {HELD_BACK: "somebody wants to look at it again"}
"""Why a question with a verdict row is not decided, with the explanation."""


def open_reason(verdict: Row) -> str | None:
    """The key of `OPEN` that keeps a question undecided; None where it is decided."""
    if verdict["status"] in DONE:
        return None
    try:
        conflict = json.loads(verdict["agreement"] or "{}").get("conflict")
    except (ValueError, AttributeError, RecursionError):
        return HELD_BACK
    return conflict if isinstance(conflict, str) and conflict in CONFLICTS else HELD_BACK


def verdict_json(verdict: Row | None) -> dict[str, Any] | None:
    """One question's verdict; `open` is the place of the reason in `OPEN`, or None."""
    if verdict is None:
        return None
    reason = open_reason(verdict)
    return {
        "status": STATUSES.index(verdict["status"]),
        "policy": shown(verdict["policy"]),
        "by": shown(verdict["decided_by"]),
        "open": None if reason is None else list(OPEN).index(reason),
    }


def adjudication_json(campaign: Campaign) -> dict[str, Any]:
    """Decided questions by status, by policy and by who decided; open ones by reason; the evidence's votes."""
    known = (campaign.verdicts.get(row["question_id"]) for row in campaign.questions)
    verdicts = [(row, open_reason(row)) for row in known if row is not None]
    decided = [row for row, reason in verdicts if reason is None]
    reasons = Counter(reason for _, reason in verdicts)
    boxes = [box for row in decided for box in campaign.evidence.get(row["question_id"], ())]
    statuses = Counter(row["status"] for row in decided)
    return {
        "decided": len(decided),
        "open": {name: reasons[name] for name in OPEN if reasons[name]},
        "statuses": {status: statuses[status] for status in STATUSES if statuses[status]},
        "decided_by": dict(sorted(Counter(shown(row["decided_by"]) for row in decided).items())),
        "policies": dict(sorted(Counter(shown(row["policy"]) for row in decided).items())),
        "boxes": len(boxes),
        "votes": {str(votes): n for votes, n in sorted(Counter(box["votes"] for box in boxes).items())},
    }
