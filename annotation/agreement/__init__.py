"""How far annotators agree: `measure_agreement(workspace, judgements, settings)`. Formulas: docs/agreement.md."""

from __future__ import annotations

from annotation.agreement.measure import measure_agreement
from annotation.agreement.results import (
    Agreement,
    AnnotatorAgreement,
    BoxAgreement,
    Estimate,
    LeadTime,
    Measures,
    PairAgreement,
    QuestionAgreement,
    Settings,
)

__all__ = [
    "Agreement",
    "AnnotatorAgreement",
    "BoxAgreement",
    "Estimate",
    "LeadTime",
    "Measures",
    "PairAgreement",
    "QuestionAgreement",
    "Settings",
    "measure_agreement",
]
