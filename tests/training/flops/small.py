"""Small models of the published architectures, with sides that differ wherever they may."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.flops.architectures import architecture

FAMILIES = ("llava-next-7b", "llava-next-mistral-7b", "qwen2-vl-7b", "qwen2.5-vl-7b", "qwen3-vl-8b")
_TEXT = {"hidden_size": 64, "intermediate_size": 88, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 90}
_VISION = {
    "llava_next": {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2},
    "qwen2_vl": {"depth": 3, "embed_dim": 32, "num_heads": 2, "mlp_ratio": 3, "hidden_size": 64},
    "qwen2_5_vl": {
        "depth": 4, "hidden_size": 32, "intermediate_size": 44, "num_heads": 2, "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    },
    "qwen3_vl": {
        "depth": 4, "hidden_size": 32, "intermediate_size": 44, "num_heads": 2, "out_hidden_size": 64,
        "deepstack_visual_indexes": [0, 2],
    },
}  # fmt: skip


def small_config(name: str) -> Any:
    """The architecture of a published name with few and narrow layers."""
    from transformers import AutoConfig

    values = deepcopy(dict(architecture(name).config))
    kind, text = values["model_type"], values["text_config"]
    text |= _TEXT | {"num_key_value_heads": 4 if name == "llava-next-7b" else 2}
    if kind != "llava_next":
        text["rope_parameters"] |= {"mrope_section": [2, 3, 3]}
    if kind == "qwen3_vl":
        # Heads times their width is 96, not the model's width.
        text |= {"num_attention_heads": 6, "head_dim": 16}
    values["vision_config"] |= _VISION[kind]
    return AutoConfig.for_model(**values, image_token_id=5) if kind != "llava_next" else AutoConfig.for_model(**values)


def build(config: Any, device: str = "cpu") -> Any:
    """A model with random weights and eager attention, whose products the counter sees."""
    from transformers import AutoModelForImageTextToText

    with torch.device(device):
        return AutoModelForImageTextToText.from_config(config, attn_implementation="eager").eval()


class Counter:
    """What PyTorch's counter saw inside a `with`."""

    def __enter__(self) -> Counter:
        self._mode = FlopCounterMode(display=False)
        self._grad = torch.no_grad()
        self._grad.__enter__()
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)
        self._grad.__exit__(*error)

    @property
    def total(self) -> int:
        """All of it."""
        return self._mode.get_total_flops()

    def of(self, *operations: str) -> int:
        """That of some operations: `convolution`, `bmm` (attention), `mm` and `addmm` (linear layers)."""
        counts = self._mode.get_flop_counts()["Global"]
        return sum(flops for operation, flops in counts.items() if str(operation).split(".")[1] in operations)
