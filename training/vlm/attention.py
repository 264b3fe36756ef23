"""Attention on request: what the vision tower attends to, and rows of the decoder's attention.

    seen = encode_with_saliency(model, [image], [layout])[0]     # seen.visual, seen.saliency (n,)
    rows = decoder_attention(model, sequence, seen.visual, layers=[1], queries=[-1])    # (1, heads, 1, S)

The model keeps its fused attention, which returns no weights (`output_attentions=True` then gives an empty tuple).
What goes into an attention module is caught by a hook, and the few rows that are wanted are computed again from it, in
float32: attention weights in bfloat16 are too coarse for Qwen2. No map of all tokens by all tokens is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import get_vision_window_index

from pinpoint_data.errors import UsageError
from training.aligner.chunking import chunk_length
from training.vlm.layout import GLOBAL, ImageLayout, PromptSequence, VisualTokens
from training.vlm.llava_next import LlavaNext
from training.vlm.model import VisionLanguageModel
from training.vlm.qwen_vl import QwenVl

Row = Callable[[Any, Tensor, Mapping[str, Any]], Tensor]
"""Attention module, its hidden states and its keyword arguments to the attention that is wanted of it."""


@dataclass(frozen=True, eq=False)
class SalientTokens:
    """An image's visual tokens with the attention that each receives in the vision tower.

    Attributes:
        visual: The same that `model.encode` gives.
        saliency: (n,) float32 on the CPU, in the same order; NaN where a token is no part of the image (newlines).
    """

    visual: VisualTokens
    saliency: Tensor


@torch.inference_mode()
def encode_with_saliency(
    model: VisionLanguageModel,
    images: Sequence[Image.Image],
    layouts: Sequence[ImageLayout],
    *,
    block: int | None = None,
) -> list[SalientTokens]:
    """Encode images, and rate each token by the attention it receives, averaged over the tower's heads.

    LLaVA-NeXT: the attention of the class token, in each tile by itself (576 patches and the class token sum to 1).
    Qwen-VL, which has no class token: the mean over all queries of the image, averaged over the patches that were
    merged into a token (the tokens of an image sum to 1 / merge ** 2). In a block of Qwen2.5-VL with windowed attention
    the queries are those of the patch's window.

    Args:
        model: Its language model is not needed.
        images: RGB.
        layouts: What each becomes.
        block: Of the tower, negative from its end. By default the one whose output the projector reads (the last but
            one of CLIP), or the last of Qwen's, in which every patch of an image attends to every other.

    Raises:
        UsageError: The tower has no such block.
        TrainingError: As `model.encode`.
    """
    tower = _tower(model, block)
    caught: list[Tensor] = []
    with _watching(tower.attention, tower.row, caught.append):
        visual = model.encode(images, layouts)
    parts = torch.split(torch.cat(caught), [tower.length(layout) for layout in layouts]) if caught else ()
    return [
        SalientTokens(tokens, tower.saliency(part, layout))
        for tokens, part, layout in zip(visual, parts, layouts, strict=True)
    ]


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
            stack.enter_context(_watching(decoder.layers[number].self_attn, partial(_query_rows, rows), keep))
        stack.enter_context(_only_first(decoder, max(chosen) + 1))
        model.inner(**inputs, use_cache=False)
    return torch.stack([found[number] for number in chosen])


@contextmanager
def _watching(module: nn.Module, row: Row, keep: Callable[[Tensor], None]) -> Iterator[None]:
    """While inside: at each pass through an attention module, what `row` makes of its input goes to `keep`."""

    def catch(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(row(attention, args[0] if args else kwargs["hidden_states"], kwargs).cpu())

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


def _tower(model: VisionLanguageModel, block: int | None) -> _ClipTower | _QwenTower:
    if isinstance(model, LlavaNext):
        return _ClipTower(model, block)
    assert isinstance(model, QwenVl)
    return _QwenTower(model, block)


class _ClipTower:
    """What each patch of a tile receives from the tile's class token."""

    def __init__(self, model: LlavaNext, block: int | None) -> None:
        self.model = model
        layers = model.inner.vision_tower.encoder.layers
        if block is None:
            features = model.config.vision_feature_layer
            # Of L + 1 hidden states the first are the embeddings: number i is what layer i - 1 gives.
            block = (features if isinstance(features, int) else features[-1]) % (len(layers) + 1) - 1
        self.attention: nn.Module = layers[_index("block of the vision tower", block, len(layers))].self_attn

    @staticmethod
    def row(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Tensor:
        """(tiles, patches) of hidden states (tiles, 1 + patches, width)."""
        query = _heads(attention.q_proj, hidden[:, :1], attention.head_dim)
        key = _heads(attention.k_proj, hidden, attention.head_dim)
        logits: Tensor = torch.einsum("tqhd,tkhd->thk", query, key) * attention.scale
        return logits.softmax(dim=-1).mean(dim=1)[:, 1:]

    def length(self, layout: ImageLayout) -> int:
        """Tiles of an image."""
        (height, width), tile = layout.canvas, self.model.tile
        return (height // tile) * (width // tile) + bool((layout.role == GLOBAL).any())

    def saliency(self, tiles: Tensor, layout: ImageLayout) -> Tensor:
        """(n,) in the language model's order."""
        packed: Tensor = self.model.pack(tiles[..., None], layout, newline=torch.tensor([torch.nan]))
        return packed[:, 0]


class _QwenTower:
    """What each patch receives from all patches that attend to it."""

    def __init__(self, model: QwenVl, block: int | None) -> None:
        self.model = model
        self.visual = model.inner.visual
        blocks = self.visual.blocks
        number = _index("block of the vision tower", -1 if block is None else block, len(blocks))
        self.attention: nn.Module = blocks[number].attn

    @staticmethod
    def row(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Tensor:
        """(patches,) of hidden states (patches, width): of each column the mean over its segment's queries."""
        width = 2 * attention.dim  # queries and keys; the values come last
        both = functional.linear(
            hidden.float(), attention.qkv.weight[:width].float(), attention.qkv.bias[:width].float()
        )
        query, key = both.view(len(hidden), 2, attention.num_heads, -1).unbind(dim=1)
        query, key = apply_rotary_pos_emb_vision(query, key, *kwargs["position_embeddings"])
        lengths = kwargs["cu_seqlens"].diff().tolist()
        return torch.cat(
            [
                _column_mean(q.transpose(0, 1) * attention.scaling, k.transpose(0, 1))
                for q, k in zip(torch.split(query, lengths), torch.split(key, lengths), strict=True)
            ]
        )

    def length(self, layout: ImageLayout) -> int:
        """Patches of an image."""
        return layout.n_tokens * self.model.merge**2

    def saliency(self, patches: Tensor, layout: ImageLayout) -> Tensor:
        """(n,) in raster order."""
        merge = self.model.merge
        merged = patches.view(-1, merge**2).mean(dim=1)
        if self.model.family != "qwen2.5-vl":
            return merged
        # Its blocks see the tokens window by window, all of them.
        thw = torch.tensor([[1, layout.grid.rows * merge, layout.grid.cols * merge]])
        order, _ = get_vision_window_index(thw, merge, self.visual.window_size, self.visual.patch_size)
        return merged[order.argsort()]


def _column_mean(query: Tensor, key: Tensor) -> Tensor:
    """(n,) mean over heads and queries of softmax(query key^T), both (heads, n, d), some queries at a time."""
    heads, count, _ = query.shape
    total = query.new_zeros(count)
    for some in torch.split(query, chunk_length(2 * query.itemsize * heads * count, query.device), dim=1):
        total += (some @ key.transpose(1, 2)).softmax(dim=-1).sum(dim=(0, 1))
    return total / (heads * count)


def _query_rows(rows: list[int], attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Tensor:
    """(heads, rows, S): softmax of some queries' logits over what they may see, for hidden states (1, S, width)."""
    query = _heads(attention.q_proj, hidden[0, rows], attention.head_dim)
    key = _heads(attention.k_proj, hidden[0], attention.head_dim)
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


def _heads(projection: nn.Linear, hidden: Tensor, width: int) -> Tensor:
    """(..., heads, width): a projection computed in float32."""
    bias = None if projection.bias is None else projection.bias.float()
    return torch.unflatten(functional.linear(hidden.float(), projection.weight.float(), bias), -1, (-1, width))


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding: the first half of a head's features paired with the second."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-second, first], dim=-1) * sin
