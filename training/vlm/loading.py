"""Weights from safetensors files: the whole model, or what feature extraction needs of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from pinpoint_data.errors import TrainingError
from training.vlm.source import ModelSource

_CLASSES = {
    "llava_next": ("LlavaNextModel", "LlavaNextForConditionalGeneration"),
    "qwen2_vl": ("Qwen2VLModel", "Qwen2VLForConditionalGeneration"),
    "qwen2_5_vl": ("Qwen2_5_VLModel", "Qwen2_5_VLForConditionalGeneration"),
    "qwen3_vl": ("Qwen3VLModel", "Qwen3VLForConditionalGeneration"),
}


def load_weights(
    source: ModelSource,
    config: Any,
    dtype: torch.dtype,
    device: torch.device,
    device_map: str | dict[str, Any] | None = None,
    *,
    language: bool,
) -> Any:
    """The transformers model, frozen and in evaluation mode.

    Without `language` the decoder is given no layers and the base class no head: their tensors are never read.

    Raises:
        TrainingError: No safetensors weights, damaged ones, or ones that lack a tensor of this architecture.
    """
    name = _CLASSES[config.model_type][language]
    folder = source.with_weights()
    options: dict[str, Any] = {"config": config if language else without_decoder(config), "dtype": dtype}
    if device_map is not None and language:
        options["device_map"] = device_map
    with _quiet():
        try:
            model, report = getattr(transformers, name).from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
            )
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise TrainingError(f"cannot be loaded: {_first_line(error)}", file=folder) from error
    if missing := sorted(report["missing_keys"]):
        # transformers would go on with random weights in their place.
        raise TrainingError(f"lacks {len(missing)} tensors of a {name}, {missing[0]} among them", file=folder)
    if mismatched := report.get("mismatched_keys"):
        raise TrainingError(f"has a tensor of another shape: {sorted(mismatched)[0]}", file=folder)
    model.eval().requires_grad_(False)
    return model if "device_map" in options else model.to(device)


def without_decoder(config: Any) -> Any:
    """The configuration of the same model with a decoder of no layers."""
    reduced = copy.deepcopy(config)
    reduced.text_config.num_hidden_layers = 0
    if getattr(reduced.text_config, "layer_types", None) is not None:
        reduced.text_config.layer_types = []
    return reduced


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the report on tensors that were left out, and without bars."""
    log: Any = transformers.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
