"""The controls: random, uniform, downsampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.token_grid import TokenGrid, even_grid
from tests.training.selectors.evaluated import assert_exact, assert_nested
from tests.training.selectors.samples import given_sample
from training.selectors import checked_select, make_selector
from training.selectors.controls import coarser_shape, even_tokens
from training.selectors.page_budgets import page_budgets


def _sample(*shapes, **options):
    tokens = [np.zeros((rows * cols, 2)) for rows, cols in shapes]
    return given_sample(tokens, shapes, **options)


GRIDS = st.builds(
    lambda rows, cols, width, height: even_grid(rows, cols, width, height, "test"),
    st.integers(1, 14),
    st.integers(1, 14),
    st.integers(1, 3000),
    st.integers(1, 3000),
)


class TestRandom:
    def test_is_one_permutation_a_question(self):
        sample = _sample((5, 6), (2, 3))
        budgets = [1, 7, 20, 36]
        kept = checked_select(make_selector("random"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)
        again = checked_select(make_selector("random"), _sample((5, 6), (2, 3)), budgets)
        assert all((a.mask == b.mask).all() for a, b in zip(kept, again, strict=True))

    def test_questions_and_seeds_differ(self):
        orders = [
            checked_select(make_selector("random"), _sample((5, 6), **options), [15])[0].mask
            for options in ({}, {"question_id": "test/2"}, {"seed": 1})
        ]
        assert len({mask.tobytes() for mask in orders}) == 3

    def test_every_place_is_as_likely(self):
        masks = [
            checked_select(make_selector("random"), _sample((2, 5), question_id=f"q/{i}"), [3])[0].mask
            for i in range(600)
        ]
        # 600 draws of 0.3: five standard deviations are 0.094.
        assert np.abs(np.mean(masks, axis=0) - 0.3).max() < 0.094


class TestUniform:
    def test_squares_by_hand(self):
        # 36 square tokens, 9 kept: the middle of every 2 x 2; of two middles the one to the right and below.
        mask = checked_select(make_selector("uniform"), _sample((6, 6)), [9])[0].mask.reshape(6, 6)
        assert np.argwhere(mask).tolist() == [[r, c] for r in (1, 3, 5) for c in (1, 3, 5)]

    def test_fits_the_page_not_the_grid(self):
        # 4 x 4 tokens on a page four times as high as wide: 4 near-square cells lie one below the other.
        assert even_tokens(even_grid(4, 4, 100, 400, "test"), 4).tolist() == [2, 6, 10, 14]

    def test_strips_by_hand(self):
        # 7 of 7 x 7: round(sqrt(7)) = 3 strips of 2, 2 and 3 cells.
        found = even_tokens(even_grid(7, 7, 70, 70, "test"), 7)
        rows, cols = np.divmod(found, 7)
        assert rows.tolist() == [1, 1, 3, 3, 5, 5, 5]
        assert cols.tolist() == [1, 5, 1, 5, 1, 3, 5]

    @given(GRIDS, st.data())
    @settings(max_examples=200, deadline=None)
    def test_is_exact_and_even(self, grid, data):
        budget = data.draw(st.integers(1, grid.n_tokens))
        found = even_tokens(grid, budget)
        assert len(found) == len(set(found.tolist())) == budget
        assert found.min() >= 0
        assert found.max() < grid.n_tokens
        mask = np.zeros(grid.n_tokens, bool)
        mask[found] = True
        mask = mask.reshape(grid.rows, grid.cols)
        rows = np.flatnonzero(mask.any(axis=1))
        for used, length in [(rows, grid.rows), *((np.flatnonzero(mask[row]), grid.cols) for row in rows)]:
            # Between two kept ones, and before the first and after the last, no gap is wider than even parts make it.
            assert np.diff(used).max(initial=0) <= -(-length // len(used))
            assert max(used[0], length - 1 - used[-1]) <= length / (2 * len(used))
        assert np.ptp(mask[rows].sum(axis=1)) <= 1

    def test_is_more_even_than_chance(self):
        grid = even_grid(40, 30, 900, 1200, "test")
        centres = grid.token_xyxy()[:, :2]

        def farthest(chosen):
            return np.linalg.norm(centres[:, None] - centres[chosen], axis=2).min(axis=1).max()

        draws = [farthest(np.random.default_rng(i).permutation(1200)[:48]) for i in range(20)]
        # Cells of 150 pixels a side: their corners are 106 from the centre, and a token more.
        assert farthest(even_tokens(grid, 48)) < 106 + 30 < min(draws)

    def test_several_pages_share_the_budget(self):
        sample = _sample((4, 5), (2, 5), (1, 5))
        for budget in range(1, sample.n_tokens + 1):
            mask = checked_select(make_selector("uniform"), sample, [budget])[0].mask
            shares = np.array([mask[place].sum() for place in sample.slices])
            assert shares.sum() == budget
            assert (np.abs(shares - budget * np.array([20, 10, 5]) / 35) < 1).all()

    def test_is_blind(self):
        selector = make_selector("uniform")
        first, second = (checked_select(selector, _sample((4, 5), question_id=i), [7])[0] for i in ("a", "b"))
        assert (first.mask == second.mask).all()
        assert not selector.reads_question


class TestPageBudgets:
    def test_largest_remainder_by_hand(self):
        # 7 of 10, 6 and 4 tokens: 3.5, 2.1, 1.4.
        assert page_budgets(_sample((2, 5), (2, 3), (1, 4)), 7) == [4, 2, 1]

    def test_equal_pages_do_not_favour_the_first(self):
        got = []
        for seed in range(60):
            got.append(page_budgets(_sample((3, 3), (3, 4), (4, 3), seed=seed), 2))
        # 9/33, 12/33 and 12/33 of 2 are .55, .73 and .73: the first page is out, the others have one each.
        assert set(map(tuple, got)) == {(0, 1, 1)}
        twins = [tuple(page_budgets(_sample((3, 4), (4, 3), seed=seed), 1)) for seed in range(60)]
        assert 15 < twins.count((1, 0)) < 45


class TestDownsample:
    def test_by_hand(self):
        # 6 x 4 square tokens and 7 of them: 3 x 2 is the page's own shape, 1 x 7, 2 x 3 and 7 x 1 are further from it.
        kept = checked_select(make_selector("downsample"), _sample((6, 4)), [7])[0]
        assert np.argwhere(kept.mask.reshape(6, 4)).tolist() == [[r, c] for r in (1, 3, 5) for c in (1, 3)]
        assert kept.merged.all()
        assert kept.scores is None

    @given(GRIDS, st.data())
    @settings(max_examples=200, deadline=None)
    def test_shape_against_every_shape(self, grid, data):
        budget = data.draw(st.integers(1, grid.n_tokens))
        rows, cols = coarser_shape(grid, budget)
        x0, y0, x1, y1 = grid.extent

        def distortion(shape):
            return abs(np.log(shape[1] * (y1 - y0)) - np.log(shape[0] * (x1 - x0)))

        fitting = [(r, c) for r in range(1, grid.rows + 1) for c in range(1, grid.cols + 1) if r * c <= budget]
        full = [(r, c) for r, c in fitting if (r + 1, c) not in fitting and (r, c + 1) not in fitting]
        assert (rows, cols) in full
        assert distortion((rows, cols)) == pytest.approx(min(map(distortion, full)), abs=1e-9)

    def test_everything_fits_a_full_budget(self):
        sample = _sample((3, 7), (1, 2))
        kept = checked_select(make_selector("downsample"), sample, [23])[0]
        assert kept.mask.all()

    def test_a_page_without_a_share_is_left_out(self):
        sample = _sample((6, 6), (1, 2))
        kept = checked_select(make_selector("downsample"), sample, [1])[0]
        assert kept.mask.sum() == 1
        assert kept.merged[sample.slices[0]].all()
        assert not kept.merged[sample.slices[1]].any()

    def test_keeps_within_every_budget(self):
        sample = _sample((5, 7), (4, 4))
        budgets = list(range(1, sample.n_tokens + 1))
        for kept, budget in zip(checked_select(make_selector("downsample"), sample, budgets), budgets, strict=True):
            assert 1 <= kept.mask.sum() <= budget
            assert (kept.merged >= kept.mask).all()

    def test_a_grid_that_is_not_the_page_counts_by_its_extent(self):
        # The grid covers a square in the middle of a wide page.
        grid = TokenGrid(np.linspace(100, 200, 5), np.linspace(0, 100, 5), 300, 100, "test")
        assert coarser_shape(grid, 4) == (2, 2)
