"""What `measure_agreement` gives: plain values, ready for JSON, a table or the report. Formulas: docs/agreement.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pinpoint_data.errors import Problem, UsageError

SWEEP = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Settings:
    """Choices of a measurement.

    Attributes:
        iou: Threshold of the figures that need one; always part of the sweep.
        sweep: IoU thresholds of the sweep, each in (0, 1].
        disputed: How many of the most disputed questions are named.
        resamples: Bootstrap resamples of documents; 0 gives no intervals.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: A threshold is not in (0, 1], or a count is negative.
    """

    iou: float = 0.5
    sweep: tuple[float, ...] = SWEEP
    disputed: int = 50
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for value in (self.iou, *self.sweep):
            if not 0 < value <= 1:
                raise UsageError(f"an IoU threshold must be above 0 and at most 1, got {value}")
        if self.disputed < 0 or self.resamples < 0:
            raise UsageError("numbers of questions and of resamples must not be negative")

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The sweep with `iou` in it, ascending."""
        return tuple(sorted({*self.sweep, self.iou}))


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over resampled documents.

    Attributes:
        value: The figure; None where it is undefined (nothing to compare, or only one value in use).
        low: Lower end of the interval, where there is one.
        high: Upper end.
        count: Number of questions (means) or units (alpha) that it rests on.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0


@dataclass(frozen=True)
class BoxAgreement:
    """Agreement on boxes at one IoU threshold.

    Attributes:
        iou: The threshold.
        alpha: Krippendorff's alpha over groups of matching boxes and the text lines that nobody marked.
        alpha_marked: The same without those lines, as kalphacv and KALOS compute it.
        f1: Mean pairwise F1.
        groups: Groups of matching boxes, those of a single box included.
    """

    iou: float
    alpha: Estimate
    alpha_marked: Estimate
    f1: Estimate
    groups: int


@dataclass(frozen=True)
class Measures:
    """Every measure over a set of questions.

    Attributes:
        questions: Questions with two or more finished judgements; the figures are over these.
        judgements: Their finished judgements.
        sweep: Box agreement, one entry a threshold, ascending.
        f1: Mean pairwise F1 at `Settings.iou`.
        pairwise_iou: Mean pairwise IoU: total IoU of the best assignment over the larger number of boxes.
        matched_iou: Mean IoU of the pairs that match at `Settings.iou`.
        union_iou: IoU of the regions marked as a whole.
        word_jaccard: Jaccard index of the words inside the boxes.
        alpha_words: Krippendorff's alpha over words (none, support, answer).
        status_share: Share of annotator pairs with the same status.
        alpha_status: Krippendorff's alpha over statuses.
    """

    questions: int
    judgements: int
    sweep: tuple[BoxAgreement, ...]
    f1: Estimate
    pairwise_iou: Estimate
    matched_iou: Estimate
    union_iou: Estimate
    word_jaccard: Estimate
    alpha_words: Estimate
    status_share: Estimate
    alpha_status: Estimate

    def at(self, iou: float) -> BoxAgreement:
        """The entry of the sweep at a threshold (KeyError if there is none)."""
        for entry in self.sweep:
            if entry.iou == iou:
                return entry
        raise KeyError(iou)


@dataclass(frozen=True)
class LeadTime:
    """Seconds that judgements took, over those that say so.

    Attributes:
        count: Judgements with a time.
        median: Seconds.
        mean: Seconds.
        total: Seconds.
    """

    count: int = 0
    median: float | None = None
    mean: float | None = None
    total: float = 0.0


@dataclass(frozen=True)
class AnnotatorAgreement:
    """One annotator beside the others; means are over all pairs of judgements with another annotator.

    Attributes:
        annotator: Who.
        done: Judgements with a verdict.
        skipped: Skipped questions.
        unfinished: Drafts and regions without a verdict.
        compared: Finished judgements that another annotator's can be compared with.
        boxes: Boxes of finished judgements that count as evidence.
        f1: See `Measures`, as the following ones.
        vitality_boxes: Alpha over boxes with everybody, less alpha without this annotator: negative says that the
            others agree better among themselves.
        vitality_status: The same of alpha over statuses.
        statuses: Finished judgements by status.
        origins: Regions of finished judgements by origin; `deleted` counts pre-annotations that were removed.
        untouched: Share of the pre-annotations shown that came back as they were; None where none was shown.
        lead_time: Time spent on finished judgements.
    """

    annotator: str
    done: int
    skipped: int
    unfinished: int
    compared: int
    boxes: int
    f1: float | None
    pairwise_iou: float | None
    matched_iou: float | None
    union_iou: float | None
    word_jaccard: float | None
    status_share: float | None
    vitality_boxes: float | None
    vitality_status: float | None
    statuses: Mapping[str, int]
    origins: Mapping[str, int]
    untouched: float | None
    lead_time: LeadTime


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators; means over the questions that both finished. See `Measures`."""

    first: str
    second: str
    questions: int
    f1: float | None
    pairwise_iou: float | None
    matched_iou: float | None
    union_iou: float | None
    word_jaccard: float | None
    status_share: float | None


@dataclass(frozen=True)
class QuestionAgreement:
    """One question that two or more annotators finished; means over its pairs of annotators.

    Attributes:
        question_id: The question.
        source: Its source.
        doc_id: Its document.
        annotators: Those who finished it, sorted.
        statuses: Their statuses, in the same order.
        boxes: Their numbers of evidence boxes, in the same order.
        f1: None where nobody drew a box, as the next four (`word_jaccard` also where no box holds a word).
        dispute: 0 (all agree) to 1: one less the mean over pairs of F1, where different statuses count as 0 and
            the same status without boxes as 1.
    """

    question_id: str
    source: str
    doc_id: str
    annotators: tuple[str, ...]
    statuses: tuple[str, ...]
    boxes: tuple[int, ...]
    f1: float | None
    pairwise_iou: float | None
    matched_iou: float | None
    union_iou: float | None
    word_jaccard: float | None
    status_share: float
    dispute: float


@dataclass(frozen=True)
class Agreement:
    """Agreement between the annotators of a workspace.

    Attributes:
        settings: How it was measured.
        judged: Questions with any judgement.
        single: Of these, questions with one finished judgement: not to be compared.
        undone: Of these, questions with none: only skipped or unfinished.
        overall: Over all questions that can be compared.
        sources: The same for each source.
        annotators: Each annotator, by name.
        pairs: Each pair of annotators that share a question, by name.
        questions: Each question that can be compared, by id.
        disputed: The most disputed of them, worst first (higher dispute, then lower union IoU, then id).
        problems: Judgements and regions that were left out.
    """

    settings: Settings
    judged: int
    single: int
    undone: int
    overall: Measures
    sources: Mapping[str, Measures]
    annotators: tuple[AnnotatorAgreement, ...]
    pairs: tuple[PairAgreement, ...]
    questions: tuple[QuestionAgreement, ...]
    disputed: tuple[QuestionAgreement, ...]
    problems: tuple[Problem, ...] = field(default=())

    def to_json(self, *, questions: bool = False) -> dict[str, Any]:
        """JSON-ready values (no NaN); the questions that are not disputed only on request."""
        # The questions, which may be many, are not made ready only to be dropped.
        found: dict[str, Any] = _plain(asdict(self if questions else replace(self, questions=())))
        if not questions:
            del found["questions"]
        return found

    def text(self) -> str:
        """Tables for people."""
        from annotation.agreement.text import agreement_text

        return agreement_text(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
