"""Boosted trees over hand-made features of windows: the baseline that a ranker must beat to be worth its training.

Everything a practitioner would think of in an afternoon: how much of the question a window holds and how rare that is,
what stands beside and above it, how much text and how many numbers are in it, how large its letters are, where it is,
and what kind of thing the question asks for. No pixels, no neighbourhood learnt, no order of tokens: 36 numbers a
window of 10 x 10 tokens, and scikit-learn's histogram gradient boosting (a development dependency) over them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.boxes import intersection_area
from pinpoint_data.errors import GeometryError, Outcome, PageError, Problem, TrainingError, UsageError
from pinpoint_data.grids import patch_grid
from pinpoint_data.windows import IGNORED, POSITIVE, LabelRule, WindowSpec, label_windows
from training.evaluation.pages import PageViews
from training.evaluation.split import with_gold
from training.pages.input import PageInput
from training.pages.memory import PageMemory
from training.pages.store import PageStore
from training.ranker.matches import Matches, match_terms, term_weights
from training.ranker.question import CUES, Question, read_question
from training.ranker.words import KINDS, PlacedWords, place_words
from training.window_scorers.base import PageView, QuestionView, Scores
from training.window_scorers.bm25 import BM25Scorer
from training.window_scorers.simple import TextDensityScorer

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

FloatArray = npt.NDArray[np.float64]

NAME = "boosted-trees"
FEATURES = (
    # The question in the window: by weight of its terms (`matches.term_weights`), by BM25, by phrase.
    "overlap",
    "overlap-of-best",
    "terms-held",
    "rarest",
    "bm25",
    "bm25-of-best",
    "pairs",
    "quoted",
    "numbers",
    "precision",
    # The question around the window: in windows that share tokens with it, in its rows and its columns, in lines.
    "overlap-around",
    "best-line",
    "line-left",
    "line-above",
    "anchor-dx",
    "anchor-dy",
    # The page among the question's pages.
    "matched-of-page",
    "page-of-best",
    "better-pages",
    "pages",
    # What the window holds.
    "words",
    "text-density",
    "digits",
    "percents",
    "years",
    "currencies",
    "colons",
    "mean-height",
    "largest-height",
    "density-around",
    # Where it is.
    "x",
    "y",
    "aspect",
    # What the question asks for.
    "asks-number",
    "asks-time",
    "asks-picture",
)

_CUES = {
    "asks-number": ("asks-count", "asks-amount", "asks-share"),
    "asks-time": ("asks-time",),
    "asks-picture": ("asks-figure", "asks-chart", "asks-image", "asks-colour"),
}
_FAR = 99.0
_PAIR = 0.3


@dataclass(frozen=True)
class TreesSettings:
    """How the trees are grown; see scikit-learn's `HistGradientBoostingClassifier`.

    Attributes:
        iterations: Trees.
        learning_rate: Weight of each.
        leaves: The most leaves of a tree.
        leaf_windows: The fewest windows in a leaf.
        l2: Penalty on leaf values.
        features: Share of the features that a split is chosen from.
        seed: Of that choice.
    """

    iterations: int = 300
    learning_rate: float = 0.05
    leaves: int = 15
    leaf_windows: int = 40
    l2: float = 10.0
    features: float = 0.5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class WindowExample:
    """A question to learn from, as the w labelled windows of all its pages.

    Attributes:
        question_id: Its id.
        source: Its source.
        doc_id: Its document.
        features: (w, 36) values of `FEATURES`.
        positive: (w,) whether a window is positive; those that the label rule ignores are left out.
    """

    question_id: str
    source: str
    doc_id: str
    features: npt.NDArray[np.float32]
    positive: npt.NDArray[np.bool_]


class TreesScorer:
    """Scores windows by the log odds that trees give them; made by `fit_trees`."""

    name = NAME

    def __init__(self, trees: HistGradientBoostingClassifier) -> None:
        self.trees = trees
        self._pages = _page_memory()

    def score(self, view: QuestionView) -> Scores:
        """Log odds that each window is positive."""
        return [np.asarray(self.trees.decision_function(page)) for page in window_features(view, self._pages)]


def collect_windows(
    samples: Iterable[Sample],
    store: PageStore,
    left_out: Counter[str],
    outcome: Outcome,
    *,
    spec: WindowSpec | None = None,
    rule: LabelRule | None = None,
) -> Iterator[WindowExample]:
    """The labelled windows of the questions that have gold boxes, in order.

    Args:
        samples: The questions.
        store: Their pages.
        left_out: Counts those without gold boxes, by reason.
        outcome: Lists those whose pages cannot be used.
        spec: The windows.
        rule: When one is positive or negative.
    """
    views, pages = PageViews(store, patch_grid, spec or WindowSpec()), _page_memory()
    for sample in with_gold(samples, left_out):
        try:
            view = views.of(sample)
            labels = np.concatenate(
                [label_windows(p.windows, p.grid, view.evidence_on(i), rule).label for i, p in enumerate(view.pages)]
            )
        except (PageError, GeometryError) as error:
            record = f"question {sample.question_id}"
            outcome.refuse(Problem.of(error, code="unusable-page", file="", record=record))
            continue
        kept = labels != IGNORED
        features = np.concatenate(window_features(view, pages))[kept]
        yield WindowExample(sample.question_id, sample.source, sample.doc_id, features, labels[kept] == POSITIVE)


def fit_trees(examples: Sequence[WindowExample], settings: TreesSettings | None = None) -> TreesScorer:
    """Grow trees; the same examples and settings give the same trees.

    Every source counts alike, and so does every question of a source.

    Raises:
        TrainingError: There is nothing to learn from, or windows of one kind only.
        UsageError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise UsageError("boosted trees need scikit-learn", remedy="pip install scikit-learn") from error
    settings = settings or TreesSettings()
    positive = np.concatenate([example.positive for example in examples]) if examples else np.zeros(0, np.bool_)
    if not positive.any() or positive.all():
        raise TrainingError(
            "there are no positive and negative windows to learn from", remedy="publish questions with gold boxes"
        )
    questions = Counter(example.source for example in examples)
    weights = [1 / (questions[example.source] * max(len(example.positive), 1)) for example in examples]
    weight = np.repeat(weights, [len(example.positive) for example in examples])
    trees = HistGradientBoostingClassifier(
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.leaf_windows,
        l2_regularization=settings.l2,
        max_features=settings.features,
        early_stopping=False,
        random_state=settings.seed,
    )
    trees.fit(np.concatenate([example.features for example in examples]), positive, weight / weight.mean())
    return TreesScorer(trees)


