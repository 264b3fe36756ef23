"""Which of the places that say an answer is meant: the one the question's rare words stand closest to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotation.proposals.anchors import Anchors
from annotation.proposals.answers import Answer
from annotation.proposals.folding import squash
from annotation.proposals.layout import FloatArray, closeness, line_boxes
from annotation.proposals.matching import VALUE, Span, find_answer
from annotation.proposals.pagetext import PageText

MAX_CANDIDATES = 400
_BASE, _NEAR, _COVER = 0.35, 0.5, 0.15
SHORT = 2
"""An answer of one or two characters stands anywhere; without question words around it, it is chance."""

_SHORT_CLOSENESS = 0.2


@dataclass(frozen=True, eq=False)
class AskedPage:
    """A page as one question sees it: its place in the question, its text, and the question's words on it."""

    index: int
    text: PageText
    anchors: Anchors


@dataclass(frozen=True, eq=False)
class Candidate:
    """A place that says an answer.

    Attributes:
        page: The page.
        answer: The answer or the part of it.
        span: The words.
        boxes: (k, 4) one box a line.
        near: 0..1, how close the question's words stand, weighted.
        score: 0..1, of quality, closeness, and how much of the question the page repeats.
        places: How many places say the same.
        lead: How far the score is above the best place that was not taken.
    """

    page: AskedPage
    answer: str
    span: Span
    boxes: FloatArray
    near: float
    score: float
    places: int = 1
    lead: float = 1.0


def choose(pages: Sequence[AskedPage], answers: Sequence[Answer], keep: int, *, fuzzy: bool) -> list[Candidate]:
    """The best places of the answers on all pages of a question; none where no page says any of them.

    The answers of a question say the same thing in several ways, so all of them compete. A list is looked for as a
    whole first (unless the source gives it as a list), then part by part.

    Args:
        pages: The question's pages.
        answers: See `answers.read_answers`.
        keep: Most places of one answer or part.
        fuzzy: See `find_answer`.
    """
    whole = _best(_candidates(pages, [a.text for a in answers if not a.listed], fuzzy=fuzzy), keep)
    if whole and whole[0].span.quality >= VALUE:
        return whole
    in_parts = [_parts(pages, answer, keep, fuzzy=fuzzy) for answer in answers if answer.parts]
    best = max(in_parts, key=_trust, default=[])
    return best if _trust(best) > _trust(whole) else whole


def _trust(found: Sequence[Candidate]) -> float:
    return sum(candidate.span.quality for candidate in found) / len(found) if found else 0.0


def _parts(pages: Sequence[AskedPage], answer: Answer, keep: int, *, fuzzy: bool) -> list[Candidate]:
    """The places of a list's parts, the parts with the fewest places first: they draw the others to them."""
    distinct = list(dict.fromkeys(answer.parts))
    found = [(part, _candidates(pages, [part], fuzzy=fuzzy)) for part in distinct]
    found = sorted(((part, places) for part, places in found if places), key=lambda pair: len(pair[1]))
    if 2 * sum(answer.parts.count(part) for part, _ in found) < len(answer.parts):
        return []
    chosen: list[Candidate] = []
    for part, places in found:
        chosen += _best([_drawn(place, chosen) for place in places], keep * answer.parts.count(part), chosen)
    return chosen


def _drawn(place: Candidate, others: Sequence[Candidate]) -> Candidate:
    """A part's place, scored also by how close it stands to the parts that are chosen already."""
    same = [other.boxes for other in others if other.page.index == place.page.index]
    if not others:
        return place
    unit = place.page.text.unit
    near = float(closeness(np.concatenate(same), place.boxes, unit).max()) if same else 0.0
    return replace(place, score=0.6 * place.score + 0.4 * near * place.span.quality)


def _candidates(pages: Sequence[AskedPage], answers: Sequence[str], *, fuzzy: bool) -> list[Candidate]:
    weights = pages[0].anchors.weights
    there = np.max([page.anchors.present for page in pages], 0, initial=0.0)
    total = float((weights * there).sum())
    found: list[Candidate] = []
    for page in pages:
        spans = [(answer, span) for answer in answers for span in find_answer(page.text, answer, fuzzy=fuzzy)]
        spans = sorted(spans, key=lambda pair: (-pair[1].quality, pair[1].words))[:MAX_CANDIDATES]
        boxes = [line_boxes(page.text.words, span.words, page.text.unit) for _, span in spans]
        near = _near(page, boxes, total)
        cover = float((weights * page.anchors.present).sum()) / total if total else 0.0
        for (answer, span), lines, close in zip(spans, boxes, near, strict=True):
            if len(squash(answer)) <= SHORT and close < _SHORT_CLOSENESS and total:
                continue
            score = span.quality * (_BASE + _NEAR * close + _COVER * cover)
            found.append(Candidate(page, answer, span, lines, close, score))
    return found


def _near(page: AskedPage, boxes: Sequence[FloatArray], total: float) -> list[float]:
    """0..1 for each candidate's lines: the weighted closeness of the question's words."""
    if not boxes or not len(page.anchors) or not total:
        return [0.0] * len(boxes)
    rows = np.cumsum([0, *(len(lines) for lines in boxes[:-1])])
    by_term = np.maximum.reduceat(page.anchors.near(np.concatenate(boxes), page.text.unit), rows)
    near: list[float] = (by_term @ page.anchors.weights / total).tolist()
    return near


def _best(places: Sequence[Candidate], keep: int, taken: Sequence[Candidate] = ()) -> list[Candidate]:
    """The best `keep` places that share no word with a better one or with those taken."""
    used = {(other.page.index, word) for other in taken for word in other.span.words}
    chosen: list[Candidate] = []
    rest: list[float] = []
    for place in sorted(places, key=lambda c: (-c.score, -len(c.span.words), c.page.index, c.span.words)):
        words = {(place.page.index, word) for word in place.span.words}
        if not used.isdisjoint(words):
            continue
        used |= words
        if len(chosen) < keep:
            chosen.append(place)
        else:
            rest.append(place.score)
    after = rest[0] if rest else 0.0
    return [replace(c, places=len(chosen) + len(rest), lead=c.score - after) for c in chosen]
