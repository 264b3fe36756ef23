"""`measure_agreement`: from judgements to every figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.alpha import Tally, alpha
from annotation.agreement.asked import Asked, load_asked
from annotation.agreement.frame import NONE, Frame, build_frame, finished
from annotation.agreement.groups import group_boxes
from annotation.agreement.overlaps import find_overlaps
from annotation.agreement.pairs import PairFigures, compare_pairs, mean_by
from annotation.agreement.people import annotators_of, known, pairs_of
from annotation.agreement.resampling import Sums
from annotation.agreement.results import (
    Agreement,
    BoxAgreement,
    Estimate,
    Measures,
    QuestionAgreement,
    Settings,
)
from annotation.agreement.units import box_tally, status_tally
from annotation.agreement.words import WordAgreement, measure_words
from annotation.judgements import DONE, Judgement, Judgements
from pinpoint_data.errors import Problem
from pinpoint_data.workspace import Workspace

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def measure_agreement(workspace: Workspace, judgements: Judgements, settings: Settings | None = None) -> Agreement:
    """Measure how far annotators agree.

    Args:
        workspace: Where the questions and words are.
        judgements: Whose work is compared; see `load_judgements`.
        settings: Choices; the defaults of `Settings` if None.
    """
    settings = settings or Settings()
    asked = load_asked(workspace, judgements.by_question)
    unknown = [_unknown(question_id) for question_id in judgements.by_question if question_id not in asked]
    frame, off_page = build_frame(judgements.by_question, asked, judgements.annotators)
    words = measure_words(workspace, frame)
    silent = words.silent_lines if words else np.zeros(len(frame.question_ids), np.int64)
    overlaps = find_overlaps(frame.xyxy, frame.page, frame.owner)
    group = {t: group_boxes(frame.xyxy, frame.owner, overlaps, t) for t in settings.thresholds}
    figures = compare_pairs(frame, overlaps, settings.thresholds, settings.iou, words.jaccard if words else None)
    tallies = {t: box_tally(frame, found) for t, found in group.items()}
    slices = _Slices(frame, figures, tallies, silent, words, settings)
    sources = np.array([a.source for a in frame.asked], np.str_)
    questions = _questions(frame, figures, settings.iou)
    numbers = [len(finished(found)) for found in judgements.by_question.values()]
    return Agreement(
        settings=settings,
        judged=len(numbers),
        single=numbers.count(1),
        undone=numbers.count(0),
        overall=slices.measure(np.ones(len(sources), bool)),
        sources={str(name): slices.measure(sources == name) for name in np.unique(sources)},
        annotators=annotators_of(judgements, frame, figures, settings.iou, group[settings.iou], silent),
        pairs=pairs_of(frame, figures, settings.iou),
        questions=questions,
        disputed=_disputed(questions, settings.disputed),
        problems=(*judgements.problems, *unknown, *off_page),
    )


def compare_questions(
    by_question: dict[str, list[Judgement]], asked: dict[str, Asked], annotators: tuple[str, ...], iou: float
) -> dict[str, QuestionAgreement]:
    """The figures of each question that two or more annotators finished, without words."""
    frame, _ = build_frame(by_question, asked, annotators)
    overlaps = find_overlaps(frame.xyxy, frame.page, frame.owner)
    figures = compare_pairs(frame, overlaps, (iou,), iou, None)
    return {question.question_id: question for question in _questions(frame, figures, iou)}


class _Slices:
    """The measures of any set of questions, from figures computed once."""

    def __init__(
        self,
        frame: Frame,
        figures: PairFigures,
        tallies: dict[float, Tally],
        silent: IntArray,
        words: WordAgreement | None,
        settings: Settings,
    ) -> None:
        self._settings, self._frame = settings, frame
        self._marked = tallies
        self._boxes = {t: tally.with_silent(silent, frame.raters, NONE) for t, tally in tallies.items()}
        self._words = words.tally if words else None
        self._status = status_tally(frame)
        self._docs = np.unique(np.array([a.doc_id for a in frame.asked], np.str_), return_inverse=True)[1].reshape(-1)
        pair_question = frame.question[frame.first]

        def by_question(values: FloatArray) -> FloatArray:
            return mean_by(values, pair_question, len(frame.question_ids))

        self._f1 = {t: by_question(values) for t, values in figures.f1.items()}
        self._means = [
            by_question(values)
            for values in (
                *(figures.f1[settings.iou], figures.pairwise_iou, figures.matched_iou, figures.union_iou),
                *(figures.word_jaccard, figures.same_status),
            )
        ]

    def measure(self, chosen: BoolArray) -> Measures:
        """The measures of the chosen (Q,) questions."""
        sums = Sums(self._docs[chosen], self._settings.resamples, self._settings.seed)
        places = [sums.add_mean(values[chosen]) for values in self._means]
        status = self._add(sums, self._status, chosen)
        words = None if self._words is None else self._add(sums, self._words, chosen)
        sweep = [
            (
                t,
                self._add(sums, self._boxes[t], chosen),
                self._add(sums, self._marked[t], chosen),
                sums.add_mean(self._f1[t][chosen]),
            )
            for t in self._settings.thresholds
        ]
        found = sums.estimates()
        f1, pairwise, matched, union, jaccard, same = (found[place] for place in places)
        return Measures(
            questions=int(chosen.sum()),
            judgements=int(self._frame.raters[chosen].sum()),
            sweep=tuple(
                BoxAgreement(t, found[a], found[m], found[f], int(self._marked[t].units[chosen].sum()))
                for t, a, m, f in sweep
            ),
            f1=f1,
            pairwise_iou=pairwise,
            matched_iou=matched,
            union_iou=union,
            word_jaccard=jaccard,
            alpha_words=found[words] if words is not None else Estimate(None),
            status_share=same,
            alpha_status=found[status],
        )

    @staticmethod
    def _add(sums: Sums, tally: Tally, chosen: BoolArray) -> int:
        return sums.add(tally.columns[chosen], alpha, int(tally.units[chosen].sum()))


def _questions(frame: Frame, figures: PairFigures, iou: float) -> tuple[QuestionAgreement, ...]:
    question, size = frame.question[frame.first], len(frame.question_ids)
    f1, pairwise, matched, union, jaccard, same, agreed = (
        mean_by(values, question, size)
        for values in (
            *(figures.f1[iou], figures.pairwise_iou, figures.matched_iou, figures.union_iou),
            *(figures.word_jaccard, figures.same_status, figures.agreed),
        )
    )
    starts = np.cumsum([0, *frame.raters]).tolist()
    boxes, names = frame.boxes_of.tolist(), [frame.annotators[place] for place in frame.annotator]
    statuses = [DONE[status] for status in frame.status]
    return tuple(
        QuestionAgreement(
            frame.question_ids[place],
            frame.asked[place].source,
            frame.asked[place].doc_id,
            tuple(names[starts[place] : starts[place + 1]]),
            tuple(statuses[starts[place] : starts[place + 1]]),
            tuple(boxes[starts[place] : starts[place + 1]]),
            known(f1[place]),
            known(pairwise[place]),
            known(matched[place]),
            known(union[place]),
            known(jaccard[place]),
            float(same[place]),
            float(max(0.0, 1 - agreed[place])),
        )
        for place in range(size)
    )


def _disputed(questions: tuple[QuestionAgreement, ...], count: int) -> tuple[QuestionAgreement, ...]:
    def rank(question: QuestionAgreement) -> tuple[float, float, str]:
        return -question.dispute, 1.0 if question.union_iou is None else question.union_iou, question.question_id

    return tuple(sorted((q for q in questions if q.dispute > 0), key=rank)[:count])


def _unknown(question_id: str) -> Problem:
    return Problem(
        "unknown-question", "annotations", question_id, "no such question in the workspace", "ingest its source"
    )
