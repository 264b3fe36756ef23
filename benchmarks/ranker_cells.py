"""Variants of the ranker and baselines, trained and scored fold by fold: what `ranker_table.py` makes its table of.

Each training with the scores of the questions it was held out from is a file, a cell. It is written when it is done,
and used again when nothing it depends on has changed: settings, dataset, folds, and the values of the features.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from loaders.manifest import read_manifest
from loaders.samples import Sample, load_samples
from pinpoint_data.atomic import write_json
from pinpoint_data.errors import Outcome, TrainingError
from pinpoint_data.grids import patch_grid
from pinpoint_data.progress import track
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from training.evaluation.comparison import COVERAGES, evaluate
from training.evaluation.pages import PageViews, check_pages
from training.evaluation.split import with_gold
from training.pages.store import PageStore
from training.ranker import trees
from training.ranker.examples import Example, collect_examples
from training.ranker.features import FEATURES, token_features
from training.ranker.fit import FitSettings, fit_ranker
from training.ranker.groups import document_groups
from training.ranker.model import LEVELLING, SMOOTHING, Ranker
from training.ranker.page import INK, PAGE_FEATURES
from training.ranker.reading import page_memory
from training.ranker.relations import RELATIONS
from training.ranker.train import document_folds
from training.window_scorers import (
    BM25Scorer,
    OracleScorer,
    QuestionView,
    RandomScorer,
    RankerScorer,
    TextDensityScorer,
    WindowScorer,
)
from training.window_scorers.base import Scores
from training.window_scorers.ranker import window_means

BUDGETS = (0.05, 0.10, 0.25, 0.60)
REFERENCE = "ranker"
WHOLE_DOCUMENTS = "-documents"
"""Ends the names of sources whose questions are asked over all pages of a document."""
Cell = dict[str, Any]
"""`scores` by question id, and beside them how long it took and what it was made from."""
Learnt = tuple[WindowScorer, float]
"""A scorer, and the seconds its training took."""
_QUICK_GROUPS, _QUICK_QUESTIONS = 6, 3
"""Of a source, and of a group, where the script is only tried."""
_MEMBERS_APART = 1000
"""Between the seeds of trainings, so that no two share a member."""
_PIXELS = {*INK, "background", "named-colours"}


def of_pixels(feature: str) -> bool:
    """Whether a feature is read off pixels. Which tokens are one block stays: that is no feature of its own."""
    plain, _, _ = feature.partition("~")
    head, _, name = plain.partition("-")
    return plain in _PIXELS or (head in ("page", "block1", "block3") and name in _PIXELS)


@dataclass(frozen=True)
class Variant:
    """A way to train the ranker.

    Attributes:
        settings: What differs from the defaults of `FitSettings`.
        unseen: Features that it neither learns from nor sees.
        documents: Whether it learns from questions over whole documents.
        smoothing: See `Ranker.shares_of`.
        levelling: Likewise.
        windows: What it ranks.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()
    documents: bool = True
    smoothing: float = SMOOTHING
    levelling: float = LEVELLING
    windows: WindowSpec = RankerScorer.window_spec


RANKERS = {
    REFERENCE: Variant(),
    "ranker-10x10": Variant(windows=WindowSpec()),
    "unsmoothed": Variant(smoothing=0.0),
    "unlevelled": Variant(levelling=0.0),
    "one-member": Variant({"members": 1}),
    "layout-only": Variant(unseen=frozenset(RELATIONS)),
    "relations-only": Variant(unseen=frozenset(PAGE_FEATURES)),
    "no-pixels": Variant(unseen=frozenset(filter(of_pixels, FEATURES))),
    "no-documents": Variant(documents=False),
    "pointwise": Variant({"loss": "pointwise"}),
}
TRAINED = (*RANKERS, trees.NAME)
UNTRAINED: dict[str, tuple[Callable[[int], WindowScorer], WindowSpec]] = {
    "random": (RandomScorer, WindowSpec()),
    "text-density": (lambda seed: TextDensityScorer(), WindowSpec()),
    "bm25": (lambda seed: BM25Scorer(), WindowSpec()),
    "bm25-5x5": (lambda seed: BM25Scorer(), WindowSpec(5, 5, 2)),
    "oracle": (lambda seed: OracleScorer(), WindowSpec()),
    "oracle-tokens": (lambda seed: OracleScorer(), WindowSpec(1, 1, 1)),
}
ROWS = (*TRAINED, *UNTRAINED)
SEEDED = (*TRAINED, "random")
"""Rows that differ from seed to seed."""


