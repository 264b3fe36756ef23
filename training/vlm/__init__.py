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
from training.vlm.layout import GLOBAL, GRID, NEWLINE, ImageLayout, PromptSequence, VisualTokens
from training.vlm.model import Generated, VisionLanguageModel
from training.vlm.source import ModelSource, find_model

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
    from transformers import AutoConfig

    from training.vlm.llava_next import LlavaNext
    from training.vlm.qwen_vl import FAMILIES, QwenVl

    source = find_model(model, revision)
    try:
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"has no usable config.json: {str(error).splitlines()[0]}", file=source.path) from error
    given = {name: value for name, value in options.items() if value is not None}
    known: dict[str, type[VisionLanguageModel]] = {"llava_next": LlavaNext, **dict.fromkeys(FAMILIES, QwenVl)}
    if config.model_type not in known:
        raise TrainingError(f"is a {config.model_type} model; supported are {', '.join(known)}", file=source.path)
    try:
        return known[config.model_type](source, config, **given)
    except TypeError as error:
        raise TrainingError(f"{config.model_type} does not take these options: {error}", file=source.path) from error
    except OSError as error:
        raise TrainingError(f"has no usable image processor: {str(error).splitlines()[0]}", file=source.path) from error
