"""PruMerge and PruMerge+: outliers, even samples and who takes in whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pinpoint_data.errors import UsageError
from tests.training.selectors.seen import blank, check_invariants, check_ties, given_signals, kept_by
from training.selectors import make_selector
from training.selectors.prumerge import PruMergePlusSelector, PruMergeSelector, outliers, with_neighbours

# Of 1 2 3 4 5 and 20 the quartiles are 2.25 and 4.75: 20 is above 4.75 + 1.5 * 2.5 = 8.5.
SCORES = [3, 20, 1, 4, 2, 5]


def test_outliers_are_those_of_a_tile() -> None:
    def of(single: Sequence[float] | np.ndarray, **tile: object) -> list[int]:
        found: list[int] = np.flatnonzero(outliers(given_signals(len(single), single=single, **tile))).tolist()
        return found

    assert of(SCORES) == [1]
    assert of(np.ones(6)) == []
    assert of([3, 8, 1, 4, 2, 5]) == []
    # Beside twelve tokens of a hundred times as much, 20 is none; each tile has its own.
    both = np.array(SCORES + [100 * i for i in SCORES] + [100 * i for i in SCORES])
    assert of(both, tile=[0] * 6 + [1] * 12) == [1, 7, 13]
    assert of(both) == [7, 13]


def test_best_and_their_neighbours_by_hand() -> None:
    """1 and 5 are kept. By angle 1 is nearest to 0 and 3, and 5 to 4 and 1: 0, 3 and 4 are taken in."""
    degrees = np.radians([10, 0, 180, 20, 60, 50])
    keys = np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * np.arange(1, 7)[:, None]
    sample = blank([(2, 3)], single=SCORES, last_keys=keys)
    [kept] = PruMergeSelector(neighbours=2).select(sample, [2])
    assert np.flatnonzero(kept.mask).tolist() == [1, 5]
    # Of 5 (50 degrees) the nearest are 4 (60) and 3 (20).
    assert kept.merged is not None and np.flatnonzero(kept.merged).tolist() == [0, 3, 4]
    assert kept.flops == 2 * 2 * 6 * 2


def test_neighbours_against_a_full_sort() -> None:
    keys = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 8)))
    masks = [np.arange(40) < 5, np.arange(40) % 7 == 0]
    cosines = torch.corrcoef(torch.cat([keys, -keys], dim=1)).numpy()  # rows of mean 0: correlation is cosine
    for mask, found in zip(masks, with_neighbours(masks, keys, [slice(0, 40)], 3), strict=True):
        near: set[int] = set()
        for token in np.flatnonzero(mask):
            near |= {int(i) for i in np.argsort(-cosines[token]) if i != token} & set(
                [int(i) for i in np.argsort(-cosines[token]) if i != token][:3]
            )
        assert set(np.flatnonzero(found).tolist()) == near - set(np.flatnonzero(mask).tolist())


def test_no_token_is_its_own_neighbour() -> None:
    """Of 0, 100 and 170 degrees the second is nearest to the first, though it points away."""
    angles = torch.tensor([0.0, 100.0, 170.0]).deg2rad()
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    [found] = with_neighbours([np.array([True, False, False])], keys, [slice(0, 3)], 1)
    assert found.tolist() == [False, True, False]


def test_neighbours_are_on_the_same_page() -> None:
    """All keys are the same; the only other token of the first page is taken in, and none of the second."""
    masks = [np.array([True, False, False, False])]
    [found] = with_neighbours(masks, torch.ones(4, 2), [slice(0, 2), slice(2, 4)], 2)
    assert found.tolist() == [False, True, False, False]


def test_an_outlier_of_its_tile_goes_before_better_tokens_of_another() -> None:
    """20 is an outlier of the first tile, where 500 is none of the second, whose scores are even."""
    sample = blank([(2, 6)], single=[*SCORES, 400, 500, 450, 420, 480, 460], tile=[0] * 6 + [1] * 6)
    assert kept_by(PruMergeSelector(adaptive=True), sample, 5) == [1]
    assert 1 in kept_by(PruMergePlusSelector(), sample, 2)
    # Without, the best tokens of all.
    assert kept_by(PruMergeSelector(), sample, 2) == [7, 10]


def test_adaptive_counts() -> None:
    """One outlier of six tokens: int(1 / (1 / 6)) / 3 = 2, so that every second of the other five is added, three."""
    sample = blank([(2, 3)], single=SCORES)
    assert kept_by(PruMergeSelector(adaptive=True), sample, 4) == [1]
    assert len(kept_by(PruMergePlusSelector(adaptive=True), sample, 6)) == 4
    assert len(kept_by(PruMergePlusSelector(adaptive=True), sample, 2)) == 2


def test_plus_fills_up_evenly() -> None:
    """The outlier, and of 0 2 3 4 5 (stretches of 2.5) the tokens at 1.25 and 3.75: 2 and 4. Budget 1: the outlier."""
    sample = blank([(2, 3)], single=SCORES)
    assert kept_by(PruMergePlusSelector(), sample, 3) == [1, 2, 4]
    assert kept_by(PruMergePlusSelector(), sample, 1) == [1]


def test_plus_covers_the_page() -> None:
    sample = blank([(10, 10)], single=np.ones(100))
    rows = {token // 10 for token in kept_by(PruMergePlusSelector(), sample, 10)}
    assert rows == set(range(10))


@pytest.mark.parametrize("neighbours", [0, 1, 32])
def test_invariants(neighbours: int) -> None:
    check_invariants(lambda: PruMergeSelector(neighbours=neighbours))
    check_ties(lambda: PruMergeSelector(neighbours=neighbours))
    check_invariants(lambda: PruMergePlusSelector(neighbours=neighbours), nested=False)
    check_invariants(lambda: PruMergePlusSelector(adaptive=True, neighbours=neighbours), exact=False, nested=False)


@pytest.mark.parametrize("name", ["prumerge", "prumerge-plus"])
def test_impossible_options(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: neighbours must be at least 0"):
        make_selector(name, {"neighbours": -1})
