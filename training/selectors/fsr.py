"""FSR, Focus-Scan-Refine: the salient and relevant tokens, what differs most from them, and what is merged into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector
from training.selectors.cdpruner import check_sign, similarity_to_question
from training.selectors.greedy import (
    MOST_JOINT,
    check_most_joint,
    farthest_first,
    min_max,
    nearest_cosine,
    no_masks,
    parts_of,
    unit,
)

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

RELEVANCES: dict[str, frozenset[Need]] = {
    "clip": frozenset({"vision", "clip"}),
    "text": frozenset({"vision", "shared"}),
    "none": frozenset({"vision"}),
}


class FsrSelector(Selector):
    """FSR, Focus-Scan-Refine (arXiv 2602.05809). A re-implementation; no code has been released.

    Focus: phi = r^alpha s^beta of saliency s, which the vision tower gives, and relevance r, each scaled to [0, 1] by
    min-max. With tokens in descending phi, F holds the first K_F, the fewest whose phi sums to rho of all phi.
    Scan: until K tokens are chosen, argmax_{i not in A} min_{j in A} 1 - cos(v_i, v_j), A starting as F; the added ones
    are S. Refine: of all others the M = kappa |S| that are most similar to a token of S are merged into it. Kept are F
    and S; the merged ones are reported apart, for their places are gone. Family: vision tower, with CLIP's joint space.
    Budgets nest where all tokens are chosen from together: F is the same for all budgets that hold it.

    What r is gives the variants, of which the name tells:
        `clip` (`fsr`)       the paper's on LLaVA: CLIP's similarity of patch and question, as CDPruner takes it.
        `none` (`fsr-none`)  the paper's on Qwen: no r at all, phi = s^beta. It does not read the question.
        `text` (`fsr-text`)  ours: the mean cosine with the language model's embeddings of the question.
    Each needs what it reads; none takes the place of another by itself.

    Open in the paper: the layer of s (here the block that the projector reads, class token's row; on Qwen the last
    block, mean of columns); the sign of r (plus in the paper's text, while CDPruner's code has minus on the same
    signal: `sign`). Ours: K_F is at most K, for a flat phi on a long page would fill it; a signal that is the same
    everywhere counts as 1; one budget for the tokens of all pages and tiles, s and r scaled over all of them, of more
    than `most_joint` tokens page by page; halves of kappa |S| are rounded up; ties at random.

    Args:
        relevance: `clip`, `text` or `none`.
        alpha: Exponent of r.
        beta: Exponent of s.
        rho: Share of phi that F holds, in (0, 1].
        kappa: Tokens merged for each one of S.
        sign: Of r: 1 (the paper's text) or -1.
        most_joint: The most tokens to choose from together.
    """

    def __init__(
        self,
        relevance: str = "clip",
        alpha: float = 3.0,
        beta: float = 1.0,
        rho: float = 0.9,
        kappa: float = 1.0,
        sign: int = 1,
        most_joint: int = MOST_JOINT,
    ) -> None:
        if relevance not in RELEVANCES:
            raise UsageError(f"relevance must be one of {', '.join(RELEVANCES)}, got {relevance!r}")
        for option, value in (("alpha", alpha), ("beta", beta), ("kappa", kappa)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{option} must be a number of at least 0, got {value}")
        if not 0 < rho <= 1:
            raise UsageError(f"rho must lie in (0, 1], got {rho}")
        self.relevance, self.sign, self.most_joint = relevance, check_sign(sign), check_most_joint(most_joint)
        self.alpha, self.beta, self.rho, self.kappa = alpha, beta, rho, kappa
        self.name = "fsr" if relevance == "clip" else f"fsr-{relevance}"
        self.needs = RELEVANCES[relevance]
        self.reads_question = relevance != "none"

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """Focus and scan by one greedy order, exactly as many as allowed; refine for each budget."""
        phi, cost = self._phi(sample)
        masks, merged, flops = no_masks(sample, budgets), no_masks(sample, budgets), [cost] * len(budgets)
        for part in parts_of(sample, budgets, self.most_joint):
            rows = unit(sample.tokens[part.candidates])
            order, focused = self._order(phi[part.candidates], rows, max(part.budgets))
            for number, budget in enumerate(part.budgets):
                scanned = order[focused:budget]
                masks[number, part.candidates[order[:budget]]] = True
                if len(scanned):
                    rest = _all_but(order[:budget], len(rows))
                    merged[number, part.candidates[self._merged(rows, scanned, rest)]] = True
                    flops[number] += 2.0 * rows.shape[1] * (len(rows) * budget + len(rest) * len(scanned))
        return [
            Kept(mask, merged=into, flops=own)
            for mask, into, own in zip(masks.cpu().numpy(), merged.cpu().numpy(), flops, strict=True)
        ]

    def _phi(self, sample: EncodedSample) -> tuple[Tensor, float]:
        """Phi (N,), and the operations it took."""
        phi = min_max(sample.vision().saliency) ** self.beta
        if self.relevance == "none":
            return phi, 0.0
        similarity, cost = similarity_to_question(sample, self.relevance)
        return phi * min_max(self.sign * similarity) ** self.alpha, cost

    def _order(self, phi: Tensor, rows: Tensor, count: int) -> tuple[Tensor, int]:
        """The first `count` candidates in the order of focus and scan, and how many are in focus (no more than fit)."""
        ranked = phi.argsort(descending=True, stable=True)
        mass = phi[ranked].double().cumsum(dim=0)
        focused = min(count, int((mass < self.rho * mass[-1]).sum()) + 1)
        if focused == count:
            return ranked[:count], focused
        return torch.cat([ranked[:focused], farthest_first(rows, ranked[:focused], count - focused)]), focused

    def _merged(self, rows: Tensor, scanned: Tensor, rest: Tensor) -> Tensor:
        """Those of the rest that are merged into a scanned token."""
        count = min(len(rest), math.floor(self.kappa * len(scanned) + 0.5))
        similarity = nearest_cosine(rows[rest], rows[scanned])
        return rest[similarity.argsort(descending=True, stable=True)[:count]]


def _all_but(chosen: Tensor, count: int) -> Tensor:
    """The numbers below `count` that are not chosen, ascending."""
    left = torch.ones(count, dtype=torch.bool, device=chosen.device)
    left[chosen] = False
    return left.nonzero()[:, 0]


def fsr_none(**options: Any) -> FsrSelector:
    """FSR without relevance, which is how its authors run it on Qwen: blind to the question."""
    return FsrSelector("none", **options)


def fsr_text(**options: Any) -> FsrSelector:
    """FSR with the cosine of visual tokens and question tokens as relevance: ours, where there is no CLIP."""
    return FsrSelector("text", **options)
