"""How far the campaign is: questions by annotators who have done them, and what each annotator did."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

import numpy as np

from annotation.judgements import Judgement
from annotation.report.campaign import Campaign, IntArray, seconds_of
from annotation.report.text import shown
from pinpoint_data.schema import STATUSES

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
ORIGINS = ("accepted", "moved", "new")


def progress_json(campaign: Campaign) -> dict[str, Any]:
    """Progress as the report shows it, JSON-ready: `done_by`, `sources`, `annotators`, `days`."""
    finished = {id_: sum(j.done for j in found) for id_, found in campaign.people.by_question.items()}
    done = np.array([finished.get(id_, 0) for id_ in campaign.questions.ids], np.int64)
    judgements = list(campaign.judgements())
    by_annotator: dict[str, list[Judgement]] = {name: [] for name in campaign.people.annotators}
    for judgement in judgements:
        by_annotator[judgement.annotator].append(judgement)
    return {
        "questions": len(done),
        "done_by": _counts(done),
        "with_skip": len({j.question_id for j in judgements if j.status == "skipped"}),
        "with_draft": len({j.question_id for j in judgements if j.status == "unfinished"}),
        "sources": _sources(campaign, done),
        "annotators": [*map(annotator_json, by_annotator.values())],
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


def _counts(done: IntArray) -> list[int]:
    """Questions done by 0, 1, 2, ... annotators."""
    counted: list[int] = np.bincount(done, minlength=1).tolist()
    return counted


def _sources(campaign: Campaign, done: IntArray) -> list[dict[str, Any]]:
    verdicts = campaign.verdicts
    decided = np.array([id_ in verdicts and verdicts[id_].reason is None for id_ in campaign.questions.ids], np.bool_)
    return [
        {
            "source": shown(source),
            "split": shown(split),
            "questions": int(mine.sum()),
            "done_by": _counts(done[mine]),
            "decided": int(decided[mine].sum()),
        }
        for number, (source, split) in enumerate(campaign.questions.groups)
        for mine in [campaign.questions.group == number]
    ]


def _days(judgements: Iterable[Judgement], annotators: tuple[str, ...]) -> list[dict[str, Any]]:
    """Finished questions a day, one count an annotator."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for judgement in judgements:
        if judgement.done and (day := day_of(judgement)):
            counts[day][judgement.annotator] += 1
    return [{"day": day, "done": [counted[name] for name in annotators]} for day, counted in sorted(counts.items())]
