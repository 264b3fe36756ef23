"""A page as whatever reads pages receives it: its size, its words, and its pixels on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from pinpoint_data.words import PageWords


@dataclass(frozen=True, eq=False)
class PageInput:
    """A page as a backbone receives it.

    Attributes:
        page_id: Its id; two pages of one id are taken for the same page, whose tokens are remembered.
        width: Pixels after EXIF orientation.
        height: Pixels after EXIF orientation.
        words: Its words, empty where none were taken.
        load_image: Decodes the pixels (RGB); called only by a backbone that looks at them.
    """

    page_id: str
    width: int
    height: int
    words: PageWords
    load_image: Callable[[], Image.Image]
