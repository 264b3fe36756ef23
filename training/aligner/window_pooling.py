"""Scores of many overlapping windows from one set of token projections, with memory for a few windows at a time.

Plain autograd would keep every window's tokens, softmax weights and pooled queries (w*t*d + w*t*K + w*K*d floats)
for the backward pass. Here it keeps the tokens' projections and logits (n*d + n*K), which exist anyway, and makes the
rest again, chunk by chunk. Windows are indices, so one call serves the pages of a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from training.aligner.chunking import chunk_length

_LEAST_LENGTH = 1e-12


def window_scores(
    values: Tensor, logits: Tensor, windows: Sequence[Tensor], questions: Tensor, *, flattened: bool
) -> Tensor:
    """s[b, w] = sum_k <unit(E^v_wk), questions_bk>, with E^v_w the softmax pooling over the window's tokens.

    Args:
        values: (n, d) R', the projected tokens of one page or several.
        logits: (n, K) of every query at every token.
        windows: (w_i, t_i) token indices: windows of one size each.
        questions: (b, K, d) E^t, already scaled.
        flattened: Bring E^v_w to unit length as one K*d vector instead of query by query.

    Returns:
        (b, sum of w_i) scores.
    """
    scores: Tensor = _WindowScores.apply(values, logits, questions, flattened, *windows)  # type: ignore[no-untyped-call]
    return scores


def windows_at_a_time(values: Tensor, logits: Tensor, windows: Tensor) -> int:
    """How many windows a chunk holds: the temporaries of the backward pass, the larger of both, decide."""
    tokens, queries, width = windows.shape[1], logits.shape[1], values.shape[1]
    floats = 2 * tokens * width + 3 * tokens * queries + 3 * queries * width
    return chunk_length(values.element_size() * max(1, floats), values.device)


def _chunks(values: Tensor, logits: Tensor, windows: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """Columns of the scores, with their windows."""
    start = 0
    for same in windows:
        for chunk in torch.split(same, windows_at_a_time(values, logits, same)):
            yield slice(start, start + len(chunk)), chunk
            start += len(chunk)


def _pool(values: Tensor, logits: Tensor, chunk: Tensor, flattened: bool) -> tuple[Tensor, ...]:
    """Token projections (c, t, d), weights (c, t, K), unit-length E^v (c, K, d) and the lengths it was divided by."""
    # index_select copies whole rows; indexing with a tensor takes three times as long for the same result.
    tokens = values.index_select(0, chunk.flatten()).view(*chunk.shape, -1)
    weights = logits.index_select(0, chunk.flatten()).view(*chunk.shape, -1).softmax(dim=1)
    pooled = weights.transpose(1, 2) @ tokens
    lengths = pooled.norm(dim=(1, 2) if flattened else 2, keepdim=True)
    # What has no length has no direction either: its cosines and their gradients are zero, not a division by nothing.
    lengths.masked_fill_(lengths < _LEAST_LENGTH, torch.inf)
    return tokens, weights, pooled.div_(lengths), lengths


class _WindowScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, logits: Tensor, questions: Tensor, flattened: bool, *windows: Tensor
    ) -> Tensor:
        ctx.save_for_backward(values, logits, questions, *windows)
        ctx.flattened = flattened
        text = questions.flatten(1)
        scores = values.new_empty(len(questions), sum(len(same) for same in windows))
        for columns, chunk in _chunks(values, logits, windows):
            unit = _pool(values, logits, chunk, flattened)[2]
            scores[:, columns] = text @ unit.flatten(1).t()
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, logits, questions, *windows = ctx.saved_tensors
        text = questions.flatten(1)
        grad_values, grad_logits = torch.zeros_like(values), torch.zeros_like(logits)
        grad_text = torch.zeros_like(text)
        axes = (1, 2) if ctx.flattened else 2
        for columns, chunk in _chunks(values, logits, windows):
            rows = grad[:, columns]
            tokens, weights, unit, lengths = _pool(values, logits, chunk, ctx.flattened)
            grad_text += rows @ unit.flatten(1)
            # Through the division by the length: only the part of the gradient across the unit vector passes.
            across = (rows.t() @ text).view_as(unit)
            across.addcmul_(unit, (across * unit).sum(dim=axes, keepdim=True), value=-1).div_(lengths)
            through = (tokens @ across.transpose(1, 2)).mul_(weights)
            if ctx.flattened:
                # Where every pooled query is brought to unit length by itself, the sum of its weights does not
                # matter, and what is taken away here is zero.
                through.addcmul_(weights, through.sum(dim=1, keepdim=True), value=-1)
            place = chunk.flatten()
            grad_logits.index_add_(0, place, through.flatten(0, 1))
            grad_values.index_add_(0, place, (weights @ across).flatten(0, 1))
        return grad_values, grad_logits, grad_text.view_as(questions), None, *(None for _ in windows)
