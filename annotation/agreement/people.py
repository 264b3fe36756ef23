"""Agreement seen from each annotator, and from each pair of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.frame import Frame
from annotation.agreement.groups import IntArray
from annotation.agreement.pairs import PairFigures, mean_by
from annotation.agreement.results import AnnotatorAgreement, LeadTime, PairAgreement
from annotation.agreement.units import box_tally, box_tally_without, status_tally, status_tally_without
from annotation.judgements import Judgement, Judgements

FloatArray = NDArray[np.float64]
_FIGURES = ("f1", "pairwise_iou", "matched_iou", "union_iou", "word_jaccard", "same_status")


def annotators_of(
    judgements: Judgements, frame: Frame, figures: PairFigures, iou: float, group: IntArray, silent: IntArray
) -> tuple[AnnotatorAgreement, ...]:
    """Each annotator beside the others.

    Args:
        judgements: All of them, skipped and unfinished ones too.
        frame: Those that can be compared.
        figures: Its pairs.
        iou: Threshold of F1.
        group: Group of each box at that threshold.
        silent: (Q,) text lines that nobody marked; their effect on alpha is part of vitality.
    """
    works: dict[str, list[Judgement]] = {name: [] for name in judgements.annotators}
    for found in judgements.by_question.values():
        for judgement in found:
            works[judgement.annotator].append(judgement)
    people = len(frame.annotators)
    ends = np.concatenate([frame.annotator[frame.first], frame.annotator[frame.second]])
    means = {name: mean_by(np.tile(values, 2), ends, people) for name, values in _values(figures, iou).items()}
    boxes = box_tally(frame, group).with_silent(silent, frame.raters, 0).alpha()
    statuses = status_tally(frame).alpha()
    rows = []
    for place, name in enumerate(frame.annotators):
        left = np.bincount(frame.question[frame.annotator != place], minlength=len(frame.question_ids))
        lines = np.where(left > 1, silent, 0)
        vitality = (
            boxes - box_tally_without(frame, group, place).with_silent(lines, left, 0).alpha(),
            statuses - status_tally_without(frame, place).alpha(),
        )
        compared = int((frame.annotator == place).sum())
        rows.append(_annotator(name, works[name], compared, {key: m[place] for key, m in means.items()}, vitality))
    return tuple(rows)


def pairs_of(frame: Frame, figures: PairFigures, iou: float) -> tuple[PairAgreement, ...]:
    """Each two annotators that share a question, by name."""
    names = np.stack([frame.annotator[frame.first], frame.annotator[frame.second]], 1)
    pairs, code, counts = np.unique(names, axis=0, return_inverse=True, return_counts=True)
    code = code.reshape(-1)
    means = [mean_by(values, code, len(pairs)) for values in _values(figures, iou).values()]
    return tuple(
        PairAgreement(frame.annotators[a], frame.annotators[b], int(count), *map(known, figures_of))
        for (a, b), count, *figures_of in zip(pairs, counts, *means, strict=True)
    )


def known(value: float) -> float | None:
    """`value`, or None for NaN."""
    return float(value) if np.isfinite(value) else None


def _values(figures: PairFigures, iou: float) -> dict[str, FloatArray]:
    return {name: figures.f1[iou] if name == "f1" else getattr(figures, name) for name in _FIGURES}


def _annotator(
    name: str, works: list[Judgement], compared: int, means: dict[str, float], vitality: tuple[float, float]
) -> AnnotatorAgreement:
    done = [work for work in works if work.done]
    origins = Counter(origin for work in done for origin in work.origins)
    origins["deleted"] = sum(work.deleted for work in done)
    shown = origins["accepted"] + origins["moved"] + origins["deleted"]
    times = [work.lead_time_s for work in done if work.lead_time_s is not None and np.isfinite(work.lead_time_s)]
    lead = LeadTime(len(times), float(np.median(times)), float(np.mean(times)), float(sum(times))) if times else None
    return AnnotatorAgreement(
        annotator=name,
        done=len(done),
        skipped=sum(work.status == "skipped" for work in works),
        unfinished=sum(work.status == "unfinished" for work in works),
        compared=compared,
        boxes=sum(len(work.xyxy) for work in done if work.marks),
        **{key: known(means[key]) for key in _FIGURES[:-1]},
        status_share=known(means["same_status"]),
        vitality_boxes=known(vitality[0]),
        vitality_status=known(vitality[1]),
        statuses=dict(sorted(Counter(work.status for work in done).items())),
        origins={key: count for key, count in sorted(origins.items()) if count},
        untouched=origins["accepted"] / shown if shown else None,
        lead_time=lead or LeadTime(),
    )
