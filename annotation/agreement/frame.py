"""Finished judgements as columns: what every measure is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.asked import Asked
from annotation.agreement.overlaps import joint
from annotation.judgements import DONE, Judgement
from pinpoint_data.errors import Problem

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NONE, SUPPORT, ANSWER = 0, 1, 2
"""Values of a unit: nobody's evidence, or a role."""

_VALUE = {"support": SUPPORT, "answer": ANSWER}


@dataclass(frozen=True, eq=False)
class Frame:
    """Q questions with two or more finished judgements, their J judgements, B boxes and P pairs of judgements.

    Questions are sorted by id, the judgements of a question by annotator, the boxes of a judgement as
    `Judgement` has them. Boxes count only where the status is `evidence`.

    Attributes:
        question_ids: Q ids.
        asked: Q questions.
        annotators: Names that `annotator` points to.
        question: (J,) question of each judgement.
        annotator: (J,) annotator of each judgement.
        status: (J,) index into `DONE`.
        owner: (B,) judgement of each box.
        page: (B,) page of each box: a number of its own for each page of each question.
        xyxy: (B, 4) page pixels.
        value: (B,) `SUPPORT` or `ANSWER`.
        pages: Question and page index of each page that `page` points to.
        first: (P,) judgement of each pair, the one earlier by name.
        second: (P,) the other.
        pair_start: (Q,) number of the first pair of each question.
    """

    question_ids: tuple[str, ...]
    asked: tuple[Asked, ...]
    annotators: tuple[str, ...]
    question: IntArray
    annotator: IntArray
    status: IntArray
    owner: IntArray
    page: IntArray
    xyxy: FloatArray
    value: IntArray
    pages: tuple[tuple[int, int], ...]
    first: IntArray
    second: IntArray
    pair_start: IntArray

    @property
    def raters(self) -> IntArray:
        """(Q,) number of judgements of each question."""
        return np.bincount(self.question, minlength=len(self.question_ids))

    @property
    def boxes_of(self) -> IntArray:
        """(J,) number of boxes of each judgement."""
        return np.bincount(self.owner, minlength=len(self.question))

    def pair_of(self, first: IntArray, second: IntArray) -> IntArray:
        """(n,) the pair of each two judgements of one question, `first` before `second`."""
        question = self.question[first]
        start = np.searchsorted(self.question, question)
        count = self.raters[question]
        a, b = first - start, second - start
        pair: IntArray = self.pair_start[question] + a * count - a * (a + 1) // 2 + b - a - 1
        return pair


def build_frame(
    by_question: dict[str, list[Judgement]], asked: dict[str, Asked], annotators: tuple[str, ...]
) -> tuple[Frame, list[Problem]]:
    """The frame of the questions in `asked` that can be compared, and the boxes that are on no page of theirs."""
    kept = [(q, done) for q in sorted(by_question) if q in asked and len(done := finished(by_question[q])) > 1]
    number = {name: place for place, name in enumerate(annotators)}
    judged = [judgement for _, done in kept for judgement in done]
    problems: list[Problem] = []
    owner, index, xyxy, value = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty((0, 4))], [0][:0]
    for place, judgement in enumerate(judged):
        if not judgement.marks:
            continue
        on_page = judgement.page < len(asked[judgement.question_id].page_ids)
        problems += [off_page(judgement, int(region)) for region in np.flatnonzero(~on_page)]
        owner.append(np.full(int(on_page.sum()), place))
        index.append(judgement.page[on_page])
        xyxy.append(judgement.xyxy[on_page])
        value += [_VALUE[role] for role, good in zip(judgement.roles, on_page, strict=True) if good]
    question = np.repeat(np.arange(len(kept)), [len(done) for _, done in kept])
    box_owner = np.concatenate(owner)
    place_question, place_index = question[box_owner], np.concatenate(index)
    _, first_box, page = np.unique(joint(place_question, place_index), return_index=True, return_inverse=True)
    pairs = [np.triu_indices(len(done), 1) for _, done in kept]
    starts = np.cumsum([0, *(len(done) for _, done in kept)])
    frame = Frame(
        tuple(q for q, _ in kept),
        tuple(asked[q] for q, _ in kept),
        annotators,
        question,
        np.array([number[j.annotator] for j in judged], np.int64),
        np.array([DONE.index(j.status) for j in judged], np.int64),
        box_owner,
        page,
        np.concatenate(xyxy),
        np.array(value, np.int64),
        tuple(zip(place_question[first_box].tolist(), place_index[first_box].tolist(), strict=True)),
        _joined([first + start for (first, _), start in zip(pairs, starts[:-1], strict=True)]),
        _joined([second + start for (_, second), start in zip(pairs, starts[:-1], strict=True)]),
        np.cumsum([0, *(len(first) for first, _ in pairs)])[:-1],
    )
    return frame, problems


def finished(judgements: list[Judgement]) -> list[Judgement]:
    """Those that came to a verdict."""
    return [judgement for judgement in judgements if judgement.done]


def off_page(judgement: Judgement, region: int) -> Problem:
    """The problem of a region on a page that its question does not have."""
    return Problem(
        "page-index-out-of-range",
        "annotations",
        f"{judgement.question_id} by {judgement.annotator}",
        f"region {judgement.region_ids[region]} is on page {judgement.page[region]}, which the question does not have",
        "run `pinpoint validate`",
    )


def _joined(arrays: list[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *arrays])
