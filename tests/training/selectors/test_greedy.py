"""The greedy choices that selectors share, against determinants and plain loops; and what holds for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from tests.training.selectors.signals import give_clip, give_saliency
from training.selectors import EncodedSample, Selector, checked_select, make_selector
from training.selectors.greedy import (
    cosines,
    dpp_flops,
    dpp_order,
    farthest_first,
    mean_cosine,
    min_max,
    nearest_cosine,
    parts_of,
    unit,
)

SELECTORS: dict[str, Callable[..., Selector]] = {
    "divprune": lambda **options: make_selector("divprune", options),
    "zspaprune": lambda **options: make_selector("zspaprune", options),
    "zspaprune max": lambda **options: make_selector("zspaprune", {"pool": "max"} | options),
    "cdpruner text": lambda **options: make_selector("cdpruner", options),
    "cdpruner clip": lambda **options: make_selector("cdpruner", {"relevance": "clip"} | options),
    "fsr clip": lambda **options: make_selector("fsr", options),
    "fsr text": lambda **options: make_selector("fsr", {"relevance": "text"} | options),
    "fsr none": lambda **options: make_selector("fsr", {"relevance": "none"} | options),
}
NESTING = [name for name in SELECTORS if not name.startswith("zspaprune")]


def sample_of(tokens: list[np.ndarray], shapes: list[tuple[int, int]], seed: int = 0) -> EncodedSample:
    """A sample with signals for every selector, all of them made from its tokens: equal tokens have equal signals."""
    every = np.concatenate(tokens)
    sample = given_sample(tokens, shapes, question=unit_rows(3, every.shape[1], 90), seed=seed)
    give_saliency(sample, np.abs(every @ unit_rows(1, every.shape[1], 91)[0]))
    return give_clip(sample, every @ unit_rows(every.shape[1], 4, 92), unit_rows(2, 4, 93))


def chosen(name: str, sample: EncodedSample, budgets: list[int], **options: int) -> np.ndarray:
    kept = checked_select(SELECTORS[name](**options), sample, budgets)
    assert [int(k.mask.sum()) for k in kept] == budgets
    return np.stack([k.mask for k in kept])


def det_greedy(kernel: np.ndarray, count: int) -> list[int]:
    picked: list[int] = []
    for _ in range(count):
        rest = [i for i in range(len(kernel)) if i not in picked]
        picked.append(max(rest, key=lambda i: np.linalg.det(kernel[np.ix_([*picked, i], [*picked, i])])))
    return picked


@pytest.fixture(params=[1, 2, 4, 256])
def leaders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few candidates are looked at among themselves, the choices are those of one step after another."""
    monkeypatch.setattr("training.selectors.greedy._LEADERS", request.param)


@pytest.mark.usefixtures("leaders")
@pytest.mark.parametrize("seed", range(6))
def test_dpp_takes_what_raises_the_determinant_most(seed: int) -> None:
    features = unit_rows(9, 12, seed).astype(np.float64) * np.random.default_rng(seed).uniform(0.2, 1, (9, 1))
    assert dpp_order(torch.tensor(features), 9).tolist() == det_greedy(features @ features.T, 9)


@pytest.mark.usefixtures("leaders")
@pytest.mark.parametrize("seed", range(4))
def test_dpp_beyond_its_rank_spreads_over_the_features(seed: int) -> None:
    features = unit_rows(12, 3, seed).astype(np.float64) * np.random.default_rng(seed).uniform(0.3, 1, (12, 1))
    picked = dpp_order(torch.tensor(features), 12).tolist()
    assert picked[:3] == det_greedy(features @ features.T, 3)
    for size in range(3, 12):
        rest = [i for i in range(12) if i not in picked[:size]]
        spread = {i: np.linalg.det(features[[*picked[:size], i]].T @ features[[*picked[:size], i]]) for i in rest}
        assert picked[size] == max(rest, key=spread.__getitem__)


