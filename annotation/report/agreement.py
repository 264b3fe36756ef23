"""The agreement of a campaign as the page's script wants it: annotators by number, questions on their own rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.agreement import Agreement, QuestionAgreement
from annotation.report.text import shown

DISPUTED = 0.5
"""A question is disputed from this dispute on, or when two finished statuses differ."""

_FIGURES = ("f1", "pairwise_iou", "matched_iou", "union_iou", "word_jaccard", "status_share", "dispute")


def agreement_json(agreement: Agreement, layers: Mapping[str, int]) -> dict[str, Any] | None:
    """Everything but the questions, JSON-ready; None where no two annotators finished the same question.

    Args:
        agreement: As measured.
        layers: Annotator -> number.
    """
    if not agreement.overall.questions:
        return None
    found = agreement.to_json()
    return {
        "settings": {name: found["settings"][name] for name in ("iou", "resamples")},
        "single": agreement.single,
        "overall": found["overall"],
        "sources": [{"name": shown(name), "measures": measures} for name, measures in found["sources"].items()],
        "annotators": [
            {name: value for name, value in row.items() if name != "annotator"} | {"layer": layers[row["annotator"]]}
            for row in found["annotators"]
        ],
        "pairs": [row | {name: layers[row[name]] for name in ("first", "second")} for row in found["pairs"]],
    }


def question_json(question: QuestionAgreement | None) -> dict[str, float | None] | None:
    """The figures of one question, to three places."""
    if question is None:
        return None
    figures = {name: getattr(question, name) for name in _FIGURES}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}


def is_disputed(question: QuestionAgreement | None) -> bool:
    """Whether somebody should look at it."""
    return question is not None and (question.dispute >= DISPUTED or len(set(question.statuses)) > 1)
