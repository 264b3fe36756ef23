"""Samples with given signals of a vision tower, and what must hold of every selector that reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

from tests.training.selectors.samples import given_sample
from training.selectors import EncodedSample, Kept, Selector, checked_select
from training.vlm.vision_pass import HUB_THRESHOLDS, VisionSignals

ONE_PAGE, THREE_PAGES = ((6, 7),), ((6, 7), (3, 4), (5, 5))
Shapes = Sequence[tuple[int, int]]


def given_signals(n: int, **given: object) -> VisionSignals:
    """These signals (n,) or (n, k) of n tokens of one tile; the others are 0."""
    empty = {
        "context": torch.zeros(n, len(HUB_THRESHOLDS) + 1),
        "keys": torch.ones(n, 2),
        "last_keys": torch.ones(n, 2),
        "tile": torch.zeros(n, dtype=torch.int64),
    }
    single = dict.fromkeys(
        ("saliency", "overview", "received", "logits_received", "logits_given", "shallow", "single"), torch.zeros(n)
    )
    own = {name: torch.as_tensor(np.asarray(value), dtype=torch.float32) for name, value in given.items()}
    if "tile" in own:
        own["tile"] = own["tile"].long()
    return VisionSignals(**single | empty | own)  # type: ignore[arg-type]


def seen(sample: EncodedSample, **given: object) -> EncodedSample:
    """The sample, with these signals as if a tower had given them."""
    sample.ledger.once("vision", lambda: given_signals(sample.n_tokens, **given))
    return sample


def blank(shapes: Shapes, seed: int = 0, **given: object) -> EncodedSample:
    """A sample of pages of these shapes whose tokens are of no account, with these signals."""
    tokens = [np.zeros((rows * cols, 2)) for rows, cols in shapes]
    return seen(given_sample(tokens, list(shapes), seed=seed), **given)


def random_sample(shapes: Shapes, seed: int = 0, equal: bool = False) -> EncodedSample:
    """A sample with random signals and tokens, or with the same everywhere."""
    rng = np.random.default_rng(0)
    n = sum(rows * cols for rows, cols in shapes)

    def values(*width: int) -> np.ndarray:
        return np.ones((n, *width)) if equal else rng.exponential(size=(n, *width))

    tokens = np.split(values(4), np.cumsum([rows * cols for rows, cols in shapes])[:-1])
    names = ("saliency", "overview", "received", "logits_received", "logits_given", "shallow", "single")
    wide = {"context": values(4), "keys": values(3), "last_keys": values(5), "patches": values(3)}
    return seen(given_sample(list(tokens), list(shapes), seed=seed), **{name: values() for name in names}, **wide)


def check_invariants(
    make: Callable[[], Selector],
    *,
    exact: bool = True,
    nested: bool = True,
    counted: Callable[[Kept], int] | None = None,
) -> None:
    """Budgets, determinism, nesting and ties, on one page and on several.

    Args:
        make: The selector.
        exact: Whether it uses every budget up.
        nested: Whether a larger budget keeps what a smaller one does.
        counted: What is counted against the budget; the mask by default.
    """
    count = counted or (lambda kept: int(kept.mask.sum()))
    for shapes in (ONE_PAGE, THREE_PAGES):
        sample = random_sample(shapes)
        budgets = [1, 2, 5, 13, 20, 21, sample.n_tokens - 1, sample.n_tokens]
        kept = checked_select(make(), sample, budgets)
        for budget, found in zip(budgets, kept, strict=True):
            assert count(found) == budget if exact else count(found) <= budget
            assert found.merged is None or not (found.mask & found.merged).any()
        if exact:
            assert kept[-1].mask.all()
        again = checked_select(make(), random_sample(shapes), budgets)
        alone = [checked_select(make(), random_sample(shapes), [budget])[0] for budget in budgets]
        for one, other, single in zip(kept, again, alone, strict=True):
            assert (one.mask == other.mask).all() and (one.mask == single.mask).all()
        if nested:
            assert all((larger.mask >= smaller.mask).all() for smaller, larger in pairwise(kept))


def check_ties(make: Callable[[], Selector], budget: int = 14) -> None:
    """Where no token differs from any other, none is favoured for its place: over seeds each half is kept as often."""
    masks = np.array([make().select(random_sample(ONE_PAGE, seed, equal=True), [budget])[0].mask for seed in range(60)])
    halves = np.split(masks.mean(axis=0), 2)
    assert abs(halves[0].mean() - halves[1].mean()) < 0.12
    assert len(np.unique(masks, axis=0)) > 10


def kept_by(selector: Selector, sample: EncodedSample, budget: int) -> list[int]:
    """The indices of what it keeps."""
    found: list[int] = np.flatnonzero(checked_select(selector, sample, [budget])[0].mask).tolist()
    return found
