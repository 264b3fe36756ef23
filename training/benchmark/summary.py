"""From what a benchmark measured to means with intervals, by stratum and in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pinpoint_data.boxes import FloatArray
from training.benchmark.data import BenchmarkData
from training.benchmark.pairs import paired_intervals
from training.benchmark.strata import box_strata, question_strata, role_strata
from training.evaluation.intervals import RESAMPLES, BoolArray, Score, bootstrap_facts, intervals, question_counts
from training.evaluation.question_scores import share_name
from training.evaluation.summary import clipping_facts, over_their_questions

BENCHMARK_VERSION = 1
SCHEMA_NAME = "pinpoint-benchmark"
CONTROLS = ("random", "uniform")
COMPARED = ("evidence_recall", "all_hit")

Docs = npt.NDArray[np.str_]
Cells = dict[tuple[str, str], FloatArray]
"""Scores (n,) by selector and score."""


def summarise_benchmark(data: BenchmarkData, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Means with document-bootstrap 95 % intervals of everything that a benchmark measured.

    Args:
        data: What it measured.
        resamples: Bootstrap resamples of documents.
        seed: Of the resamples.

    Returns:
        JSON-ready, as `BenchmarkSummary` in `training.benchmark.schema` describes it key by key.
    """
    docs = np.array([sample.doc_id for sample in data.samples], dtype=np.str_)
    cells: Cells = {
        (selector, name): column
        for selector, columns in over_their_questions(data.scores, data.samples).items()
        for name, column in columns.items()
    }
    everyone = np.ones(len(docs), dtype=np.bool_)
    scores = _by_selector(intervals(cells, everyone, docs, resamples, seed), data.selectors)
    return {
        "schema": SCHEMA_NAME,
        "version": BENCHMARK_VERSION,
        "budgets": list(data.budgets),
        "cost_budget": data.cost_budget,
        "questions": question_counts(data.samples, data.left_out, data.outcome),
        "rows": {"reused": data.reused, "devices": dict(sorted(data.devices.items()))},
        "clipping": clipping_facts(data.clipped),
        "bootstrap": bootstrap_facts(resamples, seed),
        "selectors": list(data.selectors),
        "scores": scores,
        "lift": _lift(data, cells, docs, resamples, seed),
        "differences": _differences(data, cells, docs, resamples, seed),
        "strata": {"role": _roles(data, scores)} | _strata(data, cells, docs, resamples, seed),
        "costs": {
            selector: _costs(data.seconds.get(selector, {}), data.flops.get(selector, {}))
            for selector in data.selectors
        },
    }


def at_budgets(names: Sequence[str], budgets: Sequence[float]) -> list[str]:
    """Names of scores at each budget, `evidence_recall@0.10` and so on."""
    return [f"{name}@{share_name(budget)}" for name in names for budget in budgets]


def _lift(data: BenchmarkData, cells: Cells, docs: Docs, resamples: int, seed: int) -> dict[str, Any]:
    """The mean of a score over that of a control, for all selectors but the control itself."""
    found: dict[str, Any] = {}
    for control in (name for name in CONTROLS if name in data.selectors):
        pairs = [
            ((selector, name), (control, name))
            for selector in data.selectors
            if selector != control
            for name in at_budgets(COMPARED, data.budgets)
            if (selector, name) in cells and (control, name) in cells
        ]
        ratios = paired_intervals(_of(cells, pairs), pairs, docs, "ratio", resamples, seed)
        scores = {first: score for (first, _), score in zip(pairs, ratios, strict=True) if score is not None}
        found[control] = _by_selector(scores, [name for name in data.selectors if name != control])
    return found


def _differences(data: BenchmarkData, cells: Cells, docs: Docs, resamples: int, seed: int) -> dict[str, Any]:
    """Each selector minus each later one; who wants the later one first negates."""
    pairs = [
        ((first, name), (second, name))
        for first, second in combinations(data.selectors, 2)
        for name in at_budgets(COMPARED, data.budgets)
        if (first, name) in cells and (second, name) in cells
    ]
    found: dict[str, Any] = {}
    scores = paired_intervals(_of(cells, pairs), pairs, docs, "difference", resamples, seed)
    for ((first, name), (second, _)), score in zip(pairs, scores, strict=True):
        if score is not None:
            found.setdefault(first, {}).setdefault(second, {})[name] = score
    return found


def _of(cells: Cells, pairs: Sequence[tuple[tuple[str, str], tuple[str, str]]]) -> Cells:
    return {key: cells[key] for pair in pairs for key in pair}


def _roles(data: BenchmarkData, scores: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """The scores over boxes of one role, under the names that those over all boxes have."""
    return {
        role: {
            "questions": len(np.unique(data.boxes.question[boxes])),
            "boxes": int(boxes.sum()),
            "scores": {
                selector: {
                    f"{name}@{share_name(budget)}": found[own]
                    for name in COMPARED
                    for budget in data.budgets
                    if (own := f"{name}_{role}@{share_name(budget)}") in found
                }
                for selector, found in scores.items()
            },
        }
        for role, boxes in role_strata(data.boxes).items()
    }


def _strata(data: BenchmarkData, cells: Cells, docs: Docs, resamples: int, seed: int) -> dict[str, Any]:
    names = set(at_budgets(COMPARED, data.budgets))
    compared = {key: column for key, column in cells.items() if key[1] in names}
    # A box is kept to some share, as a question's evidence is: the box alone is the evidence.
    recall = at_budgets(["evidence_recall"], data.budgets)
    of_boxes: Cells = {
        (selector, name): column
        for selector, found in data.box_recall.items()
        for name, column in zip(recall, found.T, strict=True)
    }
    owner = data.boxes.question

    def stratum(columns: Cells, chosen: BoolArray, whose: Docs, questions: int, boxes: int) -> dict[str, Any]:
        scores = _by_selector(intervals(columns, chosen, whose, resamples, seed), data.selectors)
        return {"questions": questions, "boxes": boxes, "scores": scores}

    over_questions = {
        dimension: {
            name: stratum(compared, mask, docs, int(mask.sum()), int(mask[owner].sum())) for name, mask in masks.items()
        }
        for dimension, masks in question_strata(data.samples, data.boxes).items()
    }
    over_boxes = {
        dimension: {
            name: stratum(of_boxes, mask, docs[owner], len(np.unique(owner[mask])), int(mask.sum()))
            for name, mask in masks.items()
        }
        for dimension, masks in box_strata(data.boxes).items()
    }
    return over_questions | over_boxes


def _by_selector(scores: Mapping[tuple[str, str], Score], selectors: Sequence[str]) -> dict[str, dict[str, Score]]:
    found: dict[str, dict[str, Score]] = {selector: {} for selector in selectors}
    for (selector, name), score in scores.items():
        found[selector][name] = score
    return found


def _costs(seconds: Mapping[str, FloatArray], flops: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Over the `n` questions that a component was used for."""
    times = {component: values for component, column in seconds.items() if len(values := column[np.isfinite(column)])}
    counts = {component: values for component, column in flops.items() if len(values := column[np.isfinite(column)])}
    return {
        "seconds": {
            component: {"mean": float(values.mean()), "median": float(np.median(values)), "n": len(values)}
            for component, values in times.items()
        },
        "flops": {component: {"mean": float(values.mean()), "n": len(values)} for component, values in counts.items()},
    }
