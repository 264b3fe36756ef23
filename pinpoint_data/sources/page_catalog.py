"""Every page of a run, found and measured once, images in threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from pinpoint_data.errors import PageError
from pinpoint_data.pages import PageFile, probe_image, probe_pdf, safe_path
from pinpoint_data.sources.base import PageRef, RecordError


@dataclass(frozen=True, slots=True)
class Page:
    """A page that can be used: its place and its size in pixels; no hash where the file was not read."""

    path: str
    pdf_page: int | None
    dpi: float | None
    width: int
    height: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Failure:
    code: str
    message: str
    path: str
    remedy: str | None

    def error(self) -> RecordError:
        return RecordError(self.code, self.message, file=self.path, remedy=self.remedy)


_Probed: TypeAlias = Page | _Failure

# More pages than a PDF can have objects (ISO 32000-1, annex C); only asked where the PDF itself is not read.
_MAX_PAGES = 8_388_607


class PageCatalog:
    """Pages by path. Failures are remembered too, so a missing file is looked for once.

    Args:
        root: Folder that paths are relative to.
        dpi: Resolution of PDF pages.
        jobs: Threads for images; PDFium takes one call at a time.
        measure: Read the files; without it sizes are those that the source declares.
    """

    def __init__(self, root: Path, dpi: float, jobs: int, *, measure: bool = True) -> None:
        self.root, self.dpi, self.jobs, self.measure = root, dpi, jobs, measure
        self._files: dict[str, _Probed | list[_Probed]] = {}
        self._keys: dict[str, tuple[str, int | None]] = {}
        self._has_ocr: dict[str, bool] = {}
        self._pool: ThreadPoolExecutor | None = None

    @contextmanager
    def open(self) -> Iterator[PageCatalog]:
        """Hold the threads; on an exception what waits is dropped."""
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="pages") as pool:
            self._pool = pool
            try:
                yield self
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                self._pool = None

    def load(self, refs: Iterable[PageRef]) -> None:
        """Probe the files of `refs` that are not known yet."""
        if not self.measure or self._pool is None:
            return
        new = [path for path in dict.fromkeys(ref.path for ref in refs) if path not in self._files]
        self._files.update(zip(new, self._pool.map(self._probe, new), strict=True))

    def pages_of(self, ref: PageRef) -> list[tuple[str, Page]]:
        """Keys and pages that `ref` stands for.

        Raises:
            RecordError: Codes of `PageError`; `page-out-of-range`; `size-mismatch` where the file's size is not the
                declared one; `page-conflict` where another page has the key already.
        """
        found = self._found(ref)
        if isinstance(found, list) and ref.every_page:
            pages = [(f"{ref.key}/{index}", _good(page)) for index, page in enumerate(found)]
        else:
            pages = [(ref.key, self._one(ref, found))]
        for key, page in pages:
            place = (page.path, page.pdf_page)
            if self._keys.setdefault(key, place) != place:
                first = self._keys[key][0]
                raise RecordError("page-conflict", f"page {key!r} is {first} already", file=page.path)
        return pages

    def _found(self, ref: PageRef) -> _Probed | list[_Probed]:
        if not self.measure:
            found = self._declared(ref)
            if ref.pdf_page is None:
                known = self._files.setdefault(ref.path, found)
                _same_size(known, ref)
            return found
        if ref.path not in self._files:
            self._files[ref.path] = self._probe(ref.path)
        return self._files[ref.path]

    def _one(self, ref: PageRef, found: _Probed | list[_Probed]) -> Page:
        if isinstance(found, list):
            index = ref.pdf_page or 0
            if not 0 <= index < len(found):
                raise RecordError(
                    "page-out-of-range",
                    f"page {index} of a PDF with {len(found)} pages (0 is the first)",
                    file=ref.path,
                )
            found = found[index]
        elif ref.pdf_page is not None and self.measure and isinstance(found, Page):
            raise RecordError("wrong-type", "is an image, a page number is for PDFs", file=ref.path)
        _same_size(found, ref)
        return _good(found)

    def _declared(self, ref: PageRef) -> _Probed:
        if ref.declared_size is None or ref.every_page:
            raise RecordError("missing-field", "width and height of the page are needed without images", file=ref.path)
        try:
            safe_path(self.root, ref.path)
        except PageError as error:
            return _failure(error, ref.path)
        if ref.pdf_page is not None and not 0 <= ref.pdf_page < _MAX_PAGES:
            raise RecordError("page-out-of-range", f"page {ref.pdf_page} of a PDF (0 is the first)", file=ref.path)
        dpi = None if ref.pdf_page is None else self.dpi
        return Page(PurePosixPath(ref.path).as_posix(), ref.pdf_page, dpi, *ref.declared_size, None)

    def _probe(self, path: str) -> _Probed | list[_Probed]:
        try:
            if path.lower().endswith(".pdf"):
                return [_probed(page, path) for page in probe_pdf(self.root, path, self.dpi)]
            return _probed(probe_image(self.root, path), path)
        except PageError as error:
            return _failure(error, path)

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def ocr_path(self, ref: PageRef) -> str | None:
        """The page's OCR file, where there is one.

        Raises:
            PageError: `path-escapes-root`.
        """
        path = ref.ocr_path
        if path is not None and path not in self._has_ocr:
            self._has_ocr[path] = _is_file(safe_path(self.root, path))
        return PurePosixPath(path).as_posix() if path is not None and self._has_ocr[path] else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no disk takes
        return False


def _probed(found: PageFile | PageError, path: str) -> _Probed:
    if isinstance(found, PageError):
        return _failure(found, path)
    return Page(found.path, found.pdf_page, found.dpi, found.width, found.height, found.sha256)


def _failure(error: PageError, path: str) -> _Failure:
    # The exception itself is not kept: its traceback would hold the decoded page.
    return _Failure(error.code, error.message, path, error.remedy)


def _good(found: _Probed) -> Page:
    if isinstance(found, _Failure):
        raise found.error()
    return found


def _same_size(found: _Probed | list[_Probed], ref: PageRef) -> None:
    if not isinstance(found, Page) or ref.declared_size is None:
        return
    if (found.width, found.height) != ref.declared_size:
        width, height = ref.declared_size
        raise RecordError(
            "size-mismatch",
            f"is {found.width} x {found.height} pixels, the record says {width} x {height}",
            file=ref.path,
            remedy="give the boxes in percent, or the page at the size that they were drawn on",
        )
