"""Nearly equal spans: shared q-grams say where to look, Indel similarity says how near they come.

The time grows with the length of the page, not with its product with the answer's: each q-gram of the answer votes
for where the answer would begin, and only the places with the most votes are compared.
"""

from __future__ import annotations

import numpy as np
from rapidfuzz.distance import Indel

from annotation.proposals.layout import IntArray
from annotation.proposals.pagetext import Stream

MIN_LENGTH, MAX_LENGTH = 5, 6000
"""Answers of fewer characters change their meaning with one; longer ones are no answers."""

_PLACES = 6
_EDGES = 4
_COMMON = 400  # q-grams that stand oftener on a page say nothing


def min_similarity(length: int) -> float:
    """The least similarity of an answer of `length` characters: about one wrong letter in five, one in four if long."""
    return 0.8 if length < 30 else 0.75


def find_fuzzy(stream: Stream, needle: str) -> list[tuple[int, int, float]]:
    """Where a stream nearly says `needle`.

    Digits must agree: 1994 is not nearly 1995. Only a long answer may differ in some.

    Returns:
        First and last word (places in the stream) and the similarity, best first.
    """
    length = len(needle)
    digits = _digits(needle)
    if not MIN_LENGTH <= length <= MAX_LENGTH or 2 * len(digits) >= length or not stream.text:
        return []
    found: dict[tuple[int, int], float] = {}
    for start in _starts(stream, needle):
        first, last, similarity = _best_edges(stream, needle, start)
        same_digits = _digits(stream.text[first:last]) == digits
        if similarity >= min_similarity(length) and (same_digits or length >= 30):
            found[int(stream.owner[first]), int(stream.owner[last - 1])] = similarity
    return [(*words, similarity) for words, similarity in sorted(found.items(), key=lambda item: (-item[1], item[0]))]


def _starts(stream: Stream, needle: str) -> list[int]:
    """The places of the stream's text where the needle would begin, by the votes of its q-grams."""
    q = 2 if len(needle) < 10 else 3
    text, codes = stream.codes, np.array([ord(c) for c in needle], np.int64)
    if len(text) < q:
        return []
    grams, wanted = _grams(text, q), _grams(codes, q)
    order = np.argsort(grams, kind="stable")
    low = np.searchsorted(grams[order], wanted, side="left")
    high = np.searchsorted(grams[order], wanted, side="right")
    votes = [
        order[one:other] - place
        for place, (one, other) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
        if 0 < other - one <= _COMMON
    ]
    if not votes:
        return []
    # Two halves of an answer vote for places that differ by what was inserted between them.
    width = max(2, len(needle) // 6)
    diagonals, counts = np.unique(np.concatenate(votes) // width, return_counts=True)
    best = np.lexsort((diagonals, -counts))[:_PLACES]
    return [int(diagonals[i] * width + width // 2) for i in best if counts[i] * 4 >= len(needle) - q]


def _grams(codes: IntArray, q: int) -> IntArray:
    found = codes[: len(codes) - q + 1].copy()
    for step in range(1, q):
        found = (found << 21) | codes[step : len(codes) - q + 1 + step]
    return found


def _best_edges(stream: Stream, needle: str, start: int) -> tuple[int, int, float]:
    """The stretch of whole words around a place that comes nearest to the needle."""
    begins = _nearest(stream.begins, start)
    ends = _nearest(stream.ends, start + len(needle))
    best = (0, 1, 0.0)
    for first in begins:
        for last in ends:
            if first < last:
                similarity = Indel.normalized_similarity(needle, stream.text[first:last], score_cutoff=best[2])
                if similarity > best[2]:
                    best = (first, last, similarity)
    return best


def _nearest(places: IntArray, wanted: int) -> list[int]:
    middle = int(np.searchsorted(places, wanted))
    found: list[int] = places[max(0, middle - _EDGES) : middle + _EDGES].tolist()
    return found


def _digits(text: str) -> str:
    return "".join([c for c in text if c.isdecimal()])
