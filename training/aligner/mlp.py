"""The aligner's MLPs: how they start, and forward and backward passes that keep little memory.

Plain autograd would keep the tokens in the precision computed in, the inner layer before and after the GELU, and make
gradients of the same sizes. Here the tokens stay as they came, the inner layer is kept once, and the rest is made a
few rows at a time. Precision is chosen by explicit casts, not by autocast: autocast's cache of cast weights is wrong
where a pass without gradients comes before one with them, as in gradient accumulation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pinpoint_data.errors import TrainingError
from training.aligner.chunking import chunk_length

_LEAST_ROWS = 1024
"""Fewer rows at a time would read the weights more often than the tokens."""

_LEAST_NORM = 1e-12


class Mlp(nn.Module):
    """Two linear layers with a GELU between, which start as one random linear projection.

    Inner units come in pairs of opposite sign, and gelu(z) - gelu(-z) = z: at the start the GELUs cancel, so that
    products of inputs, and with them similarities, survive the projection (Johnson-Lindenstrauss). Entries of outputs
    are of unit size where those of the input are.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int, generator: torch.Generator) -> None:
        super().__init__()
        if hidden % 2:
            raise TrainingError(f"the inner width must be even, got {hidden}")
        self.first = nn.Linear(width_in, hidden)
        self.last = nn.Linear(hidden, width_out)
        into = torch.randn(hidden // 2, width_in, generator=generator) / math.sqrt(width_in)
        out = torch.randn(width_out, hidden // 2, generator=generator) / math.sqrt(hidden // 2)
        self._set(into, out)

    @torch.no_grad()
    def _set(self, into: Tensor, out: Tensor) -> None:
        self.first.weight.copy_(torch.cat([into, -into]))
        self.last.weight.copy_(torch.cat([out, -out], dim=1))
        self.first.bias.zero_()
        self.last.bias.zero_()

    @torch.no_grad()
    def start_like(self, other: Mlp, shared_dim: int) -> None:
        """Take over another MLP's initial weights on the first `shared_dim` inputs and on all outputs."""
        self.first.weight[:, :shared_dim] = other.first.weight[:, :shared_dim]
        self.last.load_state_dict(other.last.state_dict())

    def forward(self, tokens: Tensor, scale: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """(..., width_in) tokens of any floating-point type to (..., width_out) of the weights' type.

        Args:
            tokens: Of a frozen model: no gradient flows into them.
            scale: (..., 1) factor of each token, see `rms_scale`.
            dtype: What the products are computed in; the weights' own type by default.
        """
        rows = tokens.flatten(0, -2)
        projected: Tensor = _Mlp.apply(  # type: ignore[no-untyped-call]
            rows,
            None if scale is None else scale.flatten(0, -2),
            self.first.weight,
            self.first.bias,
            self.last.weight,
            self.last.bias,
            dtype or self.first.weight.dtype,
            torch.is_grad_enabled(),
        )
        return projected.view(*tokens.shape[:-1], projected.shape[1])


def rms_scale(tokens: Tensor) -> Tensor:
    """(..., 1) factors, float32 at least, that bring each token to a root mean square of 1; all-zero tokens stay zero.

    The factor is applied behind the first product, x W^T s = (s x) W^T, so that no scaled copy of the tokens is made.
    """
    accurate = torch.promote_types(tokens.dtype, torch.float32)
    norm = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True, dtype=accurate)
    scale: Tensor = math.sqrt(tokens.shape[-1]) / norm.clamp_min_(_LEAST_NORM)
    return scale


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        scale: Tensor | None,
        first: Tensor,
        first_bias: Tensor,
        last: Tensor,
        last_bias: Tensor,
        dtype: torch.dtype,
        keep: bool,
    ) -> Tensor:
        into, out = first.to(dtype), last.to(dtype)
        out_bias = last_bias.to(dtype)
        inner = first.new_empty(len(tokens) if keep else 0, len(first), dtype=dtype)
        projected = last.new_empty(len(tokens), len(last))
        for rows in _chunks(tokens, first, dtype):
            z = functional.linear(tokens[rows].to(dtype), into)
            if scale is not None:
                z.mul_(scale[rows])
            z.add_(first_bias)
            if keep:
                inner[rows] = z
            projected[rows] = functional.linear(functional.gelu(z), out, out_bias)
        ctx.save_for_backward(tokens, scale, first, last, inner)
        return projected

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, scale, first, last, inner = ctx.saved_tensors
        grad_first, grad_last = torch.zeros_like(first), torch.zeros_like(last)
        grad_first_bias = first.new_zeros(len(first))
        out = last.to(inner.dtype)
        for rows in _chunks(tokens, first, inner.dtype):
            z, above = inner[rows], grad[rows].to(inner.dtype)
            _add_product(grad_last, above.t(), functional.gelu(z))
            below = torch.ops.aten.gelu_backward(above @ out, z)
            grad_first_bias += below.sum(dim=0)
            if scale is not None:
                below.mul_(scale[rows])
            _add_product(grad_first, below.t(), tokens[rows].to(inner.dtype))
        return None, None, grad_first, grad_first_bias, grad_last, grad.sum(dim=0), None, None


def _chunks(tokens: Tensor, first: Tensor, dtype: torch.dtype) -> list[slice]:
    row_bytes = dtype.itemsize * (tokens.shape[1] + 3 * len(first))
    length = chunk_length(row_bytes, tokens.device, _LEAST_ROWS)
    return [slice(start, start + length) for start in range(0, len(tokens), length)]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product; the sum over chunks is kept in the precision of `total`."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
