"""Views of a dataset's questions over a workspace's pages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from loaders.samples import Sample
from pinpoint_data.errors import PageError, TrainingError
from pinpoint_data.grids import TokenGrid
from pinpoint_data.windows import WindowSpec, make_windows
from training.pages.store import PageStore
from training.window_scorers.base import PageView, QuestionView

_PAGES_KEPT = 128


def check_pages(store: PageStore, samples: Iterable[Sample]) -> None:
    """Check that the workspace holds the pages of a dataset, before hours of work find that it does not.

    Raises:
        TrainingError: A page is not there, or of another size.
    """
    for page in {page.page_id: page for sample in samples for page in sample.pages}.values():
        store.check_size(page.page_id, (page.width, page.height))


def announce_pages(prefetch: Callable[[Sequence[str]], None], sample: Sample, *later: Sample) -> None:
    """Have the pages of a question, and of those that follow, got ready.

    Raises:
        PageError: There are no tokens of one of the question's own pages; one that cannot be read was never encoded.
    """
    own = [page.page_id for page in sample.pages]
    try:
        prefetch(own)
    except TrainingError as error:
        where = {"file": error.file, "record": error.record, "remedy": error.remedy}
        raise PageError("page-without-tokens", error.message, **where) from error
    for following in later:
        with suppress(TrainingError):  # said when their turn comes
            prefetch([page.page_id for page in following.pages if page.page_id not in own])


class PageViews:
    """Views of a dataset's questions over a workspace's pages; a page met lately is not made again.

    Args:
        store: The workspace's pages.
        grid_of: The grid of a page from its width and height.
        spec: Window size and stride where nobody asks for others.

    Attributes:
        without_words: Pages met that have no words.
    """

    def __init__(self, store: PageStore, grid_of: Callable[[int, int], TokenGrid], spec: WindowSpec) -> None:
        self.store, self.grid_of, self.spec = store, grid_of, spec
        self.without_words: set[str] = set()
        self._kept: OrderedDict[str, dict[WindowSpec, PageView]] = OrderedDict()

    def of(self, sample: Sample, spec: WindowSpec | None = None) -> QuestionView:
        """The question with its pages, under windows of another size or stride where `spec` is given.

        Raises:
            TrainingError: A page is not in the workspace.
            GeometryError: A page has no grid.
        """
        pages = tuple(self._page(ref.page_id, spec or self.spec) for ref in sample.pages)
        return QuestionView(sample.question_id, sample.question, pages, sample.evidence)

    def _page(self, page_id: str, spec: WindowSpec) -> PageView:
        if page_id not in self._kept:
            self._kept[page_id] = {self.spec: self._made(page_id)}
            if len(self._kept) > _PAGES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(page_id)
        views = self._kept[page_id]
        if spec not in views:
            plain = views[self.spec]
            views[spec] = replace(plain, windows=make_windows(plain.grid, spec))
        return views[spec]

    def _made(self, page_id: str) -> PageView:
        page = self.store.input(page_id)
        if not page.words.texts:
            self.without_words.add(page_id)
        grid = self.grid_of(page.width, page.height)
        return PageView(grid, make_windows(grid, self.spec), page.words, page)
