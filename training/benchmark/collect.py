"""Every selector on every question, on the same questions for all of them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, Outcome, PageError, Problem, UsageError
from pinpoint_data.progress import track
from training.benchmark.asking import Asking, counterparts
from training.benchmark.data import BenchmarkData, BoxTable, NumberTable
from training.benchmark.log import BENCHMARK_LOG_VERSION, BenchmarkLog, Row
from training.evaluation.pages import PageViews, announce_pages
from training.evaluation.split import with_gold
from training.features.keys import words_hash
from training.json_log import json_digest
from training.pages.store import PageStore
from training.selectors import Selector, SignalSource

Identities = Mapping[str, Mapping[str, Any]]


def collect(
    samples: Sequence[Sample],
    views: PageViews,
    source: SignalSource,
    selectors: Sequence[Selector],
    identities: Identities,
    budgets: Sequence[float],
    log: BenchmarkLog,
    *,
    device: str,
) -> BenchmarkData:
    """Score what every selector keeps of every question's evidence, or take the scores from the log.

    A question without gold boxes is left out and counted. One whose page cannot be used, or that the GPU's memory
    does not hold, is refused for all selectors, so that all are compared on the same questions; what was measured
    before that stays in the log. The row of a selector `x-unpruned` says how far its sets agree with those of `x`,
    where both take part.

    Args:
        samples: The questions.
        views: Makes the pages' grids, windows and words.
        source: Makes their tokens and signals.
        selectors: Their names must differ.
        identities: For each selector, JSON-ready, what its choices depend on besides the question, its pages, their
            windows and words, and the budgets: its settings, the backbone or model, a run, the seed.
        budgets: Shares of all pages' tokens, in (0, 1].
        log: Rows measured before, and where new ones are written as they come.
        device: Where new rows are measured, for the record.

    Raises:
        UsageError: Two selectors have one name.
        TrainingError: A selector failed, or a page is not in the workspace.
        WorkspaceError: The log cannot be written.
    """
    names = [selector.name for selector in selectors]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"selectors must be some, of different names, got {', '.join(names) or 'none'}")
    left_out: Counter[str] = Counter()
    asked = with_gold(samples, left_out)
    keys = _Keys(names, identities, views, budgets)
    asking = _Resumed(Asking(views, source, selectors, budgets, device), log)
    found, outcome = _Found(names), Outcome()
    planned = [(sample, keys.of_question(sample)) for sample in asked]
    for index, (sample, question) in enumerate(track(planned, "benchmark")):
        later = planned[index + 1 : index + 2]
        upcoming = [s for s, q in later if any(key not in log for key in keys.of_rows(q).values())]
        own = keys.of_rows(question)
        try:
            rows = asking.rows(sample, own, upcoming)
        except (PageError, GeometryError) as error:
            record = f"question {sample.question_id}"
            outcome.refuse(Problem.of(error, code="unusable-page", file="", record=record))
        else:
            found.add(sample, rows, sum(map(log.was_there, own.values())))
    return found.data(budgets, left_out, outcome)


class _Keys:
    """What rows depend on: a digest of the question, and one of the selector."""

    def __init__(
        self, names: Sequence[str], identities: Identities, views: PageViews, budgets: Sequence[float]
    ) -> None:
        # The row of an approximation is also about what it approximates.
        pairs = {name: identities[exact] for name, exact in counterparts(names).items()}
        self._selectors = {name: json_digest([name, identities[name], pairs.get(name)]) for name in names}
        self._common = [BENCHMARK_LOG_VERSION, list(budgets), asdict(views.spec)]
        self._page = cache(lambda page_id: _page_digest(views.store, page_id))

    def of_question(self, sample: Sample) -> str:
        """Of all that is known without looking at pixels.

        Raises:
            TrainingError: A page is not in the workspace.
        """
        pages = [self._page(page.page_id) for page in sample.pages]
        boxes = [[box.page_index, *box.xyxy, box.role] for box in sample.evidence]
        return json_digest([*self._common, sample.question_id, sample.question, pages, boxes])

    def of_rows(self, question: str) -> dict[str, str]:
        """The key of each selector's row."""
        return {name: f"{question}{selector}" for name, selector in self._selectors.items()}


def _page_digest(store: PageStore, page_id: str) -> str:
    row, page = store.row(page_id), store.input(page_id)
    file = [row["sha256"], row["pdf_page"], row["dpi"]]
    # The id too: it seeds what is random, and is all there is of a page that was ingested without its file.
    return json_digest([page_id, *file, page.width, page.height, words_hash(page.words)])


class _Resumed:
    """Rows from the log, or from the selectors and into it."""

    def __init__(self, asking: Asking, log: BenchmarkLog) -> None:
        self.asking, self.log = asking, log

    def rows(self, sample: Sample, keys: Mapping[str, str], upcoming: Sequence[Sample]) -> dict[str, Row]:
        """The row of each selector."""
        shape = (len(sample.evidence), len(self.asking.budgets))
        known = {name: row for name, key in keys.items() if (row := self.log.get(key, shape)) is not None}
        missing = [name for name in keys if name not in known]
        if missing:
            announce_pages(self.asking.source.prefetch, sample, *upcoming)
            for name, row in self.asking.rows(sample, missing):
                self.log.append(keys[name], sample.question_id, name, row)
                known[name] = row
        return known


class _Found:
    """What has been measured so far, as columns: 40,000 questions by 15 selectors are not held as a million dicts."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.samples: list[Sample] = []
        self.clipped = array("d")
        self.devices: Counter[str] = Counter()
        self.reused = 0
        self.scores, self.seconds, self.flops = ({name: NumberTable() for name in names} for _ in range(3))
        self.box_recall = {name: array("d") for name in names}

    def add(self, sample: Sample, rows: Mapping[str, Row], reused: int) -> None:
        """Add a question with the row of each selector, of which `reused` were there before."""
        self.samples.append(sample)
        self.clipped.append(next(iter(rows.values())).clipped)
        self.reused += reused
        for name, row in rows.items():
            self.scores[name].add(row.scores)
            self.seconds[name].add(row.seconds)
            self.flops[name].add(row.flops)
            self.box_recall[name].extend(row.box_recall.ravel().tolist())
            self.devices[row.device] += 1

    def data(self, budgets: Sequence[float], left_out: Counter[str], outcome: Outcome) -> BenchmarkData:
        """All of it; nothing can be added afterwards."""
        return BenchmarkData(
            budgets=tuple(budgets),
            samples=self.samples,
            selectors=self.names,
            scores={name: table.columns() for name, table in self.scores.items()},
            boxes=BoxTable.of(self.samples),
            box_recall={name: np.asarray(own).reshape(-1, len(budgets)) for name, own in self.box_recall.items()},
            seconds={name: table.columns() for name, table in self.seconds.items()},
            flops={name: table.columns() for name, table in self.flops.items()},
            clipped=np.asarray(self.clipped),
            left_out=left_out,
            outcome=outcome,
            devices=self.devices,
            reused=self.reused,
        )
