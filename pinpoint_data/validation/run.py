"""Run rules over a workspace and report what they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from pinpoint_data.errors import PinpointError, UsageError
from pinpoint_data.validation import (
    annotator_rules,
    answer_rules,
    box_rules,
    duplicate_rules,
    habit_rules,
    leakage_rules,
    status_rules,
    table_rules,
)
from pinpoint_data.validation.findings import SEVERITIES, Finding, Limits, Rule
from pinpoint_data.validation.view import WorkspaceView
from pinpoint_data.workspace import Workspace

BUILT_IN: tuple[Rule, ...] = (
    *box_rules.RULES,
    *duplicate_rules.RULES,
    *answer_rules.RULES,
    *status_rules.RULES,
    *annotator_rules.RULES,
    *habit_rules.RULES,
    *leakage_rules.RULES,
    *table_rules.RULES,
)
ENTRY_POINTS = "pinpoint.rules"


@dataclass(frozen=True)
class Report:
    """What a validation looked at and found.

    Attributes:
        looked_at: Numbers of questions, pages, boxes and verdicts.
        rules: The rules that ran.
        findings: All findings, in the order of the rules and then of the tables.
    """

    looked_at: dict[str, int]
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 if there is an error or a warning, else 0."""
        return int(any(finding.severity != "info" for finding in self.findings))

    def by_severity(self) -> dict[str, int]:
        """Number of findings of each severity, worst first."""
        counts = Counter(finding.severity for finding in self.findings)
        return {severity: counts[severity] for severity in SEVERITIES}

    def by_code(self) -> dict[str, int]:
        """Number of findings of each rule that ran, 0 included."""
        counts = Counter(finding.code for finding in self.findings)
        return {rule.code: counts[rule.code] for rule in self.rules}

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "looked_at": self.looked_at,
            "severities": self.by_severity(),
            "codes": self.by_code(),
            "findings": [finding.to_json() for finding in self.findings],
        }

    def text(self, shown: int = 5) -> str:
        """For people: counts, then each rule that found something with its first findings and the remedy."""
        lines = ["looked at " + ", ".join(f"{count:,} {name}" for name, count in self.looked_at.items())]
        grouped: dict[str, list[Finding]] = {}
        for finding in self.findings:
            grouped.setdefault(finding.code, []).append(finding)
        for rule in sorted(self.rules, key=lambda rule: SEVERITIES.index(rule.severity)):
            found = grouped.get(rule.code, [])
            if not found:
                continue
            lines += ["", f"{rule.severity}  {rule.code}  {len(found):,}: {rule.what}"]
            lines += [f"  {finding}" for finding in found[:shown]]
            if len(found) > shown:
                lines.append(f"  ... and {len(found) - shown:,} more (--json lists all)")
            lines.append(f"  remedy: {rule.remedy}")
        total = ", ".join(f"{count:,} {severity}" for severity, count in self.by_severity().items())
        return "\n".join([*lines, "" if len(lines) > 1 else "nothing found", f"findings: {total}"])


def all_rules() -> tuple[Rule, ...]:
    """The built-in rules, then those of other installed packages.

    Raises:
        PinpointError: A rule from elsewhere cannot be loaded, is no rule, or takes a code that is taken.
    """
    rules = [*BUILT_IN]
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        for rule in _load(point):
            if any(rule.code == known.code for known in rules):
                raise _refused(point, f"code {rule.code!r} is taken")
            rules.append(rule)
    return tuple(rules)


def _load(point: EntryPoint) -> Iterator[Rule]:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise _refused(point, f"cannot be loaded: {error}") from error
    for rule in found if isinstance(found, Sequence) else [found]:
        lacking = [m for m in ("code", "severity", "what", "why", "remedy", "check") if not hasattr(rule, m)]
        if lacking or rule.severity not in SEVERITIES:
            raise _refused(point, f"is no rule: lacks {', '.join(lacking) or 'a known severity'}")
        yield rule


def _refused(point: EntryPoint, message: str) -> PinpointError:
    place = f"entry point {point.name} = {point.value} of {ENTRY_POINTS}"
    return PinpointError(message, file=place, remedy="repair or uninstall the package that brings it")


def validate(
    workspace: Workspace,
    *,
    source: str | None = None,
    codes: Iterable[str] = (),
    limits: Limits | None = None,
    rules: Sequence[Rule] | None = None,
) -> Report:
    """Check a workspace.

    Args:
        workspace: What to check; it is only read.
        source: Check this source alone.
        codes: Run only the rules with these codes; all by default.
        limits: Thresholds.
        rules: The rules to choose from, by default `all_rules()`.

    Raises:
        UsageError: An unknown code or source.
        WorkspaceError: A table is damaged or newer than this version.
    """
    known = {rule.code: rule for rule in (all_rules() if rules is None else rules)}
    wanted = set(codes) or known.keys()
    if unknown := sorted(wanted - known.keys()):
        raise UsageError(f"no rule has the code {', '.join(unknown)}; known are {', '.join(known)}")
    chosen = tuple(rule for code, rule in known.items() if code in wanted)
    view = WorkspaceView(workspace, source)
    limits = limits or Limits()
    # Coordinates may be anything; what overflows compares as False, and is found as a box that is broken.
    with np.errstate(all="ignore"):
        findings = tuple(Finding.of(rule, hit) for rule in chosen for hit in rule.check(view, limits))
    looked_at = {
        "questions": view.questions.num_rows,
        "pages": view.pages.num_rows,
        "boxes": sum(len(layer.boxes.group) for layer in view.layers),
        "verdicts": sum(len(layer.verdicts.group) for layer in view.layers),
    }
    return Report(looked_at, chosen, findings)
