"""Words from the text layer of a PDF page, in pixels of the page as rendered (/Rotate and /CropBox honoured)."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from pinpoint_data.errors import PageError
from pinpoint_data.pages import open_pdf, rendered_size, safe_path
from pinpoint_data.words.base import NO_BOX, FloatArray, PageWords
from pinpoint_data.words.stamps import size_stamp

# PDFium ends lines with \r\n, and marks a hyphen at the end of a line with U+0002 or U+FFFE.
_WORD = re.compile(r"[^\s\x00-\x1f\x7f\ufffe\uffff]+")
_LINE_END = re.compile(r"[\r\n]+")


@dataclass(frozen=True)
class PdfTextEngine:
    """Reads the text layer of PDF pages; boxes enclose the glyphs' ink."""

    name: ClassVar[str] = "pdf-text"
    chunk_pages: ClassVar[int] = 32

    def settings(self) -> Mapping[str, Any]:
        """The version of PDFium's binding: text extraction differs between releases."""
        return {"engine": self.name, "pypdfium2": version("pypdfium2")}

    def stamp(self, root: Path, row: Mapping[str, Any]) -> str:
        """Size of the PDF; its content is in the row's sha256."""
        return "none" if row["pdf_page"] is None else size_stamp(root, row)

    def read(self, root: Path, row: Mapping[str, Any]) -> PageWords | None:
        """The words of a PDF page's text layer (none on a scanned page), or None for an image.

        Raises:
            PageError: `missing-image`, `encrypted-pdf`, `unreadable-pdf`, `changed-page`, `path-escapes-root`.
        """
        if row["pdf_page"] is None:
            return None
        path = safe_path(root, row["path"])
        with open_pdf(path) as pdf:
            try:
                page = pdf[row["pdf_page"]]
                size = rendered_size(page.get_size(), row["dpi"])
                if size != (row["width"], row["height"]):
                    raise PageError(
                        "changed-page",
                        f"is {size[0]} x {size[1]} pixels now, the workspace says {row['width']} x {row['height']}",
                        remedy="ingest the source again",
                    )
                return _page_words(page, *size)
            except pdfium.PdfiumError as error:
                raise PageError("unreadable-pdf", str(error), file=path) from error


def _page_words(page: pdfium.PdfPage, width: int, height: int) -> PageWords:
    with _text_page(page) as text_page:
        count = raw.FPDFText_CountChars(text_page)
        codes = [raw.FPDFText_GetUnicode(text_page, place) for place in range(count)]
        # A glyph without a code keeps its place: it must not cut the word in two.
        text = "".join([chr(code) if code else "\ufffd" for code in codes])
        words = list(_WORD.finditer(text))
        points = np.array([_rectangle(text_page, *word.span()) for word in words], dtype=np.float64).reshape(-1, 4)
    line_ends = [end.start() for end in _LINE_END.finditer(text)]
    lines = np.searchsorted(line_ends, [word.start() for word in words]).astype(np.int64)
    xyxy = _to_pixels(page, points, width, height)
    return PageWords([word.group() for word in words], xyxy, lines, None, PdfTextEngine.name)


@contextmanager
def _text_page(page: pdfium.PdfPage) -> Iterator[raw.FPDF_TEXTPAGE]:
    text_page = raw.FPDFText_LoadPage(page)
    if not text_page:
        raise pdfium.PdfiumError("Failed to load the text of the page.")
    try:
        yield text_page
    finally:
        raw.FPDFText_ClosePage(text_page)


def _rectangle(text_page: raw.FPDF_TEXTPAGE, start: int, end: int) -> tuple[float, float, float, float]:
    """Left, bottom, right, top in PDF points of the characters [start, end).

    PDFium joins the characters of a text run itself, which halves the calls of asking for every character.
    """
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    found = []
    for place in range(raw.FPDFText_CountRects(text_page, start, end - start)):
        raw.FPDFText_GetRect(text_page, place, left, top, right, bottom)
        # A blank glyph gives an empty rectangle at the origin.
        if left.value < right.value and bottom.value < top.value:
            found.append((left.value, bottom.value, right.value, top.value))
    if not found:
        return NO_BOX
    lefts, bottoms, rights, tops = zip(*found, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _to_pixels(page: pdfium.PdfPage, points: FloatArray, width: int, height: int) -> FloatArray:
    """Boxes in PDF points as envelopes in pixels of the rendered page.

    The map is affine; three points give it. FPDF_PageToDevice answers in whole units of the device, so it is
    asked about a page enlarged to 2^24 of them, the precision of PDFium's own single-precision arithmetic.
    """
    enlarge = max(1, 2**24 // max(width, height))
    across, down = ctypes.c_int(), ctypes.c_int()

    def device(x: float, y: float) -> FloatArray:
        raw.FPDF_PageToDevice(page, 0, 0, width * enlarge, height * enlarge, 0, x, y, across, down)
        return np.array([across.value, down.value], dtype=np.float64) / enlarge

    span = max(page.get_size())
    origin = device(0, 0)
    per_x, per_y = (device(span, 0) - origin) / span, (device(0, span) - origin) / span
    first = origin + points[:, :1] * per_x + points[:, 1:2] * per_y
    second = origin + points[:, 2:3] * per_x + points[:, 3:4] * per_y
    return np.hstack([np.minimum(first, second), np.maximum(first, second)])
