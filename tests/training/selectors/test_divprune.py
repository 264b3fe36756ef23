"""DivPrune by hand and against its formula written out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.selectors.samples import given_sample, unit_rows
from training.selectors import make_selector


def at(*degrees: float) -> np.ndarray:
    """Directions in the plane, of different lengths."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + np.arange(len(degrees)))[:, None]


def order(sample_tokens: np.ndarray, shape: tuple[int, int]) -> list[int]:
    """The tokens in the order in which growing budgets take them."""
    count = len(sample_tokens)
    kept = make_selector("divprune").select(given_sample(sample_tokens, shape), range(1, count + 1))
    masks = np.stack([np.zeros(count, bool), *(k.mask for k in kept)]).astype(int)
    return np.diff(masks, axis=0).argmax(axis=1).tolist()


def test_by_hand() -> None:
    #   180 degrees is 75 away from its nearest neighbour, all others 15 at most. Then 0 (180 away), 90 (90 from both),
    #   105 (15 from 90), 10 (10 from 0). Lengths do not matter.
    assert order(at(10, 105, 180, 0, 90), (1, 5)) == [2, 3, 4, 1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_formula(seed: int) -> None:
    tokens = unit_rows(24, 6, seed)
    distance = 1 - tokens.astype(np.float64) @ tokens.T
    nearest = [min(distance[i, j] for j in range(24) if j != i) for i in range(24)]
    expected = [int(np.argmax(nearest))]
    while len(expected) < 24:
        rest = [i for i in range(24) if i not in expected]
        expected.append(max(rest, key=lambda i: min(distance[i, j] for j in expected)))
    assert order(tokens, (4, 6)) == expected


def test_pages_compete_together_or_share_the_budget() -> None:
    #   The second page is the first one over again but for its last token: together it is worth that one alone.
    tokens, shapes = [at(0, 90, 180, 270), at(0, 90, 180, 225)], [(1, 4), (1, 4)]
    together = make_selector("divprune").select(given_sample(tokens, shapes), [5])[0].mask
    assert together[7] and together[[0, 1, 2]].sum() + together[[4, 5, 6]].sum() == 3 and together[3]
    apart = make_selector("divprune", {"most_joint": 7}).select(given_sample(tokens, shapes), [4])[0].mask
    assert (apart[:4].sum(), apart[4:].sum()) == (2, 2)


def test_what_it_says_of_itself() -> None:
    selector = make_selector("divprune")
    assert (selector.name, selector.needs, selector.reads_question) == ("divprune", frozenset(), False)
    (kept,) = selector.select(given_sample(unit_rows(6, 5), (2, 3)), [2])
    assert kept.scores is None and kept.merged is None
    assert kept.flops == 2 * 6 * 5 * (6 + 2)  # neighbours of all, then one row of cosines a token
