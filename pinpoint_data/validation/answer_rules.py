"""Rules about answers: their text should stand in the evidence boxes, and these on the answer's page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import BoolArray, Boxes, IntArray, Layer
from pinpoint_data.validation.page_words import PageText, normalised, page_texts
from pinpoint_data.validation.view import WorkspaceView

_NOT_ON_THE_PAGE = {"", "yes", "no", "true", "false", "none", "not answerable", "unanswerable", "fail to answer"}
_LIST = re.compile(r"[,;\n]|^\s*\[| and ")
_NOT_EXTRACTIVE = re.compile(r"non.?extractive|non.?span|list|multi.?span|none", re.IGNORECASE)
# Shorter answers ("5", "Q1") stand somewhere on most pages by chance.
_SURE_CHARACTERS = 4
_QUESTIONS_AT_ONCE = 65_536
_BETWEEN = "\n"
"""No letter or digit, so in no normalised answer."""


@dataclass
class Placement:
    """Where the answers of a layer's groups (one question, one annotator) were found.

    Attributes:
        first_box: (groups,) row of the group's first box, to name it.
        questions: (groups,) row of the view's questions.
        looked: (groups,) True where the question has an extractive answer and its boxes' pages have words.
        in_box: (groups,) True where an answer stands in the group's boxes.
        on_page: (groups,) True where an answer stands anywhere on those pages.
    """

    boxes: Boxes
    first_box: IntArray
    questions: IntArray
    looked: BoolArray
    in_box: BoolArray
    on_page: BoolArray


@dataclass(frozen=True)
class Answers:
    """The answers of a question that can be looked for: normalised, between spaces."""

    texts: tuple[str, ...]

    def stand_in(self, text: str) -> bool:
        """Whether one of them is a run of whole words of `text`, however either is split into words."""
        if any(answer in text for answer in self.texts):
            return True
        unspaced = text.replace(" ", "")
        return any(a.replace(" ", "") in unspaced and _spaced(a).search(text) is not None for a in self.texts)

    @property
    def sure(self) -> bool:
        """Whether one of them is long enough not to stand on a page by chance."""
        return any(len(answer.replace(" ", "")) >= _SURE_CHARACTERS for answer in self.texts)


def _spaced(answer: str) -> re.Pattern[str]:
    """Finds the answer where OCR or the page splits it otherwise ("27%" and "27 %", "1,000" and "1000")."""
    return re.compile("(?<= )" + " ?".join(map(re.escape, answer.replace(" ", ""))) + "(?= )")


class ExtractiveAnswers:
    """For every question the answers to look for; None for lists, yes and no, counts and unanswerable ones.

    They stay in Arrow memory and are made one at a time: as objects they would be half of what a validation holds.
    """

    def __init__(self, view: WorkspaceView) -> None:
        answers, types = view.questions["answers"], view.questions["answer_types"]
        kind = pa.large_string()
        some = [pa.array([], kind)]
        for start in range(0, len(answers), _QUESTIONS_AT_ONCE):
            found = _wanted(answers.slice(start, _QUESTIONS_AT_ONCE), types.slice(start, _QUESTIONS_AT_ONCE))
            some.append(pa.array(found, kind))
        # One array of plain text: a list, or a place in many chunks, takes several times as long to get at.
        self._texts = pa.concat_arrays(some)
        self._answers = answers

    @property
    def known(self) -> BoolArray:
        """(questions,) True where there is an answer to look for."""
        known: BoolArray = pc.is_valid(self._texts).to_numpy(zero_copy_only=False)
        return known

    def __getitem__(self, question: int | np.integer[Any]) -> Answers | None:
        texts = self._texts[int(question)].as_py()
        return None if texts is None else Answers(tuple(texts.split(_BETWEEN)))

    def shown(self, question: int | np.integer[Any]) -> str:
        """The first answers of a question as its source gives them."""
        return " | ".join(self._answers[int(question)].as_py()[:3])


def _wanted(answers: pa.ChunkedArray, types: pa.ChunkedArray) -> Iterator[str | None]:
    """Normalised answers of each question with `_BETWEEN` between them, or None."""
    flat = normalised(pc.list_flatten(answers).combine_chunks()).to_pylist()
    start = 0
    for raw, kinds in zip(answers.to_pylist(), types.to_pylist(), strict=True):
        texts, start = flat[start : start + len(raw)], start + len(raw)
        single = any(not _LIST.search(text) for text in raw)
        wanted = [f" {text} " for text in dict.fromkeys(texts) if text not in _NOT_ON_THE_PAGE]
        skip = not single or any(_NOT_EXTRACTIVE.fullmatch(kind) for kind in kinds)
        yield None if skip or not wanted else _BETWEEN.join(wanted)


def _placements(view: WorkspaceView) -> list[Placement]:
    answers = view.once(ExtractiveAnswers)
    placements = [_start(layer, answers) for layer in view.layers]
    wanted = np.zeros(view.pages.num_rows, dtype=np.bool_)
    by_page = [_boxes_by_page(p, wanted) for p in placements]
    for text in page_texts(view, wanted):
        for placement, (rows, starts, group_of) in zip(placements, by_page, strict=True):
            _place(placement, rows[starts[text.page] : starts[text.page + 1]], group_of, text, answers)
    return placements


def _start(layer: Layer, answers: ExtractiveAnswers) -> Placement:
    boxes = layer.boxes
    extractive = np.append(answers.known, False)  # -1, the unknown question, is the last
    usable = np.flatnonzero(boxes.whole & (boxes.page >= 0) & extractive[boxes.question])
    _, first = np.unique(boxes.group[usable], return_index=True)
    empty = np.zeros((3, len(first)), dtype=np.bool_)
    return Placement(boxes, usable[first], boxes.question[usable[first]], *empty)


def _boxes_by_page(placement: Placement, wanted: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of boxes sorted by page and group, where each page's begin, and each box's number in the placement."""
    boxes = placement.boxes
    groups = boxes.group[placement.first_box]
    number = np.full(len(boxes.group), -1, dtype=np.int64)
    if len(groups):
        place = np.minimum(np.searchsorted(groups, boxes.group), len(groups) - 1)
        ours = (groups[place] == boxes.group) & boxes.whole & (boxes.page >= 0)
        number[ours] = place[ours]
    rows = np.flatnonzero(number >= 0)
    rows = rows[np.lexsort((rows, number[rows], boxes.page[rows]))]
    wanted[boxes.page[rows]] = True
    starts = np.searchsorted(boxes.page[rows], np.arange(len(wanted) + 1))
    return rows, starts, number


