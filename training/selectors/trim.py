"""TRIM: the patches that CLIP finds least similar to the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Selector
from training.selectors.cdpruner import check_sign
from training.selectors.greedy import unit

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

SIMILARITIES = ("dot", "cosine")


class TrimSelector(Selector):
    """TRIM, token reduction using CLIP's metric (arXiv 2409.10994): one ranking by similarity to the question.

    d_i = Z_i . t with CLIP's embeddings of patch and question, not normalised, t of the question's first 77 tokens;
    p = softmax(-d), and the tokens of largest p are kept: the *least* similar ones, as the released code has it.
    Family: CLIP's joint space. It reads the question. Budgets nest.

    The softmax leaves the order as it is, so tokens are ranked by -d itself: the released code takes it over a tile,
    and shares of different tiles do not compare. Ours: one ranking over all tiles and pages; `sign=1`, the most similar
    first; `similarity="cosine"`, for the dot product goes with the length of a patch; the share of tokens that the
    released code can choose by itself (outliers of p) gives way to the budgets. It appends the mean of all dropped
    tokens as one more: that token stands at no place, and is neither kept nor counted here.

    Args:
        sign: -1 (as released) or 1.
        similarity: `dot` (as released) or `cosine`.
    """

    name = "trim"
    needs = frozenset({"clip"})

    def __init__(self, sign: int = -1, similarity: str = "dot") -> None:
        if similarity not in SIMILARITIES:
            raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
        self.sign, self.similarity = check_sign(sign), similarity

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best tokens by the signed similarity, exactly as many as allowed; the sets are nested."""
        signals = sample.clip()
        patches, text = signals.patches, signals.text[0]
        if self.similarity == "cosine":
            patches, text = unit(patches), unit(text)
        return sample.keep_top(self.sign * (patches @ text), budgets, flops=2.0 * patches.numel())
