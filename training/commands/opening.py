"""Options of the commands that open a run: where its model lies here, and on what device it works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pinpoint_data.errors import UsageError

if TYPE_CHECKING:
    from training.checkpoint import Run

Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(command: Function) -> Function:
    """`--model`: the folder of the run's vision-language model."""
    return click.option(
        "--model", metavar="FOLDER", help="Where the run's vision-language model lies on this machine, or its hub name."
    )(command)


def device_option(command: Function) -> Function:
    """`--device`: cpu, cuda, cuda:1."""
    return click.option("--device", help="Where to compute: cpu, cuda, cuda:1. Default: a GPU where there is one.")(
        command
    )


def open_run(run: Path, model: str | None, device: str | None) -> Run:
    """The run, with its backbone's model taken from `model` and both put on `device` where these are given.

    Raises:
        TrainingError: The folder is no run that can be loaded, or the model is another one than it was trained on.
        UsageError: The run's backbone takes no model, or there is no such device.
    """
    from training.backbones.vlm import VlmBackbone
    from training.checkpoint import load_run

    options = {} if model is None else {"model": model}
    loaded = load_run(run, options)
    if device is not None:
        _check_device(device)
        if isinstance(loaded.backbone, VlmBackbone):
            loaded = load_run(run, {**options, "device": device})
    elif isinstance(loaded.backbone, VlmBackbone):
        device = str(loaded.backbone.model.device)
    return loaded.to(device or "cpu")


def _check_device(name: str) -> None:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device {name!r}; expected cpu, cuda, or cuda:1 and the like") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices were found")