class SharedReading:
    """A ranker that shares the reading of pages and questions with others, and scores as `RankerScorer` does."""

    name = REFERENCE

    def __init__(self, ranker: Ranker, features: FoldFeatures, variant: Variant) -> None:
        self.ranker, self.features, self.variant = ranker, features, variant
        self.window_spec = variant.windows

    def score(self, view: QuestionView) -> Scores:
        """The mean of the expected shares in each window."""
        shapes = [(page.grid.rows, page.grid.cols) for page in view.pages]
        how = {"smoothing": self.variant.smoothing, "levelling": self.variant.levelling}
        shares = self.ranker.shares_of(self.features.of(view), shapes, **how)
        return [window_means(share, page.grid, page.windows) for share, page in zip(shares, view.pages, strict=True)]


class FoldFeatures:
    """The features of a fold's tokens, computed once for all variants: 2 GB for 500 questions over 1,800 pages."""

    def __init__(self) -> None:
        self._pages = page_memory()
        self._known: dict[str, list[np.ndarray]] = {}

    def of(self, view: QuestionView) -> list[np.ndarray]:
        """(N, f) a page."""
        if view.question_id not in self._known:
            pages = [page for page, _ in self._pages.get([page.page_input for page in view.pages])]
            self._known[view.question_id] = list(token_features(pages, view.question))
        return self._known[view.question_id]


def without(ranker: Ranker, unseen: frozenset[str]) -> Ranker:
    """The ranker with all weights of the unseen features zero: what it was trained with no values of, it ignores."""
    weights = ranker.tensors["first.weight"].copy()
    weights[:, :, [FEATURES.index(name) for name in sorted(unseen)]] = 0
    return replace(ranker, tensors={**ranker.tensors, "first.weight": weights})


