"""The words of one page, prepared once for all questions about it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annotation.proposals.blocks import Blocks, find_blocks
from annotation.proposals.folding import WORD, fold, pieces, stem
from annotation.proposals.layout import IntArray, segment_starts, text_height
from annotation.proposals.values import values_in
from pinpoint_data.words import PageWords

NEVER = 9
"""In `Stream.begin` and `Stream.end`: no piece begins or ends here."""

_VALUE_TEXT = 1_000_000


@dataclass(frozen=True, eq=False)
class Stream:
    """The words of a page in one order, and their pieces with nothing between them.

    Attributes:
        order: (n,) words, as rows of the page's words.
        text: The pieces of all of them.
        owner: (len(text),) place in `order` of the word that a character belongs to.
        begin: (len(text) + 1,) `folding.WORD`, `MARK` or `JOINT` where a piece begins, else `NEVER`.
        end: (len(text) + 1,) the same where the piece before it ends.
    """

    order: IntArray
    text: str
    owner: IntArray
    begin: NDArray[np.uint8]
    end: NDArray[np.uint8]

    @cached_property
    def codes(self) -> IntArray:
        """(len(text),) code points."""
        return np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)

    @cached_property
    def begins(self) -> IntArray:
        """Where pieces begin, and the end of the text."""
        found: IntArray = np.flatnonzero(np.append(self.begin[:-1] != NEVER, True))
        return found

    @cached_property
    def ends(self) -> IntArray:
        """Where pieces end."""
        found: IntArray = np.flatnonzero(self.end != NEVER)
        return found

    def next_begin(self, place: int) -> int:
        """The first place from `place` on where a piece begins, or the end of the text."""
        if place >= len(self.text):
            return len(self.text)
        return int(self.begins[np.searchsorted(self.begins, place)])


class PageText:
    """A page as matching sees it.

    Attributes:
        words: The words, in the order of the table.
        width: Page width in pixels.
        height: Page height in pixels.
        unit: Median height of the words in pixels.
    """

    def __init__(self, words: PageWords, width: float, height: float) -> None:
        self.words, self.width, self.height = words, width, height
        self.unit = text_height(words.xyxy)

    @cached_property
    def read(self) -> Stream:
        """The words in the order of the table."""
        return _stream(self.words, np.arange(len(self.words)))

    @cached_property
    def by_block(self) -> Stream:
        """The words block by block: a cell or a column that wraps is whole, which the table may read across."""
        return _stream(self.words, self.blocks.reading_order)

    @cached_property
    def blocks(self) -> Blocks:
        """Paragraphs, tables and charts, as the words' places tell them."""
        return find_blocks(self.words, self.segment_starts, self.unit)

    @cached_property
    def segment_starts(self) -> IntArray:
        """First word of each run of words without a wide space."""
        return segment_starts(self.words, self.unit)

    @cached_property
    def stems(self) -> list[str]:
        """The stem of every piece, in the order of the table."""
        return [stem(piece.text) for text in self.words.texts for piece in pieces(text)]

    @cached_property
    def stem_words(self) -> IntArray:
        """(len(stems),) the word of each piece."""
        counts = [len(pieces(text)) for text in self.words.texts]
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Where each stem stands among `stems`."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(self.stems):
            found[text].append(place)
        return dict(found)

    @cached_property
    def values(self) -> dict[str, list[tuple[int, int]]]:
        """Key of a number or date -> the first and last word of each of its places, in the order of the table."""
        folded = [fold(text) for text in self.words.texts]
        ends = np.cumsum([len(text) + 1 for text in folded]) if folded else np.zeros(0, np.int64)
        found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for value in values_in(" ".join(folded)[:_VALUE_TEXT]):
            first, last = np.searchsorted(ends, [value.start, value.end - 1], side="right").tolist()
            found[value.key].append((first, last))
        return dict(found)


def _stream(words: PageWords, order: IntArray) -> Stream:
    texts: list[str] = []
    owners: list[int] = []
    begins: list[int] = []
    for place, word in enumerate(order.tolist()):
        for piece in pieces(words.texts[word]):
            texts.append(piece.text)
            owners.append(place)
            begins.append(piece.begin)
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(lengths)
    begin, end = (np.full(int(lengths.sum()) + 1, NEVER, np.uint8) for _ in range(2))
    begin[ends - lengths] = begins
    # A piece ends as the next one begins.
    end[ends] = [*begins[1:], WORD][: len(ends)]
    return Stream(order, "".join(texts), np.repeat(np.array(owners, np.int64), lengths), begin, end)
