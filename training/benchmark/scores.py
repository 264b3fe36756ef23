"""Every score of what one selector keeps for one question, by the names that a benchmark reports them under.

The definitions are in `pinpoint_data.scores`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pinpoint_data.ranking import BoolArray
from pinpoint_data.scores import MeasuredEvidence
from training.evaluation.question_scores import named_scores, share_name
from training.selectors import Kept


def score_kept(
    evidence: MeasuredEvidence,
    budgets: Sequence[float],
    kept: Sequence[Kept],
    counterpart: Sequence[Kept] | None = None,
) -> dict[str, float]:
    """Every score of a selector on one question.

    Args:
        evidence: The question's evidence.
        budgets: Shares of tokens that were asked for.
        kept: What is kept at each.
        counterpart: What the exact mode keeps, for a selector that approximates it.

    Returns:
        A budget:

        - those of `named_scores`, of the tokens that are left in the end;
        - `precision@0.10`, unless nothing is left;
        - `layer_budget@0.10` and `layer_recall@0.10`, averages over the decoder's layers: what the last ones see is
          less than what the first ones saw. Those of the set itself for a selector that prunes before the decoder;
        - `evidence_recall_merged@0.10`, where the method merges: tokens whose content lives on in others count too;
        - `agreement@0.10` with the counterpart, as the Jaccard index of both sets.

        And `full_coverage_budget` of a selector that takes the best tokens of a ranking.
    """
    scores: dict[str, float] = {}
    found = evidence.score(np.stack([own.mask for own in kept]))
    for index, (budget, own) in enumerate(zip(budgets, kept, strict=True)):
        at = f"@{share_name(budget)}"
        scores |= named_scores(found[index], budget)
        if not math.isnan(found[index].precision):
            scores[f"precision{at}"] = found[index].precision
        scores[f"layer_budget{at}"], scores[f"layer_recall{at}"] = found[index].budget, found[index].evidence_recall
        if own.layers is not None:
            recalls = evidence.evidence_recall(np.stack(own.layers.masks))
            scores[f"layer_budget{at}"] = own.layers.budget
            scores[f"layer_recall{at}"] = float(own.layers.weights @ recalls)
        if own.merged is not None:
            (recall,) = evidence.evidence_recall((own.mask | own.merged)[None]).tolist()
            scores[f"evidence_recall_merged{at}"] = recall
        if counterpart is not None:
            scores[f"agreement{at}"] = _jaccard(own.mask, counterpart[index].mask)
    # One ranking serves all budgets.
    ranking = kept[0].scores
    if ranking is not None:
        ranks = np.unique(-ranking, return_inverse=True)[1]
        scores["full_coverage_budget"] = evidence.full_coverage_budget(ranks)
    return scores


def _jaccard(a: BoolArray, b: BoolArray) -> float:
    """|A and B| / |A or B|; two empty sets are equal."""
    either = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / either if either else 1.0
