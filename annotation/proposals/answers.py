"""What an answer may look like on a page: the whole, or the parts of a list that stand in several places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from annotation.proposals.folding import squash

MAX_PARTS = 64

_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_SEPARATOR = re.compile(r"\s*(?:[;|\n•]|,(?!\d{3}(?!\d))|\band\b|&)\s*")
_NO_ANSWER = frozenset(map(squash, ("not answerable", "unanswerable", "no answer")))
_VERDICTS = frozenset({"yes", "no", "true", "false"})
_ASKS_FOR_VERDICT = re.compile(
    r"\s*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b|.*\b(?:true or false|yes or no)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Answer:
    """One way to find an answer.

    Attributes:
        text: The whole answer as the source gives it.
        parts: Its parts, each in its own place; empty for an answer that is one thing.
        listed: Whether the source itself says that it is a list, so that the whole stands nowhere.
    """

    text: str
    parts: tuple[str, ...] = ()
    listed: bool = False


def read_answers(question: str, answers: Sequence[str]) -> list[Answer]:
    """The answers worth looking for, without repeats, in the order of the source.

    `['a', 'b']` is a list; an answer that the other answers make up ("60 34" beside "60" and "34") has them as parts
    and they are no answers of their own; "a, b and c" may be a list. The yes or no of a question that asks for one,
    and "not answerable", stand on no page as an answer.
    """
    asked = bool(_ASKS_FOR_VERDICT.match(question))
    found: dict[str, Answer] = {}
    for text in answers:
        flat = squash(text)
        if not text.strip() or flat in _NO_ANSWER or (asked and flat in _VERDICTS):
            continue
        # A tick or a dash has no letters to compare, and is looked for as it stands.
        found.setdefault(flat or text.strip(), _read(text))
    whole = next(iter(found.values()), None)
    if whole and len(found) > 1 and (parts := _segments(whole.text, [a.text for a in found.values()][1:])):
        rest = [answer for answer in list(found.values())[1:] if answer.text not in parts]
        return [Answer(whole.text, parts), *rest]
    return list(found.values())


def _read(text: str) -> Answer:
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        quoted = [one or other for one, other in _QUOTED.findall(stripped[1:-1])]
        items = quoted or [item.strip() for item in stripped[1:-1].split(",")]
        return Answer(text, tuple(item for item in items if squash(item))[:MAX_PARTS], listed=True)
    items = [item for item in _SEPARATOR.split(stripped) if len(squash(item)) > 1]
    return Answer(text, tuple(items[:MAX_PARTS]) if len(items) > 1 else ())


def _segments(whole: str, others: Sequence[str]) -> tuple[str, ...]:
    """The other answers in the order in which, end to end, they make up the whole; none where they do not."""
    text = squash(whole)
    by_flat = sorted(((squash(other), other) for other in others), key=lambda pair: -len(pair[0]))
    found: list[str] = []
    place = 0
    while place < len(text):
        part = next((pair for pair in by_flat if pair[0] and text.startswith(pair[0], place)), None)
        if part is None or len(found) == MAX_PARTS:
            return ()
        found.append(part[1])
        place += len(part[0])
    return tuple(found) if len(found) > 1 else ()
