"""The regions of some pages that a question needs: tokens in rank order, joined into a few boxes.

    selection = select_regions(RankerScorer(), pages, "Which year had the highest exports?", budget=0.25)
    selection.boxes[0].xyxy, selection.boxes[0].score

    run = load_run("runs/first")
    selections = select_many(run, [(pages, question) for question in questions], coverage=0.6)

All pages compete: their windows are ranked together, and the budget is over all their tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import TokenRanking
from pinpoint_data.windows import make_windows
from training.selection.cost import selection_cost
from training.selection.result import SelectedBox, SelectedPage, Selection, TokenLimit, joined_boxes
from training.window_scorers.base import (
    GridScorer,
    PageView,
    QuestionView,
    Scores,
    WindowScorer,
    checked_scores_many,
    window_places,
)
from training.window_scorers.pinpoint import PinpointScorer
from training.window_scorers.ranker import RankerScorer

if TYPE_CHECKING:
    from training.checkpoint import Run
    from training.pages.input import PageInput

__all__ = ["SelectedBox", "SelectedPage", "Selection", "TokenLimit", "select_many", "select_regions", "view_page"]

MAX_WASTE = 0.15
DEFAULT_BUDGET = 0.25

Pages = Sequence["PageInput"] | Sequence[PageView]


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
        run: A window scorer such as `RankerScorer()`, or a loaded run. The pages may be `PageInput`s where it has a
            grid of its own, and must be `PageView`s where it has none.
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
    before = dict(scorer.seconds) if isinstance(scorer, PinpointScorer | RankerScorer) else {}
    started = time.perf_counter()
    scored = checked_scores_many(scorer, views)
    seconds = {"score": time.perf_counter() - started}
    if isinstance(scorer, PinpointScorer | RankerScorer):
        seconds = {step: total - before.get(step, 0.0) for step, total in scorer.seconds.items()}
    shares = {step: total / max(1, len(views)) for step, total in seconds.items()}
    return [
        _select(scorer, view, scores, limit, max_waste, shown, shares)
        for view, scores, shown in zip(views, scored, numbers or [None] * len(views), strict=True)
    ]


def view_page(scorer: WindowScorer, page: PageInput) -> PageView:
    """The page with the grid and the windows of the scorer.

    Raises:
        UsageError: The scorer has no grid of its own.
    """
    if not isinstance(scorer, GridScorer):
        raise UsageError(
            f"scorer {scorer.name!r} has no grid of its own", remedy="give PageViews, with grid and windows"
        )
    grid = scorer.grid(page.width, page.height)
    return PageView(grid, make_windows(grid, scorer.window_spec), page.words, page)


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
    boxes = joined_boxes(
        taken, [best_first[rank].reshape(p.mask.shape) for rank, p in zip(ranks, taken, strict=True)], max_waste
    )
    shown = tuple(range(1, len(taken) + 1)) if numbers is None else tuple(numbers)
    cost = selection_cost(scorer, view, seconds | {"select": time.perf_counter() - started})
    return Selection(view.question, scorer.name, limit, taken, boxes, shown, cost)
