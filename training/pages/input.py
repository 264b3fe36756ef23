"""A page as whatever reads pages receives it: its size, its words, and its pixels on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from pinpoint_data.words import PageWords


@dataclass(frozen=True, eq=False)
class PageInput:
    """A page as a backbone receives it.

    Attributes:
        page_id: Its id.
        width: Pixels after EXIF orientation.
        height: Pixels after EXIF orientation.
        words: Its words, empty where none were taken.
        load_image: Decodes the pixels (RGB); called only by a backbone that looks at them.
        sha256: Of its file, None where it is not known.
    """

    page_id: str
    width: int
    height: int
    words: PageWords
    load_image: Callable[[], Image.Image]
    sha256: str | None = None

    @cached_property
    def key(self) -> str:
        """What memories know it by: a hash of its id, size, file and words.

        An id alone is not enough: pages of two files of one name share theirs, and a page may be asked about again with
        words of another engine. Two pages that differ in pixels alone are told apart by `sha256` only.
        """
        parts = (self.page_id, self.width, self.height, self.sha256, *self.words.texts)
        digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"))
        digest.update(self.words.xyxy.tobytes())
        return digest.hexdigest()
