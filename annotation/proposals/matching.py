"""Find an answer among the words of a page: exactly, but for writing, by value, or nearly.

| match | what is equal | quality |
|---|---|---|
| exact | the words as they stand, but for marks around them and spaces | 1 |
| normalised | letters and digits, whatever the case, accents, dashes, line breaks and marks inside numbers | 0.9 |
| normalised | the value of a number or date ("$5m", "5 million"; "25/12/2018", "25 Dec 2018") | 0.85 |
| normalised | the number alone, where the page writes its unit elsewhere or nowhere | 0.6 |
| fuzzy | most letters (insertions and deletions, Indel similarity) | 0.7 of the similarity |

A match ends and begins where words do, or at a mark inside a word ("Male/Female"), which costs a little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from annotation.proposals.folding import JOINT, WORD, bare, pieces, squash
from annotation.proposals.fuzzy import find_fuzzy
from annotation.proposals.pagetext import NEVER, PageText, Stream
from annotation.proposals.values import value_keys

Match = Literal["exact", "normalised", "fuzzy"]

EXACT, WRITTEN, VALUE, UNITLESS, FUZZY = 1.0, 0.9, 0.85, 0.6, 0.7
MAX_MATCHES = 400
"""Places of one answer on one page that are looked at; a digit may stand in thousands."""

_LONG, _LONG_TRIES = 200, 2000  # long texts that repeat themselves cost most
_EDGE = {WORD: 1.0, 1: 0.92, JOINT: 0.75}
_SPREAD = 0.8  # a span that jumps across the page is hardly one answer
_UNIT = re.compile(r"^\s*[^\w\s]?\s*(\d[\d.,' ]*?)\s*(?:%|[^\W\d_][\w./%²³]*(?:\s[^\W\d_]\w*)?)\s*$")


@dataclass(frozen=True)
class Span:
    """Words of a page that say an answer.

    Attributes:
        words: Rows of the page's words, in reading order.
        match: How they were found.
        quality: How far they can be trusted to say it, 0..1; tells nothing about whether it is the right place.
        text: The words as they stand.
    """

    words: tuple[int, ...]
    match: Match
    quality: float
    text: str


def find_answer(page: PageText, answer: str, *, fuzzy: bool = True) -> list[Span]:
    """Every place where a page says an answer, in reading order; found in two ways, it counts as the better.

    Args:
        page: The page.
        answer: One answer, or one part of a list.
        fuzzy: Whether to look for nearly equal words where nothing else is found.
    """
    needle = squash(answer)
    if not needle:
        return _symbols(page, answer)
    found = list(_written(page, page.read, answer, needle))
    if not found and len(pieces_of(answer)) > 1:
        found = list(_written(page, page.by_block, answer, needle))
    found += _valued(page, answer)
    if not found:
        found = _without_unit(page, answer)
    if not found and fuzzy:
        found = [
            _span(page, page.read, first, last, "fuzzy", FUZZY * similarity)
            for first, last, similarity in find_fuzzy(page.read, needle)
        ]
    return _best(found)


def pieces_of(answer: str) -> list[str]:
    """The pieces of all words of an answer."""
    return [piece.text for word in answer.split() for piece in pieces(word)]


def _written(page: PageText, stream: Stream, answer: str, needle: str) -> Iterator[Span]:
    plain = bare(answer)
    for first, last, edge in _occurrences(stream, needle):
        span = _span(page, stream, first, last, "normalised", WRITTEN * edge)
        if bare(span.text) == plain:
            span = Span(span.words, "exact", EXACT * span.quality / (WRITTEN * edge), span.text)
        yield span


def _occurrences(stream: Stream, needle: str) -> Iterator[tuple[int, int, float]]:
    """First and last word (places in the stream) and what its edges are worth, of each occurrence."""
    place, tries, found = 0, 0, 0
    while found < MAX_MATCHES and (len(needle) < _LONG or tries < _LONG_TRIES):
        place = stream.text.find(needle, place)
        if place < 0:
            return
        begin, end = int(stream.begin[place]), int(stream.end[place + len(needle)])
        if NEVER not in (begin, end):
            found += 1
            yield int(stream.owner[place]), int(stream.owner[place + len(needle) - 1]), _EDGE[begin] * _EDGE[end]
        tries += 1
        place = stream.next_begin(place + 1)


def _valued(page: PageText, answer: str) -> list[Span]:
    found = []
    for key in sorted(value_keys(answer)):
        quality = VALUE if key[0] == "d" or len(key) > 2 else UNITLESS
        for first, last in page.values.get(key, ())[:MAX_MATCHES]:
            found.append(_span(page, page.read, first, last, "normalised", quality))
        if key[0] == "n":
            other = key[:-1] if key.endswith("%") else f"{key}%"
            for first, last in page.values.get(other, ())[:MAX_MATCHES]:
                found.append(_span(page, page.read, first, last, "normalised", UNITLESS))
    return found


def _without_unit(page: PageText, answer: str) -> list[Span]:
    number = _UNIT.match(answer) if len(answer) < 80 else None
    if number is None or len(squash(number[1])) < 2:
        return []
    spans = _written(page, page.read, number[1], squash(number[1]))
    return [Span(span.words, "normalised", UNITLESS * span.quality, span.text) for span in spans]


def _symbols(page: PageText, answer: str) -> list[Span]:
    """A tick, a dash: words that stand as the answer does."""
    plain = answer.strip()
    rows = [row for row, text in enumerate(page.words.texts) if plain and text.strip() == plain][:MAX_MATCHES]
    return [Span((row,), "exact", EXACT, page.words.texts[row]) for row in rows]


def _span(page: PageText, stream: Stream, first: int, last: int, match: Match, quality: float) -> Span:
    rows = stream.order[first : last + 1]
    boxes = page.words.xyxy[rows]
    jump = np.abs(np.diff(boxes[:, 1])) > 4 * page.unit if len(rows) > 1 else np.zeros(1, bool)
    text = " ".join([page.words.texts[row] for row in rows.tolist()])
    return Span(tuple(rows.tolist()), match, quality * (_SPREAD if jump.any() else 1.0), text)


def _best(spans: list[Span]) -> list[Span]:
    """Spans that share no word with a better one, in reading order."""
    taken: set[int] = set()
    kept = []
    for span in sorted(spans, key=lambda s: (-s.quality, -len(s.words), s.words)):
        if taken.isdisjoint(span.words):
            taken.update(span.words)
            kept.append(span)
    return sorted(kept, key=lambda s: s.words)
