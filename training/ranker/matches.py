"""Where a question's terms stand on its pages, and how much each term weighs.

A term matches a word that holds the same stem; a longer one also matches stems that begin alike and differ little
(Indel similarity, for OCR errors and compounds), with that similarity as its strength. A term's weight is its inverse
frequency over the runs of all the question's pages,

    idf_j = ln(1 + (S - n_j + 0.5) / (n_j + 0.5))

with S runs, n_j of them (by strength) holding term j: the Lucene form of BM25's. A term in quotation marks counts
twice, and the others half where there are any. Weights are scaled so that those of the terms that occur sum to one: a
term that is nowhere on the pages cannot tell one place from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Indel

from training.ranker.question import Question
from training.ranker.words import LONG, PlacedWords

FloatArray = npt.NDArray[np.float64]

_FUZZY_LENGTH = 6
_FUZZY = 0.8
_QUOTED, _BESIDE_QUOTED = 2.0, 0.5


@dataclass(frozen=True, eq=False)
class Matches:
    """The m terms of a question on one page of n words in s runs.

    Attributes:
        words: For each term the words that match it.
        strengths: For each term the strength of each match, 0 to 1.
        runs: (m, s) strength of each term's best match in each run.
    """

    words: list[npt.NDArray[np.int64]]
    strengths: list[FloatArray]
    runs: FloatArray


def match_terms(question: Question, words: PlacedWords) -> Matches:
    """Find the terms of a question on a page."""
    found = [_match(term, words) for term in question.terms]
    indices = [np.fromiter(hits, dtype=np.int64, count=len(hits)) for hits in found]
    strengths = [np.fromiter(hits.values(), dtype=np.float64, count=len(hits)) for hits in found]
    runs = np.zeros((len(found), words.n_runs))
    for row, index, strength in zip(runs, indices, strengths, strict=True):
        np.maximum.at(row, words.run[index], strength)
    return Matches(indices, strengths, runs)


def _match(term: str, words: PlacedWords) -> dict[int, float]:
    hits = dict.fromkeys(words.words_of.get(term, ()), 1.0)
    if len(term) < LONG or term[0].isdigit():
        return hits
    for other in words.initials.get(term[0], ()):
        if other == term or abs(len(other) - len(term)) > _FUZZY_LENGTH:
            continue
        if (alike := Indel.normalized_similarity(term, other)) >= _FUZZY:
            for word in words.words_of[other]:
                hits[word] = max(hits.get(word, 0.0), alike)
    return hits


def term_weights(question: Question, pages: Sequence[Matches]) -> FloatArray:
    """(m,): the weight of each term; those of terms that occur on the pages sum to one."""
    total = sum(page.runs.shape[1] for page in pages)
    held = np.sum([page.runs.sum(axis=1) for page in pages], axis=0)
    idf = np.log1p(np.maximum(total - held + 0.5, 0.5) / (held + 0.5))
    beside = _BESIDE_QUOTED if question.quoted else 1.0
    weights = idf * [_QUOTED if term in question.quoted else beside for term in question.terms]
    scaled: FloatArray = weights / max(float(weights[held > 0].sum()), 1e-6)
    return scaled
