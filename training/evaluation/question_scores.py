"""All scores of one question's ranking, by the names that an evaluation reports them under.

The definitions are in `pinpoint_data.scores` and `pinpoint_data.ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinpoint_data.scores import MeasuredEvidence, PageEvidence, SelectionScores, TokenRanking
from pinpoint_data.windows import POSITIVE, LabelRule, Windows, label_windows
from training.window_scorers.base import QuestionView


@dataclass(frozen=True, eq=False)
class QuestionEvidence:
    """The gold evidence of a question, measured once for all scorers of equal windows.

    Attributes:
        measured: Its areas in the tokens of all pages.
        positive: (w,) whether each window of all pages is positive.
    """

    measured: MeasuredEvidence
    positive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, view: QuestionView, rule: LabelRule, measured: MeasuredEvidence | None = None) -> QuestionEvidence:
        """Measure a question's gold boxes on its pages' grids; `measured` is known where other windows were asked."""
        positive = []
        for index, page in enumerate(view.pages):
            boxes = view.evidence_on(index)
            # Most pages of a long document have no evidence, and so no positive window.
            found = label_windows(page.windows, page.grid, boxes, rule).label == POSITIVE if len(boxes) else None
            positive.append(np.zeros(len(page.windows), np.bool_) if found is None else found)
        return cls(measured or measured_evidence(view), np.concatenate(positive))


def measured_evidence(view: QuestionView) -> MeasuredEvidence:
    """A question's gold boxes in the tokens of all its pages; boxes page after page."""
    pages = []
    for index, page in enumerate(view.pages):
        roles = tuple(box.role for box in view.evidence if box.page_index == index)
        pages.append(PageEvidence(page.grid, view.evidence_on(index), roles))
    return MeasuredEvidence.of(pages)


def score_ranking(
    evidence: QuestionEvidence,
    windows: Sequence[Windows],
    places: Sequence[npt.NDArray[np.int64]],
    budgets: Sequence[float],
    coverages: Sequence[float],
) -> dict[str, float]:
    """Every score of one ranking of windows.

    Args:
        evidence: The question's evidence.
        windows: The windows of each page.
        places: Each window's place in the ranking over all pages, 0 first, from `window_places`.
        budgets: Exact shares of tokens, taken by token scores.
        coverages: Shares r of region accuracy, taken by whole windows.

    Returns:
        `evidence_recall@0.10`, `all_hit@0.10`, `any_hit@0.10`, `page_recall@0.10`, `budget@0.10` a budget, the first
        two also as `..._answer@` and `..._support@` where the question has such boxes; `region_accuracy@0.60` and
        `coverage@0.60` (as realised) a coverage; `top1_accuracy`; `full_coverage_budget`.
    """
    order = np.argsort(np.concatenate(places))
    ranking = TokenRanking.of(order, windows)
    scores: dict[str, float] = {}
    for budget, found in zip(budgets, evidence.measured.score(ranking.top(budgets)), strict=True):
        scores |= named_scores(found, budget)
    for r, found in zip(coverages, evidence.measured.score(ranking.to_coverage(coverages)), strict=True):
        scores[f"region_accuracy@{share_name(r)}"] = float(found.all_hit)
        scores[f"coverage@{share_name(r)}"] = found.budget
    scores["top1_accuracy"] = float(evidence.positive[order[0]])
    scores["full_coverage_budget"] = evidence.measured.full_coverage_budget(ranking.rank)
    return scores


def named_scores(found: SelectionScores, budget: float) -> dict[str, float]:
    """The scores of what a budget keeps, by name; those by role where the question has such boxes."""
    at = f"@{share_name(budget)}"
    scores = {
        f"budget{at}": found.budget,
        f"evidence_recall{at}": found.evidence_recall,
        f"all_hit{at}": float(found.all_hit),
        f"any_hit{at}": float(found.any_hit),
        f"page_recall{at}": found.page_recall,
    }
    for role, of_role in found.by_role.items():
        scores[f"evidence_recall_{role}{at}"] = of_role.evidence_recall
        scores[f"all_hit_{role}{at}"] = float(of_role.all_hit)
    return scores


def share_name(share: float) -> str:
    """A share as score names carry it: two decimals, more where it has more."""
    return f"{share:.2f}" if round(share, 2) == share else str(float(share))
