"""Words of one page at a time, streamed from the `words` table, for rules that read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.validation.layers import BoolArray, FloatArray
from pinpoint_data.validation.view import WorkspaceView


def normalised(texts: pa.Array) -> pa.Array:
    """NFKC, lower case, runs of anything but letters and digits as one space, none at the ends."""
    plain = pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))
    return pc.utf8_trim(pc.replace_substring_regex(plain, r"[^\p{L}\p{N}]+", " "), characters=" ")


@dataclass
class PageText:
    """The words of a page in the order of the table.

    Attributes:
        page: Row of the view's pages.
        words: Normalised texts; words without letters and digits are left out.
        centres: (n, 2) centres of the words in page pixels.
    """

    page: int
    words: list[str]
    centres: FloatArray

    def centres_in(self, xyxy: FloatArray) -> BoolArray:
        """(boxes, words) True where a word's centre lies in a box."""
        x, y = self.centres.T
        x0, y0, x1, y1 = xyxy.T[:, :, None]
        inside: BoolArray = (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
        return inside

    def joined(self, chosen: BoolArray) -> str:
        """The chosen words between single spaces, one at both ends."""
        return f" {' '.join([self.words[i] for i in np.flatnonzero(chosen)])} "

    @cached_property
    def whole(self) -> str:
        """All words of the page, as `joined` gives them."""
        return f" {' '.join(self.words)} "


def page_texts(view: WorkspaceView, wanted: BoolArray) -> Iterator[PageText]:
    """The words of the wanted pages, page by page.

    A page comes once, as `pinpoint words` writes its words together; a table from elsewhere may scatter them, and
    then a page comes in pieces.

    Args:
        view: The workspace.
        wanted: (pages,) which pages to read.
    """
    held: list[PageText] = []
    for batch in view.word_batches(["page_id", "text", "x0", "y0", "x1", "y1"]):
        pages = view.page_rows_of_batch(batch.column("page_id"))
        texts = normalised(batch.column("text"))
        keep = (pages >= 0) & wanted[pages] & pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
        batch, pages, words = batch.filter(pa.array(keep)), pages[keep], texts.filter(pa.array(keep)).to_pylist()
        x0, y0, x1, y1 = (batch.column(c).to_numpy() for c in ("x0", "y0", "x1", "y1"))
        centres = np.column_stack([x0 + x1, y0 + y1]) / 2
        starts = np.flatnonzero(np.diff(pages, prepend=-1))
        for start, end in pairwise([*starts.tolist(), len(pages)]):
            page = int(pages[start])
            if held and held[0].page != page:
                yield _merged(held)
                held = []
            held.append(PageText(page, words[start:end], centres[start:end]))
    if held:
        yield _merged(held)


def _merged(pieces: list[PageText]) -> PageText:
    words = [word for piece in pieces for word in piece.words]
    return PageText(pieces[0].page, words, np.concatenate([piece.centres for piece in pieces]))
