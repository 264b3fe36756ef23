"""CDPruner: tokens that are relevant to the question and different from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.greedy import (
    MOST_JOINT,
    check_most_joint,
    dpp_flops,
    dpp_order,
    mean_cosine,
    min_max,
    no_masks,
    parts_of,
    unit,
)

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

SIGNS = {"text": 1, "clip": -1}
"""The published sign of each relevance."""


def check_sign(sign: int) -> int:
    """The sign of a similarity, as given.

    Raises:
        UsageError: It is neither 1 nor -1.
    """
    if sign not in (1, -1):
        raise UsageError(f"sign must be 1 or -1, got {sign!r}")
    return sign


def similarity_to_question(sample: EncodedSample, relevance: str) -> tuple[Tensor, float]:
    """How similar each visual token is to the question (N,), mean of cosines, and the operations it took.

    Args:
        sample: Which must offer what `relevance` says.
        relevance: `text`: with the language model's embeddings of the question; `clip`: with CLIP's of its chunks.
    """
    visual, text = sample.shared() if relevance == "text" else (sample.clip().patches, sample.clip().text)
    return mean_cosine(visual, text), 2.0 * visual.numel()


class CdPrunerSelector(Selector):
    """CDPruner (NeurIPS 2025, arXiv 2506.10967): greedy MAP of a determinantal point process on the question's terms.

    L = diag(r) cos(V, V) diag(r) with visual tokens V and their relevance r in [0, 1]: again and again the token is
    taken that raises det(L_S) most (`dpp_order`). Family: features alone, or with CLIP's joint space. It reads the
    question. Budgets nest where all tokens are chosen from together.

    `relevance="clip"`, as released for LLaVA: r is the min-max over all tiles of the mean over 77-token chunks of the
    question of *minus* the cosine of CLIP's patch with the chunk. The sign is the authors', who find the similarity of
    CLIP's patches with text inverted; `sign=1` is the other one. `relevance="text"`, theirs for models without CLIP's
    text tower: plus the mean cosine with the language model's embeddings of the question.

    Ours: `text` reads the question's tokens alone; one budget for the tokens of all pages and tiles, where the released
    code gives each tile the same, of more than `most_joint` tokens page by page, r scaled over all of them; of equal
    similarities r is 1 everywhere; no 1e-6 is added to r: the least relevant token has r = 0 and comes last. The rank
    of L is at most the width d of tokens; the released code divides by rounding errors beyond it. Here the limit of a
    vanishing ridge goes on with the token of the largest leverage on those chosen, so that any budget is used up.

    Args:
        relevance: `text` or `clip`.
        sign: 1 or -1; by default the published one.
        most_joint: The most tokens to choose from together.
    """

    def __init__(self, relevance: str = "text", sign: int | None = None, most_joint: int = MOST_JOINT) -> None:
        if relevance not in SIGNS:
            raise UsageError(f"relevance must be one of {', '.join(SIGNS)}, got {relevance!r}")
        self.relevance, self.most_joint = relevance, check_most_joint(most_joint)
        self.sign = SIGNS[relevance] if sign is None else check_sign(sign)
        self.name = "cdpruner" if relevance == "text" else "cdpruner-clip"
        needed: Need = "shared" if relevance == "text" else "clip"
        self.needs = frozenset({needed})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The first tokens of one greedy order, exactly as many as allowed."""
        similarity, cost = similarity_to_question(sample, self.relevance)
        masks, flops = no_masks(sample, budgets), [cost] * len(budgets)
        relevance = min_max(self.sign * similarity)
        for part in parts_of(sample, budgets, self.most_joint):
            rows = unit(sample.tokens[part.candidates]) * relevance[part.candidates, None]
            order = part.candidates[dpp_order(rows, max(part.budgets))]
            for number, budget in enumerate(part.budgets):
                masks[number, order[:budget]] = True
                flops[number] += dpp_flops(len(rows), rows.shape[1], budget)
        return [Kept(mask, flops=own) for mask, own in zip(masks.cpu().numpy(), flops, strict=True)]


def cdpruner_clip(**options: Any) -> CdPrunerSelector:
    """CDPruner with relevance from CLIP, as its authors run it on LLaVA."""
    return CdPrunerSelector("clip", **options)
