"""What goes into an attention module, watched by a hook, and its projections in float32.

A model keeps its fused attention, which returns no weights (`output_attentions=True` then gives an empty tuple). The
few that are wanted are computed again from a module's input: of the vision tower by `training.vlm.vision_pass`, of the
language model by `training.vlm.layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Seen = TypeVar("Seen")
Read = Callable[[Any, Tensor, Mapping[str, Any]], Seen]
"""Attention module, its hidden states and its keyword arguments to what is wanted of it."""


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


def float_heads(projection: nn.Linear, hidden: Tensor, width: int) -> Tensor:
    """(..., heads, width): a projection computed in float32."""
    bias = None if projection.bias is None else projection.bias.float()
    return torch.unflatten(functional.linear(hidden.float(), projection.weight.float(), bias), -1, (-1, width))
