"""What token selectors ask of a vision tower, from one pass of it.

    visual, signals = encode_with_signals(model, [image], [layout])[0]     # signals.saliency (n,), signals.keys (n, d)

The tower keeps its fused attention. What goes into two or three of its attention modules is caught by hooks, and what
is wanted of each is computed again from it in float32, some queries at a time: memory grows with the tokens, never with
their square. That takes 2 % of the operations of CLIP's tower. Of Qwen's, two of 32 blocks multiply queries and keys
once more, which nears 3 % where attention is all that counts, but in float32. For the largest page there is, 16,384
tokens or 65,536 patches, that is 22 TFLOP beside 780, and 2.2 TB of products written and read: on a data centre's GPU
about a second by its bandwidth, less than the tower itself takes; on one CPU core 20 minutes for each of the two
blocks, where the tower takes hours. A page of 1,650 tokens takes a hundredth of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import get_vision_window_index

from training.aligner.chunking import chunk_length
from training.vlm.attention import float_heads, watching
from training.vlm.layout import GLOBAL, ImageLayout, VisualTokens
from training.vlm.llava_next import LlavaNext
from training.vlm.model import VisionLanguageModel
from training.vlm.qwen_vl import QwenVl

SHALLOW_BLOCK = 5 / 24
"""Where the shallow block is, as a share of the tower: index 5 of CLIP-L's 24, 7 of Qwen's 32, 6 of Qwen3-VL's 27."""
HUB_THRESHOLDS = (28.68, 34.76, 39.26)
"""How many times the mean a patch must receive to be a hub: the settings that VFlowOpt has released."""
HUB_SHARE = 0.01
"""The patches that receive most are hubs instead, where none passes the threshold."""
_LEAST_QUERIES = 64


@dataclass(frozen=True, eq=False)
class VisionSignals:
    """Signals of the n grid tokens of a page in raster order, or of several pages end to end. All float32.

    Attention is in even shares: softmax times the number of its keys, so that 1 is what a key gets where all get the
    same. Papers have images of one size and compare it as it is; here pages of all sizes compete for one budget, and
    the tokens of a smaller one would receive more for no other reason than that they are few. Within a page, or among
    tiles, it changes nothing.

    LLaVA-NeXT: every tile attends to itself alone, so that all tiles' queries give the same in sum; the view of the
    whole page is in `overview` alone. The block is the one whose output the projector reads (index 22 of 24). Softmax
    runs over the tile's patches and the class token, whose column is dropped. Qwen-VL: the block is the last, in which
    every patch of a page attends to every other. Its towers have no class token, and four patches make a token: signals
    are their means.

    Attributes:
        saliency: (n,) what the class token gives, mean over heads. Qwen: as `received`.
        overview: (n,) what the class token of the view of the whole page gives to the patch of that view in which the
            middle of this token lies. As `saliency` where there is no such view beside the grid.
        received: (n,) mean over heads and all patches of what they give to this one.
        context: (n, 4) the same, over hubs alone: patches that receive more than `HUB_THRESHOLDS` times the mean, or
            the `HUB_SHARE` that receives most where there is none; in the last column always those.
        logits_received: (n,) mean over heads and all patches of their scaled products with this one, before softmax.
        logits_given: (n,) the same of this one's products with all patches.
        keys: (n, d_k) mean over heads; Qwen's are rotated.
        shallow: (n,) saliency in a shallow block, `SHALLOW_BLOCK`. Where a block of Qwen2.5-VL attends inside windows,
            the patches that give are those of the window. In the published ones it is
            a block in which all attend to all.
        single: (n,) what the class token gives in the last block if all heads are taken for one as wide as the tower.
            Qwen: as `received`.
        last_keys: (n, w) keys of the last block, heads end to end; Qwen's are rotated.
        tile: (n,) int64: the tile of the page that a token is of, in reading order; pages are numbered on.
        patches: (n, w) LLaVA-NeXT: what the projector reads. None for others.
    """

    saliency: Tensor
    overview: Tensor
    received: Tensor
    context: Tensor
    logits_received: Tensor
    logits_given: Tensor
    keys: Tensor
    shallow: Tensor
    single: Tensor
    last_keys: Tensor
    tile: Tensor
    patches: Tensor | None = None

    def __len__(self) -> int:
        return len(self.saliency)

    @staticmethod
    def cat(parts: Sequence[VisionSignals]) -> VisionSignals:
        """The signals of several pages, one behind the other; at least one part."""
        firsts = accumulate((int(part.tile.max()) + 1 for part in parts), initial=0)
        tile = torch.cat([part.tile + first for part, first in zip(parts, firsts, strict=False)])
        names = [field.name for field in fields(VisionSignals) if getattr(parts[0], field.name) is not None]
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return VisionSignals(**joined | {"tile": tile})


