"""Numbers and dates by value: "$5m" is "5 million", "12%" is "12 percent", "25/12/2018" is "25 Dec 2018"."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from annotation.proposals.folding import fold

_SCALES = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "mln": 6, "mio": 6, "million": 6}
_SCALES |= {"b": 9, "bn": 9, "billion": 9, "tn": 12, "trillion": 12}
_NUMBER = re.compile(
    r"(?<![\w.,])(?:(?:usd|eur|gbp|us|rm|rs)?[$€£¥₹]?\s?)?"
    r"(?P<number>\d{1,3}(?:[, ']\d{3}){1,6}(?:\.\d{1,12})?|\d{1,3}(?:\.\d{3}){2,6}|\d{1,25}(?:[.,]\d{1,12})?)(?!\d)"
    rf"(?:\s?(?P<scale>{'|'.join(sorted(_SCALES, key=len, reverse=True))})\b)?"
    r"(?:\s?(?P<percent>%|percent\b|per cent\b|pct\b|percentage points?\b))?"
)
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBER_WORD = re.compile(rf"\b(?:{_WORDS.replace(' ', '|')})\b")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR, _DAY = r"(?P<year>\d{4}|\d{2})(?!\d)", r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(rf"{_DAY}[\s\-/.,]{{0,3}}(?:of )?{_MONTH}[\s\-/.,']{{0,3}}{_YEAR}"),
    re.compile(rf"\b{_MONTH}[\s.]{{0,2}}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?,\s?|\s){_YEAR}"),
    re.compile(r"(?<!\d)(?P<year>\d{4})\s?[-/.]\s?(?P<month>\d{1,2})\s?[-/.]\s?(?P<day>\d{1,2})(?!\d)"),
    re.compile(rf"(?<!\d)(?P<day>\d{{1,2}})\s?[-/.]\s?(?P<month>\d{{1,2}})\s?[-/.]\s?{_YEAR}"),
    re.compile(rf"\b{_MONTH}[\s\-/.,']{{1,3}}(?P<year>\d{{4}})(?!\d)"),
)


class Value(NamedTuple):
    """A number or a date in a text.

    Attributes:
        key: Equal for equal values; a number's ends with "%" where the text says so.
        start: Place of its first character in the folded text.
        end: Place behind its last.
    """

    key: str
    start: int
    end: int


def values_in(folded: str) -> Iterator[Value]:
    """Every number and date of a folded text; a number with two readings, and a date of two orders, comes twice."""
    for match in _NUMBER.finditer(folded):
        for key in _number_keys(match):
            yield Value(key, *match.span())
    for match in _NUMBER_WORD.finditer(folded):
        yield Value(f"n{_WORDS.split().index(match.group())}", *match.span())
    for pattern in _DATES:
        for match in pattern.finditer(folded):
            for key in _date_keys(match):
                yield Value(key, *match.span())


def value_keys(answer: str) -> frozenset[str]:
    """What an answer is worth, where it is nothing but one number or one date; else nothing."""
    folded = fold(answer).strip(" .,:;()[]'\"")
    return frozenset(v.key for v in values_in(folded) if v.end - v.start >= len(folded) and len(folded) < 60)


def _number_keys(match: re.Match[str]) -> Iterator[str]:
    number, scale = match["number"], _SCALES.get(match["scale"] or "", 0)
    percent = "%" if match["percent"] else ""
    plain = re.sub(r"[ ']", "", number)
    # A comma before three digits marks thousands; before fewer it is a decimal comma; one dot may be either.
    plain = re.sub(r",(?=\d{3}(?!\d))", "", plain).replace(",", ".")
    if plain.count(".") > 1:
        plain = plain.replace(".", "")
    yield f"n{_plain(plain, scale)}{percent}"
    if re.fullmatch(r"\d{1,3}\.\d{3}", plain) and "," not in number:
        yield f"n{_plain(plain.replace('.', ''), scale)}{percent}"


def _plain(number: str, scale: int) -> str:
    text = format(Decimal(number).scaleb(scale), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).lstrip("0") or "0"


def _date_keys(match: re.Match[str]) -> Iterator[str]:
    found = match.groupdict()
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year > 49 else 2000
    named = not found["month"].isdecimal()
    month = _MONTHS.index(found["month"][:3]) + 1 if named else int(found["month"])
    if found.get("day") is None:
        yield f"d{year}-{month}"
        return
    day = int(found["day"])
    settled = named or match.start("year") < match.start("month")
    for one, other in {(month, day): 0} if settled else {(month, day): 0, (day, month): 0}:
        try:
            yield f"d{datetime.date(year, one, other).isoformat()}"
        except ValueError:
            continue
