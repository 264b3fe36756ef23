"""Seconds by stage, and what to do when the GPU's memory is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pinpoint_data.errors import TrainingError
from training.vlm import VisionLanguageModel


class Stages:
    """Adds up seconds by stage; a stage ends when the device has done its work."""

    def __init__(self, model: VisionLanguageModel) -> None:
        self.model = model
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        started = self.model.synchronised()
        yield
        self.add(name, self.model.synchronised() - started)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@contextmanager
def enough_memory(question_id: str) -> Iterator[None]:
    """Turn a GPU that is out of memory into one line with a remedy.

    Raises:
        TrainingError: The memory was full.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the GPU's memory is full",
            record=question_id or None,
            remedy="give fewer pages, a smaller coverage or budget, a dtype of 16 bits, or another device",
        ) from error
