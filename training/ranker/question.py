"""What a question asks for, read off its words: terms, quoted names, colours, figures and pages it names, its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from training.ranker.pixels import COLOURS
from training.ranker.terms import content_stems, stems

_KINDS = {
    "count": r"\b(?:how many|number of|counts?\b|counted)",
    "amount": r"\b(?:how much|amount|total|sums?\b|cost|price|value|revenue)|\$",
    "share": r"\b(?:percent|proportion|share|ratio|rate)|%",
    "time": r"\b(?:when|what year|which year|dates?\b|month)",
    "person": r"\b(?:who|name|author|signed)",
    "place": r"\b(?:where|countr|states?\b|city|cities|address|location)",
    "extreme": r"\b(?:most|least|highest|lowest|largest|smallest|maximum|minimum|best)\b",
    "difference": r"\b(?:difference|increase|decrease|change|compared|gap|between|more than|less than)",
    "colour": r"\b(?:colou?r|(?:red|green|blue|yellow|orange|purple)\b)",
    "figure": r"\b(?:figure|fig\.)",
    "chart": r"\b(?:chart|graph|plot|diagram|(?:bar|line|curve)s?\b)",
    "table": r"\b(?:table|rows?\b|column)",
    "image": r"\b(?:image|picture|photo|maps?\b|icon|logo|screenshot)",
    "place-in-document": r"\b(?:page|slide|title|section|chapter|appendix)",
    "list": r"\b(?:list|all|what are)\b",
    "yes-no": r"^(?:is|are|was|were|do|does|did|has|have|can)\b",
    "which": r"\bwhich\b",
    "accounts": r"\b(?:total assets|debt|income|cash\b|liabilit|equity|fy ?20|fiscal|balance)",
    "quotes": '["“”]',
}
CUES = (*(f"asks-{kind}" for kind in _KINDS), "names-colour", "names-figure", "words", "quoted-terms")
_PATTERNS = [re.compile(pattern) for pattern in _KINDS.values()]

_SPECTRUM = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
_COLOUR_WORDS = {
    **{name: (name,) for name in COLOURS},
    "gray": ("grey",),
    "violet": ("purple",),
    "magenta": ("pink",),
    "brown": ("orange",),
    **dict.fromkeys(("color", "colors", "colored", "colour", "colours", "coloured"), _SPECTRUM),
}
# An apostrophe inside a word ("the company's") or after one ("both companies' debt") opens no quotation.
_QUOTED = re.compile(r"""["“”]([^"“”]+)["“”]|(?<!\w)['‘]([^"“”]{1,200}?)['’](?!\w)""")
# A letter stands apart ("Table A"): "tables" and "party" name nothing.
_FIGURE = re.compile(
    r"\b(fig(?:ure)?|table|chart|section|appendix|chapter|step|slide|part|unit|question|example)s?\.?"
    r"(?: ?(?=\d)| )(\d+(?:\.\d+)*|[a-z]\b)"
)
_PAGE = re.compile(r"\b(?:page|slide)s?\s*(?:no\.?|number|#)?\s*(\d+)|\b(\d+)(?:st|nd|rd|th)\s+(?:page|slide)")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL_PAGE = re.compile(rf"\b({'|'.join(_ORDINALS)}|last)\s+(?:page|slide)")
_LAST = -1
_PREFIX = 3


@dataclass(frozen=True, eq=False)
class Question:
    """A question as the ranker reads it.

    Attributes:
        terms: m different stems that say what it is about, those in quotes last.
        quoted: Stems in quotation marks.
        pairs: Stems that follow each other in it, stop words included.
        colours: Indices into `COLOURS` of the colours it names; all hues where it asks for one.
        figures: What it refers to by number, such as ("fig", "3"): the kind's first letters, and number or letter.
        pages: Indices of the pages it names, from 0; -1 is the last one.
        cues: (c,) values of `CUES`.
    """

    terms: tuple[str, ...]
    quoted: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    colours: tuple[int, ...]
    figures: tuple[tuple[str, str], ...]
    pages: tuple[int, ...]
    cues: npt.NDArray[np.float32]


def read_question(text: str) -> Question:
    """Read a question; nothing of it may be found, and then its features are zero."""
    folded = " ".join(text.casefold().split())
    quoted = tuple(stem for double, single in _QUOTED.findall(text) for stem in stems(double or single))
    in_order = stems(text)
    named = {colour for word in re.findall(r"[a-z]+", folded) for colour in _COLOUR_WORDS.get(word, ())}
    figures = tuple((kind[:_PREFIX], number) for kind, number in _FIGURE.findall(folded))
    flags = [pattern.search(folded) is not None for pattern in _PATTERNS]
    sizes = [min(len(in_order), 40) / 20, len(quoted) / 5]
    return Question(
        terms=tuple(dict.fromkeys((*content_stems(text), *quoted))),
        quoted=frozenset(quoted),
        pairs=frozenset(pairwise(in_order)),
        colours=tuple(index for index, colour in enumerate(COLOURS) if colour in named),
        figures=figures,
        pages=_pages(folded),
        cues=np.array([*flags, bool(named), bool(figures), *sizes], dtype=np.float32),
    )


def _pages(folded: str) -> tuple[int, ...]:
    numbered = [int(a or b) - 1 for a, b in _PAGE.findall(folded) if len(a or b) < 6]
    ordinal = [_LAST if word == "last" else _ORDINALS.index(word) for word in _ORDINAL_PAGE.findall(folded)]
    return tuple(dict.fromkeys((*(number for number in numbered if number >= 0), *ordinal)))