def _place(placement: Placement, rows: IntArray, number: IntArray, text: PageText, answers: ExtractiveAnswers) -> None:
    """Look for the answers of every group with boxes on one page."""
    if not len(rows):
        return
    inside = text.centres_in(placement.boxes.xyxy[rows])
    numbers, starts = np.unique(number[rows], return_index=True)
    in_group = np.logical_or.reduceat(inside, starts, axis=0)
    ends = [*starts[1:], len(rows)]
    for group, words, start, end in zip(numbers, in_group, starts, ends, strict=True):
        answer = answers[placement.questions[group]]
        if answer is None or placement.in_box[group]:
            continue
        placement.looked[group] = True
        # All boxes together first: an answer over two lines is often drawn as two boxes.
        found = answer.stand_in(text.joined(words)) or (
            end - start > 1 and any(answer.stand_in(text.joined(one)) for one in inside[start:end])
        )
        placement.in_box[group] = found
        placement.on_page[group] = found or placement.on_page[group] or answer.stand_in(text.whole)


def _answer_hits(view: WorkspaceView, *, elsewhere: bool) -> Iterator[Hit]:
    answers = view.once(ExtractiveAnswers)
    for placement in view.once(_placements):
        for group in np.flatnonzero(placement.looked & ~placement.in_box):
            question = placement.questions[group]
            answer = answers[question]
            if answer is None or (bool(placement.on_page[group]) and answer.sure) != elsewhere:
                continue
            place = "stands on the page, but in none of the boxes" if elsewhere else "is in no box"
            hit = placement.boxes.hit(int(placement.first_box[group]), f"answer {answers.shown(question)!r} {place}")
            yield replace(hit, region_id=None, page_index=None)


def _answer_elsewhere(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    return _answer_hits(view, elsewhere=True)


def _answer_in_no_box(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    return _answer_hits(view, elsewhere=False)


def _off_answer_page(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    wanted = pc.fill_null(view.questions["answer_page_index"], -1).to_numpy()
    for boxes in (layer.boxes for layer in view.layers):
        # A support box may stand anywhere; a role that nobody gave is taken for an answer.
        answers = pc.fill_null(pc.not_equal(boxes.role, "support"), True).to_numpy()
        rows = np.flatnonzero(answers & (boxes.page >= 0))
        rows = rows[wanted[boxes.question[rows]] >= 0]
        there = boxes.page_index[rows] == wanted[boxes.question[rows]]
        # An answer that stands on several pages is drawn on all of them, which is right.
        missed = rows[~np.isin(boxes.group[rows], boxes.group[rows[there]])]
        _, first = np.unique(boxes.group[missed], return_index=True)
        for row in missed[np.sort(first)]:
            source = f"the source says the answer is on page {wanted[boxes.question[row]]}"
            yield replace(boxes.hit(int(row), f"no answer box is there: {source}"), region_id=None)


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="answer-outside-boxes",
        severity="warning",
        what="the answer's words stand on the page, but in none of the boxes",
        why="The box is likely shifted or in the wrong place. (Shorter than 4 characters: answer-in-no-box.)",
        remedy="look at the page: move the box, or add the one that holds the answer",
        function=_answer_elsewhere,
    ),
    FunctionRule(
        code="answer-in-no-box",
        severity="info",
        what="the answer's words are in no box of the question",
        why="Normal for computed answers, charts and poor OCR; in numbers it means wrong boxes or wrong words.",
        remedy="look at a few of them; nothing to do where the answer is derived",
        function=_answer_in_no_box,
    ),
    FunctionRule(
        code="evidence-off-answer-page",
        severity="warning",
        what="the answer boxes stand on pages that the source says are not the answer's",
        why="Page recall and window labels then point at a page where the answer is not, or the source is wrong.",
        remedy="look at both pages; pages count from 0 inside the question's own page_ids",
        function=_off_answer_page,
    ),
)
