"""What validation says, by code, and which questions it says it about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from annotation.report.text import shown
from pinpoint_data.validation.findings import SEVERITIES, Finding
from pinpoint_data.validation.run import Report

LISTED = 200
"""Findings of each code that are listed with their message; counts and filters know all of them."""


def findings_json(report: Report, places: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The section of findings, and the codes (as numbers) of each question that is listed.

    Args:
        report: What validation found.
        places: Question id -> its place in the report's list, for the questions that are listed.
    """
    counts = report.by_code()
    rules = [rule for rule in report.rules if counts[rule.code]]
    rules.sort(key=lambda rule: SEVERITIES.index(rule.severity))
    numbers = {rule.code: number for number, rule in enumerate(rules)}
    of_question: dict[str, list[int]] = {}
    listed: Counter[str] = Counter()
    rows = []
    for finding in report.findings:
        number = numbers[finding.code]
        if finding.question_id is not None and finding.question_id in places:
            codes = of_question.setdefault(finding.question_id, [])
            if number not in codes:
                codes.append(number)
        listed[finding.code] += 1
        if listed[finding.code] <= LISTED:
            rows.append(_row(finding, number, places))
    codes_json = [
        {
            "code": shown(rule.code),
            "severity": rule.severity,
            "what": shown(rule.what),
            "why": shown(rule.why),
            "remedy": shown(rule.remedy),
            "count": counts[rule.code],
        }
        for rule in rules
    ]
    serious = sum(counts[rule.code] for rule in rules if rule.severity != "info")
    return {"codes": codes_json, "rows": rows, "listed": LISTED, "serious": serious}, of_question


def _row(finding: Finding, number: int, places: Mapping[str, int]) -> dict[str, Any]:
    question = places.get(finding.question_id or "")
    parts = [
        finding.question_id or finding.page_id if question is None else None,
        None if finding.page_index is None else f"page index {finding.page_index}",
        finding.region_id and f"region {finding.region_id}",
        finding.annotator and f"by {finding.annotator}",
    ]
    return {
        "code": number,
        "question": question,
        "where": shown(", ".join(part for part in parts if part)),
        "message": shown(finding.message),
    }
