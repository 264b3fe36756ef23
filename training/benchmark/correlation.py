"""What evidence recall is worth: how it goes with the answers that are given from the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pinpoint_data.bootstrap import ResampledMeans
from training.evaluation.intervals import RESAMPLES, FloatArray
from training.evaluation.question_scores import share_name

FEWEST_POINTS = 3
_KINDS = ("pearson", "spearman")
_DIGITS = 12
_FLAT = 10.0**-_DIGITS
"""Standard deviations below this are rounding errors; recall and ANLS are between 0 and 1."""


@dataclass(frozen=True, eq=False)
class _Means:
    """Mean recall and mean ANLS change of every point: (p,), and (resamples, p) of resampled documents."""

    recall: FloatArray
    change: FloatArray
    drawn_recall: FloatArray | None
    drawn_change: FloatArray | None

    def between(self, chosen: npt.NDArray[np.intp]) -> dict[str, Any]:
        """The correlation over some points; every resample has points of its own."""
        found: dict[str, Any] = {"points": len(chosen)}
        drawn = None
        if self.drawn_recall is not None and self.drawn_change is not None:
            drawn = _scaled(self.drawn_recall[:, chosen], self.drawn_change[:, chosen])
        for kind, sides in _scaled(self.recall[chosen], self.change[chosen]).items():
            found[kind] = _coefficient(float(pearson(*sides)), None if drawn is None else pearson(*drawn[kind]))
        return found | {"reason": _reason(self.recall[chosen], self.change[chosen], "points")}


def correlate(
    points: Sequence[tuple[str, float]],
    recall: FloatArray,
    anls: FloatArray,
    vanilla: FloatArray,
    docs: npt.NDArray[np.str_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Pearson's and Spearman's correlation of evidence recall and answers, with intervals that resample documents.

    Args:
        points: p selectors, each at a budget.
        recall: (p, n) evidence recall of each, of n questions.
        anls: (p, n) ANLS of the answers from the tokens that it keeps.
        vanilla: (n,) ANLS of the answers from all tokens.
        docs: (n,) the questions' documents.
        resamples: Bootstrap resamples; the points are computed anew in each.
        seed: Of the resamples.

    Returns:
        JSON-ready, over the questions that have all scores: `points`, the mean recall and mean ANLS change against
        all tokens of each; `over_points`, the correlation of these two over all points; `by_budget`, over the points of
        each budget; `by_question`, for each point, the correlation of recall and ANLS over questions. A correlation
        that does not exist is null, with a `reason`.
    """
    shape = (len(points), len(vanilla))
    recall, anls = (np.asarray(scores, np.float64).reshape(shape) for scores in (recall, anls))
    own = np.isfinite(vanilla) & np.isfinite(recall).all(0) & np.isfinite(anls).all(0)
    recall, anls, docs = recall[:, own], anls[:, own], docs[own]
    means = _means(recall, anls - vanilla[own], docs, resamples, seed)
    budgets = np.array([budget for _, budget in points])
    return {
        "questions": int(own.sum()),
        "documents": len(np.unique(docs)),
        "points": [
            {"selector": selector, "budget": budget, "recall": _finite(mean), "anls_change": _finite(change)}
            for (selector, budget), mean, change in zip(points, means.recall, means.change, strict=True)
        ],
        "over_points": means.between(np.arange(len(points))),
        "by_budget": {
            share_name(float(budget)): means.between(np.flatnonzero(budgets == budget)) for budget in np.unique(budgets)
        },
        "by_question": [
            {"selector": selector, "budget": budget, **found}
            for (selector, budget), found in zip(
                points, _over_questions(recall, anls, docs, resamples, seed), strict=True
            )
        ],
    }


