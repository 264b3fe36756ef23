"""What the readers of OCR files share: the page that is asked for, and careful access to foreign JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pinpoint_data.errors import PageError


@dataclass(frozen=True)
class OcrPage:
    """The page whose words are wanted.

    Attributes:
        width: Pixels.
        height: Pixels.
        number: 1-based page in a file about several pages (a PDF's page; 1 for an image).
    """

    width: int
    height: int
    number: int = 1


def bad_ocr(message: str) -> PageError:
    """The refusal of an OCR file that is not built as its format says."""
    return PageError("bad-ocr-file", message, remedy="run the OCR of this page again, or use --from rapidocr")


def list_at(owner: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The list of objects at `key`; empty where missing or null. An entry that is no object becomes an empty one.

    Raises:
        PageError: `bad-ocr-file` where something else stands there.
    """
    found = owner.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise bad_ocr(f"{key!r} must be a list, found {type(found).__name__}")
    return [entry if isinstance(entry, dict) else {} for entry in found]


def pick_page(numbers: Iterable[object], page: OcrPage) -> int:
    """The page number to read among those of a file: its only one, else the one asked for.

    Raises:
        PageError: `bad-ocr-file` where a file of several pages lacks the one asked for.
    """
    found = {number for number in numbers if isinstance(number, int)}
    if len(found) == 1:
        return found.pop()
    if found and page.number not in found:
        raise bad_ocr(f"has {len(found)} pages ({min(found)} to {max(found)}) but not page {page.number}")
    return page.number
