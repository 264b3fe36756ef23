"""What a selection is: how far it went, what it took of each page, and the boxes that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import TokenRanking
from training.selection.cost import SelectionCost
from training.selection.regions import connected_components, cover_rectangles
from training.window_scorers.base import PageView

SELECTION_VERSION = 1
# 0.6 of 1,000 tokens must be 600 tokens, whatever the last bit of 0.6 * 1000 says.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class TokenLimit:
    """How far down the ranking tokens are taken.

    Attributes:
        budget: Take at most this share of all tokens, or None.
        coverage: Take windows until at least this share of all tokens is covered, or None.
        exact: With a budget: the first floor(budget * N) tokens, not whole windows.

    Raises:
        UsageError: Not one of budget and coverage, a share outside (0, 1], or `exact` without a budget.
    """

    budget: float | None = None
    coverage: float | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.budget is not None and self.coverage is not None:
            raise UsageError("give a budget or a coverage, not both")
        if self.budget is None and self.coverage is None:
            raise UsageError("give a budget or a coverage")
        for name, share in (("budget", self.budget), ("coverage", self.coverage)):
            if share is not None and not 0 < share <= 1:
                raise UsageError(f"{name} must be in (0, 1], got {share}")
        if self.exact and self.budget is None:
            raise UsageError("only a budget can be exact: a coverage is reached by whole windows")

    def mask(self, ranking: TokenRanking) -> npt.NDArray[np.bool_]:
        """The tokens (N,) to take, of whole windows where the budget is not exact; at least one token or window."""
        mask: npt.NDArray[np.bool_]
        if self.coverage is not None:
            (mask,) = ranking.to_coverage([self.coverage])
        elif self.exact:
            (mask,) = ranking.top([self.budget or 0.0])
        else:
            taken = np.cumsum(np.bincount(ranking.rank, minlength=ranking.n_windows))
            allowed = (self.budget or 0.0) * len(ranking.rank) + _TOLERANCE
            mask = ranking.rank < max(1, int(np.searchsorted(taken, allowed, side="right")))
        return mask


@dataclass(frozen=True)
class SelectedBox:
    """A box to look at.

    Attributes:
        page_index: Among the pages that were given, from 0.
        xyxy: Pixels of the page.
        score: The best score of a window that gave the box a token.
        region: Number of the connected region the box is a part of; 1 holds the best window.
    """

    page_index: int
    xyxy: tuple[float, float, float, float]
    score: float
    region: int


@dataclass(frozen=True)
class SelectedPage:
    """What was taken from one page.

    Attributes:
        view: The page, its grid and its windows.
        scores: (w,) score of every window.
        places: (w,) place of every window in the ranking of all pages' windows, 1 for the best.
        mask: (rows, cols) the tokens taken.
    """

    view: PageView
    scores: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """The answer of `select_regions`.

    Attributes:
        question: As asked.
        scorer: Name of what scored the windows.
        limit: How far down the ranking tokens were taken.
        pages: Every page that competed, in the order given.
        boxes: Best first.
        numbers: How people call the pages: their numbers in the file, from 1.
        cost: What it took.
    """

    question: str
    scorer: str
    limit: TokenLimit
    pages: tuple[SelectedPage, ...]
    boxes: tuple[SelectedBox, ...]
    numbers: tuple[int, ...]
    cost: SelectionCost

    @property
    def budget(self) -> float | None:
        """The share of tokens allowed, or None."""
        return self.limit.budget

    @property
    def coverage(self) -> float | None:
        """The share of tokens to reach, or None."""
        return self.limit.coverage

    @property
    def tokens(self) -> int:
        """Tokens of all pages."""
        return sum(page.mask.size for page in self.pages)

    @property
    def tokens_used(self) -> int:
        """Tokens taken."""
        return sum(int(page.mask.sum()) for page in self.pages)

    @property
    def budget_used(self) -> float:
        """Share of all pages' tokens that was taken, as realised."""
        return self.tokens_used / self.tokens

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready account without the cost: the same each time. Coordinates are pixels, not rounded."""
        return {
            "schema": "pinpoint-selection",
            "version": SELECTION_VERSION,
            "question": self.question,
            "scorer": self.scorer,
            "budget": self.budget,
            "coverage": self.coverage,
            "exact": self.limit.exact,
            "budget_used": self.budget_used,
            "tokens": self.tokens,
            "tokens_used": self.tokens_used,
            "pages": [
                {
                    "page_index": index,
                    "number": self.numbers[index],
                    "page_id": page.view.page_input.page_id,
                    "width": page.view.page_input.width,
                    "height": page.view.page_input.height,
                    "tokens_used": int(page.mask.sum()),
                    "tokens": page.mask.size,
                }
                for index, page in enumerate(self.pages)
            ],
            "boxes": [
                {
                    "page_index": box.page_index,
                    "number": self.numbers[box.page_index],
                    "xyxy": list(box.xyxy),
                    "score": box.score,
                    "region": box.region,
                }
                for box in self.boxes
            ],
        }


def joined_boxes(
    pages: Sequence[SelectedPage], scores: Sequence[npt.NDArray[np.float64]], max_waste: float
) -> tuple[SelectedBox, ...]:
    """Every connected region as a few boxes, regions and boxes by best score; `scores` (rows, cols) are the tokens'."""
    found: list[tuple[float, list[SelectedBox]]] = []
    for index, (page, score) in enumerate(zip(pages, scores, strict=True)):
        given = np.where(page.mask, score, -np.inf)
        for component in connected_components(page.mask):
            boxes = []
            for corners in cover_rectangles(component, max_waste).tolist():
                r0, c0, r1, c1 = corners
                boxes.append(SelectedBox(index, _pixels(page, corners), float(given[r0:r1, c0:c1].max()), 0))
            found.append((max(box.score for box in boxes), boxes))
    found.sort(key=lambda region: -region[0])
    numbered = [
        SelectedBox(box.page_index, box.xyxy, box.score, number)
        for number, (_, boxes) in enumerate(found, start=1)
        for box in sorted(boxes, key=lambda box: -box.score)
    ]
    return tuple(numbered)


def _pixels(page: SelectedPage, corners: Sequence[int]) -> tuple[float, float, float, float]:
    r0, c0, r1, c1 = corners
    grid, size = page.view.grid, page.view.page_input
    # A grid may stick out of the page (LLaVA-NeXT's mosaic); a box does not.
    x0, x1 = np.clip(grid.x_edges[[c0, c1]], 0, size.width)
    y0, y1 = np.clip(grid.y_edges[[r0, r1]], 0, size.height)
    return float(x0), float(y0), float(x1), float(y1)
