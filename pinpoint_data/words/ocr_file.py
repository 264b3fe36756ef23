"""The engine of OCR files: a JSON file beside the page, its format known by its content."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pinpoint_data.errors import PageError
from pinpoint_data.pages import safe_path
from pinpoint_data.words.azure_read import is_azure_read, read_azure
from pinpoint_data.words.base import PageWords
from pinpoint_data.words.funsd_form import is_funsd_form, read_funsd_form
from pinpoint_data.words.ocr_page import OcrPage, bad_ocr
from pinpoint_data.words.textract import is_textract, read_textract
from pinpoint_data.words.word_list import is_word_list, read_word_list

MAX_OCR_BYTES = 32 * 2**20
"""Larger OCR files are refused unread: a dense page of raw Textract takes about 2 MiB, JSON grows tenfold in memory."""

Document = Mapping[str, Any]
_FORMATS: tuple[tuple[Callable[[Document], bool], Callable[[Document, OcrPage], PageWords]], ...] = (
    (is_textract, read_textract),
    (is_azure_read, read_azure),
    (is_word_list, read_word_list),
    (is_funsd_form, read_funsd_form),
)


@dataclass(frozen=True)
class OcrFileEngine:
    """Reads the page's `ocr_path`: Textract (grouped or raw), Azure Read (v2, v3), a plain word list, or FUNSD."""

    name: ClassVar[str] = "ocr-file"
    chunk_pages: ClassVar[int] = 32

    def settings(self) -> Mapping[str, Any]:
        """Nothing to set: the file says all."""
        return {"engine": self.name}

    def stamp(self, root: Path, row: Mapping[str, Any]) -> str:
        """Hash of the OCR file's content."""
        if not row["ocr_path"]:
            return "none"
        try:
            return hashlib.sha256(_read(root, row["ocr_path"])).hexdigest()
        except PageError as error:
            return f"{error.code}: {error.message}"

    def read(self, root: Path, row: Mapping[str, Any]) -> PageWords | None:
        """The words of a page's OCR file, or None where the page has none.

        Raises:
            PageError: `missing-ocr-file`, `ocr-file-too-big`, `bad-ocr-file`, `unknown-ocr-format`,
                `ocr-size-mismatch`, `path-escapes-root`.
        """
        if not row["ocr_path"]:
            return None
        document = _parse(_read(root, row["ocr_path"]))
        page = OcrPage(row["width"], row["height"], 1 if row["pdf_page"] is None else row["pdf_page"] + 1)
        for fits, read in _FORMATS:
            if fits(document):
                return read(document, page)
        keys = ", ".join(repr(key[:40]) for key in sorted(document)[:6]) or "none"
        raise PageError(
            "unknown-ocr-format",
            f"is neither Textract, Azure Read, a word list nor FUNSD; its keys: {keys}",
            remedy="store the OCR in one of these formats, or use --from rapidocr",
        )


def _read(root: Path, relative: str) -> bytes:
    path = safe_path(root, relative)
    try:
        found = path.stat()
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(found.st_mode):
            raise bad_ocr("is not a regular file")
        if found.st_size > MAX_OCR_BYTES:
            raise PageError(
                "ocr-file-too-big",
                f"{found.st_size:,} bytes are more than the {MAX_OCR_BYTES:,} allowed",
                remedy="keep one file a page",
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PageError(
            "missing-ocr-file", "no such file", remedy="add it, or let --fallback rapidocr read the page"
        ) from error
    except OSError as error:
        raise bad_ocr(f"cannot be read: {error.strerror or error}") from error


def _parse(data: bytes) -> Document:
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise bad_ocr("is nested too deeply") from error
    except ValueError as error:
        raise bad_ocr(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise bad_ocr(f"must hold a JSON object, found {type(document).__name__}")
    return document
