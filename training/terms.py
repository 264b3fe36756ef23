"""The terms of a text, as words of a question and of a page are compared by.

NFKC and case folding; terms are runs of letters or of digits, so "FY2019" gives "fy" and "2019"; separators inside a
number stay ("1,234.5" is one term), so do apostrophes inside a word ("don't"); no stemming. Stop words are Lucene's
English 33, the words that questions are made of, and forms of be, have and do: inside one page such words are rare
enough to get a high idf and would steer a ranking.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_TERM = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")


@lru_cache(maxsize=200_000)
def terms(text: str) -> tuple[str, ...]:
    """The terms of a text, stop words included, in order."""
    return tuple(_TERM.findall(unicodedata.normalize("NFKC", text).casefold().replace("’", "'")))


LUCENE_STOP_WORDS = frozenset(
    terms(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was will with"
    )
)
QUESTION_STOP_WORDS = frozenset(
    terms(
        "what what's which who whom whose when where why how many much do does did has have had were been being am can "
        "could would should shall may might from"
    )
)
STOP_WORDS = LUCENE_STOP_WORDS | QUESTION_STOP_WORDS