@dataclass
class Bench:
    """The questions, what is learnt from them, and the cells that are done.

    Attributes:
        dataset: The published dataset.
        workspace: What it was published from.
        out: Gets the cells.
        folds: Parts that documents are dealt into.
        quick: Few documents and short trainings, to try the script.
    """

    dataset: Path
    workspace: Path
    out: Path
    folds: int
    quick: bool

    def __post_init__(self) -> None:
        self.version = read_manifest(self.dataset).version
        self.store = PageStore(Workspace.open(self.workspace))
        self.left_out: Counter[str] = Counter()
        samples = with_gold(load_samples(self.dataset), self.left_out)
        check_pages(self.store, samples)
        self.groups = document_groups(samples, self.store)
        if self.quick:
            samples = self._few(samples)
        if not samples:
            raise TrainingError("has no question with gold boxes", file=self.dataset)
        self.samples = samples
        self.outcome = Outcome()
        self._last_fit: tuple[dict[str, Any], Ranker, float] | None = None

    def _few(self, samples: Sequence[Sample]) -> list[Sample]:
        """The first questions of the first groups of each source."""
        by_source: dict[str, dict[str, list[Sample]]] = {}
        for sample in samples:
            by_source.setdefault(sample.source, {}).setdefault(self.groups[sample.doc_id], []).append(sample)
        first = [own for groups in by_source.values() for own in list(groups.values())[:_QUICK_GROUPS]]
        return [sample for own in first for sample in own[:_QUICK_QUESTIONS]]

    @cached_property
    def examples(self) -> list[Example]:
        """What rankers learn from."""
        return list(collect_examples(track(self.samples, "tokens"), self.store, Counter(), self.outcome))

    @cached_property
    def windows(self) -> list[trees.WindowExample]:
        """What trees learn from."""
        return list(trees.collect_windows(track(self.samples, "windows"), self.store, Counter(), self.outcome))

    @cached_property
    def token_values(self) -> str:
        """A hash that changes when the first page of a source gives tokens other features."""
        return _values(FEATURES, collect_examples(self._first(), self.store, Counter(), Outcome()))

    @cached_property
    def window_values(self) -> str:
        """A hash that changes when the first page of a source gives windows other features."""
        return _values(trees.FEATURES, trees.collect_windows(self._first(), self.store, Counter(), Outcome()))

    def _first(self) -> list[Sample]:
        return list({sample.source: sample for sample in reversed(self.samples)}.values())

    def ranker_settings(self, name: str, seed: int) -> FitSettings:
        """How a variant is trained; in haste where the script is only tried."""
        haste = {"members": 1, "epochs": 1, "per_source": 10} if self.quick else {}
        return FitSettings(**{"seed": seed * _MEMBERS_APART, **RANKERS[name].settings, **haste})

    def trees_settings(self, seed: int) -> trees.TreesSettings:
        """Likewise for the trees."""
        return trees.TreesSettings(seed=seed, **({"iterations": 10} if self.quick else {}))

    def trained(self, seed: int, names: Sequence[str]) -> dict[str, list[Cell]]:
        """The cells of trained variants, a cell a fold of one seed."""
        fold_of = document_folds(self.samples, self.store, self.folds, seed)
        found: dict[str, list[Cell]] = {name: [] for name in names}
        for fold in range(self.folds):
            held = [sample for sample in self.samples if fold_of[sample.doc_id] == fold]
            features = FoldFeatures()
            for name in names:
                learnt = {sample.doc_id for sample in self.samples if fold_of[sample.doc_id] != fold}
                facts: dict[str, Any] = {"learnt": sorted(learnt)}
                learn: Callable[[], Learnt]
                if name == trees.NAME:
                    facts |= {"settings": asdict(self.trees_settings(seed)), "features": self.window_values}
                    learn = partial(self._trees, seed, learnt)
                else:
                    own = RANKERS[name]
                    facts |= {"settings": asdict(self.ranker_settings(name, seed)), "features": self.token_values}
                    facts |= {"unseen": sorted(own.unseen), "documents": own.documents, "smoothing": own.smoothing}
                    facts |= {"levelling": own.levelling, "windows": asdict(own.windows)}
                    learn = partial(self._ranker, name, seed, learnt, features)
                found[name].append(self._cell(f"{name}-seed{seed}-fold{fold}", facts, held, learn, WindowSpec()))
        return found

    def untrained(self, seed: int, name: str) -> Cell:
        """The cell of a row that learns nothing; only random order differs by seed."""
        make, spec = UNTRAINED[name]
        seed = seed if name in SEEDED else 0
        return self._cell(
            f"{name}-seed{seed}", {"windows": asdict(spec)}, self.samples, lambda: (make(seed), 0.0), spec
        )

    def _ranker(self, name: str, seed: int, learnt: set[str], features: FoldFeatures) -> Learnt:
        own = RANKERS[name]
        made_from = {"settings": self.ranker_settings(name, seed), "unseen": own.unseen, "documents": own.documents}
        if self._last_fit is None or self._last_fit[0] != made_from | {"learnt": learnt}:
            started = time.monotonic()
            ranker = fit_ranker(self._seen(own, learnt), self.ranker_settings(name, seed), name=name)
            self._last_fit = made_from | {"learnt": learnt}, without(ranker, own.unseen), time.monotonic() - started
        _, ranker, seconds = self._last_fit  # a variant that differs in scoring alone shares it
        return SharedReading(ranker, features, own), seconds

    def _seen(self, variant: Variant, learnt: set[str]) -> list[Example]:
        """What a variant learns from, with what it does not see at zero."""
        columns = [FEATURES.index(feature) for feature in sorted(variant.unseen)]
        chosen = []
        for example in self.examples:
            if example.doc_id in learnt and (variant.documents or not example.source.endswith(WHOLE_DOCUMENTS)):
                seen = example.features.copy()
                seen[:, columns] = 0
                chosen.append(replace(example, features=seen))
        return chosen

    def _trees(self, seed: int, learnt: set[str]) -> Learnt:
        chosen = [example for example in self.windows if example.doc_id in learnt]
        started = time.monotonic()
        return trees.fit_trees(chosen, self.trees_settings(seed)), time.monotonic() - started

    def _cell(
        self,
        name: str,
        facts: Mapping[str, Any],
        asked: Sequence[Sample],
        learn: Callable[[], Learnt],
        spec: WindowSpec,
    ) -> Cell:
        """Scores of some questions, from the file of an earlier run where everything they depend on is the same."""
        key = {
            "facts": facts,
            "dataset": self.version,
            "questions": [sample.question_id for sample in asked],
            "budgets": BUDGETS,
            "coverages": COVERAGES,
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        file = self.out / "cells" / f"{name}.json"
        if (cell := _read_cell(file, digest)) is not None:
            return cell
        scorer, fit_seconds = learn()
        started = time.monotonic()
        views = PageViews(self.store, patch_grid, spec)
        found = evaluate(asked, [scorer], views, budgets=BUDGETS, coverages=COVERAGES)
        (own,) = found.scores.values()
        cell = {
            "key": digest,
            "fit_seconds": round(fit_seconds, 1),
            "score_seconds": round(time.monotonic() - started, 1),
            "refused": dict(found.outcome.refused),
            "scores": {
                sample.question_id: {name: float(column[index]) for name, column in own.items() if column[index] >= 0}
                for index, sample in enumerate(found.samples)
            },
        }
        write_json(file, cell)
        print(f"{name}: trained {cell['fit_seconds']} s, scored {cell['score_seconds']} s", file=sys.stderr, flush=True)
        return cell


def _values(names: Sequence[str], examples: Iterable[Example | trees.WindowExample]) -> str:
    digest = hashlib.sha256("\n".join(names).encode())
    for example in examples:
        digest.update(example.features.tobytes())
    return digest.hexdigest()


def _read_cell(file: Path, key: str) -> Cell | None:
    """A cell that is there and was made from the same; files are written whole, but a disk may lose one."""
    try:
        cell = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cell if isinstance(cell, dict) and cell.get("key") == key else None
