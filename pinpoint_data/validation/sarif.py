"""Findings as SARIF 2.1.0 (OASIS Standard), the format that code review tools and continuous integration read."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any
from urllib.parse import quote

from pinpoint_data import __version__
from pinpoint_data.errors import one_line
from pinpoint_data.validation.findings import Finding, Rule, Severity
from pinpoint_data.validation.run import Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
_ROOT = "WORKSPACE"


def to_sarif(report: Report) -> dict[str, Any]:
    """A SARIF log of one run, JSON-ready.

    Paths are relative to the workspace, so that the log means the same on every machine. A fingerprint stands for a
    rule and a row, not for the numbers in the message: a finding keeps it while its box is worked on.
    """
    places = {rule.code: place for place, rule in enumerate(report.rules)}
    seen: Counter[str] = Counter()
    results = []
    for finding in report.findings:
        identity = "\0".join(str(part) for part in (finding.code, finding.table, *_names(finding).values()))
        seen[identity] += 1
        print_ = hashlib.sha256(f"{identity}\0{seen[identity]}".encode()).hexdigest()
        results.append(_result(finding, places[finding.code], print_))
    driver = {"name": "pinpoint validate", "version": __version__, "rules": [_rule(rule) for rule in report.rules]}
    about: dict[str, Any] = {"description": {"text": "The workspace that was checked."}}
    run = {"tool": {"driver": driver}, "originalUriBaseIds": {_ROOT: about}, "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": _plain(rule.what)},
        "fullDescription": {"text": _plain(rule.why)},
        "help": {"text": _plain(f"{rule.why} Remedy: {rule.remedy}.")},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, rule: int, fingerprint: str) -> dict[str, Any]:
    artifact = f"{finding.table}/{finding.part}.parquet" if finding.part else f"{finding.table}/"
    names = {key: str(value) for key, value in _names(finding).items() if value is not None}
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": quote(artifact), "uriBaseId": _ROOT}}}
    if names:
        path = "/".join(f"{key}={quote(value, safe='')}" for key, value in names.items())
        name = one_line(next(reversed(names.values())))
        location["logicalLocations"] = [{"name": name, "fullyQualifiedName": f"{finding.table}/{path}", "kind": "row"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": _plain(f"{finding}. Remedy: {finding.remedy}.")},
        "locations": [location],
        "partialFingerprints": {"pinpointRow/v1": fingerprint},
    }


def _names(finding: Finding) -> dict[str, Any]:
    """What names the row, from the coarse to the fine."""
    names = ("page_id", "question_id", "annotator", "page_index", "region_id")
    return {name: getattr(finding, name) for name in names}


def _plain(text: str) -> str:
    """`text` as a SARIF message that cannot turn into a placeholder or a link (sections 3.11.5 and 3.11.6)."""
    return one_line(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")
