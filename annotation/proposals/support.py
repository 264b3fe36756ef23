"""The support of an answer: label, row and column header, legend, title, by the question's words on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.proposals.layout import FloatArray, closeness, line_boxes
from annotation.proposals.pagetext import PageText
from annotation.proposals.ranking import AskedPage

_LEAST = 0.15  # of the question's weight, after closeness
_FREE = 0.25  # what a run is worth wherever it stands: a title may be far from the answer
_WHOLE = 0.5  # a run that makes up this share of its segment stands for all of it

Evidence = tuple[AskedPage, tuple[int, ...], FloatArray]
"""What is to be supported: its page, words, and boxes (k, 4)."""


@dataclass(frozen=True, eq=False)
class Support:
    """A run of question words that a reader needs.

    Attributes:
        page: The page.
        words: The words of the run, or of the whole label or title that it is most of.
        boxes: (k, 4) one box a line.
        score: 0..1.
        place: Where it stands to the answer: `left of`, `above`, ...; empty without one.
        asked: The words of the run itself.
    """

    page: AskedPage
    words: tuple[int, ...]
    boxes: FloatArray
    score: float
    place: str
    asked: str


def choose_support(pages: Sequence[AskedPage], evidence: Sequence[Evidence], most: int) -> list[Support]:
    """Runs of question words that together repeat most of the question, close to the evidence.

    Greedy cover: the next run is the one that adds most weight of words that no earlier run holds, times its
    closeness; it ends when little is added.

    Args:
        pages: The question's pages.
        evidence: What is to be supported. Without any, closeness counts for nothing.
        most: The largest number of runs.
    """
    runs = [(page, run, near) for page in pages for run, near in enumerate(_nearness(page, evidence))]
    if not runs or not most:
        return []
    weights = pages[0].anchors.weights
    there = np.max([page.anchors.present for page in pages], 0)
    total = float((weights * there).sum())
    holds = np.array([page.anchors.holds[run] for page, run, _ in runs]) * weights / total
    near = np.array([near for *_, near in runs])
    open_terms = np.ones(len(weights))
    chosen: list[Support] = []
    used = {(page.index, word) for page, words, _ in evidence for word in words}
    while len(chosen) < most:
        gain = (holds @ open_terms) * near
        best = int(np.argmax(gain))
        if gain[best] < _LEAST:
            break
        page, run, _ = runs[best]
        near[best] = 0.0
        if used.isdisjoint((page.index, word) for word in page.anchors.words[run]):
            label = _label(page.text, *page.anchors.words[run])
            words = tuple(word for word in label if (page.index, word) not in used)
            chosen.append(_support(page, run, words, float(gain[best]), evidence))
            used |= {(page.index, word) for word in words}
            open_terms[holds[best] > 0] = 0.0
    return chosen


def _nearness(page: AskedPage, evidence: Sequence[Evidence]) -> list[float]:
    """How much each run of a page counts: all where there is no evidence, little on a page without any."""
    if not evidence or not len(page.anchors):
        return [1.0] * len(page.anchors)
    boxes = [lines for other, _, lines in evidence if other.index == page.index]
    if not boxes:
        return [0.0] * len(page.anchors)
    near = closeness(page.anchors.xyxy, np.concatenate(boxes), page.text.unit).max(1)
    found: list[float] = (_FREE + (1 - _FREE) * near).tolist()
    return found


def _support(page: AskedPage, run: int, words: tuple[int, ...], score: float, evidence: Sequence[Evidence]) -> Support:
    first, last = page.anchors.words[run]
    asked = " ".join(page.text.words.texts[first : last + 1])
    boxes = [lines for other, _, lines in evidence if other.index == page.index]
    place = _place(page.anchors.xyxy[run], np.concatenate(boxes), page.text.unit) if boxes else ""
    return Support(page, words, line_boxes(page.text.words, words, page.text.unit), score, place, asked)


def _label(text: PageText, first: int, last: int) -> range:
    """The words of a run, or of the whole segment that it is most of."""
    starts = text.segment_starts
    segment = int(np.searchsorted(starts, first, side="right")) - 1
    begin = int(starts[segment])
    end = int(starts[segment + 1]) if segment + 1 < len(starts) else len(text.words)
    letters = [len(word) for word in text.words.texts[begin:end]]
    share = sum(letters[first - begin : last + 1 - begin]) / sum(letters)
    return range(begin, end) if share >= _WHOLE and last < end else range(first, last + 1)


def _place(anchor: FloatArray, boxes: FloatArray, unit: float) -> str:
    box = boxes[int(np.argmax(closeness(anchor[None], boxes, unit)[0]))]
    if min(anchor[3], box[3]) > max(anchor[1], box[1]):
        return "left of" if anchor[0] <= box[0] else "right of"
    return "above" if anchor[1] <= box[1] else "below"
