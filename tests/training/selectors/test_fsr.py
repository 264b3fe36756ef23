"""FSR by hand and against a slow reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from tests.training.selectors.signals import give_clip, give_saliency
from training.selectors import EncodedSample, Kept, make_selector


def select(sample: EncodedSample, budget: int, **options: Any) -> Kept:
    return make_selector("fsr", options).select(sample, [budget])[0]


def places(mask: np.ndarray | None) -> list[int]:
    assert mask is not None
    return np.flatnonzero(mask).tolist()


def test_by_hand_without_relevance() -> None:
    #   s = 8, 1, 0, 0, 0, 0, scaled 1, .125, 0, ...: 90 % of 1.125 is 1.0125, so the focus is tokens 0 and 1. From
    #   them (east and north) token 5 (west and south) is farthest; then token 4 is, of the rest, (down) at a cosine 0.
    #   Of tokens 2 and 3 the latter is the more similar to 5, and merged into it.
    tokens = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [-1, 0, 0.2], [0, 0, 1], [-1, -1, 0]])
    sample = give_saliency(given_sample(tokens, (2, 3)), np.array([8, 1, 0, 0, 0, 0.0]))
    one = select(sample, 3, relevance="none")
    assert (places(one.mask), places(one.merged)) == ([0, 1, 5], [3])
    #   Two scanned tokens merge two: all that is left, similar to them or not.
    two = select(sample, 4, relevance="none")
    assert (places(two.mask), places(two.merged)) == ([0, 1, 4, 5], [2, 3])
    assert places(select(sample, 4, relevance="none", kappa=0).merged) == []
    assert places(select(sample, 4, relevance="none", kappa=0.5).merged) == [3]
    assert places(select(sample, 3, relevance="none", kappa=0.5).merged) == [3], "half a token is one"
    #   A focus that does not fit is cut short, and leaves nothing to merge into.
    clamped = select(sample, 1, relevance="none")
    assert (places(clamped.mask), places(clamped.merged)) == ([0], [])
    #   Half of 1.125 is in token 0 alone. Farthest from east is 3 at -.98; from both, 1 at 0 and 0 (4 at 0 and .2).
    assert places(select(sample, 3, relevance="none", rho=0.5).mask) == [0, 1, 3]


def test_focus_by_hand() -> None:
    #   s scaled is 1, .5, .5, 0: half of their sum is in the first alone. Squared 1, .25, .25, 0: so are two thirds.
    tokens = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0]])
    sample = give_saliency(given_sample(tokens, (1, 4)), np.array([3, 2, 2, 1.0]))
    assert places(select(sample, 2, relevance="none", rho=0.5).mask) == [0, 3]
    assert places(select(sample, 2, relevance="none", rho=0.6).mask) in ([0, 1], [0, 2])
    assert places(select(sample, 2, relevance="none", rho=0.6, beta=2.0).mask) == [0, 3]
    #   r is 1, .5, 0, .5 of the question (1, 0), scaled to the distance from -1 to 1; to the power of 0 it has no say.
    asked = give_saliency(
        given_sample(np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]]), (1, 4), np.eye(2)[:1]), np.r_[:4]
    )
    #   s = 0, 1/3, 2/3, 1. r s = 0, 1/6, 0, 1/2; all of 2/3 is in tokens 3 and 1.
    assert places(select(asked, 1, relevance="text", alpha=1.0).mask) == [3]
    assert places(select(asked, 2, relevance="text", alpha=1.0, rho=1.0).mask) == [1, 3]
    assert places(select(asked, 2, relevance="text", alpha=0.0, rho=1.0).mask) == [2, 3]


def reference(
    tokens: np.ndarray, saliency: np.ndarray, similarity: np.ndarray | None, budget: int
) -> tuple[set[int], set[int]]:
    """Kept and merged tokens, one loop a sentence of the paper."""
    count = len(tokens)
    tokens = tokens.astype(np.float64)
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in tokens] for a in tokens]
    phi = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    if similarity is not None:
        phi = phi * ((similarity - similarity.min()) / (similarity.max() - similarity.min())) ** 3
    focus: list[int] = []
    for i in sorted(range(count), key=lambda i: -phi[i]):
        if len(focus) == budget or sum(phi[focus]) >= 0.9 * sum(phi):
            break
        focus.append(i)
    scan: list[int] = []
    while len(focus) + len(scan) < budget:
        rest = [i for i in range(count) if i not in focus + scan]
        scan.append(max(rest, key=lambda i: min(1 - cosine[i][j] for j in focus + scan)))
    rest = [i for i in range(count) if i not in focus + scan]
    closest = sorted(rest, key=lambda i: -max((cosine[i][j] for j in scan), default=0))
    return set(focus + scan), set(closest[: len(scan)])


@pytest.mark.parametrize("relevance", ["clip", "text", "none"])
@pytest.mark.parametrize("sign", [1, -1])
def test_reference(relevance: str, sign: int) -> None:
    tokens, saliency = unit_rows(30, 7, 1) * 2, np.abs(unit_rows(1, 30, 2)[0])
    question, patches, text = unit_rows(4, 7, 3) * 3, unit_rows(30, 5, 4) * 4, unit_rows(2, 5, 5)
    sample = give_saliency(given_sample(tokens, (5, 6), question=question), saliency)
    give_clip(sample, patches, text)
    similarity = {
        "clip": (patches / 4 @ text.T).mean(axis=1),
        "text": (tokens / 2 @ question.T / 3).mean(axis=1),
        "none": None,
    }[relevance]
    signed = None if similarity is None else sign * similarity
    budgets = [1, 3, 9, 14, 20, 29, 30]
    found = make_selector("fsr", {"relevance": relevance, "sign": sign}).select(sample, budgets)
    for budget, kept in zip(budgets, found, strict=True):
        expected = reference(tokens, saliency, signed, budget)
        assert (set(places(kept.mask)), set(places(kept.merged))) == expected
        assert kept.scores is None and not (kept.mask & kept.merged).any()


def test_a_signal_that_tells_nothing_apart_leaves_the_other() -> None:
    tokens = unit_rows(12, 5, 1)
    ranked = np.argsort(-(tokens @ np.ones(5)), kind="stable")
    asked = give_saliency(given_sample(tokens, (3, 4), question=np.ones((1, 5))), np.full(12, 0.3))
    assert places(select(asked, 2, relevance="text").mask) == sorted(ranked[:2])
    blind = give_saliency(given_sample(tokens, (3, 4), question=np.zeros((1, 5))), np.arange(12.0))
    assert places(select(blind, 3, relevance="text").mask) == [9, 10, 11]


def test_each_page_by_itself_has_its_own_focus() -> None:
    tokens, shapes = [unit_rows(6, 5, 1), unit_rows(6, 5, 2)], [(2, 3), (2, 3)]
    saliency = np.r_[10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5, 0]
    sample = give_saliency(given_sample(tokens, shapes), saliency)
    assert places(select(sample, 4, relevance="none").mask) == [0, 1, 2, 3]
    assert places(select(sample, 4, relevance="none", most_joint=11).mask) == [0, 1, 6, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relevance": "auto"}, "relevance must be one of clip, text, none, got 'auto'"),
        ({"alpha": -1}, "alpha must be a number of at least 0"),
        ({"beta": float("nan")}, "beta must be a number of at least 0"),
        ({"kappa": float("inf")}, "kappa must be a number of at least 0"),
        ({"rho": 0}, r"rho must lie in \(0, 1\]"),
        ({"sign": 3}, "sign must be 1 or -1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_selector("fsr", options)


@pytest.mark.parametrize(
    ("relevance", "name", "needs", "reads"),
    [
        ("clip", "fsr", {"vision", "clip"}, True),
        ("text", "fsr-text", {"vision", "shared"}, True),
        ("none", "fsr-none", {"vision"}, False),
    ],
)
def test_what_each_variant_says_of_itself(relevance: str, name: str, needs: set[str], reads: bool) -> None:
    selector = make_selector("fsr", {"relevance": relevance})
    assert (selector.name, selector.needs, selector.reads_question) == (name, needs, reads)


def test_flops() -> None:
    sample = give_saliency(given_sample(np.eye(6), (2, 3)), np.array([8, 1, 0, 0, 0, 0.0]))
    two, four = make_selector("fsr", {"relevance": "none"}).select(sample, [2, 4])
    assert two.flops == 0  # the focus fills it
    assert select(sample, 1, relevance="text").flops == 2 * 6 * 6  # cosines with the question
    assert four.flops == 2 * 6 * (6 * 4 + 2 * 2)  # cosines of all with the kept ones, of two left with two scanned
