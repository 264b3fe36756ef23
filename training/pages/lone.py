"""Pages of one image or PDF file, with their words where they are wanted, without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pinpoint_data.errors import PageError, UsageError
from pinpoint_data.pages import PDF_DPI, PageFile, load_page, probe_image, probe_pdf
from pinpoint_data.progress import track
from pinpoint_data.small_files import refuse_special
from pinpoint_data.words import AutoEngine, PageWords, WordEngine, make_engine, words_of_page
from training.pages.input import PageInput

Engine = Literal["auto", "rapidocr"]
_PDF_MARK = b"%PDF-"


@dataclass(frozen=True)
class LonePage:
    """A page of a file.

    Attributes:
        number: Its place in the file, from 1.
        page: What a backbone needs.
    """

    number: int
    page: PageInput


def read_pages(
    file: Path,
    numbers: Sequence[int] = (),
    *,
    words: Path | None = None,
    engine: Engine = "auto",
    dpi: float = PDF_DPI,
    with_words: bool = True,
) -> list[LonePage]:
    """The pages of an image or a PDF, with their words.

    Args:
        file: An image, or a PDF (known by its first bytes, not its name).
        numbers: Pages wanted, counted from 1; all where none is named.
        words: An OCR file of the page: Textract, Azure Read, or a word list.
        engine: Without `words`. `auto`: a PDF page's text layer, else RapidOCR where it is installed. `rapidocr`:
            always RapidOCR.
        dpi: Resolution that PDF pages are rendered at.
        with_words: False: nobody reads the words; none are taken, and none have to be there.

    Raises:
        PageError: The file, or its OCR file, is missing or broken.
        UsageError: No such page, a name that no page may have, or no way to get a page's words; the message says what
            to do.
    """
    target = _target(file)
    root = target.parent
    found = _probe(target, dpi)
    unknown = sorted(set(numbers) - set(range(1, len(found) + 1)))
    if unknown:
        raise UsageError(f"has no page {unknown[0]}; it has {len(found)}", file=file)
    wanted = [(number, found[number - 1]) for number in sorted(set(numbers)) or range(1, len(found) + 1)]
    rows = []
    for number, page in wanted:
        if isinstance(page, PageError):
            raise page
        rows.append((number, _row(page, f"{file.name}#page={number}" if len(found) > 1 else file.name)))
    if not with_words:
        return [_page(root, number, row, PageWords()) for number, row in rows]
    if words is not None and not words.is_file():
        raise PageError("missing-ocr-file", "no such OCR file", file=words)
    read = partial(_given_words, words) if words is not None else partial(_found_words, root, _engine(engine), file)
    pages = [_page(root, number, row, read(row)) for number, row in track(rows, "words")]
    if words is not None and len(pages) > 1 and all(_same_words(pages[0], page) for page in pages[1:]):
        raise UsageError("is about one page, but several compete", file=words, remedy="name the page with --page")
    return pages


def _target(file: Path) -> Path:
    """The file behind links, under a name that pages of a workspace may have too."""
    target = file.resolve()
    if any(character in target.name for character in "\\:"):
        raise UsageError(
            "cannot be read under this name: it has a colon or a backslash", file=target, remedy="rename it"
        )
    return target


def _probe(file: Path, dpi: float) -> Sequence[PageFile | PageError]:
    try:
        refuse_special(file)
        with file.open("rb") as handle:
            head = handle.read(1024)
    except OSError as error:
        raise PageError("missing-image", error.strerror or str(error), file=file) from error
    return probe_pdf(file.parent, file.name, dpi) if _PDF_MARK in head else [probe_image(file.parent, file.name)]


def _row(page: PageFile, page_id: str) -> dict[str, Any]:
    return {
        "page_id": page_id,
        "path": page.path,
        "pdf_page": page.pdf_page,
        "dpi": page.dpi,
        "width": page.width,
        "height": page.height,
        "sha256": page.sha256,
        "ocr_path": None,
    }


def _page(root: Path, number: int, row: dict[str, Any], words: PageWords) -> LonePage:
    load = partial(load_page, root, row)
    return LonePage(number, PageInput(row["page_id"], row["width"], row["height"], words, load, row["sha256"]))


def _given_words(words: Path, row: dict[str, Any]) -> PageWords:
    target = _target(words)
    try:
        return words_of_page(target.parent, row | {"ocr_path": target.name}, "ocr-file")
    except PageError as error:
        raise PageError(error.code, error.message, file=words, remedy=error.remedy) from error


def _engine(engine: Engine) -> WordEngine | None:
    """The engine, or None where only text layers can be read."""
    if engine == "rapidocr":
        return make_engine("rapidocr")
    try:
        return AutoEngine(make_engine("rapidocr"))
    except UsageError:
        return None


def _found_words(root: Path, engine: WordEngine | None, file: Path, row: dict[str, Any]) -> PageWords:
    words = words_of_page(root, row, engine or "auto")
    if engine is None and not words.texts:
        what = "its text layer is empty" if row["pdf_page"] is not None else "an image carries none"
        raise UsageError(
            f"the words of {row['page_id']!r} are not known: {what}",
            file=file,
            remedy="give an OCR file with --words, or install RapidOCR: pip install 'pinpoint-data[ocr]'",
        )
    return words


def _same_words(a: LonePage, b: LonePage) -> bool:
    return bool(a.page.words.texts) and a.page.words.texts == b.page.words.texts
