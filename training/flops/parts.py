"""Formulas: the operations of a vision tower, a language model and the aligner, as functions of shapes.

One multiply-add is 2 FLOPs. Counted are matrix products and convolutions, as `torch.utils.flop_counter` counts them
(with eager attention): biases, norms, softmax, activations, rotary embeddings, interpolation of position embeddings
and the additions of residuals are left out, by their shapes 1 % at most in models of full size. Causal attention
counts in full: kernels that skip the masked half do up to half of `attention` less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinpoint_data.errors import UsageError
from pinpoint_data.window_layout import WindowSpec, window_starts
from training.flops.count import FlopCount
from training.flops.shape import ModelShape, VisionShape

if TYPE_CHECKING:
    from training.config import TrainConfig

Patches = int | tuple[int, int]
"""Patches of one separately attended sequence: how many, or rows and columns."""


def vision_flops(shape: ModelShape, sequences: Sequence[Patches]) -> FlopCount:
    """One pass of vision tower and projector.

    With w the tower's width, m that of its MLPs and s the length of a sequence, class token included, a layer takes
    2 s (4 w^2 + 2 w m) for its matrices (3 w m where the MLP is gated) and 4 s^2 w for attention, where windowed
    layers have sum over windows of s_window^2 in place of s^2.

    Args:
        shape: The model.
        sequences: Unmerged patches of each sequence that is attended separately: every tile of LLaVA-NeXT, class
            token left out; every image of Qwen-VL. Rows and columns matter for windowed towers only (Qwen2.5-VL);
            from a mere number their windows count as whole ones, which real edges fall a little short of.

    Returns:
        `patch_embedding`, `linear`, `attention`, `projector`.
    """
    v = shape.vision
    counts = [n if isinstance(n, int) else n[0] * n[1] for n in sequences]
    lengths = [n + v.class_tokens for n in counts]
    matrices = 4 * v.width**2 + v.mlp_matrices * v.width * v.mlp_width
    windowed = v.layers - v.full_layers
    squares = v.full_layers * sum(n * n for n in lengths)
    if windowed:
        squares += windowed * sum(_window_squares(v, n) for n in sequences)
    enter, inside, leave = v.projector
    merged = sum(n // v.merge**2 for n in counts)
    return FlopCount(
        patch_embedding=2 * sum(counts) * v.patch_values * v.width,
        linear=v.layers * 2 * sum(lengths) * matrices,
        attention=4 * squares * v.width,
        projector=v.projectors * 2 * merged * (enter * inside + inside * leave),
    )


def _window_squares(vision: VisionShape, patches: Patches) -> int:
    """Sum of the squared lengths of the windows of one image."""
    if isinstance(patches, int):
        return patches * vision.window**2
    down, across = (sum(n * n for n in _pieces(side, vision.window)) for side in patches)
    # A window of r x c patches has (r c)^2, and the sum over all windows factorises.
    return down * across


def _pieces(length: int, size: int) -> Iterator[int]:
    """A length cut from its start into pieces of `size`, the rest last."""
    for start in range(0, length, size):
        yield min(size, length - start)


def prefill_flops(shape: ModelShape, tokens: int) -> FlopCount:
    """The language model reads a prompt of n tokens and gives the logits of its last position.

    A layer: 2n (2 d^2 + 2 d d_kv + 3 d m) for its matrices, 4 n^2 d for attention; where heads times their width is
    not d, it replaces one d of d^2, and that of attention.

    Returns:
        `linear` and `attention` of all layers, `lm_head` of one row.
    """
    d = shape.decoder
    return FlopCount(
        linear=2 * tokens * _decoder_weights(shape),
        attention=d.layers * 4 * tokens**2 * d.query_width,
        lm_head=2 * d.width * d.vocabulary,
    )


def decode_flops(shape: ModelShape, tokens: int, new_tokens: int) -> FlopCount:
    """The further new tokens after a prompt of n, one at a time over a key-value cache.

    The first new token comes out of the prefill, so `new_tokens` take one step less. Step i attends to n + i tokens.

    Returns:
        `linear`, `attention` and `lm_head`; zeros where one token or none is asked for.
    """
    d, steps = shape.decoder, max(0, new_tokens - 1)
    attended = steps * tokens + steps * (steps + 1) // 2
    return FlopCount(
        linear=2 * steps * _decoder_weights(shape),
        attention=d.layers * 4 * attended * d.query_width,
        lm_head=2 * steps * d.width * d.vocabulary,
    )


def _decoder_weights(shape: ModelShape) -> int:
    """Entries of the matrices that a token passes in all layers."""
    d = shape.decoder
    return d.layers * d.width * (2 * d.query_width + 2 * d.kv_width + 3 * d.mlp_width)


@dataclass(frozen=True)
class AlignerShape:
    """An aligner and its windows, as far as operations go.

    Attributes:
        token_dim: d_v, width of a visual token.
        question_dim: d_t, width of a question token.
        queries: K.
        width: d.
        hidden: Inner width of the two MLPs.
        windows: Size and stride.
    """

    token_dim: int
    question_dim: int
    queries: int
    width: int
    hidden: int
    windows: WindowSpec = field(default_factory=WindowSpec)

    @classmethod
    def of(cls, settings: TrainConfig, token_dim: int, question_dim: int) -> AlignerShape:
        """The aligner that training makes from these settings for tokens of these widths."""
        own = settings.aligner
        hidden = own.hidden or 2 * own.dim
        return cls(token_dim, question_dim, own.queries, own.dim, hidden, settings.windows.spec())


def aligner_flops(aligner: AlignerShape, grids: Sequence[tuple[int, int]], question_tokens: int) -> FlopCount:
    """Scores of all windows of some pages for one question.

    Tokens are projected, and their K logits made, once; each window then pools its own tokens, so that a token in
    several windows is counted in each of them.

    Args:
        aligner: Sizes.
        grids: Rows and columns of grid tokens of each page.
        question_tokens: Of the question alone.

    Returns:
        `projection` of the visual tokens, `logits`, `pooling` and `cosines` of the windows, `question`: all of the
        question's side.

    Raises:
        UsageError: The question has no token.
    """
    if question_tokens < 1:
        raise UsageError(f"a question has at least 1 token, got {question_tokens}")
    a, spec = aligner, aligner.windows
    tokens = sum(rows * cols for rows, cols in grids)
    windows = members = 0
    for rows, cols in grids:
        count = len(window_starts(rows, spec.height, spec.stride)) * len(window_starts(cols, spec.width, spec.stride))
        windows += count
        members += count * min(rows, spec.height) * min(cols, spec.width)
    pool = 2 * a.queries * a.width
    question = 2 * (a.question_dim + a.width) * a.hidden + 2 * pool
    return FlopCount(
        projection=2 * tokens * (a.token_dim + a.width) * a.hidden,
        logits=pool * tokens,
        pooling=pool * members,
        cosines=pool * windows,
        question=question * question_tokens,
    )
