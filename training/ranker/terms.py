"""The terms in which a question and the words of a page are compared.

Terms are those of BM25 (`training.terms`): NFKC, case folded, runs of letters or of digits. Here they are stemmed too
(Snowball English), and a number stands without its thousands separators, so that "Payments: 1,204" and "which
payment was 1204" share two terms.
"""

from __future__ import annotations

from functools import lru_cache

from Stemmer import Stemmer

from training.terms import STOP_WORDS
from training.terms import terms as words_of

_CACHED = 200_000
_stemmer = Stemmer("english", 0)

ASKING = frozenset(
    """
    all also among any answer document each field following form format give given list only other page please question
    report show shown shows slide tell than them these those write written
    """.split()  # noqa: SIM905 - a list of words in quotes is no easier to read
)
"""What questions say about themselves and the document, beside the stop words of BM25; it points nowhere on a page."""


@lru_cache(maxsize=_CACHED)
def stem(term: str) -> str:
    """The stem of a term; a number without its thousands separators."""
    if term[0].isdigit():
        return term.replace(",", "")
    stemmed: str = _stemmer.stemWord(term)
    return stemmed


@lru_cache(maxsize=_CACHED)
def stems(text: str) -> tuple[str, ...]:
    """The stems of a text, in order, stop words included."""
    return tuple(stem(term) for term in words_of(text))


def content_stems(text: str) -> tuple[str, ...]:
    """The stems of a text that say what it is about, in order; all of them where nothing else is left."""
    found = tuple(stem(term) for term in words_of(text) if term not in STOP_WORDS and term not in ASKING)
    return found or stems(text)
