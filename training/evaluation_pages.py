"""Views of a dataset's questions over a workspace's pages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from loaders.samples import Sample
from pinpoint_data.errors import TrainingError
from pinpoint_data.grids import TokenGrid
from pinpoint_data.windows import WindowSpec, make_windows
from training.backbones.base import PageInput
from training.pages import PageStore
from training.selectors.base import PageView, QuestionView

_PAGES_KEPT = 128


def dataset_page(store: PageStore, page_id: str, width: int, height: int) -> PageInput:
    """A page of a dataset in the workspace.

    Raises:
        TrainingError: It is not there, or of another size.
    """
    page = store.input(page_id)
    if (page.width, page.height) != (width, height):
        raise TrainingError(
            f"is {page.width} x {page.height} pixels in the workspace, {width} x {height} in the dataset",
            record=f"page {page_id}",
            remedy="publish the dataset again from this workspace",
        )
    return page


class PageViews:
    """Views of a dataset's questions over a workspace's pages; a page met lately is not made again.

    Args:
        store: The workspace's pages.
        grid_of: The grid of a page from its width and height.
        spec: Window size and stride.

    Attributes:
        without_words: Pages met that have no words.
    """

    def __init__(self, store: PageStore, grid_of: Callable[[int, int], TokenGrid], spec: WindowSpec) -> None:
        self.store, self.grid_of, self.spec = store, grid_of, spec
        self.without_words: set[str] = set()
        self._kept: OrderedDict[str, PageView] = OrderedDict()

    def of(self, sample: Sample) -> QuestionView:
        """The question with its pages.

        Raises:
            TrainingError: A page is not in the workspace, or of another size there.
            GeometryError: A page has no grid.
        """
        pages = tuple(self._page(ref.page_id, ref.width, ref.height) for ref in sample.pages)
        return QuestionView(sample.question_id, sample.question, pages, sample.evidence)

    def _page(self, page_id: str, width: int, height: int) -> PageView:
        if page_id in self._kept:
            self._kept.move_to_end(page_id)
            return self._kept[page_id]
        page = dataset_page(self.store, page_id, width, height)
        if not page.words.texts:
            self.without_words.add(page_id)
        grid = self.grid_of(width, height)
        self._kept[page_id] = PageView(grid, make_windows(grid, self.spec), page.words, page)
        if len(self._kept) > _PAGES_KEPT:
            self._kept.popitem(last=False)
        return self._kept[page_id]
