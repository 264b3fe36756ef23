"""Fixtures of the annotation tests."""

from __future__ import annotations

import pytest

from tests.annotation.server import label_studio

__all__ = ["label_studio"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests that need the real server go to one pytest-xdist worker, so that it is started once."""
    for item in items:
        if "label_studio" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("label-studio"))
