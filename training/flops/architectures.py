"""The published checkpoints' sizes, as plain values; reading them imports neither torch nor transformers.

Where the numbers come from: the `config.json` of each checkpoint on the Hugging Face hub, written down from memory,
and the defaults of the installed transformers for what those files leave out. They were not copied from the files
themselves, which could not be had. What vouches for them is the number of parameters: the model that transformers
builds from these values has exactly as many as the checkpoint's safetensors index counts (Qwen, Mistral), or as the
hub rounds them (Vicuna). The module trees of Qwen2-VL-7B and Qwen2.5-VL-7B were besides compared with printed ones in
public repositories. What changes no parameter rests on memory alone: heads, rotary bases, the feature layer, and the
limits of the image processors, of which only the last change a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinpoint_data.errors import UsageError
from pinpoint_data.llava_next import LLAVA_NEXT_PINPOINTS


@dataclass(frozen=True)
class Architecture:
    """A published checkpoint.

    Attributes:
        checkpoint: Its name on the hub.
        parameters: Of the whole model, tied weights counted once; to three digits for the Vicunas.
        config: What its `config.json` says, as far as sizes go; keywords of the transformers configuration.
        pixels: Smallest and largest area that its image processor resizes a page to; None where it has fixed canvases.
    """

    checkpoint: str
    parameters: int
    config: Mapping[str, Any]
    pixels: tuple[int, int] | None = None


def architecture(name: str) -> Architecture:
    """The published architecture of a name.

    Raises:
        UsageError: There is none of this name.
    """
    found = PUBLISHED.get(name)
    if found is None:
        raise UsageError(f"no published architecture {name!r}; expected one of {', '.join(PUBLISHED)}")
    return found


def _llava_next(text: dict[str, Any]) -> dict[str, Any]:
    """CLIP ViT-L/14 at 336 pixels, a two-layer projector, and a language model with 64 added rows of vocabulary."""
    vision = {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_channels": 3,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    }
    return {
        "model_type": "llava_next",
        "vision_config": vision,
        "text_config": {"vocab_size": 32_064, "rms_norm_eps": 1e-5} | text,
        "image_token_index": 32_000,
        "image_grid_pinpoints": [list(canvas) for canvas in LLAVA_NEXT_PINPOINTS],
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }


def _llama(width: int, mlp: int, layers: int, heads: int) -> dict[str, Any]:
    """Vicuna 1.5, which is Llama 2: as many key-value heads as heads."""
    return {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 4096,
    }


_MISTRAL_7B = {
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32_768,
    "sliding_window": None,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
}

_QWEN2_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152_064,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
_QWEN2_2B = _QWEN2_7B | {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
}
_QWEN3_8B = {
    "model_type": "qwen3_vl_text",
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
    "max_position_embeddings": 262_144,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5e6,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
_QWEN_PATCHES = {"in_channels": 3, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2}


def _qwen2_vl(text: dict[str, Any]) -> dict[str, Any]:
    """A tower of 675 M parameters; its `hidden_size` is that of the language model."""
    vision = {
        "model_type": "qwen2_vl_vision",
        "depth": 32,
        "embed_dim": 1280,
        "num_heads": 16,
        "mlp_ratio": 4,
        "hidden_size": text["hidden_size"],
    }
    return {
        "model_type": "qwen2_vl",
        "vision_config": vision | _QWEN_PATCHES,
        "text_config": {"model_type": "qwen2_vl_text"} | text,
    }


_QWEN2_5_VL_7B = {
    "model_type": "qwen2_5_vl",
    "vision_config": {
        "model_type": "qwen2_5_vl_vision",
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    }
    | _QWEN_PATCHES,
    "text_config": {"model_type": "qwen2_5_vl_text", "max_position_embeddings": 128_000} | _QWEN2_7B,
}
_QWEN3_VL_8B = {
    "model_type": "qwen3_vl",
    "vision_config": {
        "model_type": "qwen3_vl_vision",
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "out_hidden_size": 4096,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    }
    | _QWEN_PATCHES
    | {"patch_size": 16},
    "text_config": _QWEN3_8B,
}

QWEN2_VL_PIXELS = 56 * 56, 28 * 28 * 16_384
"""Smallest and largest area of a page in the Qwen2-VL and Qwen2.5-VL checkpoints."""

PUBLISHED: Mapping[str, Architecture] = {
    "llava-next-7b": Architecture(
        "llava-hf/llava-v1.6-vicuna-7b-hf", 7_060_000_000, _llava_next(_llama(4096, 11_008, 32, 32))
    ),
    "llava-next-mistral-7b": Architecture("llava-hf/llava-v1.6-mistral-7b-hf", 7_566_747_648, _llava_next(_MISTRAL_7B)),
    "llava-next-13b": Architecture(
        "llava-hf/llava-v1.6-vicuna-13b-hf", 13_350_000_000, _llava_next(_llama(5120, 13_824, 40, 40))
    ),
    "qwen2-vl-2b": Architecture(
        "Qwen/Qwen2-VL-2B-Instruct",
        2_208_985_600,
        _qwen2_vl(_QWEN2_2B) | {"tie_word_embeddings": True},
        QWEN2_VL_PIXELS,
    ),
    "qwen2-vl-7b": Architecture("Qwen/Qwen2-VL-7B-Instruct", 8_291_375_616, _qwen2_vl(_QWEN2_7B), QWEN2_VL_PIXELS),
    "qwen2.5-vl-7b": Architecture("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656, _QWEN2_5_VL_7B, QWEN2_VL_PIXELS),
    "qwen3-vl-8b": Architecture(
        "Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696, _QWEN3_VL_8B, (256 * 256, 32 * 32 * 16_384)
    ),
}
"""By the names that commands take."""