Caught = dict[str, Tensor]
"""Fields of `VisionSignals` by name, of tiles (tiles, patches, k) or of tokens (tokens, k)."""


@torch.inference_mode()
def encode_with_signals(
    model: VisionLanguageModel, images: Sequence[Image.Image], layouts: Sequence[ImageLayout]
) -> list[tuple[VisualTokens, VisionSignals]]:
    """Encode images, and watch the vision tower meanwhile.

    Args:
        model: Its language model is not needed.
        images: RGB.
        layouts: What each becomes.

    Returns:
        For each image what `model.encode` gives, and the signals of its grid's tokens.

    Raises:
        TrainingError: As `model.encode`.
    """
    if isinstance(model, LlavaNext):
        tower: _ClipTower | _QwenTower = _ClipTower(model)
    else:
        assert isinstance(model, QwenVl)
        tower = _QwenTower(model)
    caught: dict[str, list[Tensor]] = {}

    def keep(found: Caught) -> None:
        for name, values in found.items():
            caught.setdefault(name, []).append(values)

    with ExitStack() as stack:
        for hook in tower.hooks(keep):
            stack.enter_context(hook)
        visual = model.encode(images, layouts)
    lengths = [tower.length(layout) for layout in layouts]
    parts = {name: torch.split(torch.cat(values), lengths) for name, values in caught.items()}
    return [
        (tokens, tower.signals({name: values[number] for name, values in parts.items()}, layout))
        for number, (tokens, layout) in enumerate(zip(visual, layouts, strict=True))
    ]


