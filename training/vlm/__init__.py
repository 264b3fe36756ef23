"""Vision-language models: visual tokens with their place on the page, and answers from chosen tokens.

model = open_model("Qwen/Qwen2-VL-7B-Instruct", language=True)
layout = model.layout(*image.size)
[visual] = model.encode([image], [layout])
sequence = model.assemble(model.prompt("What is the total?", images=1), [layout])
model.generate(sequence, visual).text
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pinpoint_data.errors import TrainingError
from training.flops.shape import FAMILIES
from training.vlm.layout import GLOBAL, GRID, NEWLINE, ImageLayout, PromptSequence, VisualTokens
from training.vlm.model import Generated, VisionLanguageModel
from training.vlm.source import ModelSource, find_model, read_config

__all__ = [
    "GLOBAL",
    "GRID",
    "NEWLINE",
    "Generated",
    "ImageLayout",
    "ModelSource",
    "PromptSequence",
    "VisionLanguageModel",
    "VisualTokens",
    "find_model",
    "open_model",
]


def open_model(model: str | Path, *, revision: str | None = None, **options: Any) -> VisionLanguageModel:
    """A model from a local folder or the hub. Reads settings and tokenizer only; weights follow at first use.

    Args:
        model: A folder, or a hub name such as `llava-hf/llava-v1.6-vicuna-7b-hf` or `Qwen/Qwen2-VL-7B-Instruct`.
        revision: Branch, tag or commit on the hub.
        options: Of `VisionLanguageModel` (`dtype`, `device`, `device_map`, `language`), and `view` of `LlavaNext` or
            `max_pixels` of `QwenVl`. One that is None is as if it were not given.

    Raises:
        TrainingError: No such model, an unsupported architecture, or an option that it does not take.
    """
    from training.vlm.llava_next import LlavaNext
    from training.vlm.qwen_vl import QwenVl

    source = find_model(model, revision)
    config = read_config(source.path)
    given = {name: value for name, value in options.items() if value is not None}
    if config.model_type not in FAMILIES:
        raise TrainingError(f"is a {config.model_type} model; supported are {', '.join(FAMILIES)}", file=source.path)
    kind: type[VisionLanguageModel] = LlavaNext if config.model_type == "llava_next" else QwenVl
    try:
        return kind(source, config, **given)
    except TypeError as error:
        raise TrainingError(f"{config.model_type} does not take these options: {error}", file=source.path) from error