def pearson(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r along the last axis; NaN where there are fewer than three points or one side does not vary."""
    if x.shape[-1] < FEWEST_POINTS:
        return np.full(x.shape[:-1], np.nan)
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    return _ratio((x * y).mean(-1), (x * x).mean(-1), (y * y).mean(-1), least=_FLAT**2)


def average_ranks(values: FloatArray) -> FloatArray:
    """Ranks along the last axis, from 1; values equal to 12 digits share the mean of theirs."""
    # Equal means of different summands, or of the same ones added in another order, differ in their last digits.
    flat = np.round(values.reshape(-1, values.shape[-1]), _DIGITS) if values.size else values.reshape(0, 0)
    ranks = np.empty(flat.shape)
    for row, own in zip(flat, ranks, strict=True):
        _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
        own[:] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks.reshape(values.shape)


def _means(recall: FloatArray, change: FloatArray, docs: npt.NDArray[np.str_], resamples: int, seed: int) -> _Means:
    count = len(recall)
    if not len(docs):
        none = np.full(count, np.nan)
        return _Means(none, none, None, None)
    found = ResampledMeans.of([*recall, *change], docs, resamples, seed)
    both = (None, None) if found.drawn is None else (found.drawn[:, :count], found.drawn[:, count:])
    return _Means(found.means[:count], found.means[count:], *both)


def _over_questions(
    recall: FloatArray, anls: FloatArray, docs: npt.NDArray[np.str_], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Over the questions of each point; ranks are those among all questions, not among a resample's."""
    found: list[dict[str, Any]] = [{"reason": _reason(x, y, "questions")} for x, y in zip(recall, anls, strict=True)]
    if not recall.size:
        return [dict.fromkeys(_KINDS, _coefficient(np.nan, None)) | row for row in found]
    # In standard scores a resample's moments keep their digits, and its variance is a share of that of all questions.
    sides = [(_standard(x), _standard(y)) for x, y in _scaled(recall, anls).values()]
    products = (part for x, y in sides for part in (*x, *y, *(x * y), *(x * x), *(y * y)))
    drawn = ResampledMeans.of(products, docs, resamples, seed).drawn
    if drawn is not None:
        mx, my, xy, xx, yy = drawn.reshape(resamples, len(sides), 5, len(recall)).transpose(2, 0, 1, 3)
        drawn = _ratio(xy - mx * my, xx - mx * mx, yy - my * my, least=1e-9)
    for at, (kind, (x, y)) in enumerate(zip(_KINDS, sides, strict=True)):
        for place, value in enumerate(pearson(x, y).tolist()):
            found[place][kind] = _coefficient(value, None if drawn is None else drawn[:, at, place])
    return found


def _scaled(x: FloatArray, y: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
    """What Pearson's r is taken of, by kind of correlation."""
    return dict(zip(_KINDS, ((x, y), (average_ranks(x), average_ranks(y))), strict=True))


def _standard(values: FloatArray) -> FloatArray:
    """Standard scores along the last axis; zeros where nothing varies."""
    spread = values.std(-1, keepdims=True)
    scores: FloatArray = (values - values.mean(-1, keepdims=True)) / np.where(spread > _FLAT, spread, np.inf)
    return scores


def _ratio(covariance: FloatArray, x_variance: FloatArray, y_variance: FloatArray, least: float) -> FloatArray:
    """Covariance over standard deviations; NaN where a variance is not above the least."""
    varied = (x_variance > least) & (y_variance > least)
    scale = np.sqrt(np.where(varied, x_variance * y_variance, 1.0))
    return np.where(varied, np.clip(covariance / scale, -1, 1), np.nan)


def _coefficient(value: float, drawn: FloatArray | None) -> dict[str, float | None]:
    """With the percentile interval of the resamples; none where it does not exist in one of them."""
    low = high = None
    if np.isfinite(value) and drawn is not None and np.isfinite(drawn).all():
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"value": _finite(value), "low": low, "high": high}


def _reason(recall: FloatArray, other: FloatArray, what: str) -> str | None:
    """Why there is no correlation; None where there is one."""
    if len(recall) < FEWEST_POINTS:
        return f"fewer than {FEWEST_POINTS} {what}"
    if not np.isfinite(recall).all():
        return "no question has all scores"
    if recall.std() <= _FLAT:
        return f"evidence recall is the same in all {what}"
    if other.std() <= _FLAT:
        return f"ANLS is the same in all {what}"
    return None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