class _ClipTower:
    """The tiles of LLaVA-NeXT, each with its class token in front of its patches."""

    def __init__(self, model: LlavaNext) -> None:
        self.model = model
        self.layers = model.inner.vision_tower.encoder.layers
        features = model.config.vision_feature_layer
        # Of L + 1 hidden states the first are the embeddings: number i is what layer i - 1 gives.
        self.block = (features if isinstance(features, int) else features[-1]) % (len(self.layers) + 1) - 1

    def hooks(self, keep: Callable[[Caught], None]) -> Iterator[AbstractContextManager[None]]:
        """What to enter while images are encoded."""
        yield watching(self.layers[_shallow(len(self.layers))].self_attn, self._shallow, keep)
        yield watching(self.layers[self.block].self_attn, self._block, keep)
        yield watching(self.layers[-1].self_attn, self._last, keep)
        yield _output(self.layers[self.block], lambda hidden: keep({"patches": hidden[:, 1:].float()}))

    @staticmethod
    def _shallow(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Caught:
        tiles = [relative_attention(query[:, :1], key)[1:] for query, key in _clip_heads(attention, hidden)]
        return {"shallow": torch.stack(tiles)[..., None]}

    @staticmethod
    def _block(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Caught:
        tiles = []
        for query, key in _clip_heads(attention, hidden):
            found = _between(query[:, 1:], key, first=1)
            tiles.append({"saliency": relative_attention(query[:, :1], key)[1:, None]} | found)
        return {name: torch.stack([tile[name] for tile in tiles]) for name in tiles[0]}

    @staticmethod
    def _last(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Caught:
        width = attention.embed_dim
        single, keys = [], []
        for tile in hidden:
            query = float_heads(attention.q_proj, tile[:1], width).transpose(0, 1)
            key = float_heads(attention.k_proj, tile, width).transpose(0, 1)
            single.append(relative_attention(query * width**-0.5, key)[1:])
            keys.append(key[0, 1:])
        return {"single": torch.stack(single)[..., None], "last_keys": torch.stack(keys)}

    def length(self, layout: ImageLayout) -> int:
        """Tiles of an image."""
        (height, width), tile = layout.canvas, self.model.tile
        return (height // tile) * (width // tile) + bool((layout.role == GLOBAL).any())

    def signals(self, tiles: Caught, layout: ImageLayout) -> VisionSignals:
        """Of the grid's tokens, in raster order."""
        count, patches = tiles["saliency"].shape[:2]
        number = torch.arange(float(count), device=tiles["saliency"].device).view(-1, 1, 1).expand(-1, patches, 1)
        packed = {name: self._packed(values, layout) for name, values in (tiles | {"tile": number}).items()}
        tile = packed.pop("tile")[:, 0].long()
        packed["overview"] = packed["saliency"]
        if (layout.role == GLOBAL).any():
            packed["overview"] = tiles["saliency"][0, self._places_in_view(layout).to(tile.device)]
        return _signals(packed, tile - tile.min())

    def _places_in_view(self, layout: ImageLayout) -> Tensor:
        """(n,) int64: the patch of the view of the whole page, row by row, in which each grid token's middle lies."""
        x0, y0, x1, y1 = layout.grid.token_xyxy().T
        side = self.model.side
        col = ((x0 + x1) / 2 * side / layout.width).astype(np.int64).clip(0, side - 1)
        row = ((y0 + y1) / 2 * side / layout.height).astype(np.int64).clip(0, side - 1)
        return torch.from_numpy(row * side + col)

    def _packed(self, values: Tensor, layout: ImageLayout) -> Tensor:
        packed = self.model.pack(values, layout, newline=values.new_zeros(values.shape[-1]))
        return packed[layout.on_grid.to(packed.device)]


class _QwenTower:
    """The patches of Qwen-VL, in blocks of those that are merged into a token."""

    def __init__(self, model: QwenVl) -> None:
        self.model = model
        self.visual = model.inner.visual

    def hooks(self, keep: Callable[[Caught], None]) -> Iterator[AbstractContextManager[None]]:
        """What to enter while images are encoded."""
        blocks = self.visual.blocks
        yield watching(blocks[_shallow(len(blocks))].attn, self._shallow, keep)
        yield watching(blocks[-1].attn, self._block, keep)

    def _shallow(self, attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Caught:
        segments = _qwen_heads(attention, hidden, kwargs)
        received = torch.cat([relative_attention(query, key) for query, key in segments])
        return self._merged({"shallow": received[:, None]})

    def _block(self, attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Caught:
        images = []
        for query, key in _qwen_heads(attention, hidden, kwargs):
            images.append(self._merged(_between(query, key) | {"last_keys": key.transpose(0, 1).flatten(1)}))
        return {name: torch.cat([image[name] for image in images]) for name in images[0]}

    def _merged(self, patches: Caught) -> Caught:
        """Means over the patches of each token."""
        return {name: torch.unflatten(v, 0, (-1, self.model.merge**2)).mean(dim=1) for name, v in patches.items()}

    def length(self, layout: ImageLayout) -> int:
        """Tokens of an image."""
        return layout.n_tokens

    def signals(self, tokens: Caught, layout: ImageLayout) -> VisionSignals:
        """Of the grid's tokens, in raster order."""
        device = tokens["received"].device
        if self.model.family == "qwen2.5-vl":
            # Its blocks see the tokens window by window, all of them.
            merge = self.model.merge
            thw = torch.tensor([[1, layout.grid.rows * merge, layout.grid.cols * merge]])
            order, _ = get_vision_window_index(thw, merge, self.visual.window_size, self.visual.patch_size)
            back = order.argsort().to(device)
            tokens = {name: values[back] for name, values in tokens.items()}
        received = dict.fromkeys(("saliency", "overview", "single"), tokens["received"])
        return _signals(tokens | received, torch.zeros(layout.grid.n_tokens, dtype=torch.int64, device=device))


def _signals(found: Caught, tile: Tensor) -> VisionSignals:
    """Signals of one page from its tokens' (n, k); what there is one number of becomes (n,)."""
    wide = ("context", "keys", "last_keys", "patches")
    return VisionSignals(**{name: v if name in wide else v[:, 0] for name, v in found.items()}, tile=tile)


def relative_attention(query: Tensor, key: Tensor) -> Tensor:
    """What some queries give to each key, in even shares: (n,) the mean over heads and queries of n softmax(q k^T).

    Args:
        query: (heads, m, d) scaled, m at least 1; some queries of some heads are taken at a time.
        key: (heads, n, d).
    """
    heads, count, _ = query.shape
    row_bytes = 2 * key.itemsize * key.shape[1]
    # Fewer queries at a time than this, and reading the keys takes longer than multiplying: rather fewer heads.
    together = chunk_length(row_bytes * _LEAST_QUERIES, key.device)
    size = chunk_length(row_bytes * min(together, heads), key.device, least=_LEAST_QUERIES)
    total = key.new_zeros(key.shape[1])
    for some_heads, keys in zip(torch.split(query, together), torch.split(key, together), strict=True):
        for some in torch.split(some_heads, size, dim=1):
            total += (some @ keys.transpose(1, 2)).softmax(dim=-1).sum(dim=(0, 1))
    return total * (key.shape[1] / (heads * count))


def _between(query: Tensor, key: Tensor, first: int = 0) -> Caught:
    """What patches give each other.

    Args:
        query: (heads, n, d) of the patches, scaled.
        key: (heads, first + n, d).
        first: So many keys in front are no patches: they take part in softmax alone.
    """
    received = relative_attention(query, key)[first:]
    ranked = received.argsort(descending=True)
    top = math.ceil(HUB_SHARE * len(ranked))
    least = received.new_tensor(HUB_THRESHOLDS) * received.mean()
    hubs = [count or top for count in (received > least[:, None]).sum(dim=1).tolist()] + [top]
    given = {count: relative_attention(query[:, ranked[:count]], key)[first:] for count in set(hubs)}
    own = key[:, first:]
    return {
        "received": received[:, None],
        "context": torch.stack([given[count] for count in hubs], dim=1),
        # A mean over one side of a product is a product with the mean.
        "logits_received": torch.einsum("hd,hnd->n", query.mean(dim=1), own)[:, None] / len(key),
        "logits_given": torch.einsum("hnd,hd->n", query, own.mean(dim=1))[:, None] / len(key),
        "keys": own.mean(dim=0),
    }


def _clip_heads(attention: Any, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Scaled queries and keys (heads, 1 + patches, d) of each tile, for hidden states (tiles, 1 + patches, width)."""
    for tile in hidden:
        query, key = (float_heads(side, tile, attention.head_dim) for side in (attention.q_proj, attention.k_proj))
        yield query.transpose(0, 1) * attention.scale, key.transpose(0, 1)


def _qwen_heads(attention: Any, hidden: Tensor, kwargs: Mapping[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Scaled queries and keys (heads, n, d) of each segment that attends to itself, for hidden states (patches, w)."""
    width = 2 * attention.dim  # queries and keys; the values come last
    both = functional.linear(hidden.float(), attention.qkv.weight[:width].float(), attention.qkv.bias[:width].float())
    query, key = both.view(len(hidden), 2, attention.num_heads, -1).unbind(dim=1)
    query, key = apply_rotary_pos_emb_vision(query, key, *kwargs["position_embeddings"])
    lengths = kwargs["cu_seqlens"].diff().tolist()
    for own_query, own_key in zip(torch.split(query, lengths), torch.split(key, lengths), strict=True):
        yield own_query.transpose(0, 1) * attention.scaling, own_key.transpose(0, 1)


def _shallow(blocks: int) -> int:
    return round(SHALLOW_BLOCK * blocks)


@contextmanager
def _output(module: nn.Module, keep: Callable[[Tensor], None]) -> Iterator[None]:
    """While inside: what a module gives goes to `keep`."""
    handle = module.register_forward_hook(lambda _, args, output: keep(output))
    try:
        yield
    finally:
        handle.remove()
