"""What selectors have in common that drop tokens in the decoder, layer by layer, until the budget is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.ranking import BoolArray, IntArray
from training.selectors.base import DecoderLayers

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder import Decoder

PositionRule = Literal["auto", "original", "renumbered"]


def stage_counts(n_tokens: int, budget: int, shares: Sequence[float]) -> list[int]:
    """How many tokens each stage leaves, the last one exactly the budget.

    Published shares are raised to the one power that brings the last of them to budget / n_tokens, so that stages keep
    their proportions on a logarithmic scale, none leaves more than the one before, and no budget needs a clamp. Where
    the published last count, floor(N r_S), is the budget itself, all counts are the published ones, floor(N r_s).

    Args:
        n_tokens: N.
        budget: Left in the end, from 1 to N.
        shares: Of the tokens, left by each stage: 1 > r_1 >= ... >= r_S > 0.
    """
    power = 1.0
    if _floor(n_tokens * shares[-1]) != budget:
        power = math.log(budget / n_tokens) / math.log(shares[-1])
    counts = [max(budget, _floor(n_tokens * share**power)) for share in shares[:-1]]
    return [*counts, budget]


def _floor(value: float) -> int:
    """Of what rounding may have put a hair below a whole number."""
    return math.floor(value + 1e-9)


def scaled_layers(layers: Sequence[int], published_depth: int, n_layers: int, first: int = 0) -> list[int]:
    """Layers at the same relative depth of another decoder: l L / published depth, rounded, between `first` and L - 1.

    In a very shallow decoder several may coincide.

    Raises:
        TrainingError: The decoder has no layer `first`.
    """
    if n_layers <= first:
        raise TrainingError(f"tokens cannot be dropped on the way through {n_layers} decoder layers")
    return [min(n_layers - 1, max(first, _floor(layer * n_layers / published_depth + 0.5))) for layer in layers]


def layers_after(masks: Mapping[int, BoolArray], n_tokens: int, n_layers: int) -> DecoderLayers:
    """All tokens in the first layers, then each mask from its layer on."""
    return DecoderLayers((0, *masks), (np.ones(n_tokens, bool), *masks.values()), n_layers)


def mask_of(tokens: IntArray, n_tokens: int) -> BoolArray:
    """(N,): true at these tokens."""
    mask = np.zeros(n_tokens, bool)
    mask[tokens] = True
    return mask


def best_left(sample: EncodedSample, left: IntArray, scores: Tensor, count: int) -> IntArray:
    """The best of the tokens that are left, ties in the sample's random order.

    Args:
        sample: Whose tokens.
        left: Indices into all N.
        scores: One each, none negative.
        count: How many.

    Returns:
        Indices into all N, best first.
    """
    everywhere = np.full(sample.n_tokens, -1.0)
    everywhere[left] = scores.cpu().numpy()
    return sample.order(everywhere)[:count]


def check_positions(rule: str) -> PositionRule:
    """A rule for positions.

    Raises:
        UsageError: It is none.
    """
    for known in get_args(PositionRule):
        if rule == known:
            found: PositionRule = known
            return found
    raise UsageError(f"positions must be one of {', '.join(get_args(PositionRule))}, got {rule!r}")


def positions_for(rule: PositionRule, decoder: Decoder) -> Literal["original", "renumbered"]:
    """`auto`: counted anew where positions are plain, kept where they are places on a page (M-RoPE)."""
    if rule != "auto":
        return rule
    return "renumbered" if len(decoder.sequence.positions) == 1 else "original"
