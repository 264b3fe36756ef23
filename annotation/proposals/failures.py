"""Why an annotator's boxes are not the gold's: one kind a question, the first that fits."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from annotation.judgements import Judgement
from annotation.proposals.answers import read_answers
from annotation.proposals.layout import FloatArray
from annotation.proposals.matching import Span, find_answer
from annotation.proposals.pagetext import PageText
from annotation.proposals.scoring import QuestionScores
from annotation.proposals.values import value_keys
from pinpoint_data.boxes import intersection_area

_INSIDE = 0.8  # of a box's area


class Failure(StrEnum):
    """Kinds of questions whose boxes are not all right, in the order in which they are tried."""

    NO_WORDS = "no-words"
    PAGE_MISSED = "page-missed"
    SUPPORT = "support"
    EXTRA = "extra-boxes"
    COMPUTED = "computed"
    NOT_READ = "not-read"
    ELSEWHERE = "answer-elsewhere"
    LARGER_GOLD = "larger-gold"
    WRONG_PLACE = "wrong-place"
    INCOMPLETE = "incomplete"
    SHAPE = "shape"


DESCRIPTIONS = {
    Failure.NO_WORDS: "the gold boxes hold no word: pictures, or text that was not read",
    Failure.PAGE_MISSED: "gold on several pages, and one of them has no box",
    Failure.SUPPORT: "every answer box is right, a support box is missing",
    Failure.EXTRA: "every gold box is found, other boxes are too many",
    Failure.COMPUTED: "no page says the answer: a count, a sum, a yes or no",
    Failure.NOT_READ: "no page says the answer: the words were read otherwise, or the answer is worded otherwise",
    Failure.ELSEWHERE: "pages say the answer, but not inside the gold boxes",
    Failure.LARGER_GOLD: "the boxes lie inside gold boxes that are far larger: whole blocks, several lines",
    Failure.WRONG_PLACE: "the gold holds the answer; it was sought elsewhere, as with repeated answers",
    Failure.INCOMPLETE: "some answer boxes are right, others are missing",
    Failure.SHAPE: "the right place, and a box of another shape",
}


def failure_of(
    score: QuestionScores,
    judgement: Judgement | None,
    gold: Judgement,
    pages: Sequence[PageText],
    question: str,
    answers: Sequence[str],
) -> Failure | None:
    """Why one question's boxes are not the gold's; None where all are paired and none is too many.

    Args:
        score: The question's scores.
        judgement: The annotator's boxes.
        gold: The gold's.
        pages: The texts of the question's pages.
        question: The question.
        answers: Its accepted answers.
    """
    counts = score.boxes
    if counts.paired == counts.gold == counts.found:
        return None
    if not any(_words_inside(pages[page], gold.on_page(page)).any() for page in set(gold.page.tolist())):
        return Failure.NO_WORDS
    theirs = judgement if judgement is not None and judgement.marks else None
    pages_found = set(theirs.page.tolist()) if theirs else set()
    if pages_found and len(set(gold.page.tolist())) > 1 and set(gold.page.tolist()) - pages_found:
        return Failure.PAGE_MISSED
    paired = {row for _, _, row in score.pairs}
    missed = {role for row, role in enumerate(gold.roles) if row not in paired}
    if "answer" not in missed:
        return Failure.SUPPORT if missed else Failure.EXTRA
    said = _said(pages, question, answers)
    if not said:
        computed = not read_answers(question, answers) or any(value_keys(answer) for answer in answers)
        return Failure.COMPUTED if computed else Failure.NOT_READ
    if not any(_words_inside(pages[page], gold.on_page(page))[list(span.words)].any() for page, span in said):
        return Failure.ELSEWHERE
    return _misplaced(theirs, gold, missed_all=not any(gold.roles[row] == "answer" for row in paired))


def _misplaced(theirs: Judgement | None, gold: Judgement, *, missed_all: bool) -> Failure:
    """Where the boxes lie to gold that holds the answer's words."""
    inside = overlapping = False
    for page in set(gold.page.tolist()) if theirs else ():
        boxes, truth = theirs.on_page(page) if theirs else np.zeros((0, 4)), gold.on_page(page)
        if len(boxes):
            shared = intersection_area(boxes, truth) / _areas(boxes)[:, None]
            inside |= bool((shared >= _INSIDE).any())
            overlapping |= bool((shared > 0).any())
    if not missed_all:
        return Failure.INCOMPLETE
    if inside:
        return Failure.LARGER_GOLD
    return Failure.SHAPE if overlapping else Failure.WRONG_PLACE


def _said(pages: Sequence[PageText], question: str, answers: Sequence[str]) -> list[tuple[int, Span]]:
    """Every place on the pages that says an answer or, where none does, a part of one."""
    read = read_answers(question, answers)
    for texts in ([a.text for a in read if not a.listed], [part for a in read for part in a.parts]):
        found = [(at, span) for at, page in enumerate(pages) for text in texts for span in find_answer(page, text)]
        if found:
            return found
    return []


def _words_inside(page: PageText, boxes: FloatArray) -> NDArray[np.bool_]:
    """(n,) whether each word's centre lies in one of the boxes (m, 4)."""
    centres = (page.words.xyxy[:, :2] + page.words.xyxy[:, 2:]) / 2
    inside = (centres[:, None] >= boxes[:, :2]) & (centres[:, None] <= boxes[:, 2:])
    found: NDArray[np.bool_] = np.any(np.all(inside, axis=2), axis=1)
    return found


def _areas(boxes: FloatArray) -> FloatArray:
    found: FloatArray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return found
