"""A decoder run layer by layer with eager attention, dropping tokens by hand: the plain way, to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from training.vlm import GRID, VisionLanguageModel
from training.vlm.decoder import Decoder


class Layerwise:
    """Hidden states (1, S, d) of a prompt in a second copy of a model with eager attention, and where each came from.

    `origin` says of each place which token of the whole prompt stands there, -1 for one that was put in; `weights`
    (heads, S, S) are those of the layer that ran last.
    """

    def __init__(self, reference: VisionLanguageModel, decoder: Decoder) -> None:
        self.text = reference.inner.language_model
        seen: dict[str, Any] = {}

        def catch(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
            seen.update(kwargs)

        handle = self.text.register_forward_pre_hook(catch, with_kwargs=True)
        reference.logits(decoder.sequence, decoder.visual)
        handle.remove()
        self.hidden = seen["inputs_embeds"]
        self.positions = decoder.sequence.positions
        self.origin = list(range(len(decoder.sequence)))
        self.weights = torch.zeros(0)

    def rotation(self) -> tuple[Tensor, Tensor]:
        rows = self.positions if len(self.positions) == 1 else self.positions[:, None]
        found: tuple[Tensor, Tensor] = self.text.rotary_emb(self.hidden, rows)
        return found

    def mask(self) -> Tensor:
        """(1, 1, S, S): 0 where a token may look, the least number elsewhere."""
        length = self.hidden.shape[1]
        return torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]

    def attention(self, number: int) -> Tensor:
        """(heads, S, S) of a layer over what is there now, without running it."""
        layer = self.text.layers[number]
        with torch.no_grad():
            _, weights = layer.self_attn(
                hidden_states=layer.input_layernorm(self.hidden),
                position_embeddings=self.rotation(),
                attention_mask=self.mask(),
            )
        return weights[0]

    def run(self, number: int) -> None:
        layer = self.text.layers[number]

        def catch(_: Any, __: Any, made: tuple[Tensor, Tensor]) -> None:
            self.weights = made[1][0]

        handle = layer.self_attn.register_forward_hook(catch)
        with torch.no_grad():
            self.hidden = layer(self.hidden, attention_mask=self.mask(), position_embeddings=self.rotation())
        handle.remove()

    def take(self, places: Sequence[int], *, renumbered: bool) -> None:
        self.hidden = self.hidden.index_select(1, torch.tensor(places))
        self.origin = [self.origin[place] for place in places]
        self.positions = self.positions.index_select(1, torch.tensor(places))
        if renumbered:
            self.positions = torch.arange(len(places))[None]


def grid_places(decoder: Decoder, layouts: Sequence[Any], image_token: int) -> list[int]:
    """Where the grid's tokens stand in the whole prompt, counted one by one."""
    roles = [role for layout in layouts for role in layout.role.tolist()]
    slots = [place for place, token in enumerate(decoder.sequence.ids.tolist()) if token == image_token]
    return [slot for slot, role in zip(slots, roles, strict=True) if role == GRID]


def best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the largest scores, in ascending order."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    return sorted(order[:count])
