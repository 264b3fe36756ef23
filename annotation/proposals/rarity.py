"""How much a question's word says about a place: rare on the pages, and not in every other question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from annotation.proposals.folding import pieces, stem

_STOP = """
    a about all also am an and any are as at be been being by can could did do does for from had has have how i if in
    into is it its many me more most much my no not of on or other our out per shall should so some such than that the
    their them then there these they this those to up was we were what when where which who whom whose why will with
    would you your according answer format write please given give list name mention state show tell
"""
_FUNCTION_WORDS = frozenset(re.findall(r"\w+", _STOP))
_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]{2,})[\"“”«»]")
_IN_QUOTES = 2.0


@dataclass(frozen=True)
class Term:
    """One piece of a question.

    Attributes:
        text: Its stem.
        weight: 0 for words without meaning of their own.
    """

    text: str
    weight: float


@dataclass(frozen=True)
class Rarity:
    """In how many pages and questions each word stands.

    Attributes:
        pages: Number of pages.
        questions: Number of questions.
        on_pages: Stem -> pages that hold it; only stems that some question uses.
        in_questions: Stem -> questions that use it.
    """

    pages: int = 0
    questions: int = 0
    on_pages: Mapping[str, int] = field(default_factory=dict)
    in_questions: Mapping[str, int] = field(default_factory=dict)

    def weight(self, text: str) -> float:
        """The product of both inverse document frequencies; 0 for function words and lone letters.

        The one falls for words that stand on every page, the other for the words of a template ("What is written in
        the field ..."), which are rare on pages and say nothing.
        """
        if text in _FUNCTION_WORDS or (len(text) == 1 and not text.isdecimal() and text.isascii()):
            return 0.0
        page = math.log((self.pages + 1) / (self.on_pages.get(text, 0) + 0.5))
        question = math.log((self.questions + 1) / (self.in_questions.get(text, 0) + 0.5))
        return max(page, 0.05) * max(question, 0.05)

    def terms(self, question: str) -> list[Term]:
        """The pieces of a question in order; what stands in quotation marks counts twice."""
        quoted = {text for match in _QUOTED.finditer(question) for text in question_stems(match[1])}
        return [
            Term(text, self.weight(text) * (_IN_QUOTES if text in quoted else 1.0)) for text in question_stems(question)
        ]


def question_stems(question: str) -> list[str]:
    """The stems of a question's pieces, in order."""
    return [stem(piece.text) for word in question.split() for piece in pieces(word)]


def count_rarity(questions: Iterable[str], pages: Iterable[Iterable[str]]) -> Rarity:
    """Count stems over questions and over the texts of pages' words.

    Args:
        questions: The questions.
        pages: The words of each page.
    """
    in_questions: Counter[str] = Counter()
    asked = 0
    for question in questions:
        asked += 1
        in_questions.update(set(question_stems(question)))
    on_pages: Counter[str] = Counter()
    seen = 0
    for words in pages:
        seen += 1
        on_pages.update({stem(piece.text) for word in set(words) for piece in pieces(word)} & in_questions.keys())
    return Rarity(seen, asked, dict(sorted(on_pages.items())), dict(sorted(in_questions.items())))
