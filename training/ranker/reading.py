"""Pages read for the ranker, each once for all the questions over it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pinpoint_data.grids import patch_grid
from training.pages.input import PageInput
from training.pages.memory import PageMemory
from training.ranker.page import ReadPage, read_page


def page_memory() -> PageMemory[ReadPage]:
    """A memory of the pages met last, each read on its grid of patches."""
    return PageMemory(_read, lambda page: page.grid.n_tokens)


def _read(pages: Sequence[PageInput]) -> tuple[list[ReadPage], float]:
    read, seconds = [], 0.0
    for page in pages:
        image = page.load_image()  # whoever looks at pages needs their pixels: decoding them is no part of reading
        started = time.perf_counter()
        read.append(read_page(patch_grid(page.width, page.height), page.words, image))
        seconds += time.perf_counter() - started
    return read, seconds
