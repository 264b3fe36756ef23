"""Rules about verdicts: against the boxes, against the answers, and against one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.validation.answer_rules import ExtractiveAnswers
from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import BoolArray, Verdicts, is_person
from pinpoint_data.validation.page_words import page_texts
from pinpoint_data.validation.view import WorkspaceView

# Statuses that say there is nothing to draw. `wrong_answer` and `unfinished` may come with boxes.
_WITHOUT_BOXES = ("no_evidence", "unanswerable", "skipped")
# Statuses that say the pages do not hold the answer.
_NOT_THERE = ("no_evidence", "unanswerable")
_FINISHED = ("evidence", "no_evidence", "unanswerable", "wrong_answer")
_NO_ANSWER = {"not answerable", "unanswerable", "fail to answer"}


def _is(verdicts: Verdicts, *statuses: str) -> BoolArray:
    """(n,) True where the status is one of these."""
    found: BoolArray = pc.fill_null(pc.is_in(verdicts.status, value_set=pa.array(statuses)), False).to_numpy()
    return found


def _boxes_against_status(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, verdicts in ((layer.boxes, layer.verdicts) for layer in view.layers):
        groups, counts = np.unique(boxes.group, return_counts=True)
        for row in np.flatnonzero(_is(verdicts, *_WITHOUT_BOXES) & np.isin(verdicts.group, groups)):
            count = counts[np.searchsorted(groups, verdicts.group[row])]
            yield verdicts.hit(int(row), f"status is {verdicts.status[int(row)].as_py()}, yet it has {count} box(es)")


def _evidence_without_boxes(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, verdicts in ((layer.boxes, layer.verdicts) for layer in view.layers):
        for row in np.flatnonzero(_is(verdicts, "evidence") & ~np.isin(verdicts.group, boxes.group)):
            yield verdicts.hit(int(row), "status is evidence, yet it has no box")


def _boxes_without_verdict(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, verdicts in ((layer.boxes, layer.verdicts) for layer in view.layers):
        groups, first, counts = np.unique(boxes.group, return_index=True, return_counts=True)
        for number in np.flatnonzero(~np.isin(groups, verdicts.group)):
            hit = boxes.hit(int(first[number]), f"has {counts[number]} box(es) but no verdict row")
            yield replace(hit, region_id=None, page_index=None)


def _answer_pages(view: WorkspaceView) -> dict[int, list[int]]:
    """For each question that a verdict calls unanswerable: the pages (0-based, its own) where an answer stands."""
    answers = view.once(ExtractiveAnswers)
    denied = {
        int(row)
        for layer in view.layers
        for row in view.question_rows(layer.verdicts.question_id)[_is(layer.verdicts, *_NOT_THERE)]
        if row >= 0 and answers[row] is not None
    }
    questions, pages = view.page_of_question
    ours = np.flatnonzero(np.isin(questions, list(denied)) & (pages >= 0))
    wanted = np.zeros(view.pages.num_rows, dtype=np.bool_)
    wanted[pages[ours]] = True
    on_page: dict[int, list[int]] = {}
    for place in ours.tolist():
        on_page.setdefault(int(pages[place]), []).append(place)
    found: dict[int, list[int]] = {}
    for text in page_texts(view, wanted) if wanted.any() else ():
        for place in on_page[text.page]:
            answer = answers[questions[place]]
            # Short answers stand on most pages by chance.
            if answer is not None and answer.sure and answer.stand_in(text.whole):
                index = place - int(np.searchsorted(questions, questions[place]))
                found.setdefault(int(questions[place]), []).append(index)
    return found


def _status_against_answers(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    answers, found = view.once(ExtractiveAnswers), view.once(_answer_pages)
    texts = view.questions["answers"]
    for verdicts in (layer.verdicts for layer in view.layers):
        questions = view.question_rows(verdicts.question_id)
        for row in np.flatnonzero((questions >= 0) & _is(verdicts, *_NOT_THERE)):
            answer, pages = answers[questions[row]], found.get(int(questions[row]))
            if answer is not None and pages:
                where = f"answer {answers.shown(questions[row])!r} stands on page {', '.join(map(str, pages))}"
                yield verdicts.hit(int(row), f"status is {verdicts.status[int(row)].as_py()}, yet the {where}")
        for row in np.flatnonzero((questions >= 0) & _is(verdicts, "evidence")):
            given = texts[int(questions[row])].as_py()
            if given and all(text.strip().lower() in _NO_ANSWER for text in given):
                yield verdicts.hit(int(row), f"status is evidence, yet the source's answer is {given[0]!r}")


def _status_disagreement(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    annotated, adjudicated = (layer.verdicts for layer in view.layers)
    judges = _is(annotated, *_FINISHED) & is_person(annotated.annotator)
    open_ = ~pc.is_in(annotated.question_id, value_set=pc.unique(adjudicated.question_id)).to_numpy()
    rows = np.flatnonzero(judges & open_)
    said: dict[str, dict[str, str]] = {}
    first: dict[str, int] = {}
    chosen = pa.array(rows)
    columns = (annotated.question_id, annotated.annotator, annotated.status)
    for row, question_id, annotator, status in zip(rows, *(c.take(chosen).to_pylist() for c in columns), strict=True):
        first.setdefault(question_id, int(row))
        said.setdefault(question_id, {})[annotator] = status
    for question_id, statuses in said.items():
        counts = Counter(statuses.values()).most_common()
        if 2 * counts[0][1] <= len(statuses):
            votes = ", ".join(f"{count} {status}" for status, count in counts)
            hit = annotated.hit(first[question_id], f"no status has a majority of {len(statuses)} annotators: {votes}")
            yield replace(hit, annotator=None)


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="boxes-against-status",
        severity="error",
        what="the verdict says no_evidence, unanswerable or skipped, yet there are boxes",
        why="A question cannot be both positive and negative; its boxes or its verdict would be lost on publication.",
        remedy="remove the boxes, or set the status to evidence",
        function=_boxes_against_status,
    ),
    FunctionRule(
        code="evidence-without-boxes",
        severity="error",
        what="the verdict says evidence, yet there is no box",
        why="All its windows would be labelled negative although the evidence exists.",
        remedy="draw the boxes, or set the status to no_evidence or unfinished",
        function=_evidence_without_boxes,
    ),
    FunctionRule(
        code="boxes-without-verdict",
        severity="warning",
        what="there are boxes, but no verdict says that the question is done",
        why="Half-finished work cannot be told from finished work.",
        remedy="add the annotator's verdict on the question",
        function=_boxes_without_verdict,
    ),
    FunctionRule(
        code="status-against-answers",
        severity="warning",
        what="the verdict says unanswerable or no_evidence, yet the answer stands on a page; or evidence for no answer",
        why="One of the two is wrong: the annotator overlooked the place, or the source's answer is another one's.",
        remedy="look at the page named: draw the box, or give wrong_answer where the source is wrong",
        function=_status_against_answers,
    ),
    FunctionRule(
        code="status-disagreement",
        severity="warning",
        what="no status has a majority among the people who finished the question, and nothing is adjudicated",
        why="Whether there is evidence at all is open: the question can be published neither way.",
        remedy="run `pinpoint adjudicate` and decide it by hand, or ask one more annotator",
        function=_status_disagreement,
    ),
)
