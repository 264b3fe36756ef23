"""One thread for everything tiny, and tiny checkpoints, saved and opened once a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from training.vlm import VisionLanguageModel


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models spend more time waiting for their threads than computing."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint, by family."""
    # Transformers takes seconds to import, which most tests of training need not wait for.
    from tests.training.vlm.tiny import tiny_model_folder

    return cache(lambda family: tiny_model_folder(family, tmp_path_factory.mktemp("models") / family))


@pytest.fixture(scope="session")
def tiny_model(model_folder: Callable[[str], Path]) -> Callable[..., VisionLanguageModel]:
    """An opened tiny model with its language model, in float32 on the CPU."""
    from training.vlm import open_model

    @cache
    def opened(family: str, **options: Any) -> VisionLanguageModel:
        defaults = {"dtype": "float32", "device": "cpu", "language": True}
        return open_model(model_folder(family), **(defaults | options))

    return opened
