"""A small annotation campaign against a real Label Studio; `make campaign` runs the large one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.annotation.browser import chromium_page
from tests.annotation.server import LabelStudio
from tests.e2e.campaign import run_campaign

pytestmark = pytest.mark.e2e


def test_a_campaign_ends_in_evidence_better_than_any_annotator(label_studio: LabelStudio, tmp_path: Path) -> None:
    result = run_campaign(tmp_path, label_studio, tasks=38)
    assert 0 < result.at_kill < result.tasks
    assert (result.duplicates, result.missing) == (0, 0)
    assert result.pulled["read"] == result.pulled["imported"] == result.tasks
    assert result.pulled_again["read"] == 0
    best = max(f1 for name, f1 in result.f1.items() if name != "adjudicated")
    assert result.f1["adjudicated"] > best > 0.5
    assert result.published > 15
    agreement = json.loads((tmp_path / "agreement.json").read_text(encoding="utf-8"))
    assert agreement
    with chromium_page() as (page, log):
        page.goto((tmp_path / "report.html").as_uri())
        assert "campaign" in page.inner_text("body").lower()
    assert not log.errors
    assert not log.dialogs
