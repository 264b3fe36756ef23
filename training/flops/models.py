"""The model of a name or a folder, as far as its operations go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pinpoint_data.errors import UsageError
from training.flops.architectures import PUBLISHED, QWEN2_VL_PIXELS
from training.flops.shape import ModelShape


@dataclass(frozen=True)
class CountedModel:
    """A model to count.

    Attributes:
        name: As asked for.
        checkpoint: Its name on the hub, or the folder.
        shape: Its sizes.
        pixels: Smallest and largest area of a page; None where the model has fixed canvases.
    """

    name: str
    checkpoint: str
    shape: ModelShape
    pixels: tuple[int, int] | None


def find_shape(name: str) -> CountedModel:
    """A published architecture by name, which needs no transformers, or the configuration in a folder.

    Raises:
        UsageError: Neither, or a model that cannot be counted.
    """
    if known := PUBLISHED.get(name):
        return CountedModel(name, known.checkpoint, ModelShape.of_values(known.config), known.pixels)
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise UsageError(f"no model {name!r}; expected one of {', '.join(PUBLISHED)}, or a folder with config.json")
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        lines = str(error).splitlines() or [repr(error)]
        raise UsageError(f"is no usable configuration: {lines[0]}", file=folder / "config.json") from error
    shape = ModelShape.of(config)
    return CountedModel(name, str(folder), shape, None if shape.tile else _pixels(folder))


def _pixels(folder: Path) -> tuple[int, int]:
    """Limits of the image processor beside a configuration; those of Qwen2-VL where there is none."""
    for file in (folder / "preprocessor_config.json", folder / "processor_config.json"):
        if not file.is_file():
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            found = found.get("image_processor", found)
            size = found.get("size") or {}
            least = size.get("shortest_edge") or found["min_pixels"]
            return int(least), int(size.get("longest_edge") or found["max_pixels"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"does not say how many pixels a page may have: {error!r}", file=file) from error
    return QWEN2_VL_PIXELS
