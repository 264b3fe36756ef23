"""What a window scorer sees and returns, the registry of scorers by name, and how scores become a ranking."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.windows import WindowSpec

if TYPE_CHECKING:
    from loaders.samples import EvidenceBox
    from pinpoint_data.grids import TokenGrid
    from pinpoint_data.windows import Windows
    from pinpoint_data.words.base import PageWords
    from training.pages.input import PageInput

Scores = list[npt.NDArray[np.float64]]
"""One float array a page, one score a window; higher is better, comparable across the question's pages."""


@dataclass(frozen=True)
class PageView:
    """One page as a scorer sees it. The same object serves every question asked over the page.

    Attributes:
        grid: The page's token grid.
        windows: The windows over that grid, w of them.
        words: The page's words, n of them.
        page_input: What a backbone needs to encode the page.
    """

    grid: TokenGrid
    windows: Windows
    words: PageWords
    page_input: PageInput

    @cached_property
    def word_windows(self) -> npt.NDArray[np.bool_]:
        """(w, n): whether a word's centre lies in a window (left and top edges belong to the window)."""
        boxes = self.words.xyxy.reshape(-1, 4)
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        x0, y0, x1, y1 = self.windows.xyxy.T[:, :, None]
        inside: npt.NDArray[np.bool_] = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
        return inside


@dataclass(frozen=True)
class QuestionView:
    """A question and the pages it is asked over.

    Attributes:
        question_id: Its id; seeds whatever is random.
        question: The text, without a template around it.
        pages: The pages that compete, at least one.
        evidence: Gold boxes, for the oracle alone; empty where there are none.
    """

    question_id: str
    question: str
    pages: tuple[PageView, ...]
    evidence: tuple[EvidenceBox, ...] = ()

    def evidence_on(self, page: int) -> npt.NDArray[np.float64]:
        """(b, 4): the gold boxes on one page, in page pixels."""
        boxes = [box.xyxy for box in self.evidence if box.page_index == page]
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


@runtime_checkable
class WindowScorer(Protocol):
    """Scores every window of a question's pages.

    A scorer is any object with a `name` and a `score`; `register_scorer` makes it known to the command line. One that
    is best asked for windows of its own says so in an attribute `window_spec`, a `WindowSpec`: an evaluation then shows
    it the same grids under those windows, and everybody else under the run's (see `windows_of`). Scores at an exact
    budget of tokens compare all the same; those of whole windows compare only scorers of equal windows.
    """

    name: str

    def score(self, view: QuestionView) -> Scores:
        """One array a page, in page order, of one finite score a window; higher is better."""
        ...


@runtime_checkable
class BatchedScorer(WindowScorer, Protocol):
    """A scorer that is faster on several questions at once."""

    def score_many(self, views: Sequence[QuestionView]) -> list[Scores]:
        """What `score` gives for each view, up to rounding."""
        ...


@runtime_checkable
class GridScorer(WindowScorer, Protocol):
    """A scorer that knows on which grid, and in which windows, it is best shown a page.

    Attributes:
        window_spec: Its windows.
    """

    @property
    def window_spec(self) -> WindowSpec:
        """Size and stride of the windows."""
        ...

    def grid(self, width: int, height: int) -> TokenGrid:
        """The grid of a page of this size."""
        ...


_FACTORIES: dict[str, Callable[..., WindowScorer]] = {}


def register_scorer(name: str, factory: Callable[..., WindowScorer]) -> None:
    """Make a scorer known by name.

    Raises:
        UsageError: The name is taken by another factory.
    """
    if _FACTORIES.get(name, factory) is not factory:
        raise UsageError(f"a window scorer named {name!r} is registered already")
    _FACTORIES[name] = factory


def scorer_names() -> list[str]:
    """The registered names, in order of registration."""
    return list(_FACTORIES)


def make_scorer(name: str, **options: Any) -> WindowScorer:
    """The scorer of a registered name, or of `package.module:attribute` (a class or function that makes one).

    Raises:
        UsageError: No such name, no such attribute, or what it makes is no scorer.
    """
    factory = _FACTORIES.get(name) or (_imported(name) if ":" in name else None)
    if factory is None:
        known = ", ".join(_FACTORIES)
        raise UsageError(f"no window scorer {name!r}; expected one of {known}, or package.module:attribute")
    scorer = factory(**options)
    if not isinstance(scorer, WindowScorer):
        raise UsageError(f"{name!r} made a {type(scorer).__name__}, which lacks `name` or `score(view)`")
    return scorer


def _imported(reference: str) -> Callable[..., WindowScorer]:
    module, _, attribute = reference.partition(":")
    try:
        factory: Callable[..., WindowScorer] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"window scorer {reference!r} cannot be imported: {error}") from error
    return factory


def stable_generator(*key: object) -> np.random.Generator:
    """A random generator that depends on `key` alone: not on the order of questions, the process or the platform."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def windows_of(scorer: WindowScorer, default: WindowSpec) -> WindowSpec:
    """The windows that a scorer is asked for: its own, or the default where it has none.

    Raises:
        TrainingError: Its `window_spec` is something else.
    """
    found = getattr(scorer, "window_spec", default)
    if not isinstance(found, WindowSpec):
        raise TrainingError(f"scorer {scorer.name!r} has a window_spec that is no WindowSpec: {found!r}")
    return found


def checked_scores(scorer: WindowScorer, view: QuestionView) -> Scores:
    """The scorer's scores, as float64 arrays of the right shape.

    Raises:
        TrainingError: Wrong number of pages or windows, or a score that is not finite.
    """
    return _checked(scorer, view, scorer.score(view))


def checked_scores_many(scorer: WindowScorer, views: Sequence[QuestionView]) -> list[Scores]:
    """`checked_scores` of several views, in batches where the scorer can.

    Raises:
        TrainingError: As in `checked_scores`, or the scorer left a view out.
    """
    if not isinstance(scorer, BatchedScorer):
        return [checked_scores(scorer, view) for view in views]
    found = scorer.score_many(views)
    if len(found) != len(views):
        raise TrainingError(f"scorer {scorer.name!r} scored {len(found)} of {len(views)} questions")
    return [_checked(scorer, view, scores) for view, scores in zip(views, found, strict=True)]


def _checked(scorer: WindowScorer, view: QuestionView, given: Scores) -> Scores:
    scores = [np.asarray(page, dtype=np.float64) for page in given]
    found, expected = [s.shape for s in scores], [(len(page.windows.xyxy),) for page in view.pages]
    if found != expected:
        raise TrainingError(
            f"scorer {scorer.name!r} must return one score a window, shapes {expected}, got {found}",
            record=view.question_id,
        )
    if not all(np.isfinite(page).all() for page in scores):
        raise TrainingError(f"scorer {scorer.name!r} returned a score that is not finite", record=view.question_id)
    return scores


def window_places(scores: Scores, question_id: str, seed: int = 0) -> list[npt.NDArray[np.int64]]:
    """The place of every window in the ranking of all pages' windows together: 0 for the best, no two alike.

    Windows of equal score stand in a random order, seeded by the question. Raster order would hand a scorer
    that knows nothing the top of the first page, where titles and answers gather.
    """
    if not scores:
        return []
    flat = np.concatenate(scores)
    ties = stable_generator(seed, "ties", question_id).permutation(len(flat))
    places = np.empty(len(flat), dtype=np.int64)
    places[np.lexsort((ties, -flat))] = np.arange(len(flat))
    return np.split(places, np.cumsum([len(page) for page in scores])[:-1])
