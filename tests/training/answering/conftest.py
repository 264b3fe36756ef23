"""The tiny checkpoints of the model tests."""

from __future__ import annotations

from tests.training.vlm.conftest import _one_thread, model_folder, tiny_model

__all__ = ["_one_thread", "model_folder", "tiny_model"]
