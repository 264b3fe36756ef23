"""What was made of pages, remembered for the next question over them, with the seconds that took."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from training.pages.input import PageInput

MOST_TOKENS = 65_536
"""Of all pages remembered; at width 4,096 in 16 bits they take 0.5 GiB."""

Encoded = TypeVar("Encoded")


class PageMemory(Generic[Encoded]):
    """What was made of pages, those met last, with the seconds each took when it was made.

    Pages met longest ago are forgotten above `MOST_TOKENS`.

    Args:
        encode: Makes it, of several pages at once, and says how many seconds that took.
        size: How many tokens it has.
    """

    def __init__(
        self, encode: Callable[[Sequence[PageInput]], tuple[list[Encoded], float]], size: Callable[[Encoded], int]
    ) -> None:
        self._encode, self._size = encode, size
        self._known: OrderedDict[str, tuple[Encoded, float]] = OrderedDict()

    def get(self, pages: Sequence[PageInput]) -> list[tuple[Encoded, float]]:
        """What was made of each page, and its seconds; the seconds of pages made together are shared by tokens."""
        missing = list({page.key: page for page in pages if page.key not in self._known}.values())
        if missing:
            made, seconds = self._encode(missing)
            total = sum(map(self._size, made))
            for page, encoded in zip(missing, made, strict=True):
                self._known[page.key] = encoded, seconds * self._size(encoded) / total
        for page in pages:
            self._known.move_to_end(page.key)
        found = [self._known[page.key] for page in pages]
        held = sum(self._size(encoded) for encoded, _ in self._known.values())
        # The pages just asked for stay: the same question asks for them again.
        while held > MOST_TOKENS and len(self._known) > len({page.key for page in pages}):
            _, (forgotten, _) = self._known.popitem(last=False)
            held -= self._size(forgotten)
        return found
