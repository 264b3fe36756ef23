"""Eager attention, whose weights recomputed ones are compared with; and how large tensors get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.vlm import VisionLanguageModel, open_model


def eager(folder: Path) -> VisionLanguageModel:
    """A second copy of the same model, whose attention gives its weights."""
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    model.weights.set_attn_implementation("eager")
    return model


class Attention(NamedTuple):
    """One call of eager attention: query and key (batch, heads, n, d), and weights (batch, heads, n, n)."""

    query: Tensor
    key: Tensor
    weights: Tensor


@contextmanager
def recorded(module: Any) -> Iterator[list[Attention]]:
    """Every eager attention of a transformers model's module while inside, whatever the model makes of it."""
    own, calls = module.eager_attention_forward, []

    def forward(attention: Any, query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Any:
        out = own(attention, query, key, *args, **kwargs)
        calls.append(Attention(query, key, out[1]))
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "eager_attention_forward", forward)
        yield calls


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes while inside."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out
