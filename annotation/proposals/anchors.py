"""Where a page repeats the question: runs of consecutive question words, each with its place and its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from annotation.proposals.layout import FloatArray, closeness, envelopes
from annotation.proposals.pagetext import PageText
from annotation.proposals.rarity import Term

MAX_PLACES = 150
"""A question word that stands oftener on a page leads nowhere."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """The runs of question words on one page.

    Attributes:
        words: First and last word of each run, as rows of the page's words.
        terms: The question's terms (places in it) that each run holds and that have a weight.
        xyxy: (n, 4) envelopes of the runs.
        weights: (t,) weight of each of the question's terms.
        coherence: (n,) in 0.5..1: how much of the question's weight a run holds.
    """

    words: list[tuple[int, int]]
    terms: list[tuple[int, ...]]
    xyxy: FloatArray
    weights: FloatArray
    coherence: FloatArray

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def holds(self) -> FloatArray:
        """(n, t) 1 where a run holds a term."""
        found = np.zeros((len(self), len(self.weights)))
        for run, terms in enumerate(self.terms):
            found[run, list(terms)] = 1
        return found

    @cached_property
    def present(self) -> FloatArray:
        """(t,) 1 for every term that stands on the page."""
        found: FloatArray = self.holds.max(0, initial=0.0)
        return found

    def near(self, boxes: FloatArray, unit: float) -> FloatArray:
        """(m, t) how close the closest run with each term stands to each box (m, 4); see `layout.closeness`."""
        return self.best_by_term(closeness(self.xyxy, boxes, unit))

    def best_by_term(self, worth: FloatArray) -> FloatArray:
        """(m, t) the best of the runs that hold each term, from what each run is worth to each of m things (n, m)."""
        coherent = worth * self.coherence[:, None]
        found = np.zeros((worth.shape[1], len(self.weights)))
        for run, terms in enumerate(self.terms):
            for term in terms:
                np.maximum(found[:, term], coherent[run], out=found[:, term])
        return found


def find_anchors(page: PageText, terms: Sequence[Term]) -> Anchors:
    """All maximal runs on a page of consecutive question words that begin and end with a word of weight."""
    weights = np.array([term.weight for term in terms])
    texts = [term.text for term in terms]
    found: dict[tuple[int, int], set[int]] = {}
    for start, term in enumerate(terms):
        places = page.places.get(term.text, ()) if term.weight > 0 else ()
        for place in places if len(places) <= MAX_PLACES else ():
            if _is_tail(page.stems, terms, place, start):
                continue
            length = _run(page.stems, texts, place, start)
            while terms[start + length - 1].weight <= 0:
                length -= 1
            run = (int(page.stem_words[place]), int(page.stem_words[place + length - 1]))
            found.setdefault(run, set()).update(range(start, start + length))
    runs = sorted(found)
    held = [tuple(sorted(term for term in found[run] if weights[term] > 0)) for run in runs]
    boxes = [envelopes(page.words.xyxy[first : last + 1], np.zeros(1, np.int64))[0] for first, last in runs]
    whole = weights.sum()
    share = np.array([weights[list(terms_of)].sum() for terms_of in held]) / whole if runs else np.zeros(0)
    return Anchors(runs, held, np.array(boxes).reshape(-1, 4), weights, 0.5 + 0.5 * share)


def _run(stems: Sequence[str], texts: Sequence[str], place: int, start: int) -> int:
    length = 1
    while (
        place + length < len(stems) and start + length < len(texts) and stems[place + length] == texts[start + length]
    ):
        length += 1
    return length


def _is_tail(stems: Sequence[str], terms: Sequence[Term], place: int, start: int) -> bool:
    """Whether a run that begins earlier, with a word of weight, holds this place."""
    back = 1
    while place >= back and start >= back and stems[place - back] == terms[start - back].text:
        if terms[start - back].weight > 0:
            return True
        back += 1
    return False
