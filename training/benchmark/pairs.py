"""Every selector against every other: differences and ratios of means, from resamples that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from pinpoint_data.bootstrap import ResampledMeans
from training.evaluation.intervals import RESAMPLES, FloatArray, Name, Score


def paired_intervals(
    columns: Mapping[Name, FloatArray],
    pairs: Sequence[tuple[Name, Name]],
    docs: npt.NDArray[np.str_],
    kind: Literal["difference", "ratio"],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Score | None]:
    """Differences or ratios of the means of two scores, over the questions that have both.

    Args:
        columns: Scores (n,) by name; NaN where a question has none.
        pairs: The first minus, or over, the second.
        docs: (n,) the questions' documents, which are resampled.
        kind: What is made of two means.
        resamples: Bootstrap resamples.
        seed: Of the resamples.

    Returns:
        One entry a pair: None where no question has both; with `mean` null where a ratio's second mean is 0.
    """
    found: list[Score | None] = [None] * len(pairs)
    masks = {name: np.isfinite(column) for name, column in columns.items()}
    # Most scores have the same questions: names with equal masks are one kind, and a pair's questions follow from it.
    kinds = {name: mask.tobytes() for name, mask in masks.items()}
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for place, (first, second) in enumerate(pairs):
        groups.setdefault((kinds[first], kinds[second]), []).append(place)
    for places in groups.values():
        first, second = pairs[places[0]]
        own = masks[first] & masks[second]
        if not own.any():
            continue
        index = {name: i for i, name in enumerate(dict.fromkeys(name for place in places for name in pairs[place]))}
        means = ResampledMeans.of((columns[name][own] for name in index), docs[own], resamples, seed)
        compare = means.differences if kind == "difference" else means.ratios
        compared = compare([index[pairs[place][0]] for place in places], [index[pairs[place][1]] for place in places])
        for place, interval in zip(places, compared, strict=True):
            ends: Score = {"mean": None, "low": None, "high": None} if interval is None else interval._asdict()
            found[place] = ends | {"n": int(own.sum())}
    return found