def window_features(view: QuestionView, pages: PageMemory[PlacedWords] | None = None) -> list[npt.NDArray[np.float32]]:
    """The values of `FEATURES`, (w, 36) a page; they compare the question's pages with one another.

    Args:
        view: A question and its pages.
        pages: Remembers the words of pages, on their grids of patches.
    """
    placed = [words for words, _ in (pages or _page_memory()).get([page.page_input for page in view.pages])]
    question = read_question(view.question)
    matches = [match_terms(question, words) for words in placed]
    weights = term_weights(question, matches)
    held = [_held(page, found) for page, found in zip(view.pages, matches, strict=True)]
    lines = [_line_strengths(words, found, weights, question) for words, found in zip(placed, matches, strict=True)]
    matched = np.array([float(weights @ found.runs.max(axis=1, initial=0)) for found in matches])
    overlap = [weights @ own for own in held]
    bm25 = BM25Scorer().score(view)
    density = TextDensityScorer().score(view)
    best_line, best_overlap, best_bm25 = (_highest(arrays) for arrays in (lines, overlap, bm25))
    cues = dict(zip(CUES, question.cues, strict=True))
    asks = {name: max(cues[cue] for cue in kinds) for name, kinds in _CUES.items()}
    found = []
    for index, page in enumerate(view.pages):
        around = _around(page)
        inside = page.word_windows
        columns = {
            "overlap": overlap[index],
            "overlap-of-best": overlap[index] / best_overlap,
            "terms-held": held[index].mean(axis=0) if len(weights) else 0,
            "rarest": (held[index] * weights[:, None]).max(axis=0, initial=0) / max(weights.max(initial=0), 1e-6),
            "bm25": bm25[index],
            "bm25-of-best": bm25[index] / best_bm25,
            "overlap-around": np.where(around, overlap[index], 0).max(axis=1),
            "density-around": np.where(around, density[index], 0).sum(axis=1) / around.sum(axis=1),
            "matched-of-page": overlap[index] / max(matched[index], 1e-6),
            "page-of-best": matched[index] / max(matched.max(), 1e-6),
            "better-pages": (matched > matched[index]).sum(),
            "pages": len(view.pages),
            "text-density": density[index],
            **_of_terms(question, placed[index], matches[index], held[index], inside),
            **_of_lines(page, placed[index], lines[index] / best_line, inside),
            **_of_words(placed[index], inside),
            **_of_place(page),
            **asks,
        }
        values = [np.broadcast_to(np.asarray(columns[name], np.float32), len(page.windows)) for name in FEATURES]
        found.append(np.stack(values, axis=1))
    return found


def _page_memory() -> PageMemory[PlacedWords]:
    def read(pages: Sequence[PageInput]) -> tuple[list[PlacedWords], float]:
        return [place_words(patch_grid(page.width, page.height), page.words) for page in pages], 0.0

    return PageMemory(read, lambda words: len(words.boxes) + 1)


def _highest(arrays: Sequence[FloatArray]) -> float:
    return max((float(array.max(initial=0)) for array in arrays), default=0.0) or 1e-6


