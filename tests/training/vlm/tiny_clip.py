"""A tiny random CLIP of the true architecture, saved as a real folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import pre_tokenizers

WIDTH = 32
"""Of the tower, as in the tiny LLaVA-NeXT."""
JOINT = 24


def tiny_clip_folder(folder: Path, *, seed: int = 0, width: int = WIDTH, context: int = 77) -> Path:
    """Save a tiny random CLIP with tokenizer.

    Args:
        folder: Where to; made.
        seed: Of the weights.
        width: Of the vision tower.
        context: The longest text, with the tokens that begin and end it.
    """
    torch.manual_seed(seed)
    tokenizer = letters_tokenizer(context)
    config = transformers.CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": context,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": 56, "patch_size": 14,
        },
        projection_dim=JOINT,
    )  # fmt: skip
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        # As it comes, a layer norm does nothing that a test would miss.
        norm = model.vision_model.post_layernorm
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def letters_tokenizer(context: int) -> Any:
    """CLIP's tokenizer with no merges: one token a letter, `<|startoftext|>` and `<|endoftext|>` around a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=context
    )
