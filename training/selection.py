"""The regions of some pages that a question needs: tokens in rank order, joined into a few boxes.

    run = load_run("runs/first")
    selection = select_regions(run, pages, "Which year had the highest exports?", budget=0.25)
    selection.boxes[0].xyxy, selection.boxes[0].score

    selections = select_many(run, [(pages, question) for question in questions], coverage=0.6)

All pages compete: their windows are ranked together, and the budget is over all their tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import TokenRanking
from pinpoint_data.windows import make_windows
from training.regions import connected_components, cover_rectangles
from training.selection_cost import SelectionCost, selection_cost
from training.selectors.base import PageView, QuestionView, Scores, WindowScorer, checked_scores_many, window_places
from training.selectors.pinpoint import PinpointScorer

if TYPE_CHECKING:
    from training.backbones.base import PageInput
    from training.checkpoint import Run

SELECTION_VERSION = 1
MAX_WASTE = 0.15
DEFAULT_BUDGET = 0.25
# 0.6 of 1,000 tokens must be 600 tokens, whatever the last bit of 0.6 * 1000 says.
_TOLERANCE = 1e-9

Pages = Sequence["PageInput"] | Sequence[PageView]


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
        if self.coverage is not None:
            mask: npt.NDArray[np.bool_] = ranking.to_coverage([self.coverage])[0]
            return mask
        assert self.budget is not None
        if self.exact:
            mask = ranking.top([self.budget])[0]
            return mask
        taken = np.cumsum(np.bincount(ranking.rank, minlength=ranking.n_windows))
        windows = np.searchsorted(taken, self.budget * len(ranking.rank) + _TOLERANCE, side="right")
        mask = ranking.rank < max(1, int(windows))
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


def select_regions(
    run: Run | WindowScorer,
    pages: Pages,
    question: str,
    budget: float | None = None,
    *,
    coverage: float | None = None,
    exact: bool = False,
    max_waste: float = MAX_WASTE,
    numbers: Sequence[int] | None = None,
) -> Selection:
    """The boxes of `pages` that `question` needs.

    Args:
        run: A loaded run; or any window scorer, and then the pages must be `PageView`s.
        pages: One or more pages; their windows are ranked together.
        question: The question alone, without a template around it.
        budget: Take whole windows, best first, as long as at most this share of all tokens is used; at least one
            window is taken, and what that comes to is `Selection.budget_used`. 0.25 where neither is given.
        coverage: Instead of `budget`: take windows until at least this share of all tokens is covered.
        exact: Take the best floor(budget * N) of all N tokens instead of whole windows; a token is as good as the
            best window that holds it, and of one window's tokens those nearest to its centre come first.
        max_waste: A box may hold up to this share of tokens that were not taken; 0 follows them exactly, with more
            boxes.
        numbers: Page numbers to show people, where they are not 1, 2, ...

    Raises:
        UsageError: No pages, an empty question, both of `budget` and `coverage`, or a share outside (0, 1].
        TrainingError: The scores are not usable.
    """
    (found,) = select_many(
        run, [(pages, question)], budget, coverage=coverage, exact=exact, max_waste=max_waste, numbers=[numbers]
    )
    return found


def select_many(
    run: Run | WindowScorer,
    asked: Sequence[tuple[Pages, str]],
    budget: float | None = None,
    *,
    coverage: float | None = None,
    exact: bool = False,
    max_waste: float = MAX_WASTE,
    numbers: Sequence[Sequence[int] | None] | None = None,
) -> list[Selection]:
    """`select_regions` of many questions, each over its own pages.

    Pages are encoded in batches, once each, and questions over the same pages are scored together. The selections are
    those of `select_regions`, as far as the scores of a batch are those of its parts (up to rounding).

    Args:
        run: As in `select_regions`.
        asked: Pages and question of each.
        budget: As in `select_regions`, for all.
        coverage: Likewise.
        exact: Likewise.
        max_waste: Likewise.
        numbers: Page numbers of each, where they are not 1, 2, ...

    Returns:
        One selection a question, in order. The seconds of a batch are shared out equally.

    Raises:
        UsageError: As in `select_regions`.
        TrainingError: The scores are not usable.
    """
    limit = TokenLimit(DEFAULT_BUDGET if budget is None and coverage is None else budget, coverage, exact)
    for pages, question in asked:
        if not pages:
            raise UsageError("there is no page to select from")
        if not question.strip():
            raise UsageError("the question is empty")
    scorer = run if isinstance(run, WindowScorer) else PinpointScorer(run)
    views = [_question_view(scorer, pages, question) for pages, question in asked]
    before = dict(scorer.seconds) if isinstance(scorer, PinpointScorer) else {}
    started = time.perf_counter()
    scored = checked_scores_many(scorer, views)
    seconds = {"score": time.perf_counter() - started}
    if isinstance(scorer, PinpointScorer):
        seconds = {step: total - before.get(step, 0.0) for step, total in scorer.seconds.items()}
    shares = {step: total / max(1, len(views)) for step, total in seconds.items()}
    return [
        _select(scorer, view, scores, limit, max_waste, shown, shares)
        for view, scores, shown in zip(views, scored, numbers or [None] * len(views), strict=True)
    ]


def view_page(scorer: WindowScorer, page: PageInput) -> PageView:
    """The page with the grid and the windows of the scorer's run.

    Raises:
        UsageError: The scorer is no trained run, so it has no grid of its own.
    """
    if not isinstance(scorer, PinpointScorer):
        raise UsageError(
            f"scorer {scorer.name!r} has no grid of its own", remedy="give PageViews, with grid and windows"
        )
    grid = scorer.run.backbone.grid(page.width, page.height)
    return PageView(grid, make_windows(grid, scorer.run.window_spec), page.words, page)


def _question_view(scorer: WindowScorer, pages: Pages, question: str) -> QuestionView:
    views = tuple(page if isinstance(page, PageView) else view_page(scorer, page) for page in pages)
    return QuestionView(f"select/{question}", question, views)


def _select(
    scorer: WindowScorer,
    view: QuestionView,
    scores: Scores,
    limit: TokenLimit,
    max_waste: float,
    numbers: Sequence[int] | None,
    seconds: dict[str, float],
) -> Selection:
    started = time.perf_counter()
    places = window_places(scores, view.question_id)
    ranking = TokenRanking.of(np.argsort(np.concatenate(places)), [page.windows for page in view.pages])
    ends = np.cumsum(ranking.sizes)[:-1]
    masks, ranks = np.split(limit.mask(ranking), ends), np.split(ranking.rank, ends)
    best_first = np.sort(np.concatenate(scores))[::-1]
    taken = tuple(
        SelectedPage(page, own, place + 1, mask.reshape(page.grid.rows, page.grid.cols))
        for page, own, place, mask in zip(view.pages, scores, places, masks, strict=True)
    )
    boxes = _boxes(
        taken, [best_first[rank].reshape(p.mask.shape) for rank, p in zip(ranks, taken, strict=True)], max_waste
    )
    shown = tuple(range(1, len(taken) + 1)) if numbers is None else tuple(numbers)
    cost = selection_cost(scorer, view, seconds | {"select": time.perf_counter() - started})
    return Selection(view.question, scorer.name, limit, taken, boxes, shown, cost)


def _boxes(
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
