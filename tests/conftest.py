"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.annotation.server import label_studio

__all__ = ["label_studio"]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# The first text that Hypothesis draws in a fresh checkout waits seconds for its table of all characters.
settings.register_profile("pinpoint", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pinpoint")

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real pages beside the checkout (or at PINPOINT_REAL_DATA); they are licensed for research and never shipped."""
    folder = Path(os.environ.get("PINPOINT_REAL_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set PINPOINT_REAL_DATA")
    return folder


@pytest.fixture(autouse=True)
def _fresh_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` caches a local folder by its name and README only, so no two tests may share a cache."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf-cache", raising=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    """All tests that need the real server go to one pytest-xdist worker, so that it is started once.

    Not pytest_collection_modifyitems: pytest-xdist reads the groups in that hook, before this file has its turn.
    """
    if "label_studio" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("label-studio"))
