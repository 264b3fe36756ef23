"""`answers.jsonl`: one JSON line an answer, written as it comes, so that a stopped evaluation goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.answering.base import Answer
from training.json_log import JsonLog, finite, json_digest

ANSWERS_VERSION = 1
"""Goes up whenever the same model, settings, question and pages would be answered otherwise."""

_NUMBERS = ("visual_tokens", "vanilla_tokens", "budget_used", "vanilla_flops")


def answer_key(identity: Mapping[str, Any], question: str, pages: Sequence[str]) -> str:
    """What an answer depends on, as 32 hexadecimal digits.

    Args:
        identity: JSON-ready: the answerer, its model, settings and run.
        question: The text.
        pages: Hashes of the pages, in order.
    """
    return json_digest([ANSWERS_VERSION, dict(identity), question, list(pages)])


class AnswerLog(JsonLog):
    """Answers by what they depend on; answers under other settings stay, for whoever comes back to them."""

    def get(self, key: str) -> tuple[Answer, str] | None:
        """The answer of this key and the name of the device it was given on, if it is there."""
        return self.read(key, lambda line: (_answer(line["answer"]), str(line["device"])))

    def append(self, key: str, question_id: str, answerer: str, device: str, answer: Answer) -> None:
        """Write an answer down.

        Raises:
            WorkspaceError: The file cannot be written.
        """
        line = {"question_id": question_id, "answerer": answerer, "device": device, "answer": answer.to_json()}
        self.write(key, line)


def _answer(found: Mapping[str, Any]) -> Answer:
    """The answer of a line; its regions are for readers of the file and not needed again."""
    numbers = {name: found[name] for name in _NUMBERS}
    flops, seconds = dict(found["flops"]), dict(found["seconds"])
    for value in (*numbers.values(), *flops.values(), *seconds.values()):
        finite(value)
    if not isinstance(found["text"], str):
        raise ValueError("the answer is no text")
    return Answer(text=found["text"], flops=flops, seconds=seconds, regions=(), **numbers)
