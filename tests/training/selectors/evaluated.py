"""A selector's evidence scores beside those that `pinpoint evaluate` gives the same ranking of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pinpoint_data.windows import LabelRule, Windows
from training.evaluation.question_scores import QuestionEvidence, score_ranking, share_name
from training.selectors import EncodedSample, Kept, Selector, checked_select
from training.window_scorers import window_places
from training.window_scorers.base import Scores

SHARES = (0.05, 0.1, 0.2, 0.25, 0.33, 0.5, 0.6, 1.0)
COMPARED = ("budget", "evidence_recall", "all_hit", "any_hit", "page_recall")


def counts(n_tokens: int, shares: Sequence[float] = SHARES) -> list[int]:
    """Tokens of each share of a budget."""
    return [max(1, math.floor(share * n_tokens + 1e-9)) for share in shares]


def assert_same_as_evaluation(
    selector: Selector, sample: EncodedSample, windows: Sequence[Windows], scores: Scores
) -> None:
    """Every evidence score, at every budget."""
    pages = [replace(page, windows=own) for page, own in zip(sample.pages, windows, strict=True)]
    evidence = QuestionEvidence.of(replace(sample.view, pages=tuple(pages)), LabelRule())
    places = window_places(scores, sample.question_id)
    expected = score_ranking(evidence, windows, places, SHARES, (0.6,))
    kept = checked_select(selector, sample, counts(sample.n_tokens))
    found = evidence.measured.score(np.stack([k.mask for k in kept]))
    for share, own in zip(SHARES, found, strict=True):
        for name in COMPARED:
            value = expected[f"{name}@{share_name(share)}"]
            assert float(getattr(own, name)) == pytest.approx(value, abs=1e-12), (name, share)


def assert_exact(kept: Sequence[Kept], budgets: Sequence[int]) -> None:
    """Each budget is used up, by the best of the scores where there are some."""
    for found, budget in zip(kept, budgets, strict=True):
        assert found.mask.sum() == budget
        if found.scores is not None:
            assert found.scores[found.mask].min() >= found.scores[~found.mask].max(initial=-np.inf)


def assert_nested(kept: Sequence[Kept]) -> None:
    """Each set holds the one before it."""
    assert all((later.mask >= earlier.mask).all() for earlier, later in pairwise(kept))


def first_tokens(selector: Selector, sample: EncodedSample, count: int) -> list[int]:
    """The tokens that come first, in order."""
    kept = checked_select(selector, sample, range(1, count + 1))
    assert_exact(kept, range(1, count + 1))
    before = np.zeros(sample.n_tokens, bool)
    order = []
    for found in kept:
        order += np.flatnonzero(found.mask & ~before).tolist()
        before = found.mask
    return order
