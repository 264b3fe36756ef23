"""Fixtures of the annotation tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.annotation.fake_server import FakeLabelStudio, fake_label_studio


@pytest.fixture
def fake() -> Iterator[FakeLabelStudio]:
    """A Label Studio that fails on demand."""
    with fake_label_studio() as running:
        yield running
