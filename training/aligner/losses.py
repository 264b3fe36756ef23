"""The two contrastive losses of the aligner, on one matrix of similarities, with one learnable temperature.

L = inter_weight * L_inter + intra_weight * L_intra. L_inter tells a question's window from other questions' windows,
L_intra from the other windows of its own pages. Forms after the project's definitions; the published summaries name
the losses only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


def inter_loss(scores: Tensor, same_document: Tensor, temperature: Tensor) -> Tensor:
    """Symmetric InfoNCE between questions and one positive window of each.

    Args:
        scores: (b, b) similarity of question i with the window drawn for question j.
        same_document: (b, b) bool; such pairs are left out of the negatives (the diagonal stays).
        temperature: Scalar.

    Returns:
        Scalar, the mean of both directions; 0 for an empty batch.
    """
    if len(scores) == 0:
        return scores.sum()
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    logits = (scores / temperature).masked_fill(same_document & ~own, -torch.inf)
    target = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.t(), target)) / 2


def intra_loss(scores: Tensor, positive: Tensor, negative: Tensor, temperature: Tensor) -> Tensor:
    """L_intra of every question: each positive window against all negative windows of the question's own pages.

        (1/|P|) sum_p -log( e^{s_p/t} / (e^{s_p/t} + sum_n e^{s_n/t}) )  =  mean_p softplus(logsumexp_n(s_n/t) - s_p/t)

    Args:
        scores: (b, w) similarity of question i with window j of the batch.
        positive: (b, w) bool, the windows P of question i.
        negative: (b, w) bool, the windows N of question i.
        temperature: Scalar.

    Returns:
        (b,); NaN-free, 0 for a question without positives or without negatives (see `has_both`).
    """
    logits = scores / temperature
    both = has_both(positive, negative)
    # A row without negatives would give -inf here and NaN in the gradient: it takes all windows, and is dropped below.
    rivals = logits.masked_fill(~(negative | ~both.unsqueeze(1)), -torch.inf).logsumexp(dim=1, keepdim=True)
    each = functional.softplus(rivals - logits) * positive
    return each.sum(dim=1) / positive.sum(dim=1).clamp_min(1) * both


def has_both(positive: Tensor, negative: Tensor) -> Tensor:
    """(b,) bool: questions with at least one positive and one negative window."""
    return positive.any(dim=1) & negative.any(dim=1)


@dataclass(frozen=True)
class BatchLoss:
    """The losses of one batch.

    Attributes:
        total: inter_weight * inter + intra_weight * intra; what is minimised.
        inter: L_inter over the questions with a positive window.
        intra: Mean L_intra over the questions that have one.
        without_positive: Questions that gave neither loss.
        without_intra: Questions that gave no L_intra (those without a positive window among them).
    """

    total: Tensor
    inter: Tensor
    intra: Tensor
    without_positive: int
    without_intra: int


class PinpointLoss(nn.Module):
    """Both losses and their temperature.

    Args:
        intra_weight: Of L_intra.
        temperature: Initial value; learnt in log space.
        temperature_range: `clamp` keeps the temperature in it.
        inter_weight: Of L_inter.
    """

    def __init__(
        self,
        intra_weight: float = 0.5,
        temperature: float = 0.07,
        temperature_range: tuple[float, float] = (0.01, 1.0),
        inter_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.intra_weight, self.inter_weight = intra_weight, inter_weight
        self.log_range = math.log(temperature_range[0]), math.log(temperature_range[1])
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    @property
    def temperature(self) -> Tensor:
        """Scalar; gradients flow through it."""
        return self.log_temperature.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring the temperature back into its range; to be called after every step of the optimiser."""
        self.log_temperature.clamp_(*self.log_range)

    def forward(
        self, scores: Tensor, positive: Tensor, negative: Tensor, drawn: Tensor, documents: Tensor
    ) -> BatchLoss:
        """The losses of a batch of b questions over the w windows of all their pages.

        Args:
            scores: (b, w) similarities.
            positive: (b, w) bool, each question's own positive windows.
            negative: (b, w) bool, each question's own negative windows.
            drawn: (b,) the positive window drawn for each question's L_inter; ignored where it has none.
            documents: (b,) document numbers.
        """
        usable = positive.any(dim=1)
        rows = usable.nonzero().squeeze(1)
        pairs = scores[rows][:, drawn[rows]]
        same = documents[rows].unsqueeze(1) == documents[rows].unsqueeze(0)
        inter = inter_loss(pairs, same, self.temperature)
        both = has_both(positive, negative)
        intra = intra_loss(scores, positive, negative, self.temperature).sum() / both.sum().clamp_min(1)
        total = self.inter_weight * inter + self.intra_weight * intra
        return BatchLoss(total, inter, intra, int((~usable).sum()), int((~both).sum()))
