"""The pages of a batch of questions: cut into items, their pictures made, in several threads."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.label_studio.geometry import Cutting, Item, Rect
from annotation.label_studio.page_images import PageImages, PagePart, SourcePage
from pinpoint_data.errors import PageError
from pinpoint_data.pages import check_pixels
from pinpoint_data.workspace import Workspace


@dataclass(frozen=True)
class ShownPage:
    """A page as annotators see it.

    Attributes:
        size: Width and height of the page in pixels.
        sha256: Of its file, where the workspace knows it.
        rects: What each of its items shows.
        urls: Where each item's picture is.
    """

    size: tuple[int, int]
    sha256: str | None
    rects: tuple[Rect, ...]
    urls: tuple[str, ...]

    def items(self, page_index: int, page_id: str) -> list[Item]:
        """The items, for a question that has the page at `page_index`."""
        return [Item(page_index, page_id, *rect, *self.size) for rect in self.rects]


class Shelf:
    """The pages that the questions at hand need; a page that cannot be used stands there as its error.

    Args:
        workspace: Where the pages are.
        cutting: How tall pages are cut.
        images: Where their pictures go.
    """

    def __init__(self, workspace: Workspace, cutting: Cutting, images: PageImages) -> None:
        self._rows = {row["page_id"]: row for row in workspace.iter_rows("pages")}
        self._workspace, self._cutting, self._images = workspace, cutting, images
        self._roots: dict[str, Path] = {}
        self._pages: dict[str, ShownPage | PageError] = {}

    def fetch(self, page_ids: Iterable[str], threads: Executor) -> None:
        """Make these pages ready, and forget the others.

        Raises:
            WorkspaceError: The folder of a source is gone.
        """
        wanted = sorted(set(page_ids))
        kept = {page_id: self._pages[page_id] for page_id in wanted if page_id in self._pages}
        new = [page_id for page_id in wanted if page_id not in kept]
        for source in sorted({self._rows[page_id]["source"] for page_id in new if page_id in self._rows}):
            if source not in self._roots:
                self._roots[source] = self._workspace.root_of(source)
        self._pages = kept | dict(zip(new, threads.map(self._make, new), strict=True))

    def page(self, page_id: str) -> ShownPage:
        """A page that was fetched.

        Raises:
            PageError: It cannot be shown.
        """
        found = self._pages[page_id]
        if isinstance(found, PageError):
            raise found
        return found

    def _make(self, page_id: str) -> ShownPage | PageError:
        row: dict[str, Any] | None = self._rows.get(page_id)
        if row is None:
            return PageError("missing-page", f"the workspace has no page {page_id!r}", remedy="ingest its source again")
        page = SourcePage(self._roots[row["source"]], row)
        try:
            check_pixels(*page.size, Path(row["path"]))
            rects = self._cutting.parts(*page.size)
            urls = [self._images.url(PagePart(page, rect)) for rect in rects]
        except PageError as error:
            return error
        finally:
            page.release()
        return ShownPage(page.size, row["sha256"], tuple(rects), tuple(urls))
