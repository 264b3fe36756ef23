"""What tokens are of: the bytes of a page's file, not its name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass

from pinpoint_data.errors import PageError
from pinpoint_data.words.base import PageWords
from training.pages.store import PageStore


@dataclass(frozen=True, slots=True)
class PageKey:
    """What a backbone sees of a page; two page ids over the same file have equal keys.

    Attributes:
        sha256: Hash of the file's bytes.
        pdf_page: 0-based page of a PDF, or None for an image.
        dpi: Resolution that a PDF page is rendered at, or None.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        words: Hash of the page's words, None for a backbone that reads none.
    """

    sha256: str
    pdf_page: int | None
    dpi: float | None
    width: int
    height: int
    words: str | None

    @property
    def name(self) -> str:
        """32 hexadecimal digits: the name of its tensor, safe wherever a name is written."""
        return hashlib.blake2b(json.dumps(astuple(self)).encode(), digest_size=16).hexdigest()


def page_key(store: PageStore, page_id: str, *, reads_words: bool) -> PageKey:
    """The key of a page.

    Raises:
        TrainingError: The workspace has no such page.
        PageError: `no-page-hash`: the page was ingested without its file.
    """
    row = store.row(page_id)
    if row["sha256"] is None:
        raise PageError(
            "no-page-hash",
            "the workspace has no hash of the page's file, so its tokens cannot be told from those of another file",
            file=row["path"],
            record=page_id,
            remedy="ingest the source again with its page files in place",
        )
    words = words_hash(store.input(page_id).words) if reads_words else None
    return PageKey(row["sha256"], row["pdf_page"], row["dpi"], row["width"], row["height"], words)


def words_hash(words: PageWords) -> str:
    """32 hexadecimal digits that depend on all of a page's words: texts, boxes, lines and confidence."""
    digest = hashlib.blake2b(json.dumps(words.texts).encode(), digest_size=16)
    for array in (words.xyxy, words.lines, words.confidence):
        digest.update(b"|" if array is None else array.tobytes() + b"|")
    return digest.hexdigest()


def in_share(name: str, share: tuple[int, int]) -> bool:
    """Whether a key belongs to part `share[0]` (from 1) of `share[1]` parts; every key belongs to exactly one."""
    part, parts = share
    return int(name, 16) % parts == part - 1
