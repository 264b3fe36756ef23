"""`answers.jsonl`: one JSON line an answer, written as it comes, so that a stopped evaluation goes on where it was."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import filelock

from pinpoint_data.errors import UsageError
from training.answering.base import Answer

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
    content = [ANSWERS_VERSION, dict(identity), question, list(pages)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class AnswerLog:
    """Answers by what they depend on, kept in a file that one process at a time may write.

    A line is never changed or removed: answers under other settings stay, for whoever comes back to them. A last line
    that a killed process left unfinished is cut off; a line in the middle that cannot be read is passed over.

    Args:
        path: The file.

    Attributes:
        unreadable: Lines that were passed over.
        earlier: Keys that were there when the file was opened.

    Raises:
        UsageError: Another process writes to the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.unreadable = path, 0
        self._known: dict[str, tuple[Answer, str]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise UsageError(
                "is being written by another command", file=path, remedy="wait for it, or use --out"
            ) from error
        try:
            self._file: BinaryIO = path.open("ab+")
            self._read()
            self.earlier = frozenset(self._known)
        except BaseException:
            self._unlock()
            raise

    def get(self, key: str) -> tuple[Answer, str] | None:
        """The answer of this key and the name of the device it was given on, if it is there; of several the last."""
        return self._known.get(key)

    def append(self, key: str, question_id: str, answerer: str, device: str, answer: Answer) -> None:
        """Write an answer down."""
        line = {
            "key": key,
            "question_id": question_id,
            "answerer": answerer,
            "device": device,
            "answer": answer.to_json(),
        }
        self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        self._known[key] = answer, device

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._unlock()

    def _unlock(self) -> None:
        # Removed while still held: whoever waits for no lock (timeout 0) cannot be left with a dead one.
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(whole)
                break
            whole += len(line)
            try:
                found = json.loads(line)
                self._known[str(found["key"])] = _answer(found["answer"]), str(found["device"])
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                self.unreadable += 1


def _answer(found: Mapping[str, Any]) -> Answer:
    """The answer of a line; its regions are for readers of the file and not needed again."""
    numbers = {name: found[name] for name in _NUMBERS}
    flops, seconds = dict(found["flops"]), dict(found["seconds"])
    for value in (*numbers.values(), *flops.values(), *seconds.values()):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{value!r} is no finite number")
    if not isinstance(found["text"], str):
        raise ValueError("the answer is no text")
    return Answer(text=found["text"], flops=flops, seconds=seconds, regions=(), **numbers)