@pytest.mark.usefixtures("leaders")
def test_dpp_by_hand() -> None:
    #   Squared lengths along the first axis 1, .64, along the second .81, .25. First 1, then .81; the rank is used up.
    #   Leverages: .64 / 1 = .64 against .25 / .81 = .31. The row of zeros explains nothing and comes last.
    features = torch.tensor([[0.8, 0], [0, 0], [0, 0.5], [1, 0], [0, 0.9]])
    assert dpp_order(features, 5).tolist() == [3, 4, 0, 2, 1]


@pytest.mark.usefixtures("leaders")
def test_dpp_of_nothing_is_still_a_choice() -> None:
    assert len(set(dpp_order(torch.zeros(5, 3), 4).tolist())) == 4
    for width in (3, 7):
        assert sorted(dpp_order(torch.ones(5, width) / width**0.5, 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("leaders")
def test_nothing_is_chosen_where_nothing_is_asked_for() -> None:
    assert dpp_order(torch.eye(3), 0).shape == farthest_first(torch.eye(3), torch.tensor([1]), 0).shape == (0,)


@pytest.mark.usefixtures("leaders")
@pytest.mark.parametrize(("count", "seeds"), [(19, [4]), (9, [7, 0, 3]), (0, [1]), (17, [2, 5, 9])])
def test_farthest_first_is_the_plain_loop(count: int, seeds: list[int]) -> None:
    rows = unit_rows(20, 5, seed=count)
    distance = 1 - rows.astype(np.float64) @ rows.T
    picked = list(seeds)
    for _ in range(count):
        rest = [i for i in range(20) if i not in picked]
        picked.append(max(rest, key=lambda i: min(distance[i, j] for j in picked)))
    assert farthest_first(torch.tensor(rows), torch.tensor(seeds), count).tolist() == picked[len(seeds) :]


@pytest.mark.usefixtures("leaders")
def test_farthest_first_goes_on_among_copies() -> None:
    rows = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    first, *rest = farthest_first(rows, torch.tensor([1]), 3).tolist()
    assert (first, sorted(rest)) == (3, [0, 2])


def test_nearest_cosine_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(7, 4)
    cosines = rows @ rows.T
    others = cosines - 3 * np.eye(7)
    for length in (1, 3, 100):
        monkeypatch.setattr("training.selectors.greedy.chunk_length", lambda *_, length=length: length)
        np.testing.assert_allclose(nearest_cosine(torch.tensor(rows)), others.max(axis=1), atol=1e-6)
        np.testing.assert_allclose(
            nearest_cosine(torch.tensor(rows), torch.tensor(rows[2:4])), cosines[:, 2:4].max(axis=1), atol=1e-6
        )
    assert nearest_cosine(torch.tensor(rows[:1])).tolist() == [-np.inf]


def test_scaling() -> None:
    assert min_max(torch.tensor([3.0, 1, 2])).tolist() == [1, 0, 0.5]
    assert min_max(torch.tensor([2.0, 2])).tolist() == [1, 1]
    assert unit(torch.tensor([[3.0, 4], [0, 0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    #   The cosines of (1, 0) with (2, 0) and (0, 5) are 1 and 0; those of (3, 4) are .6 and .8.
    found = mean_cosine(torch.tensor([[1.0, 0], [3, 4], [0, 0]]), torch.tensor([[2.0, 0], [0, 5]]))
    assert found.tolist() == [0.5, pytest.approx(0.7), 0]


def test_parts_are_pages_only_where_there_is_too_much() -> None:
    sample = given_sample([unit_rows(6, 3), unit_rows(4, 3)], [(2, 3), (2, 2)])
    (whole,) = parts_of(sample, [5, 10], 10)
    assert sorted(whole.candidates.tolist()) == list(range(10)) and whole.budgets == (5, 10)
    first, second = parts_of(sample, [5, 10], 9)
    assert (sorted(first.candidates.tolist()), first.budgets) == (list(range(6)), (3, 6))
    assert (sorted(second.candidates.tolist()), second.budgets) == (list(range(6, 10)), (2, 4))
    (page,) = parts_of(given_sample(unit_rows(6, 3), (2, 3)), [2], 1)
    assert len(page.candidates) == 6


@pytest.mark.parametrize("name", ["divprune", "zspaprune", "cdpruner", "fsr"])
def test_most_joint_is_checked(name: str) -> None:
    with pytest.raises(UsageError, match="most_joint must be at least 1, got 0"):
        make_selector(name, {"most_joint": 0})


@st.composite
def pages(draw: st.DrawFn) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """One to three pages of tokens, many of them alike, some of them zero."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = np.vstack([np.zeros((1, 3)), unit_rows(draw(st.integers(1, 12)), 3, 5)])
    return [kinds[rng.integers(0, len(kinds), rows * cols)] for rows, cols in shapes], shapes


@settings(max_examples=25, deadline=None)
@given(made=pages(), name=st.sampled_from(sorted(SELECTORS)), most_joint=st.sampled_from([1, 6, 4096]))
def test_every_budget_is_used_up(
    made: tuple[list[np.ndarray], list[tuple[int, int]]], name: str, most_joint: int
) -> None:
    count = sum(rows * cols for rows, cols in made[1])
    masks = chosen(name, sample_of(*made), list(range(1, count + 1)), most_joint=most_joint)
    again = chosen(name, sample_of(*made), list(range(1, count + 1)), most_joint=most_joint)
    assert (masks == again).all()
    if name in NESTING and (most_joint == 4096 or len(made[0]) == 1):
        assert all((small <= large).all() for small, large in itertools.pairwise(masks))


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_one_budget_alone_keeps_what_it_keeps_among_others(name: str) -> None:
    tokens, shapes = [unit_rows(12, 4, 1), unit_rows(8, 4, 2)], [(3, 4), (2, 4)]
    together = chosen(name, sample_of(tokens, shapes), [3, 7, 12])
    for mask, budget in zip(together, [3, 7, 12], strict=True):
        assert (chosen(name, sample_of(tokens, shapes), [budget])[0] == mask).all()


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_the_place_of_a_token_does_not_matter(name: str) -> None:
    tokens = unit_rows(20, 6, seed=11)
    moved = np.random.default_rng(0).permutation(20)
    here = chosen(name, sample_of([tokens], [(4, 5)]), [1, 4, 11])
    there = chosen(name, sample_of([tokens[moved]], [(4, 5)]), [1, 4, 11])
    assert (there == here[:, moved]).all()


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_equal_tokens_are_kept_wherever_they_are(name: str) -> None:
    alike = [np.tile(unit_rows(1, 4), (40, 1))]
    masks = [chosen(name, sample_of(alike, [(8, 5)], seed), [10])[0] for seed in range(30)]
    #   The mean place of 300 drawn from 0..39 without order is 19.5, give or take 0.7.
    assert abs(np.mean([np.flatnonzero(mask).mean() for mask in masks]) - 19.5) < 3
    assert len({mask.tobytes() for mask in masks}) == 30


def test_operations_of_a_dpp() -> None:
    assert dpp_flops(10, 4, 3) == 3 * (2 * 10 * 4 + 4 * 4 * 4)
    assert dpp_flops(4, 10, 3) == 2 * 10 * 4 * 4 + 3 * 2 * 4 * 4  # by way of the kernel


def test_equal_rows_have_equal_cosines() -> None:
    #   437 rows are no multiple of what a processor takes at a time: the last ones come out of another kernel.
    alike, others = torch.tensor(np.tile(unit_rows(1, 1024), (437, 1))), torch.tensor(unit_rows(7, 1024, 1))
    for some in (others, others[:1]):
        assert len(mean_cosine(alike, some).unique()) == 1 and len(cosines(alike, some).unique(dim=0)) == 1