def _held(page: PageView, found: Matches) -> FloatArray:
    """(m, w): the strength of each term's best match in each window."""
    held = np.zeros((len(found.words), len(page.windows)))
    for row, words, strengths in zip(held, found.words, found.strengths, strict=True):
        row[:] = (page.word_windows[:, words] * strengths).max(axis=1, initial=0)
    return held


def _paired(words: PlacedWords, question: Question) -> npt.NDArray[np.bool_]:
    """(n,): whether a word ends two stems that follow each other in the question too."""
    paired = np.zeros(len(words.stems), dtype=np.bool_)
    before = ""
    for index, of_word in enumerate(words.stems):
        for stem in of_word:
            paired[index] |= (before, stem) in question.pairs
            before = stem
    return paired


def _line_strengths(words: PlacedWords, found: Matches, weights: FloatArray, question: Question) -> FloatArray:
    """(s,): how much of the question each run of words holds, phrases counted extra."""
    pairs = np.bincount(words.run, weights=_paired(words, question), minlength=words.n_runs)
    strengths: FloatArray = weights @ found.runs * (1 + _PAIR * pairs)
    return strengths


def _around(page: PageView) -> npt.NDArray[np.bool_]:
    """(w, w): which windows share tokens with a window, itself among them."""
    return intersection_area(page.windows.xyxy, page.windows.xyxy) > 0


def _of_terms(
    question: Question, words: PlacedWords, found: Matches, held: FloatArray, inside: npt.NDArray[np.bool_]
) -> dict[str, FloatArray]:
    exact = np.zeros(len(words.boxes))
    for hits, strengths in zip(found.words, found.strengths, strict=True):
        exact[hits[strengths == 1]] = 1
    quoted = np.array([term in question.quoted for term in question.terms], dtype=np.bool_)
    numbers = np.array([term[0].isdigit() for term in question.terms], dtype=np.bool_)
    return {
        "pairs": inside @ _paired(words, question).astype(np.float64),
        "quoted": held[quoted].sum(axis=0) / max(quoted.sum(), 1),
        "numbers": held[numbers].sum(axis=0) / max(numbers.sum(), 1),
        "precision": inside @ exact / np.maximum(inside.sum(axis=1), 1),
    }


def _of_lines(
    page: PageView, words: PlacedWords, strengths: FloatArray, inside: npt.NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """The best line inside, the best one to the left in the same rows and the best one above in the same columns."""
    x0, y0, x1, y1 = _in_tokens(page).T[:, :, None]
    left, top, right, bottom = words.run_boxes.T
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    in_rows, in_cols = (y0 <= middle_y) & (middle_y < y1), (left < x1) & (right > x0)
    ways = {"line-left": in_rows & (middle_x < x), "line-above": in_cols & (middle_y < y)}
    columns = {way: np.where(lies, strengths, 0).max(axis=1, initial=0) for way, lies in ways.items()}
    columns["best-line"] = np.where(inside, strengths[words.run], 0).max(axis=1, initial=0)
    if strengths.max(initial=0) > 0:
        best = int(strengths.argmax())
        columns["anchor-dx"], columns["anchor-dy"] = x[:, 0] - middle_x[best], y[:, 0] - middle_y[best]
    else:
        columns["anchor-dx"] = columns["anchor-dy"] = np.full(len(x), _FAR)
    return columns


def _of_words(words: PlacedWords, inside: npt.NDArray[np.bool_]) -> dict[str, FloatArray]:
    count = inside.sum(axis=1)
    kinds = dict(zip(KINDS, (inside @ words.kinds.astype(np.float64)).T, strict=True))
    height = words.boxes[:, 3] - words.boxes[:, 1]
    relative = np.log(np.maximum(height, 1e-3) / max(words.height, 1e-3))
    return {
        "words": count.astype(np.float64),
        "digits": kinds["digits"] / np.maximum(count, 1),
        "percents": kinds["percent"],
        "years": kinds["year"],
        "currencies": kinds["currency"],
        "colons": kinds["colon"],
        "mean-height": inside @ relative / np.maximum(count, 1),
        "largest-height": np.where(inside, relative, -_FAR).max(axis=1, initial=-_FAR),
    }


def _of_place(page: PageView) -> dict[str, FloatArray | float]:
    x0, y0, x1, y1 = page.windows.xyxy.T
    width, height = page.grid.page_width, page.grid.page_height
    return {"x": (x0 + x1) / (2 * width), "y": (y0 + y1) / (2 * height), "aspect": width / height}


def _in_tokens(page: PageView) -> FloatArray:
    """(w, 4): the windows in tokens of the page's grid of patches, as `PlacedWords` has its boxes."""
    width, height = page.page_input.width, page.page_input.height
    grid = patch_grid(width, height)
    scaled: FloatArray = page.windows.xyxy * np.tile([grid.cols / width, grid.rows / height], 2)
    return scaled
