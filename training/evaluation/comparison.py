"""Window scorers side by side on the same questions: every score of every question, then means with intervals.

evaluation = evaluate(samples, [make_scorer("bm25"), PinpointScorer(run)], views, rule)
summary = summarise(evaluation, reference="pinpoint")
summary["scores"]["all"]["pinpoint"]["evidence_recall@0.25"]["mean"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, Outcome, PageError, Problem, TrainingError
from pinpoint_data.progress import track
from pinpoint_data.scores import MeasuredEvidence
from pinpoint_data.windows import LabelRule, WindowSpec
from training.evaluation.intervals import FloatArray, columns_of
from training.evaluation.pages import PageViews, announce_pages
from training.evaluation.question_scores import QuestionEvidence, measured_evidence, score_ranking
from training.evaluation.split import with_gold
from training.pages.cache import PageTokens
from training.window_scorers.base import QuestionView, WindowScorer, checked_scores, window_places, windows_of

BUDGETS = (0.10, 0.25, 0.60)
COVERAGES = (0.60, 0.25, 0.10)


@dataclass
class Evaluation:
    """Every score of every question, before any mean.

    Attributes:
        budgets: Exact budgets.
        coverages: The r of region accuracy.
        windows: For each scorer, the windows that it was asked for.
        samples: The questions that were scored, in order.
        clipped: Share of each question's evidence outside the grids.
        scores: For each scorer, for each score, one number a question; NaN where the question has none.
        left_out: Questions that were not scored, by reason.
        outcome: Questions refused because a page could not be used.
    """

    budgets: tuple[float, ...]
    coverages: tuple[float, ...]
    windows: dict[str, WindowSpec] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)
    scores: dict[str, dict[str, FloatArray]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)

    def rows(self) -> Iterable[dict[str, Any]]:
        """One JSON-ready row a question and scorer."""
        for index, sample in enumerate(self.samples):
            head = {
                "question_id": sample.question_id,
                "source": sample.source,
                "doc_id": sample.doc_id,
                "pages": len(sample.pages),
                "boxes": len(sample.evidence),
                "clipped_share": self.clipped[index],
            }
            for scorer, columns in self.scores.items():
                values = {name: float(column[index]) for name, column in columns.items() if np.isfinite(column[index])}
                yield {**head, "scorer": scorer, **values}


def evaluate(
    samples: Sequence[Sample],
    scorers: Sequence[WindowScorer],
    views: PageViews,
    rule: LabelRule | None = None,
    *,
    budgets: Sequence[float] = BUDGETS,
    coverages: Sequence[float] = COVERAGES,
    tokens: PageTokens | None = None,
) -> Evaluation:
    """Score every question with every scorer.

    A question without gold boxes is left out and counted; one whose page cannot be used is refused for all scorers,
    so that all are compared on the same questions. All see the same grids; a scorer that has windows of its own
    (`window_spec`) is asked for those, the others for the windows of `views`.

    Args:
        samples: The questions.
        scorers: Their names must differ.
        views: Makes the pages' grids, windows and words.
        rule: When a window is positive, for top-1 accuracy.
        budgets: Exact shares of tokens.
        coverages: Shares r of region accuracy.
        tokens: Where a scorer reads visual tokens; it is told which pages come next.

    Raises:
        TrainingError: A scorer's scores are unusable, or the workspace is not the dataset's.
    """
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise TrainingError(f"scorers must have different names, got {', '.join(names)}")
    windows = {scorer.name: windows_of(scorer, views.spec) for scorer in scorers}
    evaluation = Evaluation(tuple(budgets), tuple(coverages), windows)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    asked = with_gold(samples, evaluation.left_out)
    for index, sample in enumerate(track(asked, "evaluate")):
        try:
            if tokens is not None:
                announce_pages(tokens.prefetch, *asked[index : index + 2])
            measured, scored = _score(sample, scorers, views, rule or LabelRule(), evaluation)
        except (PageError, GeometryError) as error:
            record = f"question {sample.question_id}"
            evaluation.outcome.refuse(Problem.of(error, code="unusable-page", file="", record=record))
            continue
        evaluation.samples.append(sample)
        evaluation.clipped.append(measured.clipped_share)
        for name, row in zip(names, scored, strict=True):
            rows[name].append(row)
    evaluation.scores = {name: columns_of(found) for name, found in rows.items()}
    return evaluation


def _score(
    sample: Sample, scorers: Sequence[WindowScorer], views: PageViews, rule: LabelRule, evaluation: Evaluation
) -> tuple[MeasuredEvidence, list[dict[str, float]]]:
    measured = measured_evidence(views.of(sample))
    shown: dict[WindowSpec, tuple[QuestionView, QuestionEvidence]] = {}
    for spec in dict.fromkeys(evaluation.windows.values()):
        view = views.of(sample, spec)
        shown[spec] = view, QuestionEvidence.of(view, rule, measured)
    rows = []
    for scorer in scorers:
        view, evidence = shown[evaluation.windows[scorer.name]]
        windows = [page.windows for page in view.pages]
        places = window_places(checked_scores(scorer, view), view.question_id)
        rows.append(score_ranking(evidence, windows, places, evaluation.budgets, evaluation.coverages))
    return measured, rows
