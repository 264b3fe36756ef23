"""Means of scores over groups of questions, with intervals that resample documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.bootstrap import ResampledMeans
from pinpoint_data.errors import Outcome

RESAMPLES = 1000

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, FloatArray]
"""Scores (n,) of n questions by name; NaN where a question has none."""
Score = dict[str, float | int | None]
"""`mean`, `low`, `high`, and `n` questions; one document gives no interval, and both ends are None."""
Name = TypeVar("Name", bound=Hashable)


def question_groups(samples: Sequence[Sample]) -> dict[str, BoolArray]:
    """Which questions (n,) are in each group: `all`, and each source where there are several."""
    sources = np.array([sample.source for sample in samples])
    names = sorted(set(sources.tolist()))
    everyone = {"all": np.ones(len(sources), dtype=np.bool_)}
    return everyone | ({name: sources == name for name in names} if len(names) > 1 else {})


def columns_of(rows: Sequence[Mapping[str, float]]) -> dict[str, FloatArray]:
    """One row of named scores a question as columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def differences(mine: Columns, theirs: Columns) -> dict[str, FloatArray]:
    """Paired differences of the scores that both have."""
    return {name: mine[name] - theirs[name] for name in mine if name in theirs}


def intervals(
    columns: Mapping[Name, FloatArray],
    chosen: BoolArray,
    docs: npt.NDArray[np.str_],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Name, Score]:
    """Means with 95 % intervals of all scores over the chosen questions that have them.

    Args:
        columns: Scores by name.
        chosen: (n,) the questions of the group.
        docs: (n,) their documents.
        resamples: Bootstrap resamples.
        seed: Of the resamples.

    Returns:
        By name, in order; a score that no chosen question has is left out.
    """
    by_mask: dict[bytes, list[Name]] = {}
    for name, column in columns.items():
        by_mask.setdefault((chosen & np.isfinite(column)).tobytes(), []).append(name)
    found: dict[Name, Score] = {}
    for mask, names in by_mask.items():
        own = np.frombuffer(mask, dtype=np.bool_)
        if own.any():
            means = ResampledMeans.of((columns[name][own] for name in names), docs[own], resamples, seed)
            for name, interval in zip(names, means.intervals(), strict=True):
                found[name] = {**interval._asdict(), "n": int(own.sum())}
    return {name: found[name] for name in columns if name in found}


def bootstrap_facts(resamples: int, seed: int) -> dict[str, Any]:
    """How the intervals of a summary were made."""
    return {"unit": "document", "resamples": resamples, "seed": seed, "level": 0.95}


def question_counts(samples: Sequence[Sample], left_out: Counter[str], outcome: Outcome) -> dict[str, Any]:
    """How many questions a summary is about, and how many were not scored and why."""
    return {
        "scored": len(samples),
        "documents": len({sample.doc_id for sample in samples}),
        "pages_per_question": float(np.mean([len(sample.pages) for sample in samples])) if samples else 0.0,
        "by_source": dict(sorted(Counter(sample.source for sample in samples).items())),
        "left_out": dict(sorted(left_out.items())),
        "refused": dict(sorted(outcome.refused.items())),
    }
