"""A run put to work: its model found on this machine, both on one device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from training.checkpoint import Run, load_run
from training.devices import find_device


def open_run(
    folder: Path, model: str | None = None, device: str | None = None, extra: Mapping[str, Any] | None = None
) -> Run:
    """A run whose aligner and vision-language model (if it rests on one) are on the same device.

    Args:
        folder: The run.
        model: Where its model lies on this machine, or the model's hub name; where training found it by default.
        device: See `find_device`. By default that of the model (a GPU where there is one), else the CPU.
        extra: Further options of a backbone on a vision-language model, such as `language`.

    Raises:
        TrainingError: The folder is no run that can be loaded, its backbone takes no model, or the model is another
            one than it was trained on.
        UsageError: There is no such device.
    """
    options: dict[str, Any] = {} if model is None else {"model": model}
    run = load_run(folder, options)
    own = dict(extra or {})
    if device is not None:
        device = str(find_device(device))
        own["device"] = device
    if own and _model_device(run) is not None:
        run = load_run(folder, {**options, **own})
    return run.to(device or _model_device(run) or "cpu")


def _model_device(run: Run) -> torch.device | None:
    """Where the vision-language model of a run is; None for a run without one."""
    if run.backbone.reads_words:
        return None  # transformers, which takes seconds to import, is not needed to know that
    from training.backbones.vlm import VlmBackbone

    return run.backbone.model.device if isinstance(run.backbone, VlmBackbone) else None
