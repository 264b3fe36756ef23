"""From answers to means with intervals, by source and paired with the unchanged model, and to what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.answer_evaluation.collect import AnswerEvaluation, answer_scores
from training.answering.base import Answer
from training.evaluation.intervals import (
    RESAMPLES,
    bootstrap_facts,
    columns_of,
    differences,
    intervals,
    question_counts,
    question_groups,
)

SUMMARY_VERSION = 1
REFERENCE = "vanilla"
STAGE_ONE = "select"


def summarise_answers(evaluation: AnswerEvaluation, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Means with document-bootstrap 95 % intervals, over all questions and by source, and costs.

    Args:
        evaluation: What `collect_answers` gave.
        resamples: Bootstrap resamples of documents.
        seed: Of the resamples.

    Returns:
        `scores[group][answerer][score]`, each `{"mean", "low", "high", "n"}`: `anls`, `gqa_accuracy`, `visual_tokens`,
        `budget_used`, `tflops`. `differences[group][answerer][score]`: the answerer minus the unchanged model, paired;
        empty where that was not asked. `costs[group][answerer]`: see `answer_costs`. A group is `all` or a source.
    """
    samples = evaluation.samples
    docs = np.array([sample.doc_id for sample in samples])
    columns = {
        name: columns_of([answer_scores(sample, answer) for sample, answer in zip(samples, answers, strict=True)])
        for name, answers in evaluation.answers.items()
    }
    others = [name for name in columns if name != REFERENCE] if REFERENCE in columns else []
    scores: dict[str, Any] = {}
    gaps: dict[str, Any] = {}
    costs: dict[str, Any] = {}
    for group, chosen in question_groups(samples).items():
        scores[group] = {name: intervals(own, chosen, docs, resamples, seed) for name, own in columns.items()}
        if others:
            paired = {name: differences(columns[name], columns[REFERENCE]) for name in others}
            gaps[group] = {name: intervals(own, chosen, docs, resamples, seed) for name, own in paired.items()}
        places = np.flatnonzero(chosen)
        if len(places):
            costs[group] = {
                name: answer_costs([answers[place] for place in places]) for name, answers in evaluation.answers.items()
            }
    return {
        "schema": "pinpoint-answers-evaluation",
        "version": SUMMARY_VERSION,
        "questions": question_counts(evaluation.samples, evaluation.left_out, evaluation.outcome),
        "answers": {"reused": evaluation.reused, "devices": dict(sorted(evaluation.devices.items()))},
        "bootstrap": bootstrap_facts(resamples, seed),
        "answerers": list(columns),
        "reference": REFERENCE if others else None,
        "scores": scores,
        "differences": gaps,
        "costs": costs,
    }


def answer_costs(answers: Sequence[Answer]) -> dict[str, Any]:
    """What some answers cost.

    Returns:
        `tokens_ratio` and `flops_ratio`: their sums over those of the unchanged model for the same questions (and as
        many new tokens). `tflops`: the mean of every component. `seconds`: median and 90th percentile of `prefill`
        alone, of the time to the `first_token` (all but decoding) and of the `total`. `stage_one_share`: of the time
        to the first token, how much selecting takes, over all answers.
    """
    first = np.array([_first_token(answer) for answer in answers])
    total = np.array([sum(answer.seconds.values()) for answer in answers])
    prefill = np.array([answer.seconds.get("prefill", 0.0) for answer in answers])
    selecting = sum(answer.seconds.get(STAGE_ONE, 0.0) for answer in answers)
    flops = sum(sum(answer.flops.values()) for answer in answers)
    vanilla_flops = sum(answer.vanilla_flops for answer in answers)
    vanilla_tokens = sum(answer.vanilla_tokens for answer in answers)
    components = dict.fromkeys(name for answer in answers for name in answer.flops)
    return {
        "tokens_ratio": _ratio(sum(answer.visual_tokens for answer in answers), vanilla_tokens),
        "flops_ratio": _ratio(flops, vanilla_flops),
        "tflops": {
            name: sum(answer.flops.get(name, 0.0) for answer in answers) / len(answers) / 1e12 for name in components
        },
        "seconds": {"prefill": _spread(prefill), "first_token": _spread(first), "total": _spread(total)},
        "stage_one_share": _ratio(selecting, float(first.sum())),
    }


def _first_token(answer: Answer) -> float:
    return sum(seconds for stage, seconds in answer.seconds.items() if stage != "decode")


def _spread(seconds: npt.NDArray[np.float64]) -> dict[str, float]:
    median, p90 = np.quantile(seconds, [0.5, 0.9]).tolist()
    return {"median": median, "p90": p90}


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
