"""Texts as matching sees them: case, accents, ligatures, dashes, quotes and the marks inside numbers are gone.

A text is a run of pieces: words of letters, numbers, and the percent sign. Written without anything between them, two
texts are equal although one was cut by a line break, a hyphen, or an OCR engine that sees other words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

WORD, MARK, JOINT = 0, 1, 2
"""How a piece begins or ends: at the edge of a word, at a mark inside a word (`Male/Female`), or between letters and
digits (`FY2017`)."""

# Scripts that are written without spaces: any character may begin an answer.
_SPACELESS = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_PIECE = re.compile(rf"\d+(?:[.,'’]\d+)*|[{_SPACELESS}]|(?:(?![{_SPACELESS}])[^\W\d_])+|%")
_THOUSANDS = re.compile(r"(?<=\d)[,'’](?=\d{3}(?!\d))")
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{3}){2,}")


class Piece(NamedTuple):
    """A part of a word.

    Attributes:
        text: Folded; a number has no marks for thousands, and a dot before its decimals.
        begin: `WORD`, `MARK` or `JOINT`: what stands before it.
    """

    text: str
    begin: int


@lru_cache(maxsize=200_000)
def fold(text: str) -> str:
    """Compatibility forms, ligatures, accents and case folded; nothing is cut."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", "".join([c for c in plain if not "\u0300" <= c <= "\u036f"]))


@lru_cache(maxsize=200_000)
def pieces(word: str) -> tuple[Piece, ...]:
    """The pieces of one word; none where it has no letter, digit or percent sign."""
    found: list[Piece] = []
    last = 0
    for match in _PIECE.finditer(fold(word)):
        begin = WORD if not found else JOINT if match.start() == last and match.group() != "%" else MARK
        found.append(Piece(_number(match.group()) if match.group()[0].isdecimal() else match.group(), begin))
        last = match.end()
    return tuple(found)


def squash(text: str) -> str:
    """All pieces of a text, with nothing between them."""
    return "".join([piece.text for word in text.split() for piece in pieces(word)])


def stem(piece: str) -> str:
    """A piece without the plural, so that "sales" of the question finds "sale" on the page."""
    if len(piece) > 4 and piece.endswith("ies"):
        return piece[:-3] + "y"
    if len(piece) > 3 and piece.endswith("s") and not piece.endswith("ss"):
        return piece[:-1]
    return piece


def bare(text: str) -> str:
    """A text without the marks around it and with single spaces, as `exact` compares it."""
    return " ".join(text.split()).strip(" .,:;!?'\"()[]")


def _number(text: str) -> str:
    if _DOTTED.fullmatch(text):
        return text.replace(".", "")
    return _THOUSANDS.sub("", text).replace(",", ".").replace("'", "").replace("’", "")
