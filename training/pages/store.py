"""Pages of a workspace as a backbone wants them: size, words, and pixels on demand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from pinpoint_data.errors import TrainingError
from pinpoint_data.pages import load_page
from pinpoint_data.words.index import WordIndex
from pinpoint_data.workspace import Workspace
from training.pages.input import PageInput

if TYPE_CHECKING:
    from training.backbones.base import Backbone

_COLUMNS = ("page_id", "source", "path", "pdf_page", "dpi", "width", "height", "sha256")


class PageStore:
    """The pages of a workspace by id. Words and pixels are read when they are asked for.

    Args:
        workspace: An open workspace; its sources' folders must be there for whoever looks at pixels.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._rows: dict[str, dict[str, Any]] = {
            row["page_id"]: row for row in workspace.iter_rows("pages", columns=_COLUMNS)
        }
        self._words = WordIndex(workspace)

    @classmethod
    def of_backbone(cls, workspace: Workspace, backbone: Backbone) -> PageStore:
        """The pages of a workspace that a backbone can encode.

        Raises:
            TrainingError: The backbone lives on words, and the workspace has none.
        """
        store = cls(workspace)
        if backbone.reads_words and not store.has_words:
            raise TrainingError(
                f"has no words, which {backbone.name} lives on", file=workspace.path, remedy="run pinpoint words"
            )
        return store

    def __contains__(self, page_id: str) -> bool:
        return page_id in self._rows

    @property
    def has_words(self) -> bool:
        """Whether words were taken of any page."""
        return len(self._words) > 0

    def row(self, page_id: str) -> dict[str, Any]:
        """The page's row of the `pages` table.

        Raises:
            TrainingError: The workspace has no such page.
        """
        try:
            return self._rows[page_id]
        except KeyError:
            raise TrainingError(
                "is not in the workspace",
                file=self.workspace.path,
                record=f"page {page_id}",
                remedy="name the workspace that the dataset was published from",
            ) from None

    def check_size(self, page_id: str, size: tuple[int, int]) -> None:
        """Check that a page has the width and height in pixels that a dataset gives it.

        Raises:
            TrainingError: It has others, or the workspace has no such page.
        """
        row = self.row(page_id)
        if (row["width"], row["height"]) != size:
            raise TrainingError(
                f"is {row['width']} x {row['height']} pixels in the workspace, {size[0]} x {size[1]} in the dataset",
                record=f"page {page_id}",
                remedy="publish the dataset from this workspace again",
            )

    def input(self, page_id: str) -> PageInput:
        """What a backbone needs to encode the page.

        Raises:
            TrainingError: The workspace has no such page.
        """
        row = self.row(page_id)
        load = partial(_load, self.workspace, row)
        return PageInput(page_id, row["width"], row["height"], self._words.get(page_id), load, row["sha256"])


def _load(workspace: Workspace, row: dict[str, Any]) -> Image.Image:
    return load_page(workspace.root_of(row["source"]), row)
