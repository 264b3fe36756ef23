from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import GeometryError
from pinpoint_data.grids import TokenGrid, patch_grid
from pinpoint_data.ranking import (
    TokenRanking,
    TokenScores,
    keep_top,
    rank_windows,
    token_ranks,
    token_scores,
    windows_to_coverage,
)
from pinpoint_data.windows import Windows, WindowSpec, make_windows
from tests.domain.strategies import grids, quick

SPEC = WindowSpec(4, 3, 2)
SPECS = (SPEC, WindowSpec(1, 1, 1))


def square(cells: int, spec: WindowSpec) -> Windows:
    return make_windows(patch_grid(cells * 10, cells * 10, patch=10, long_side=cells * 10), spec)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[Windows], list[int]]:
    """Windows of one to three pages, larger ones or single tokens, and all of them in some order."""
    pages: list[TokenGrid] = draw(st.lists(grids(most=12), min_size=1, max_size=3))
    windows = [make_windows(grid, draw(st.sampled_from(SPECS))) for grid in pages]
    return windows, draw(st.permutations(range(sum(len(w) for w in windows))))


def test_pages_are_ranked_together_and_ties_keep_their_order() -> None:
    assert rank_windows([[0.1, 0.9], [0.9, 0.5, 2.0]]).tolist() == [4, 1, 2, 3, 0]
    with pytest.raises(GeometryError, match="scores must be finite"):
        rank_windows([[0.1, float("nan")]])


def test_token_ranks_by_hand() -> None:
    # Windows of 2 x 2 over 3 x 3 tokens: starts 0 and 1 each way.
    windows = square(3, WindowSpec(2, 2, 2))
    assert token_ranks([3, 0], [windows])[0].reshape(3, 3).tolist() == [[1, 1, 4], [1, 0, 0], [4, 0, 0]]


def test_coverage_takes_the_crossing_window_whole() -> None:
    windows = square(4, WindowSpec(2, 2, 2))
    for coverage, tokens in [(0.01, 4), (0.25, 4), (0.26, 8), (0.5, 8), (0.75, 12), (1.0, 16)]:
        assert windows_to_coverage([2, 0, 1, 3], [windows], coverage)[0].sum() == tokens
    assert windows_to_coverage([2, 0, 1, 3], [windows], 0.2)[0].reshape(4, 4)[2:, :2].all()


@quick
@given(rankings(), st.floats(0.01, 1))
def test_coverage_equals_taking_windows_one_by_one(ranking: tuple[list[Windows], list[int]], coverage: float) -> None:
    windows, order = ranking
    pages = [np.zeros(w.token_mask().shape[1], bool) for w in windows]
    total = sum(mask.size for mask in pages)
    flat = [(page, mask) for page, w in enumerate(windows) for mask in w.token_mask()]
    for index in order:
        page, mask = flat[index]
        pages[page] |= mask
        if sum(int(m.sum()) for m in pages) >= coverage * total - 1e-9:
            break
    got = windows_to_coverage(order, windows, coverage)
    assert [m.tolist() for m in got] == [m.tolist() for m in pages]


def test_a_partial_ranking_keeps_what_it_ranks() -> None:
    windows = square(4, WindowSpec(2, 2, 2))
    assert windows_to_coverage([3], [windows], 0.9)[0].sum() == 4
    assert windows_to_coverage([], [windows], 0.9)[0].sum() == 0


@quick
@given(rankings(), st.data())
def test_token_ranking_equals_the_definition(ranking: tuple[list[Windows], list[int]], data: st.DataObject) -> None:
    windows, order = ranking
    order = order[: data.draw(st.integers(0, len(order)))]
    got = TokenRanking.of(order, windows)
    flat = [(page, *corners) for page, w in enumerate(windows) for corners in w.rows_cols.tolist()]
    tokens = [
        (page, *divmod(t, w.grid_shape[1])) for page, w in enumerate(windows) for t in range(w.token_mask().shape[1])
    ]
    for (page, row, col), rank, distance in zip(tokens, got.rank.tolist(), got.distance.tolist(), strict=True):
        holding = [
            (place, math.dist((row + 0.5, col + 0.5), ((r0 + r1) / 2, (c0 + c1) / 2)))
            for place, (own, r0, c0, r1, c1) in enumerate(flat[i] for i in order)
            if own == page and r0 <= row < r1 and c0 <= col < c1
        ]
        first, far = holding[0] if holding else (len(flat), math.inf)
        assert (rank, distance) == (first, pytest.approx(far))


