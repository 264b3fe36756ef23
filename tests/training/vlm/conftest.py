"""Folders of tiny checkpoints of every kind of decoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def decoder_folder(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Callable[[str], Path]
) -> Callable[[str], Path]:
    """As `model_folder`, and `mistral`: LLaVA-NeXT on Mistral, opened with a window of 300 tokens."""
    from tests.training.vlm.tiny import tiny_model_folder

    @cache
    def found(kind: str) -> Path:
        if kind != "mistral":
            return model_folder(kind)
        return tiny_model_folder("llava-next", tmp_path_factory.mktemp("decoder") / "mistral", text="mistral")

    return found
