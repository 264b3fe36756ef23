"""Rows of the decoder's attention on request, and how attention is watched.

    rows = decoder_attention(model, sequence, visual, layers=[1], queries=[-1])    # (1, heads, 1, S)

The model keeps its fused attention, which returns no weights (`output_attentions=True` then gives an empty tuple).
What goes into an attention module is caught by a hook, and the few rows that are wanted are computed again from it, in
float32: attention weights in bfloat16 are too coarse for Qwen2. No map of all tokens by all tokens is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pinpoint_data.errors import UsageError
from training.vlm.layout import PromptSequence, VisualTokens
from training.vlm.model import VisionLanguageModel

Seen = TypeVar("Seen")
Read = Callable[[Any, Tensor, Mapping[str, Any]], Seen]
"""Attention module, its hidden states and its keyword arguments to what is wanted of it."""


@torch.inference_mode()
def decoder_attention(
    model: VisionLanguageModel,
    sequence: PromptSequence,
    visual: VisualTokens,
    layers: Sequence[int],
    queries: Sequence[int],
) -> Tensor:
    """Rows of the decoder's attention over a prompt, before anything is generated.

    The decoder runs no further than the last layer asked for. Beside it, memory for layers * heads * queries * S
    numbers is needed.

    Args:
        model: Opened with its language model.
        sequence: The prompt.
        visual: Its visual tokens.
        layers: Decoder layers from 0, negative from the end.
        queries: Positions in the sequence whose attention is wanted, from 0, negative from the end.

    Returns:
        (layers, heads, queries, S) float32 on the CPU; each row sums to 1, and is 0 after its own position.

    Raises:
        UsageError: There is no such layer or position, or none is asked for.
        TrainingError: As `model.logits`.
    """
    inputs = model.decoder_inputs(sequence, visual)
    decoder = model.inner.language_model
    chosen = [_index("decoder layer", layer, len(decoder.layers)) for layer in layers]
    rows = [_index("position", query, len(sequence)) for query in queries]
    if not chosen or not rows:
        raise UsageError("ask for at least one decoder layer and one position")
    found: dict[int, Tensor] = {}
    with ExitStack() as stack:
        for number in set(chosen):
            keep = partial(found.__setitem__, number)
            stack.enter_context(watching(decoder.layers[number].self_attn, partial(_query_rows, rows), keep))
        stack.enter_context(_only_first(decoder, max(chosen) + 1))
        model.inner(**inputs, use_cache=False)
    # Each on the CPU: with a device map the layers need not be on one device.
    return torch.stack([found[number].cpu() for number in chosen])


@contextmanager
def watching(module: nn.Module, read: Read[Seen], keep: Callable[[Seen], None]) -> Iterator[None]:
    """While inside: at each pass through an attention module, what `read` makes of its input goes to `keep`."""

    def catch(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(read(attention, args[0] if args else kwargs["hidden_states"], kwargs))

    handle = module.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _only_first(decoder: Any, count: int) -> Iterator[None]:
    """While inside: the decoder has `count` layers."""
    layers = decoder.layers
    decoder.layers = layers[:count]
    try:
        yield
    finally:
        decoder.layers = layers


def _index(what: str, number: int, count: int) -> int:
    if not -count <= number < count:
        raise UsageError(f"there is no {what} {number}; there are {count}")
    return number % count


def _query_rows(rows: list[int], attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Tensor:
    """(heads, rows, S): softmax of some queries' logits over what they may see, for hidden states (1, S, width)."""
    query = float_heads(attention.q_proj, hidden[0, rows], attention.head_dim)
    key = float_heads(attention.k_proj, hidden[0], attention.head_dim)
    if hasattr(attention, "q_norm"):  # Qwen3
        query, key = attention.q_norm(query), attention.k_norm(key)
    # Multimodal positions are folded into the angles: rotating by them is the same for all models.
    cos, sin = (angle[0, :, None].float() for angle in kwargs["position_embeddings"])
    query = _rotated(query, cos[rows], sin[rows])
    key = _rotated(key, cos, sin)
    # Queries of one group share a key head.
    grouped = torch.unflatten(query, 1, (key.shape[1], -1))
    logits: Tensor = torch.einsum("rgqd,sgd->gqrs", grouped, key).flatten(0, 1) * attention.scaling
    mask = kwargs["attention_mask"]
    if mask is None:
        places = torch.arange(len(key), device=key.device)
        seen = places <= places[rows, None]
    else:
        seen = mask[0, :, rows]
    return logits.masked_fill(~seen, -torch.inf).softmax(dim=-1)


def float_heads(projection: nn.Linear, hidden: Tensor, width: int) -> Tensor:
    """(..., heads, width): a projection computed in float32."""
    bias = None if projection.bias is None else projection.bias.float()
    return torch.unflatten(functional.linear(hidden.float(), projection.weight.float(), bias), -1, (-1, width))


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding: the first half of a head's features paired with the second."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-second, first], dim=-1) * sin
