"""Page images and PDF pages: found inside their root, measured, hashed, decoded, with hostile files refused.

Width and height are those of the image *after* EXIF orientation: the frame that boxes live in.
"""

from __future__ import annotations

import hashlib
import io
import math
import stat
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageOps, UnidentifiedImageError

from pinpoint_data.errors import PageError
from pinpoint_data.pdf_guard import page_bombs

MAX_PAGE_PIXELS = 89_478_485
"""Pages above this many pixels are refused (Pillow's own warning limit; real infographics reach 29 million)."""

MAX_PDF_PAGES, PDF_PAGE_BYTES = 20_000, 100
"""PDFs of more pages that have fewer bytes a page are refused: a small file can claim millions, each to be listed."""

IMAGE_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
PDF_DPI = 144.0
_SWAPPED_ORIENTATIONS = (5, 6, 7, 8)
_ORIENTATION_TAG = 0x0112

# PDFium is not thread-safe: one call at a time in a process.
_pdf_lock = threading.Lock()


@dataclass(frozen=True)
class PageFile:
    """One page as found on disk.

    Attributes:
        path: Relative to the source root, with forward slashes.
        pdf_page: 0-based page of a PDF, or None for an image.
        dpi: Resolution a PDF page is rendered at, or None.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        sha256: Hash of the file's bytes (of the whole PDF for a PDF page).
    """

    path: str
    pdf_page: int | None
    dpi: float | None
    width: int
    height: int
    sha256: str


def safe_path(root: Path, relative: str) -> Path:
    """The file `relative` inside `root`, with everything that leads out of `root` refused.

    Raises:
        PageError: `path-escapes-root` for absolute paths, `..`, drive letters, backslashes, control characters,
            and symbolic links that lead outside.
    """
    pure = PurePosixPath(relative)
    bad = not relative or pure.is_absolute() or ".." in pure.parts or any(c in relative for c in "\\:")
    # Not str.isprintable(): it refuses the wide spaces that macOS and Japanese systems put into file names.
    if bad or any(unicodedata.category(c) in ("Cc", "Cs") for c in relative):
        raise PageError("path-escapes-root", f"path {relative!r} must be relative and stay inside {root}")
    path = root.joinpath(*pure.parts)
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise PageError("path-escapes-root", f"path {relative!r} is a loop of links") from error
    if not inside:
        raise PageError("path-escapes-root", f"path {relative!r} is a link that leads out of {root}")
    return path


def probe_image(root: Path, relative: str) -> PageFile:
    """Measure, hash and fully decode an image file, so that a broken one is found now and not in training.

    Raises:
        PageError: `missing-image`, `wrong-type`, `unreadable-image`, `decompression-bomb`, `path-escapes-root`.
    """
    path = safe_path(root, relative)
    data = _read(path)
    with _refusals(path), Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
        width, height = image.size
        check_pixels(width, height, path)
        _check_mode(image, path)
        # Pillow gives the size of a TIFF after orientation, of all others before.
        if image.format != "TIFF" and image.getexif().get(_ORIENTATION_TAG) in _SWAPPED_ORIENTATIONS:
            width, height = height, width
        # A JPEG decoded at 1/8 scale still reads its whole entropy stream: truncation is found, faster.
        image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    digest = hashlib.sha256(data).hexdigest()
    return PageFile(PurePosixPath(relative).as_posix(), None, None, width, height, digest)


