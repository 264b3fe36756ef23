"""ReFIT: windows by late interaction, then a share of each window's best tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from tests.training.selectors.evaluated import assert_exact, assert_nested, first_tokens
from tests.training.selectors.samples import given_sample, unit_rows
from training.selectors import checked_select, make_selector
from training.window_scorers import window_places


def test_by_hand():
    # A row of 4 tokens, windows of two: {0, 1} and {2, 3}. Two question tokens, e0 and e1.
    #   cosines with e0: .9 .8 1 0,   with e1: .436 0 0 .6
    # R of the first window: (.9 + .436) / 2 = .668; of the second: (1 + .6) / 2 = .8.
    # r: .9 .8 1 .6. Half a window is one token: 2, then 0; then the rest in the same order: 3, then 1.
    tokens = np.array([[0.9, math.sqrt(0.19), 0], [0.8, 0, 0.6], [2, 0, 0], [0, 1.2, 1.6]])
    question = np.array([[3.0, 0, 0], [0, 0.5, 0]])
    assert first_tokens(make_selector("refit"), given_sample(tokens, (1, 4), question), 4) == [2, 0, 3, 1]
    whole = make_selector("refit", {"keep": 1.0})
    assert first_tokens(whole, given_sample(tokens, (1, 4), question), 4) == [2, 3, 0, 1]


def _slowly(sample, keep):
    """The order of tokens, one window and one token at a time."""
    visual, question = (np.asarray(x, dtype=np.float64) for x in sample.shared())
    cosine = (visual @ question.T) / np.linalg.norm(visual, axis=1)[:, None] / np.linalg.norm(question, axis=1)
    r = cosine.max(axis=1)
    members, relevance = [], []
    for place, page in zip(sample.slices, sample.pages, strict=True):
        inside = [place.start + np.flatnonzero(row) for row in page.windows.token_mask()]
        members += inside
        relevance.append(np.array([np.mean([cosine[w, t].max() for t in range(len(question))]) for w in inside]))
    opened = np.argsort(np.concatenate(window_places(relevance, sample.question_id)))
    shares = [sorted(members[w], key=lambda i: -r[i])[: math.ceil(keep * len(members[w]))] for w in opened]
    order = []
    for given_tokens in [*shares, *(sorted(members[w], key=lambda i: -r[i]) for w in opened)]:
        order += [i for i in given_tokens if i not in order]
    return order


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=2, unique=True),
    st.sampled_from([0.1, 0.5, 0.75, 1.0]),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_against_a_slow_reference(shapes, keep, seed):
    tokens = [unit_rows(rows * cols, 6, seed + i) * (1 + i) for i, (rows, cols) in enumerate(shapes)]
    sample = given_sample(tokens, shapes, unit_rows(3, 6, seed + 7))
    assert first_tokens(make_selector("refit", {"keep": keep}), sample, sample.n_tokens) == _slowly(sample, keep)


def test_budgets_nest_and_pages_compete():
    sample = given_sample([unit_rows(35, 4), unit_rows(12, 4, 1)], [(5, 7), (3, 4)], unit_rows(2, 4, 2))
    budgets = [1, 5, 20, 47]
    kept = checked_select(make_selector("refit"), sample, budgets)
    assert_exact(kept, budgets)
    assert_nested(kept)
    assert kept[0].flops == 2 * 47 * 2 * 4


def test_equal_tokens_do_not_favour_the_top():
    tokens = np.tile(unit_rows(1, 64), (24 * 17, 1))
    kept = [
        checked_select(
            make_selector("refit"),
            given_sample(tokens, (24, 17), unit_rows(5, 64, 3), seed=i, question_id=f"q/{i}"),
            [40],
        )[0].mask
        for i in range(40)
    ]
    rows = np.mean(kept, axis=0).reshape(24, 17).mean(axis=1)
    assert rows[:12].mean() == pytest.approx(rows[12:].mean(), rel=0.25)


def test_swapped_tokens_swap():
    # Two tokens of one window change places, and so do their places in the order: where they are has no say.
    tokens, question = unit_rows(4, 8, 5), unit_rows(2, 8, 6)
    order = first_tokens(make_selector("refit"), given_sample(tokens, (2, 2), question), 4)
    swapped = first_tokens(make_selector("refit"), given_sample(tokens[[3, 1, 2, 0]], (2, 2), question), 4)
    assert swapped == [{0: 3, 3: 0}.get(i, i) for i in order]


def test_tokens_without_features_are_last():
    tokens = np.zeros((4, 2))
    tokens[3] = [1, 0]
    assert first_tokens(make_selector("refit"), given_sample(tokens, (2, 2), np.array([[1.0, 0.2]])), 1) == [3]


def test_keep_is_checked():
    for keep in (0.0, -1, 1.5, float("nan")):
        with pytest.raises(UsageError, match=r"refit option keep must be in \(0, 1\]"):
            make_selector("refit", {"keep": keep})
