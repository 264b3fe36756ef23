"""The campaign as one self-contained HTML page: `write_report(workspace, out, options)`."""

from __future__ import annotations

from annotation.report.build import ReportOptions, ReportResult, write_report

__all__ = ["ReportOptions", "ReportResult", "write_report"]