@quick
@given(rankings(), st.lists(st.floats(0.01, 1), max_size=3))
def test_a_token_ranking_takes_what_token_scores_and_coverage_take(
    ranking: tuple[list[Windows], list[int]], shares: list[float]
) -> None:
    windows, order = ranking
    got = TokenRanking.of(order, windows)
    window_scores = np.split(-np.argsort(order).astype(float), np.cumsum([len(w) for w in windows])[:-1])
    scores = [token_scores(w, s) for w, s in zip(windows, window_scores, strict=True)]
    assert got.top(shares).tolist() == [np.concatenate(keep_top(scores, share)).tolist() for share in shares]
    assert got.to_coverage(shares).tolist() == [
        np.concatenate(windows_to_coverage(order, windows, share)).tolist() for share in shares
    ]


def test_a_ranking_needs_a_page() -> None:
    with pytest.raises(GeometryError, match="at least one page"):
        TokenRanking.of([], [])


def test_token_scores_by_hand() -> None:
    # Windows of 3 x 1 over 1 x 5 tokens: [0, 3) and [2, 5); token 2 is in both, as close to either centre.
    windows = make_windows(patch_grid(50, 10, patch=10, long_side=50), WindowSpec(3, 1, 1))
    got = token_scores(windows, [1.0, 2.0, 2.0])
    assert windows.rows_cols[:, 1].tolist() == [0, 1, 2]
    assert got.score.tolist() == [1, 2, 2, 2, 2]
    # Tokens 2 and 3 are in both good windows, centred on tokens 2 and 3; token 1 only in the first of them.
    assert got.distance.tolist() == [1, 1, 0, 0, 1]
    with pytest.raises(GeometryError, match=r"window_scores must have shape \(3,\), got \(2,\)"):
        token_scores(windows, [1.0, 2.0])


@quick
@given(grids(most=12), st.data())
def test_token_scores_equal_the_definition(grid: TokenGrid, data: st.DataObject) -> None:
    windows = make_windows(grid, SPEC)
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(windows), max_size=len(windows))), float)
    got = token_scores(windows, scores)
    for token in range(grid.n_tokens):
        row, col = divmod(token, grid.cols)
        holding = [
            (scores[i], math.dist((row + 0.5, col + 0.5), ((r0 + r1) / 2, (c0 + c1) / 2)))
            for i, (r0, c0, r1, c1) in enumerate(windows.rows_cols.tolist())
            if r0 <= row < r1 and c0 <= col < c1
        ]
        best = max(score for score, _ in holding)
        assert got.score[token] == best
        assert got.distance[token] == pytest.approx(min(d for score, d in holding if score == best))


@quick
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=20), min_size=1, max_size=3), st.floats(0.001, 1))
def test_keep_top_keeps_exactly_the_budget_and_nothing_better_is_left(pages: list[list[int]], budget: float) -> None:
    masks = keep_top([np.array(page, float) for page in pages], budget)
    total = sum(map(len, pages))
    assert [len(mask) for mask in masks] == [len(page) for page in pages]
    assert sum(int(mask.sum()) for mask in masks) == max(1, math.floor(budget * total + 1e-9))
    score, kept = np.concatenate(pages), np.concatenate(masks)
    assert kept.all() or score[kept].min() >= score[~kept].max()


@pytest.mark.parametrize("percent", range(1, 101))
def test_round_budgets_are_exact(percent: int) -> None:
    assert keep_top([np.zeros(100)], percent / 100)[0].sum() == percent
    row = make_windows(patch_grid(1000, 10, patch=10, long_side=1000), WindowSpec(1, 1, 1))
    assert windows_to_coverage(np.arange(100), [row], percent / 100)[0].sum() == percent


def test_ties_go_to_the_token_closest_to_its_window_then_to_the_earlier_page() -> None:
    first = TokenScores(np.array([1.0, 1, 0]), np.array([2.0, 1, 0]))
    second = TokenScores(np.array([1.0, 1]), np.array([1.0, 0]))
    masks = keep_top([first, second], 0.4)
    assert [mask.tolist() for mask in masks] == [[False, True, False], [False, True]]


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_budgets_outside_the_unit_interval_are_refused(share: float) -> None:
    windows = square(4, SPEC)
    with pytest.raises(GeometryError, match=r"budget must lie in \(0, 1\]"):
        keep_top([np.zeros(5)], share)
    with pytest.raises(GeometryError, match=r"coverage must lie in \(0, 1\]"):
        windows_to_coverage([0], [windows], share)


@pytest.mark.parametrize("order", [[0, 0], [-1], [99], [[0]]])
def test_orders_that_are_no_ranking_are_refused(order: list[int]) -> None:
    with pytest.raises(GeometryError, match="order must hold distinct window indices"):
        token_ranks(order, [square(4, SPEC)])
