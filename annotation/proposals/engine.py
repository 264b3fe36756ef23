"""From a question and the texts of its pages to proposed boxes: a pure function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.proposals.anchors import find_anchors
from annotation.proposals.answers import read_answers
from annotation.proposals.folding import squash
from annotation.proposals.grouping import by_question_words, to_blocks
from annotation.proposals.layout import FloatArray, line_boxes
from annotation.proposals.matching import find_answer
from annotation.proposals.pagetext import PageText
from annotation.proposals.ranking import SHORT, AskedPage, Candidate, choose
from annotation.proposals.rarity import Rarity
from annotation.proposals.settings import Proposal, Settings
from annotation.proposals.support import Support, choose_support

_MAX_TERMS = 200
_SHOWN = 80
_ALONE, _CLEAR_LEAD = 0.75, 0.2
_WORDS_ALONE = 0.5
"""What question words without an answer beside them are worth."""


def propose_boxes(
    question: str, answers: Sequence[str], pages: Sequence[PageText], rarity: Rarity, settings: Settings
) -> list[Proposal]:
    """Proposed evidence of one question, best first within each role, answers before support.

    Args:
        question: The question.
        answers: Its accepted answers.
        pages: All of its pages, in its own order.
        rarity: Counts over the pages and questions that this one belongs to.
        settings: How to propose.
    """
    if not pages:
        return []
    if settings.method == "first-exact":
        return _first_exact(answers, pages)
    terms = rarity.terms(question)[:_MAX_TERMS]
    asked = [AskedPage(index, page, find_anchors(page, terms)) for index, page in enumerate(pages)]
    found = choose(asked, read_answers(question, answers), settings.keep, fuzzy=settings.fuzzy)
    if not found and settings.group == "blocks":
        return by_question_words(asked)
    support = choose_support(asked, [(c.page, c.span.words, c.boxes) for c in found], settings.support)
    proposals = [p for c in found for p in _of_answer(c)] + [p for s in support for p in _of_support(s, bool(found))]
    grouped = to_blocks(proposals, pages) if settings.group == "blocks" else proposals
    return sorted(grouped, key=lambda p: (p.role, -p.score))


def _first_exact(answers: Sequence[str], pages: Sequence[PageText]) -> list[Proposal]:
    for answer in answers:
        for index, page in enumerate(pages):
            for span in find_answer(page, answer, fuzzy=False):
                if span.match == "exact":
                    boxes = line_boxes(page.words, span.words, page.unit)
                    return _proposals(index, page, boxes, "answer", 1.0, ("exact", answer, "the first exact place"))
    return []


def _of_answer(found: Candidate) -> list[Proposal]:
    said = f'"{_short(found.span.text)}" says "{_short(found.answer)}" ({found.span.match})'
    if found.places == 1:
        reason = f"{said}; the only place"
    else:
        reason = f"{said}; {found.places} places say it, the question's words stand closest to this one"
    match = (found.span.match, found.answer, reason)
    return _proposals(found.page.index, found.page.text, found.boxes, "answer", _sure(found), match)


def _sure(found: Candidate) -> float:
    """How likely this is the place: a long answer that stands nowhere else needs no question words around it."""
    if found.places == 1 and len(squash(found.answer)) > SHORT:
        return found.span.quality * (_ALONE + (1 - _ALONE) * found.near)
    # Of two places of equal score, each is right in half of the cases.
    return found.score * (0.5 + 0.5 * min(1.0, found.lead / _CLEAR_LEAD))


def _of_support(found: Support, answered: bool) -> list[Proposal]:
    where = f"{found.place} the answer" if found.place else "no page says the answer"
    reason = f'the question\'s words "{_short(found.asked)}", {where}'
    score = found.score if answered else _WORDS_ALONE * found.score
    match = ("question-words", "", reason)
    return _proposals(found.page.index, found.page.text, found.boxes, "support", score, match)


def _proposals(
    index: int, page: PageText, boxes: FloatArray, role: str, score: float, match: tuple[str, str, str]
) -> list[Proposal]:
    """Boxes cut at the page's edges; what lies outside is left out."""
    cut = np.clip(boxes, 0, [page.width, page.height, page.width, page.height])
    return [
        Proposal(index, (x0, y0, x1, y1), role, min(1.0, score), *match)
        for x0, y0, x1, y1 in cut.tolist()
        if x0 < x1 and y0 < y1
    ]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
