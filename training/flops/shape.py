"""What of a model's configuration its operations depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinpoint_data.errors import UsageError

FAMILIES = {
    "llava_next": "llava-next",
    "qwen2_vl": "qwen2-vl",
    "qwen2_5_vl": "qwen2.5-vl",
    "qwen3_vl": "qwen3-vl",
}
"""Families by the `model_type` of transformers."""


@dataclass(frozen=True)
class DecoderShape:
    """A language model of layers with attention and a gated MLP of three matrices; biases are not counted.

    Attributes:
        layers: All of them run.
        width: d.
        query_width: Heads times their width; d in most models.
        kv_width: d_kv, key-value heads times their width.
        mlp_width: m.
        vocabulary: Rows of the LM head.
    """

    layers: int
    width: int
    query_width: int
    kv_width: int
    mlp_width: int
    vocabulary: int

    @classmethod
    def of(cls, text: Mapping[str, Any]) -> DecoderShape:
        """From the values of a `text_config`."""
        heads = text["num_attention_heads"]
        head = text.get("head_dim") or text["hidden_size"] // heads
        kv_heads = text.get("num_key_value_heads") or heads
        return cls(
            layers=text["num_hidden_layers"],
            width=text["hidden_size"],
            query_width=heads * head,
            kv_width=kv_heads * head,
            mlp_width=text["intermediate_size"],
            vocabulary=text["vocab_size"],
        )


@dataclass(frozen=True)
class VisionShape:
    """A vision tower and what brings its features to the language model's width (projector or merger).

    Attributes:
        patch: Side of a patch in pixels.
        patch_values: Numbers that the patch embedding reads of a patch: channels x frames x patch x patch. The
            Qwen towers embed a still image as two equal frames.
        merge: Patches along the side of the square that becomes one visual token; 1 for LLaVA-NeXT.
        class_tokens: In front of every sequence of patches; they are not projected.
        layers: That run. transformers runs LLaVA-NeXT's tower to its end although its features come from the
            last layer but one.
        full_layers: Of these, how many attend over a whole sequence; the others only within windows.
        window: Side of such a window in patches; 0 where there is none.
        width: Of the tower.
        mlp_width: Inner width of its MLPs.
        mlp_matrices: 2, or 3 where they are gated.
        projector: Widths in, inside and out.
        projectors: How many run on every token: one, and in Qwen3-VL one for each deepstack layer.
    """

    patch: int
    patch_values: int
    merge: int
    class_tokens: int
    layers: int
    full_layers: int
    window: int
    width: int
    mlp_width: int
    mlp_matrices: int
    projector: tuple[int, int, int]
    projectors: int


@dataclass(frozen=True)
class ModelShape:
    """A vision-language model as far as its operations go.

    Attributes:
        family: `llava-next`, `qwen2-vl`, `qwen2.5-vl` or `qwen3-vl`.
        vision: Tower and projector.
        decoder: Language model.
        tile: Side of a tile in pixels; 0 where an image is encoded in one piece.
        canvases: Heights and widths that LLaVA-NeXT may resize a page into.
    """

    family: str
    vision: VisionShape
    decoder: DecoderShape
    tile: int = 0
    canvases: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, config: Any) -> ModelShape:
        """From a transformers configuration: LlavaNext, Qwen2VL, Qwen2_5_VL or Qwen3VL.

        Raises:
            UsageError: It is of another architecture.
        """
        return cls.of_values(config.to_dict())

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> ModelShape:
        """From what `config.to_dict()` says, defaults included.

        Raises:
            UsageError: It is of another architecture.
        """
        model_type = values.get("model_type")
        if model_type not in FAMILIES:
            raise UsageError(f"operations of {model_type!r} models cannot be counted; only of {', '.join(FAMILIES)}")
        decoder = DecoderShape.of(values["text_config"])
        family = FAMILIES[model_type]
        if family == "llava-next":
            canvases = tuple((int(height), int(width)) for height, width in values["image_grid_pinpoints"])
            return cls(family, _clip(values, decoder), decoder, values["vision_config"]["image_size"], canvases)
        return cls(family, _qwen(family, values["vision_config"]), decoder)


def _clip(values: Mapping[str, Any], decoder: DecoderShape) -> VisionShape:
    vision, chosen = values["vision_config"], values["vision_feature_layer"]
    if vision["model_type"] != "clip_vision_model" or values["vision_feature_select_strategy"] != "default":
        raise UsageError(
            "only LLaVA-NeXT with a CLIP tower and the feature strategy 'default' can be counted, got "
            f"{vision['model_type']} and {values['vision_feature_select_strategy']!r}"
        )
    features = vision["hidden_size"] * (1 if isinstance(chosen, int) else len(chosen))
    return VisionShape(
        patch=vision["patch_size"],
        patch_values=vision.get("num_channels", 3) * vision["patch_size"] ** 2,
        merge=1,
        class_tokens=1,
        layers=vision["num_hidden_layers"],
        full_layers=vision["num_hidden_layers"],
        window=0,
        width=vision["hidden_size"],
        mlp_width=vision["intermediate_size"],
        mlp_matrices=2,
        projector=(features, decoder.width, decoder.width),
        projectors=1,
    )


def _qwen(family: str, vision: Mapping[str, Any]) -> VisionShape:
    windowed = family == "qwen2.5-vl"
    width = vision["embed_dim"] if family == "qwen2-vl" else vision["hidden_size"]
    merged = width * vision["spatial_merge_size"] ** 2
    cell = vision["patch_size"] * vision["spatial_merge_size"]
    return VisionShape(
        patch=vision["patch_size"],
        patch_values=vision["in_channels"] * vision["temporal_patch_size"] * vision["patch_size"] ** 2,
        merge=vision["spatial_merge_size"],
        class_tokens=0,
        layers=vision["depth"],
        full_layers=len(vision["fullatt_block_indexes"]) if windowed else vision["depth"],
        window=vision["window_size"] // cell * vision["spatial_merge_size"] if windowed else 0,
        width=width,
        mlp_width=int(width * vision["mlp_ratio"]) if family == "qwen2-vl" else vision["intermediate_size"],
        mlp_matrices=3 if windowed else 2,
        projector=(merged, merged, vision["hidden_size"] if family == "qwen2-vl" else vision["out_hidden_size"]),
        projectors=1 + len(vision.get("deepstack_visual_indexes", ())),
    )
