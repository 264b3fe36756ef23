"""Configurations of the published checkpoints, for operation counts and for benchmarks with random weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from training.flops.architectures import architecture


def published_config(name: str) -> Any:
    """The transformers configuration of a published checkpoint, with its true sizes; nothing is downloaded.

        config = published_config("qwen2-vl-7b")
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)

    Args:
        name: One of `training.flops.architectures.PUBLISHED`, whose docstring says where the numbers come from.

    Returns:
        A new `LlavaNextConfig`, `Qwen2VLConfig`, `Qwen2_5_VLConfig` or `Qwen3VLConfig`.

    Raises:
        UsageError: There is none of this name.
    """
    from transformers import AutoConfig

    return AutoConfig.for_model(**deepcopy(dict(architecture(name).config)))
