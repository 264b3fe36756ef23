"""The layers of a language model, one at a time: what each makes of hidden states, and what it attends to.

The model keeps its fused attention, which returns no weights (`output_attentions=True` then gives an empty tuple). The
rows that are wanted are computed again from a layer's input, in float32: attention weights in bfloat16 are too coarse
for Qwen2. A map of all tokens by all tokens is only made where all rows are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from pinpoint_data.errors import TrainingError, UsageError
from training.aligner.chunking import chunk_length
from training.flops import ModelShape, prefill_flops
from training.vlm.attention import float_heads
from training.vlm.model import VisionLanguageModel

Angles = tuple[Tensor, Tensor]
"""Cosines and sines (1, S, head width) that queries and keys are rotated by."""


class LanguageLayers:
    """The decoder layers of an opened model: Llama, Mistral, and the language models of Qwen-VL.

    Everything is over one sequence of S tokens, each of which sees itself and those before it.

    Args:
        model: Opened with its language model.

    Attributes:
        shape: Its sizes, for counting operations.

    Raises:
        TrainingError: A device map offloads some of the layers: their weights are not there to compute rows with.
    """

    def __init__(self, model: VisionLanguageModel) -> None:
        self._language: Any = model.inner.language_model
        self.shape = ModelShape.of(model.config)
        away = [
            number for number, layer in enumerate(self._language.layers) if any(w.is_meta for w in layer.parameters())
        ]
        if away:
            raise TrainingError(
                f"has {len(away)} decoder layers that the device map offloads, layer {away[0]} first",
                file=model.source.path,
                remedy="selectors in the decoder need all of them on devices: take a smaller model or 16 bits",
            )

    def __len__(self) -> int:
        return len(self._language.layers)

    @torch.inference_mode()
    def angles(self, positions: Tensor, like: Tensor) -> Angles:
        """The rotation of each place.

        Args:
            positions: (p, S): one row for plain and three for multimodal rotary positions.
            like: A tensor of the hidden states' device and type.
        """
        # Multimodal positions are folded into the angles: from here on all models are the same.
        rows = positions if len(positions) == 1 else positions[:, None]
        cos, sin = self._language.rotary_emb(like[None], rows.to(like.device))
        return cos, sin

    @torch.inference_mode()
    def run(self, layer: int, hidden: Tensor, angles: Angles) -> Tensor:
        """What a layer makes of its input (S, d), as the model itself runs it."""
        sliding = self._window(layer) is not None
        make_mask = create_sliding_window_causal_mask if sliding else create_causal_mask
        # Without position ids: masks and kernels would take gaps in them for the ends of packed texts.
        mask = make_mask(self._language.config, hidden[None], attention_mask=None, past_key_values=None)
        made = self._language.layers[layer](
            hidden[None], attention_mask=mask, position_ids=None, position_embeddings=angles, use_cache=False
        )
        found: Tensor = made[0]
        return found

    @torch.inference_mode()
    def rows(self, layer: int, hidden: Tensor, angles: Angles, queries: Tensor) -> Tensor:
        """(heads, queries, S) float32: rows of a layer's attention over its input; each sums to 1.

        Raises:
            UsageError: There is no such place in the sequence.
        """
        return torch.cat([part.to(hidden.device) for part in self._chunks(layer, hidden, angles, queries)], dim=1)

    @torch.inference_mode()
    def received(self, layer: int, hidden: Tensor, angles: Angles, queries: Tensor) -> Tensor:
        """(S,) float32: what each token receives, the mean over heads and these queries; some rows at a time.

        Raises:
            UsageError: There is no such place in the sequence.
        """
        total = torch.zeros(len(hidden), device=hidden.device)
        for part in self._chunks(layer, hidden, angles, queries):
            total += part.mean(dim=0).sum(dim=0).to(hidden.device)
        return total / len(queries)

    @torch.inference_mode()
    def values(self, layer: int, hidden: Tensor) -> Tensor:
        """(key-value heads, S, head width) float32: the value vectors of a layer's attention."""
        module = self._language.layers[layer]
        projection = module.self_attn.v_proj
        normed = module.input_layernorm(hidden.to(projection.weight.device))
        return float_heads(projection, normed, module.self_attn.head_dim).transpose(0, 1).to(hidden.device)

    @torch.inference_mode()
    def keys(self, layer: int, hidden: Tensor, angles: Angles) -> Tensor:
        """(S, key-value heads, head width) float32: the rotated keys of a layer's attention."""
        module = self._language.layers[layer]
        normed = module.input_layernorm(hidden.to(module.self_attn.k_proj.weight.device))
        return _keys(module.self_attn, normed, angles).to(hidden.device)

    def flops(self, tokens: int) -> float:
        """Operations of one layer over a sequence."""
        count = prefill_flops(self.shape, tokens)
        return (count["linear"] + count["attention"]) / self.shape.decoder.layers

    def row_flops(self, queries: int, tokens: int) -> float:
        """Operations of computing rows again: keys of all tokens, some queries, and their products."""
        d = self.shape.decoder
        return 2.0 * (
            tokens * d.width * d.kv_width + queries * d.width * d.query_width + queries * tokens * d.query_width
        )

    def _window(self, layer: int) -> int | None:
        """How far back a layer sees; None for all the way."""
        config = self._language.config
        kinds = getattr(config, "layer_types", None)
        if kinds is not None and kinds[layer] != "sliding_attention":
            return None
        found: int | None = getattr(config, "sliding_window", None)
        return found

    def _chunks(self, layer: int, hidden: Tensor, angles: Angles, queries: Tensor) -> Iterator[Tensor]:
        module = self._language.layers[layer]
        attention, window = module.self_attn, self._window(layer)
        device = attention.q_proj.weight.device
        queries, length = queries.to(device), len(hidden)
        if not len(queries) or int(queries.min()) < 0 or int(queries.max()) >= length:
            raise UsageError(f"queries must be at least one place in a sequence of {length}, got {queries.tolist()}")
        normed = module.input_layernorm(hidden.to(device))
        cos, sin = _per_head(angles, device)
        key = _keys(attention, normed, angles)
        places = torch.arange(length, device=device)
        # All at once: projecting a few queries at a time would turn the whole weight into float32 each time.
        query = float_heads(attention.q_proj, normed[queries], attention.head_dim)
        query = attention.q_norm(query) if hasattr(attention, "q_norm") else query
        # Queries of one group share a key head.
        grouped = torch.unflatten(_rotated(query, cos[queries], sin[queries]), 1, (key.shape[1], -1))
        size = chunk_length(3 * 4 * grouped.shape[1] * grouped.shape[2] * length, device)
        for some, part in zip(torch.split(queries, size), torch.split(grouped, size), strict=True):
            logits = torch.einsum("rgqd,sgd->gqrs", part, key).flatten(0, 1) * attention.scaling
            hides = places > some[:, None]
            if window is not None:
                hides |= places <= some[:, None] - window
            yield logits.masked_fill(hides, -torch.inf).softmax(dim=-1)


def _keys(attention: Any, normed: Tensor, angles: Angles) -> Tensor:
    key = float_heads(attention.k_proj, normed, attention.head_dim)
    # Qwen3 norms what it compares.
    return _rotated(attention.k_norm(key) if hasattr(attention, "k_norm") else key, *_per_head(angles, key.device))


def _per_head(angles: Angles, device: torch.device) -> Angles:
    cos, sin = (angle[0, :, None].to(device).float() for angle in angles)
    return cos, sin


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding: the first half of a head's features paired with the second."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-second, first], dim=-1) * sin
