"""The model of a name or a folder, as far as its operations go."""

from __future__ import annotations

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
        TrainingError: The configuration in the folder, or that of its image processor, is damaged.
    """
    if known := PUBLISHED.get(name):
        return CountedModel(name, known.checkpoint, ModelShape.of_values(known.config), known.pixels)
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise UsageError(f"no model {name!r}; expected one of {', '.join(PUBLISHED)}, or a folder with config.json")
    from training.vlm.source import read_config

    shape = ModelShape.of(read_config(folder))
    return CountedModel(name, str(folder), shape, None if shape.tile else _pixels(folder))


def _pixels(folder: Path) -> tuple[int, int]:
    """Limits of the image processor beside a configuration; those of Qwen2-VL where there is none."""
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return QWEN2_VL_PIXELS
    from training.vlm import open_model
    from training.vlm.qwen_vl import QwenVl

    model = open_model(folder)
    assert isinstance(model, QwenVl)
    return model.min_pixels, model.max_pixels
