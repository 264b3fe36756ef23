"""Weights from safetensors files: the whole model, or what feature extraction needs of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from pinpoint_data.errors import TrainingError
from training.vlm.source import ModelSource, first_line

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
    options: dict[str, Any] = {"config": config if language else without_decoder(config), "dtype": dtype}
    if device_map is not None and language:
        options["device_map"] = device_map
    folder = source.with_weights()
    model = from_safetensors(name, folder, **options)
    if language:
        # Every answer says how long it may be; transformers would point out the difference each time.
        model.generation_config.max_length = None
    if "device_map" not in options:
        return model.to(device)
    used_directly = model.get_input_embeddings().weight, *model.model.parameters(recurse=False)
    if any(weight.is_meta for weight in used_directly):
        raise TrainingError(
            "has input embeddings that the device map offloads",
            file=folder,
            remedy="give them a device of their own; the decoder's layers and the head may be offloaded",
        )
    return model


def from_safetensors(name: str, folder: Path, **options: Any) -> Any:
    """A model of the transformers class `name`, every tensor of it from safetensors files: frozen, in evaluation mode.

    Raises:
        TrainingError: No safetensors weights, damaged ones, or ones that lack a tensor of this architecture.
    """
    with _quiet():
        try:
            model, report = getattr(transformers, name).from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                # Else its error names no tensor; none that does not fit gets past here.
                ignore_mismatched_sizes=True,
                **options,
            )
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise TrainingError(f"cannot be loaded: {first_line(error)}", file=folder) from error
    if missing := sorted(report["missing_keys"]):
        # transformers would go on with random weights in their place.
        raise TrainingError(f"lacks {len(missing)} tensors of a {name}, {missing[0]} among them", file=folder)
    if mismatched := report["mismatched_keys"]:
        tensor, found, wanted = min(mismatched)
        raise TrainingError(f"has a {tensor} of shape {tuple(found)}, config.json wants {tuple(wanted)}", file=folder)
    return model.eval().requires_grad_(False)


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
