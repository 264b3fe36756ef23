"""JSON that is wrong on purpose: in its values, its shape, and as text."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.campaigns.hostile import byte_mutations, values

_RAW = "\x01raw {}\x01"
_RAW_TEXTS = (
    "[" * 10_000 + "]" * 10_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    "[" * 100_000,
    "9" * 10_000,
    "-" + "9" * 5_000,
    "1e1000000",
    "1e-1000000",
    "NaN",
    "Infinity",
    "01",
    "0x1F",
    "'single'",
    "undefined",
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"raw \x00\x1b control"',
    '{"a": 1, "a": 2}',
    '{"id": 1, "question_id": 2, "id": 3}',
    "/* comment */ 1",
    "[1,]",
    "",
)


class _Document:
    """A value that is being mutated; texts that no value can spell stand in it by a mark."""

    def __init__(self, value: Any) -> None:
        self.value = copy.deepcopy(value)
        self.raw: list[str] = []

    def mark(self, text: str) -> str:
        self.raw.append(text)
        return _RAW.format(len(self.raw) - 1)

    def places(self) -> list[tuple[Any, Any]]:
        """(container, key) of every value below the top."""
        return list(_places(self.value))

    def text(self, *, ascii_only: bool) -> str:
        text = json.dumps(self.value, ensure_ascii=ascii_only)
        for number, raw in enumerate(self.raw):
            text = text.replace(json.dumps(_RAW.format(number)), raw)
        return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _replace(document: _Document, random: Random, holder: Any, key: Any) -> None:
    holder[key] = values.anything(random)


def _beside(document: _Document, random: Random, holder: Any, key: Any) -> None:
    holder[key] = values.near(random, holder[key])


def _raw(document: _Document, random: Random, holder: Any, key: Any) -> None:
    holder[key] = document.mark(random.choice(_RAW_TEXTS))


def _drop(document: _Document, random: Random, holder: Any, key: Any) -> None:
    del holder[key]


def _wrap(document: _Document, random: Random, holder: Any, key: Any) -> None:
    holder[key] = random.choice(([holder[key]], {"value": holder[key]}, json.dumps(holder[key]), str(holder[key])))


def _double(document: _Document, random: Random, holder: Any, key: Any) -> None:
    """The same value twice in a list (two records of one id), or the same key twice in an object."""
    if isinstance(holder, list):
        holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    elif isinstance(holder[key], list):
        holder[key] *= random.choice((2, 300))
    else:
        pair = f"{json.dumps(key)}: {json.dumps(values.near(random, holder[key]))}"
        holder[key] = document.mark(f"{json.dumps(holder[key])}, {pair}")


def _rename(document: _Document, random: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice((values.text(random), str(key).upper(), f"{key} ", *map(str, holder)))] = holder.pop(key)


def _swap(document: _Document, random: Random, holder: Any, key: Any) -> None:
    other, place = random.choice(document.places())
    holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])


def _empty(document: _Document, random: Random, holder: Any, key: Any) -> None:
    holder[key] = type(holder[key])()


_EDITS: tuple[Callable[[_Document, Random, Any, Any], None], ...] = (
    _replace,
    _replace,
    _beside,
    _beside,
    _beside,
    _raw,
    _drop,
    _wrap,
    _double,
    _rename,
    _swap,
    _empty,
)


def _edited(random: Random, value: Any) -> str:
    document = _Document(value)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        places = document.places()
        if not places:
            break
        holder, key = random.choice(places)
        random.choice(_EDITS)(document, random, holder, key)
    return document.text(ascii_only=random.random() < 0.5)


def mutate_json(random: Random, data: bytes) -> bytes:
    """One JSON document."""
    if random.random() < 0.15:
        return _as_text(random, data)
    return _encoded(_edited(random, json.loads(data)))


def mutate_lines(random: Random, data: bytes) -> bytes:
    """A JSON document a line."""
    if random.random() < 0.15:
        return _as_text(random, data)
    lines = data.decode().splitlines()
    for place in random.sample(range(len(lines)), min(len(lines), random.choice((1, 1, 2)))):
        lines[place] = _edited(random, json.loads(lines[place]))
    if random.random() < 0.1:
        lines.insert(random.randrange(len(lines)), random.choice((*_RAW_TEXTS, lines[0])))
    return _encoded("\n".join(lines) + "\n")


def _as_text(random: Random, data: bytes) -> bytes:
    """The document as a whole, or its bytes."""
    whole = (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 200_000,
        b'"text"',
        b"\xef\xbb\xbf" + data,
        data.decode().encode("utf-16"),
        data + data,
        data + b"]",
        b"[" + data + b"]",
        data[:-1],
        b"\x80\x04\x95" + data,
        b"\x93NUMPY" + data,
        b"\x1f\x8b" + data,
        b" " * 5_000_000 + data,
    )
    return random.choice(whole) if random.random() < 0.4 else byte_mutations.mutate_bytes(random, data)


def _encoded(text: str) -> bytes:
    """UTF-8; lone surrogates as the three bytes that careless programs write for them."""
    return text.encode("utf-8", "surrogatepass")
