"""Findings of a preflight, counted; the first of them kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from annotation.label_studio.preflight.codes import Code, Finding


@dataclass
class Report:
    """What a preflight found.

    Attributes:
        tasks: Tasks that were looked at.
        counts: Findings by code, complete.
        findings: The first `keep` findings.
        keep: How many are kept.
    """

    tasks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    keep: int = 1000

    def add(self, finding: Finding) -> None:
        """Count a finding and keep it while there is room."""
        self.counts[finding.code] += 1
        if len(self.findings) < self.keep:
            self.findings.append(finding)

    @property
    def exit_code(self) -> int:
        """1 where there is an error or a warning, else 0."""
        return int(any(code.severity != "info" and self.counts[code.code] for code in Code))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        return {
            "tasks": self.tasks,
            "counts": dict(sorted(self.counts.items())),
            "findings": [finding.to_json() for finding in self.findings],
            "findings_total": self.counts.total(),
        }

    def text(self, shown: int = 30) -> str:
        """A summary for people."""
        kinds = ", ".join(f"{count:,} {code}" for code, count in sorted(self.counts.items()))
        lines = [f"{self.tasks:,} tasks, {self.counts.total():,} findings" + (f": {kinds}" if kinds else "")]
        lines += [f"  {finding}" for finding in self.findings[:shown]]
        if self.counts.total() > shown:
            lines.append(f"  ... and {self.counts.total() - shown:,} more (--json lists up to {self.keep:,})")
        return "\n".join(lines)
