"""Models of the published sizes with random weights, made where they are to run; no checkpoint is read or written.

What a model computes takes the same time whatever its weights are, so latency and memory can be had without them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from tests.training.vlm.tiny import tiny_model_folder
from training.flops.architectures import architecture
from training.vlm import VisionLanguageModel, open_model
from training.vlm.published import published_config

FAMILIES = {"llava_next": "llava-next", "qwen2_vl": "qwen2-vl"}
MODELS = ("llava-next-7b", "llava-next-mistral-7b", "llava-next-13b", "qwen2-vl-2b", "qwen2-vl-7b")


def open_random(name: str, folder: Path, *, scale: int = 1, dtype: str, device: str) -> VisionLanguageModel:
    """A published model, its language model included, with weights drawn on the device.

    Tokenizer and processor are real ones made for the purpose, one token a byte of text: a prompt has about as many
    tokens around its images as with the published chat templates, a question a few times as many.

    Args:
        name: One of `MODELS`.
        folder: New; settings, tokenizer and processor are written there.
        scale: See `scaled`.
        dtype: Of the weights.
        device: Where they are made.
    """
    config = scaled(published_config(name), scale)
    tiny_model_folder(FAMILIES[config.model_type], folder, layers=1)
    (folder / "model.safetensors").unlink()
    # The byte tokenizer has its own ids for special tokens; all lie within the vocabulary.
    own = AutoConfig.from_pretrained(folder)
    for token in ("image_token_id", "vision_start_token_id", "vision_end_token_id"):
        if hasattr(own, token):
            setattr(config, token, getattr(own, token))
    for token in ("bos_token_id", "eos_token_id"):
        setattr(config.text_config, token, getattr(own.text_config, token))
    config.save_pretrained(folder)
    pixels = architecture(name).pixels
    model = open_model(
        folder, dtype=dtype, device=device, language=True, max_pixels=None if pixels is None else pixels[1]
    )
    model.weights = random_weights(model.config, model.dtype, model.device)
    return model


def random_weights(config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The transformers model of a configuration, frozen, its weights drawn in place on the device."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    model.to_empty(device=device)
    # As a new model is initialised: weights are drawn, norms set to one, and tables such as rotary frequencies, which
    # no checkpoint holds, computed.
    model.init_weights()
    model.generation_config.pad_token_id = 0
    return model.eval().requires_grad_(False)


def scaled(config: Any, scale: int) -> Any:
    """The same architecture with depths, numbers of heads, widths and vocabulary divided by `scale`; in place.

    Heads keep their width, key-value heads their number of heads each where it divides. Attention, which grows with
    the square of the tokens, then takes a larger share of the whole than in the full model.
    """
    if scale == 1:
        return config
    text, vision = config.text_config, config.vision_config
    width = text.hidden_size // text.num_attention_heads
    groups = max(1, text.num_key_value_heads // scale)
    heads = max(1, round(text.num_attention_heads / scale / groups)) * groups
    text.num_attention_heads, text.num_key_value_heads, text.hidden_size = heads, groups, heads * width
    text.num_hidden_layers = max(1, text.num_hidden_layers // scale)
    if getattr(text, "layer_types", None) is not None:
        text.layer_types = text.layer_types[: text.num_hidden_layers]
    text.intermediate_size //= scale
    text.vocab_size = max(1024, text.vocab_size // scale)
    if config.model_type == "llava_next":
        vision.num_attention_heads = max(1, vision.num_attention_heads // scale)
        vision.hidden_size, vision.intermediate_size = (
            64 * vision.num_attention_heads,
            vision.intermediate_size // scale,
        )
        vision.num_hidden_layers = max(2, vision.num_hidden_layers // scale)
    else:
        vision.num_heads = max(1, vision.num_heads // scale)
        vision.embed_dim, vision.hidden_size = 80 * vision.num_heads, text.hidden_size
        vision.depth = max(1, vision.depth // scale)
    return config
