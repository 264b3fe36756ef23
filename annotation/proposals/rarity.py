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
    would you your according
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
        """The product of both inverse document frequencies.

        The one falls for words that stand on every page, the other for the words of a template ("What is written in
        the field ..."), which are rare on pages and say nothing.
        """
        page = math.log((self.pages + 1) / (self.on_pages.get(text, 0) + 0.5))
        question = math.log((self.questions + 1) / (self.in_questions.get(text, 0) + 0.5))
        return max(page, 0.05) * max(question, 0.05)

    def terms(self, question: str) -> list[Term]:
        """The pieces of a question in order: function words and lone letters count nothing, unless it quotes them.

        What stands in quotation marks is the page's own wording, and counts twice.
        """
        found = [Term(text, 0.0 if _is_empty(text) else self.weight(text)) for text in question_stems(question)]
        for match in _QUOTED.finditer(question):
            before, inside = len(question_stems(question[: match.start()])), question_stems(match[1])
            quoted = [Term(text, _IN_QUOTES * self.weight(text)) for text in inside]
            # Marks inside a word ("a"b) may cut it otherwise alone than in the question.
            if [term.text for term in found[before : before + len(inside)]] == inside:
                found[before : before + len(inside)] = quoted
        return found


def question_stems(question: str) -> list[str]:
    """The stems of a question's pieces, in order."""
    return [stem(piece.text) for word in question.split() for piece in pieces(word)]


def _is_empty(text: str) -> bool:
    return text in _FUNCTION_WORDS or (len(text) == 1 and text.isascii() and not text.isdecimal())


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
