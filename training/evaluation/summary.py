"""From scores of questions to means with intervals: over all questions, by source, and as paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from loaders.samples import Sample
from training.evaluation.comparison import Evaluation
from training.evaluation.intervals import (
    RESAMPLES,
    Columns,
    FloatArray,
    bootstrap_facts,
    differences,
    intervals,
    question_counts,
    question_groups,
)

EVALUATION_VERSION = 2
_OF_WHOLE_WINDOWS = ("region_accuracy@", "coverage@", "top1_accuracy")


def summarise(
    evaluation: Evaluation, *, reference: str | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Means with document-bootstrap 95 % intervals, over all questions and by source, and paired differences.

    Args:
        evaluation: What `evaluate` gave.
        reference: The scorer whose differences to all others are wanted.
        resamples: Bootstrap resamples of documents.
        seed: Of the resamples.

    Returns:
        `scores[group][scorer][score]` and `differences[group][other][score]` (reference minus other, paired), each
        `{"mean", "low", "high", "n"}` with n questions; one document gives no interval (null). A group is `all` or a
        source. `page_recall` is over questions of several pages only, scores by role over questions that have such
        boxes. Scores of whole windows have no differences between scorers of different windows (see `comparable`).
        Beside them the counts, and the `windows` of each scorer.
    """
    docs, windows = np.array([sample.doc_id for sample in evaluation.samples]), evaluation.windows
    columns = over_their_questions(evaluation.scores, evaluation.samples)
    others = [scorer for scorer in columns if scorer != reference] if reference in columns else []
    scores: dict[str, Any] = {}
    gaps: dict[str, Any] = {}
    for group, chosen in question_groups(evaluation.samples).items():
        scores[group] = {s: intervals(own, chosen, docs, resamples, seed) for s, own in columns.items()}
        if reference is not None and others:
            mine = columns[reference]
            same = {other: windows.get(other) == windows.get(reference) for other in others}
            paired = {other: differences(comparable(mine, same[other]), columns[other]) for other in others}
            gaps[group] = {o: intervals(own, chosen, docs, resamples, seed) for o, own in paired.items()}
    return {
        "schema": "pinpoint-evaluation",
        "version": EVALUATION_VERSION,
        "budgets": list(evaluation.budgets),
        "coverages": list(evaluation.coverages),
        "questions": question_counts(evaluation.samples, evaluation.left_out, evaluation.outcome),
        "clipping": clipping_facts(evaluation.clipped),
        "bootstrap": bootstrap_facts(resamples, seed),
        "scorers": list(columns),
        "windows": {scorer: asdict(spec) for scorer, spec in windows.items()},
        "reference": reference if others else None,
        "scores": scores,
        "differences": gaps,
    }


def comparable(columns: Columns, same_windows: bool) -> Columns:
    """The scores that compare with another scorer's: those of whole windows only where the windows are the same."""
    return {name: column for name, column in columns.items() if same_windows or not name.startswith(_OF_WHOLE_WINDOWS)}


def over_their_questions(scores: Mapping[str, Columns], samples: Sequence[Sample]) -> dict[str, dict[str, FloatArray]]:
    """The scores, page recall without the questions of one page: there it says nothing."""
    several = np.array([len(sample.pages) > 1 for sample in samples], dtype=np.bool_)
    return {
        scorer: {
            name: np.where(several, column, np.nan) if name.startswith("page_recall") else column
            for name, column in found.items()
        }
        for scorer, found in scores.items()
    }


def clipping_facts(clipped: ArrayLike) -> dict[str, Any]:
    """How much evidence lies outside the grids, from each question's share of it."""
    lost = np.asarray(clipped, dtype=np.float64)
    return {
        "questions": int(np.count_nonzero(lost > 1e-9)),
        "mean_share_lost": float(lost.mean()) if len(lost) else 0.0,
        "largest_share_lost": float(lost.max(initial=0.0)),
    }