def probe_pdf(root: Path, relative: str, dpi: float = PDF_DPI) -> list[PageFile | PageError]:
    """Measure every page of a PDF as rendered at `dpi`; a damaged page is an error in its place.

    Raises:
        PageError: `missing-image`, `encrypted-pdf`, `unreadable-pdf`, `decompression-bomb`, `path-escapes-root`.
    """
    path = safe_path(root, relative)
    data = _read(path)
    digest, most = hashlib.sha256(data).hexdigest(), max(MAX_PDF_PAGES, len(data) // PDF_PAGE_BYTES)
    del data
    name = PurePosixPath(relative).as_posix()
    pages: list[PageFile | PageError] = []
    with open_pdf(path) as pdf:
        count = len(pdf)
    if count > most:
        raise PageError(
            "decompression-bomb",
            f"{count:,} pages are more than the {most:,} allowed in a file of this size",
            file=path,
            remedy="split the PDF",
        )
    bombs = page_bombs(path, count)
    with open_pdf(path) as pdf:
        for index in range(count):
            try:
                if index in bombs:
                    raise PageError(
                        "decompression-bomb",
                        "opening it, or pages before it, takes too much memory or time",
                        file=path,
                        record=f"page {index}",
                    )
                # Not of the opened page: its content was unfolded by the guard, and need not be again for its size.
                width, height = rendered_size(pdf.get_page_size(index), dpi)
                check_pixels(width, height, path)
                pages.append(PageFile(name, index, dpi, width, height, digest))
            except pdfium.PdfiumError as error:
                pages.append(PageError("unreadable-pdf", str(error), file=path, record=f"page {index}"))
            except PageError as error:
                pages.append(error)
    return pages


def rendered_size(points: tuple[float, float], dpi: float) -> tuple[int, int]:
    """Pixels (width, height) of a PDF page of so many points rendered at `dpi`, as PDFium rounds them."""
    width, height = points
    return math.ceil(width * dpi / 72), math.ceil(height * dpi / 72)


@contextmanager
def open_pdf(path: Path) -> Iterator[pdfium.PdfDocument]:
    """Open a PDF while holding PDFium's lock.

    Raises:
        PageError: `missing-image`, `encrypted-pdf`, `unreadable-pdf`.
    """
    with _pdf_lock:
        try:
            pdf = pdfium.PdfDocument(path)
        except FileNotFoundError as error:
            raise PageError("missing-image", "no such file", file=path) from error
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == 4:
                raise PageError(
                    "encrypted-pdf", "is encrypted", file=path, remedy="store it without a password"
                ) from error
            raise PageError("unreadable-pdf", str(error), file=path) from error
        try:
            yield pdf
        finally:
            pdf.close()


def load_page(root: Path, row: Mapping[str, Any]) -> Image.Image:
    """The page of a `pages` row as an RGB image of exactly the row's width and height.

    Args:
        root: The source's root folder.
        row: A row of the `pages` table; `path`, `pdf_page`, `dpi`, `width` and `height` are read.

    Raises:
        PageError: The file is missing or broken, or its size is no longer that of the row (`changed-page`).
    """
    path = safe_path(root, row["path"])
    image = _load_image(path) if row["pdf_page"] is None else _render(path, row["pdf_page"], row["dpi"])
    expected = (row["width"], row["height"])
    if image.size != expected:
        raise PageError(
            "changed-page",
            f"is {image.width} x {image.height} pixels now, the workspace says {expected[0]} x {expected[1]}",
            file=path,
            remedy="ingest the source again",
        )
    return image


def _load_image(path: Path) -> Image.Image:
    with _refusals(path), Image.open(io.BytesIO(_read(path)), formats=IMAGE_FORMATS) as image:
        check_pixels(*image.size, path)
        _check_mode(image, path)
        return _to_rgb(ImageOps.exif_transpose(image))


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode in ("I", "F"):
        raise PageError(
            "wrong-type",
            f"has 32-bit pixels (mode {image.mode}), of which nobody knows what is white",
            file=path,
            remedy="convert it to 8 or 16 bits",
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit values at 255, which turns a scan all white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # Transparent pixels are white paper, not the black that a plain conversion makes of them.
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _render(path: Path, index: int, dpi: float) -> Image.Image:
    with open_pdf(path) as pdf:
        try:
            page = pdf[index]
            check_pixels(*rendered_size(page.get_size(), dpi), path)
            image: Image.Image = page.render(scale=dpi / 72).to_pil()
            return image.convert("RGB")
        except pdfium.PdfiumError as error:
            raise PageError("unreadable-pdf", str(error), file=path, record=f"page {index}") from error


def _read(path: Path) -> bytes:
    try:
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PageError("unreadable-image", "is not a regular file", file=path)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PageError("missing-image", "no such file", file=path) from error
    except OSError as error:
        raise PageError("unreadable-image", error.strerror or str(error), file=path) from error


def check_pixels(width: int, height: int, path: Path) -> None:
    """Refuse a page of absurd size before any of its pixels are made."""
    if width < 1 or height < 1:
        raise PageError("unreadable-image", f"has no pixels ({width} x {height})", file=path)
    if width * height > MAX_PAGE_PIXELS:
        raise PageError(
            "decompression-bomb",
            f"{width} x {height} pixels are more than the {MAX_PAGE_PIXELS:,} allowed",
            file=path,
            remedy="scale the page down",
        )


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Pillow's many ways of failing, as one kind of error."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise PageError("wrong-type", f"is not an image of type {', '.join(IMAGE_FORMATS)}", file=path) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PageError("decompression-bomb", str(error), file=path, remedy="scale the page down") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, ZeroDivisionError) as error:
        # Pillow's decoders leak these on mutated files.
        raise PageError("unreadable-image", str(error) or type(error).__name__, file=path) from error
