"""Tiny checkpoints, saved and opened once a session, whichever folders of tests use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.vlm.tiny import tiny_model_folder
from training.vlm import VisionLanguageModel, open_model


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models spend more time waiting for their threads than computing."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# A fixture that several conftest.py import is another one in each of them; what is kept here is not.
_folders: dict[str, Path] = {}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint, by family."""

    def made(family: str) -> Path:
        if family not in _folders:
            _folders[family] = tiny_model_folder(family, tmp_path_factory.mktemp("models") / family)
        return _folders[family]

    return made


@cache
def _opened(folder: Path, **options: Any) -> VisionLanguageModel:
    return open_model(folder, **options)


@pytest.fixture(scope="session")
def tiny_model(model_folder: Callable[[str], Path]) -> Callable[..., VisionLanguageModel]:
    """An opened tiny model with its language model, in float32 on the CPU."""
    defaults = {"dtype": "float32", "device": "cpu", "language": True}
    return lambda family, **options: _opened(model_folder(family), **(defaults | options))
