"""Devices by name."""

from __future__ import annotations

import platform

import torch

from pinpoint_data.errors import UsageError


def find_device(name: str, cuda: int = 0) -> torch.device:
    """A device that is there.

    Args:
        name: "auto" (cuda where there is one, else cpu), "cpu", "mps", "cuda" or "cuda:1".
        cuda: Which GPU plain "cuda" is.

    Raises:
        UsageError: There is no such device.
    """
    remedy = "name cpu, mps, cuda, cuda:1 or the like, or auto"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device {name!r}", remedy=remedy) from error
    if device.type == "cuda":
        device = torch.device("cuda", cuda if device.index is None else device.index)
        count = torch.cuda.device_count()
        if device.index >= count:
            raise UsageError(f"device {str(device)!r} is not there: {count} CUDA devices were found", remedy=remedy)
    elif device.type != "cpu" and not (device.type == "mps" and torch.backends.mps.is_available()):
        raise UsageError(f"device {name!r} is not there, or none to compute on", remedy=remedy)
    return device


def device_name(device: torch.device) -> str:
    """A GPU's name, or the processor's kind: seconds are those of this."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
