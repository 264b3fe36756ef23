"""What a ranker's file records of its training: checked before anything of it is shown, as the file may be anyone's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _mapping_to(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


FACTS: Mapping[str, Check] = {
    "program": _is_text,
    "torch": _is_text,
    "licence": lambda value: value is None or _is_text(value),
    "folds": _is_count,
    "questions": _mapping_to(_is_count),
    "documents": _mapping_to(_is_count),
    "left_out": _mapping_to(_is_count),
    "pages": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "settings": _mapping_to(lambda value: isinstance(value, (int, float, str))),
}
"""By name; all may be missing, and others are allowed."""


def wrong_fact(facts: Any) -> str | None:
    """The first thing that is not what it should be, or None."""
    if not isinstance(facts, dict):
        return "facts"
    return next((name for name, check in FACTS.items() if name in facts and not check(facts[name])), None)
