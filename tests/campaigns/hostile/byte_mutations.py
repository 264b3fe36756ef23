"""Files whose bytes are damaged: flips, cuts, splices, zeros, appended rubbish, numbers at their edges."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

_EDGES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00")
_DIGITS = (b"-1", b"0", b"4294967295", b"99999999999999999999", b"1e999", b"NaN")


def _flip(random: Random, data: bytearray) -> None:
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _flip_head(random: Random, data: bytearray) -> None:
    for _ in range(random.choice((1, 2, 4))):
        data[random.randrange(min(len(data), 64))] = random.randrange(256)


def _cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data)) :]


def _cut_end(random: Random, data: bytearray) -> None:
    del data[-random.randrange(1, min(len(data), 64) + 1) :]


def _remove(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 4, 100))]


def _splice(random: Random, data: bytearray) -> None:
    start, to, size = random.randrange(len(data)), random.randrange(len(data)), random.choice((4, 64, 1000))
    data[to:to] = data[start : start + size]


def _fill(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data))
    size = min(random.choice((4, 64, 1000)), len(data) - start)
    data[start : start + size] = bytes([random.choice((0, 255))]) * size


def _edge(random: Random, data: bytearray) -> None:
    start = random.randrange(max(1, len(data) - 4))
    data[start : start + 4] = random.choice(_EDGES)


def _append(random: Random, data: bytearray) -> None:
    data += random.choice((b"\x00" * 1000, random.randbytes(1000), bytes(data[:1000]), b"PK\x03\x04", b"%PDF-1.4\n"))


def _digits(random: Random, data: bytearray) -> None:
    """Another number in the place of one that is spelled in digits."""
    places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        start = random.choice(places)
        end = start
        while end < len(data) and 48 <= data[end] <= 57:
            end += 1
        data[start:end] = random.choice(_DIGITS)


_EDITS: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip,
    _flip,
    _flip_head,
    _cut,
    _cut_end,
    _remove,
    _splice,
    _fill,
    _edge,
    _append,
    _digits,
)


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """A few edits of any file."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if not found:
            break
        random.choice(_EDITS)(random, found)
    return bytes(found)
