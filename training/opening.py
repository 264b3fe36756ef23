"""A run put to work: its model found on this machine, both on one device."""

from __future__ import annotations

from pathlib import Path

import torch

from pinpoint_data.errors import UsageError
from training.checkpoint import Run, load_run


def open_run(folder: Path, model: str | None = None, device: str | None = None) -> Run:
    """A run whose aligner and vision-language model (if it rests on one) are on the same device.

    Args:
        folder: The run.
        model: Where its model lies on this machine, or the model's hub name; where training found it by default.
        device: cpu, cuda, cuda:1. By default that of the model (a GPU where there is one), else the CPU.

    Raises:
        TrainingError: The folder is no run that can be loaded, or the model is another one than it was trained on.
        UsageError: The run's backbone takes no model, or there is no such device.
    """
    options = {} if model is None else {"model": model}
    run = load_run(folder, options)
    if device is not None:
        _check_device(device)
        if _model_device(run) is not None:
            run = load_run(folder, {**options, "device": device})
    return run.to(device or _model_device(run) or "cpu")


def _model_device(run: Run) -> torch.device | None:
    """Where the vision-language model of a run is; None for a run without one."""
    if run.backbone.reads_words:
        return None  # transformers, which takes seconds to import, is not needed to know that
    from training.backbones.vlm import VlmBackbone

    return run.backbone.model.device if isinstance(run.backbone, VlmBackbone) else None


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device {name!r}; expected cpu, cuda, or cuda:1 and the like") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices were found")
