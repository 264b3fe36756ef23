"""How far the campaign is: questions by annotators who have done them, and what each annotator did."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from annotation.judgements import DONE, Judgement
from annotation.report.campaign import Campaign, seconds_of
from annotation.report.text import shown
from pinpoint_data.schema import STATUSES

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
ORIGINS = ("accepted", "moved", "new")


def progress_json(campaign: Campaign) -> dict[str, Any]:
    """Progress as the report shows it, JSON-ready: `done_by`, `sources`, `annotators`, `days`."""
    by_question = campaign.people.by_question
    done = {row["question_id"]: _done(by_question.get(row["question_id"], ())) for row in campaign.questions}
    judgements = list(campaign.judgements())
    return {
        "questions": len(done),
        "done_by": _counts(done.values()),
        "with_skip": len({j.question_id for j in judgements if j.status == "skipped"}),
        "with_draft": len({j.question_id for j in judgements if j.status == "unfinished"}),
        "sources": _sources(campaign, done),
        "annotators": [
            annotator_json([j for j in judgements if j.annotator == name]) for name in campaign.people.annotators
        ],
        "days": _days(judgements, campaign.people.annotators),
    }


def annotator_json(judgements: list[Judgement]) -> dict[str, Any]:
    """One annotator's work: statuses, lead times in seconds, boxes, and what became of pre-annotations."""
    marking = [j for j in judgements if j.marks]
    leads = [lead for j in judgements if j.done and (lead := seconds_of(j)) is not None]
    origins = Counter(origin for j in marking for origin in j.origins)
    origins["deleted"] = sum(j.deleted for j in judgements if j.done)
    days = sorted(day for j in judgements if (day := day_of(j)))
    statuses = Counter(j.status for j in judgements)
    return {
        "statuses": {status: statuses[status] for status in STATUSES},
        "done": sum(j.done for j in judgements),
        "median_lead_s": median(leads) if leads else None,
        "hours": sum(leads) / 3600 if leads else None,
        "boxes": sum(len(j.xyxy) for j in marking),
        "boxes_a_question": sum(len(j.xyxy) for j in marking) / len(marking) if marking else None,
        "origins": {origin: origins[origin] for origin in (*ORIGINS, "deleted")},
        "first_day": days[0] if days else None,
        "last_day": days[-1] if days else None,
    }


def day_of(judgement: Judgement) -> str | None:
    """The day of an ISO 8601 date, as it was written down (its own time zone)."""
    found = _DAY.match(judgement.created_at or "")
    return found[0] if found else None


def _done(judgements: Iterable[Judgement]) -> int:
    return sum(j.done for j in judgements)


def _counts(done: Iterable[int]) -> list[int]:
    """Questions done by 0, 1, 2, ... annotators."""
    counted = Counter(done)
    return [counted[n] for n in range(max(counted, default=0) + 1)]


def _sources(campaign: Campaign, done: Mapping[str, int]) -> list[dict[str, Any]]:
    decided = {id_ for id_, verdict in campaign.verdicts.items() if verdict["status"] in DONE}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in campaign.questions:
        groups[row["source"], row["split"]].append(row["question_id"])
    return [
        {
            "source": shown(source),
            "split": shown(split),
            "questions": len(ids),
            "done_by": _counts(done[id_] for id_ in ids),
            "decided": sum(id_ in decided for id_ in ids),
        }
        for (source, split), ids in sorted(groups.items())
    ]


def _days(judgements: Iterable[Judgement], annotators: tuple[str, ...]) -> list[dict[str, Any]]:
    """Finished questions a day, one count an annotator."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for judgement in judgements:
        if judgement.done and (day := day_of(judgement)):
            counts[day][judgement.annotator] += 1
    return [{"day": day, "done": [counted[name] for name in annotators]} for day, counted in sorted(counts.items())]
