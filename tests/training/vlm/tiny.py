"""Tiny random checkpoints of the true architectures, with tokenizer and processor, saved as real folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

FAMILIES = ("llava-next", "qwen2-vl", "qwen2.5-vl", "qwen3-vl")
WIDTH = 64
_SPECIAL = {
    "llava-next": ["<image>"],
    "qwen": ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"],
}
_LLAVA_TEMPLATE = (
    "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>\n"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
)
_QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>user\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
_ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}


def byte_tokenizer(special: list[str]) -> Any:
    """One token a byte; round-trips UTF-8."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=special,
        padding_side="left",
    )


def tiny_model_folder(family: str, folder: Path, *, seed: int = 0, layers: int = 2, text: str = "llama") -> Path:
    """Save a tiny random model that `open_model` loads.

    Args:
        family: One of `FAMILIES`.
        folder: Where to; made.
        seed: Of the weights.
        layers: Of the decoder.
        text: `llama` or `mistral`, for LLaVA-NeXT.
    """
    torch.manual_seed(seed)
    is_llava = family == "llava-next"
    tokenizer = byte_tokenizer(_SPECIAL["llava-next" if is_llava else "qwen"])
    tokenizer.chat_template = _LLAVA_TEMPLATE if is_llava else _QWEN_TEMPLATE
    model = _llava(tokenizer, layers, text) if is_llava else _qwen(family, tokenizer, layers)
    # Random weights of the usual small scale give answers that hardly depend on the page.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "language_model.layers" in name:
                weight.mul_(8)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if is_llava:
        processor: Any = transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
        )
    else:
        patch = model.config.vision_config.patch_size
        size = {"shortest_edge": 4 * patch**2, "longest_edge": 200 * 4 * patch**2}
        processor = transformers.Qwen2VLImageProcessorPil(patch_size=patch, size=size)
    processor.save_pretrained(folder)
    return folder


def _llava(tokenizer: Any, layers: int, text: str) -> Any:
    config = transformers.LlavaNextConfig(
        vision_config={
            "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3,
            "num_attention_heads": 2, "image_size": 336, "patch_size": 14, "projection_dim": 32,
        },
        text_config={
            "model_type": text, "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 96,
            "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
            "max_position_embeddings": 8192, "bos_token_id": 1, "eos_token_id": 2,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    return transformers.LlavaNextForConditionalGeneration(config).eval()


def _qwen(family: str, tokenizer: Any, layers: int) -> Any:
    text = {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2,
        "rope_parameters": dict(_ROPE), "max_position_embeddings": 8192,
    }  # fmt: skip
    ids = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }
    if family == "qwen2-vl":
        vision: dict[str, Any] = {"depth": 2, "embed_dim": 32, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}
        config: Any = transformers.Qwen2VLConfig(vision_config=vision, text_config=text, **ids)
        return transformers.Qwen2VLForConditionalGeneration(config).eval()
    if family == "qwen2.5-vl":
        vision = {
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1],
        }  # fmt: skip
        config = transformers.Qwen2_5_VLConfig(vision_config=vision, text_config=text, **ids)
        return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()
    vision = {
        "depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": WIDTH,
        "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(vision_config=vision, text_config={**text, "head_dim": 16}, **ids)
    return transformers.Qwen3VLForConditionalGeneration(config).eval()
