"""Tensors and a few facts about them in one safetensors file: written atomically, checked when read, never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pinpoint_data.atomic import write_bytes
from pinpoint_data.errors import TrainingError
from pinpoint_data.small_files import refuse_special

_KEY = "pinpoint"


def write_tensors(path: Path, kind: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors with JSON facts, and a hash over both. Same input, same bytes.

    Args:
        path: The file, replaced atomically.
        kind: What the file is, checked by `read_tensors`.
        tensors: By name.
        facts: JSON-ready.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    head: dict[str, Any] = {"kind": kind, "facts": dict(facts)}
    head["sha256"] = _digest(plain, head)
    # One metadata entry only: the writer keeps several in no fixed order.
    write_bytes(path, save(plain, metadata={_KEY: json.dumps(head, sort_keys=True)}))


def read_tensors(
    path: Path, kind: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Args:
        path: The file.
        kind: What the file must be.
        shapes: The names and shapes it must have, checked before any tensor is read.

    Raises:
        TrainingError: The file is missing, damaged, of another kind, altered, or its tensors are others.
    """
    try:
        refuse_special(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            head = json.loads((file.metadata() or {}).get(_KEY, "null"))
            if not isinstance(head, dict) or head.get("kind") != kind:
                found = head.get("kind") if isinstance(head, dict) else "another program's file"
                raise TrainingError(f"expected {kind}, found {found}", file=path)
            if not isinstance(head.get("facts"), dict):
                raise TrainingError("says nothing about its tensors", file=path)
            if shapes is not None:
                _check_shapes(path, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}, shapes)  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError as error:
        raise TrainingError("no such file", file=path) from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"is no readable safetensors file: {error}", file=path) from error
    expected = head.pop("sha256", None)
    if expected != _digest(tensors, head):
        raise TrainingError(
            "its content does not match the hash it was written with: it was altered or damaged",
            file=path,
            remedy="take the file from the place it was published, or train again",
        )
    return tensors, head["facts"]


def _check_shapes(path: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise TrainingError(f"lacks {', '.join(missing)}", file=path)
    if unknown := sorted(found.keys() - expected.keys()):
        raise TrainingError(f"holds unknown {', '.join(unknown)}", file=path)
    for name, shape in expected.items():
        if found[name] != shape:
            raise TrainingError(f"{name} must have shape {shape}, got {found[name]}", file=path)


def _digest(tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
