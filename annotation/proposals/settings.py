"""What a proposal is, and what the way to it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["lexical", "first-exact"]
Group = Literal["lines", "blocks"]

VERSION = 1
"""Raised when this code would propose other boxes for the same input."""


@dataclass(frozen=True)
class Settings:
    """How evidence is proposed.

    Attributes:
        method: `lexical`; or `first-exact`, the baseline: the first place that says an answer word for word.
        group: One box a line, or the whole paragraphs, tables and charts that hold the lines.
        keep: Places of an answer that are proposed, best first.
        support: Most runs of question words that are proposed as support.
        fuzzy: Whether nearly equal words count where nothing else is found.
    """

    method: Method = "lexical"
    group: Group = "lines"
    keep: int = 1
    support: int = 4
    fuzzy: bool = True

    @property
    def name(self) -> str:
        """The method's name, as it stands in annotators and parts."""
        return f"{self.method}-blocks" if self.group == "blocks" else self.method

    @property
    def annotator(self) -> str:
        """Who these proposals are by."""
        return f"proposal:{self.name}@{VERSION}"


@dataclass(frozen=True)
class Proposal:
    """A box that may be evidence.

    Attributes:
        page: Page index in the question's own pages.
        xyxy: Box in page pixels, inside the page.
        role: `answer` or `support`.
        score: 0..1, the higher the likelier.
        match: `exact`, `normalised` or `fuzzy` for what the answer's words say; `question-words` for the rest.
        answer: The answer that the box was found for; empty for question words.
        reason: One line for a person.
    """

    page: int
    xyxy: tuple[float, float, float, float]
    role: str
    score: float
    match: str
    answer: str
    reason: str
