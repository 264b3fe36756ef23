"""Questions to look at: which ones, and what each selector kept of their pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from loaders.samples import Sample
from pinpoint_data.boxes import FloatArray
from pinpoint_data.errors import UsageError
from pinpoint_data.grids import TokenGrid
from pinpoint_data.ranking import BoolArray
from pinpoint_data.scores import MeasuredEvidence
from training.fitting.data import stable_share
from training.window_scorers.base import QuestionView

MOST_PAGES = 3
_MOST_PIXELS = 1_500_000


@dataclass(frozen=True, eq=False)
class ExamplePage:
    """A page of an example.

    Attributes:
        number: Counted from 1 among the question's pages.
        image: RGB; may be smaller than the page, whose size is the grid's `page_width` and `page_height`.
        grid: Its tokens.
        evidence: (n, 4) gold boxes, in page pixels.
    """

    number: int
    image: Image.Image
    grid: TokenGrid
    evidence: FloatArray


@dataclass(frozen=True, eq=False)
class Example:
    """A question with what every selector keeps of its pages at one budget.

    Attributes:
        question_id: Its id.
        question: The text.
        answers: Gold answers.
        budget: Share of all pages' tokens that was asked for.
        pages: Those to show, in order, `MOST_PAGES` at most.
        n_pages: How many the question has.
        masks: For each selector, the kept tokens (rows, cols) of each page in `pages`.
        recall: For each selector, the evidence recall over all pages.
        used: For each selector, the share of all pages' tokens that it kept.
    """

    question_id: str
    question: str
    answers: tuple[str, ...]
    budget: float
    pages: tuple[ExamplePage, ...]
    n_pages: int
    masks: dict[str, tuple[BoolArray, ...]]
    recall: dict[str, float]
    used: dict[str, float]


def choose_examples(samples: Sequence[Sample], count: int, wanted_ids: Sequence[str] = ()) -> list[Sample]:
    """Questions to show: those asked for, then a fair draw up to `count`.

    The draw takes the sources in turn, in each the question whose id has the smallest hash, and no document twice
    while there are others: the same questions for the same dataset, whatever the selectors do with them. It prefers
    none, not even those with several boxes: pictures ought to look like the table beside them. Whoever wants a
    special question names it.

    Args:
        samples: The questions that were scored.
        count: How many to show at least; all that are asked for are shown.
        wanted_ids: Questions asked for.

    Raises:
        UsageError: A question that is asked for is not among the samples.
    """
    by_id = {sample.question_id: sample for sample in samples}
    if unknown := [wanted for wanted in wanted_ids if wanted not in by_id]:
        raise UsageError(
            "cannot be shown: it was not scored",
            record=f"question {unknown[0]}",
            remedy="name one of the chosen split, within --limit, that has gold boxes",
        )
    chosen = {wanted: by_id[wanted] for wanted in wanted_ids}
    queues: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: (stable_share(sample.question_id), sample.question_id)):
        if sample.evidence and sample.question_id not in chosen:
            queues[sample.source].append(sample)
    while len(chosen) < count and any(queues.values()):
        for _, queue in sorted(queues.items()):
            if queue and len(chosen) < count:
                shown = {sample.doc_id for sample in chosen.values()}
                fresh = next((sample for sample in queue if sample.doc_id not in shown), queue[0])
                queue.remove(fresh)
                chosen[fresh.question_id] = fresh
    return list(chosen.values())


def make_example(
    view: QuestionView,
    measured: MeasuredEvidence,
    answers: Sequence[str],
    budget: float,
    kept: Mapping[str, BoolArray],
) -> Example:
    """An example out of a question and the selectors' masks; reads the pixels of the pages to show.

    Shown are the pages with evidence, then those that the selectors keep most of.

    Args:
        view: The question and its pages.
        measured: Its gold boxes, measured on the same grids.
        answers: Gold answers.
        budget: Share of tokens that was asked for.
        kept: For each selector, the kept tokens (N,) of all pages end to end.

    Raises:
        PageError: A page's pixels cannot be read.
    """
    masks = np.stack(list(kept.values()))
    scores = dict(zip(kept, measured.score(masks), strict=True))
    ends = np.cumsum([page.grid.n_tokens for page in view.pages])
    by_page = dict(enumerate(np.split(masks, ends[:-1], axis=1)))
    wanted = sorted(by_page, key=lambda page: (not len(view.evidence_on(page)), -by_page[page].sum()))
    shown = sorted(page for page in wanted[:MOST_PAGES] if len(view.evidence_on(page)) or by_page[page].any())
    grids = {page: view.pages[page].grid for page in shown}
    return Example(
        view.question_id,
        view.question,
        tuple(answers),
        budget,
        tuple(_page(view, page) for page in shown),
        len(view.pages),
        {
            name: tuple(by_page[page][row].reshape(grid.rows, grid.cols) for page, grid in grids.items())
            for row, name in enumerate(kept)
        },
        {name: found.evidence_recall for name, found in scores.items()},
        {name: found.budget for name, found in scores.items()},
    )


def sampled(mask: BoolArray, grid: TokenGrid, width: int, height: int) -> BoolArray:
    """Which pixels of a picture (height, width) of the grid's extent lie in kept tokens.

    Args:
        mask: (rows, cols) the kept tokens.
        grid: Its grid.
        width: Of the picture; as many pixels as columns show an even grid exactly.
        height: Of the picture.
    """
    x0, y0, x1, y1 = grid.extent
    x = x0 + (np.arange(width) + 0.5) * (x1 - x0) / width
    y = y0 + (np.arange(height) + 0.5) * (y1 - y0) / height
    rows = np.searchsorted(grid.y_edges[1:-1], y, side="right")
    cols = np.searchsorted(grid.x_edges[1:-1], x, side="right")
    found: BoolArray = mask[np.ix_(rows, cols)]
    return found


def _page(view: QuestionView, index: int) -> ExamplePage:
    page = view.pages[index]
    image = page.page_input.load_image().convert("RGB")
    scale = min(1.0, (_MOST_PIXELS / (image.width * image.height)) ** 0.5)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # A dozen examples of scans at full size would fill the memory; no figure shows them that large.
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0) if scale < 1 else image
    return ExamplePage(index + 1, small, page.grid, view.evidence_on(index))
