"""ZSPAPrune by hand and against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from training.selectors import EncodedSample, make_selector


def kept(sample: EncodedSample, budget: int, **options: Any) -> list[int]:
    return np.flatnonzero(make_selector("zspaprune", options).select(sample, [budget])[0].mask).tolist()


def test_by_hand() -> None:
    tokens = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.3], [-1, 0, 0.1]])
    sample = given_sample(tokens, (1, 5), question=np.array([[2.0, 0, 0]]))
    #   p falls in the order of the tokens 0, 1, (2, 3), 4. Of the budget 3, round(.6 * 3) = 2 are the core 0, 1.
    #   Closest to a core token: 2 and 3 about .11 and .1, 4 about -.99: it is the one to add.
    assert kept(sample, 3) == [0, 1, 4]
    #   Of 4, round(2.4) = 2: core 0, 1; then 4; then 3, whose largest cosine is (.09 / .95 / .91) = .10 against .11.
    assert kept(sample, 4) == [0, 1, 3, 4]
    assert kept(sample, 2, gamma=1.0) == [0, 1]
    assert kept(sample, 2, gamma=0.0) == [0, 4], "the core has at least one token"
    assert kept(sample, 3, gamma=0.5) == [0, 1, 4], "1.5 is rounded up"
    assert kept(sample, 1) == [0]


def test_most_unlike_all_chosen_not_the_least_similar_one() -> None:
    #   The core is a = (1, 0, 1) and b = (-1, 0, 1). c is at right angles to both, d at .87 with a and -.47 with b:
    #   whoever goes by the smallest similarity instead of the largest takes d, which is nearly a.
    tokens = np.array([[1, 0, 1], [-1, 0, 1], [0, 1, 0], [1, -0.2, 0.3]])
    assert kept(given_sample(tokens, (2, 2), question=np.array([[0, 0, 1.0]])), 3) == [0, 1, 2]


def test_pooling() -> None:
    tokens = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1.0]])
    question = np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 11]])
    #   The mean points at (10, 10, 11): closest is (1, 1, 0) with .82, against .56 and .61. The largest cosines are 1,
    #   .71 and 1.
    sample = given_sample(tokens, (1, 3), question=question)
    assert kept(sample, 1) == [1]
    assert kept(sample, 2, pool="max", gamma=1.0) == [0, 2]
    #   Question tokens weigh by their length: the mean of these points nearly along the first axis.
    sample = given_sample(tokens, (1, 3), question=np.array([[10.0, 0, 0], [0, 1, 0]]))
    assert kept(sample, 1) == [0]


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("gamma", [0.2, 0.6])
def test_plain_loops(pool: str, gamma: float) -> None:
    tokens, question = unit_rows(30, 7, 3).astype(np.float64) * 2, unit_rows(4, 7, 4).astype(np.float64)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    if pool == "mean":
        relevance = [cosine(token, question.mean(axis=0)) for token in tokens]
    else:
        relevance = [max(cosine(token, word) for word in question) for token in tokens]
    for budget in (5, 13, 30):
        core = int(gamma * budget + 0.5)
        expected = sorted(range(30), key=lambda i: -relevance[i])[:core]
        while len(expected) < budget:
            rest = [i for i in range(30) if i not in expected]
            expected.append(min(rest, key=lambda i: max(cosine(tokens[i], tokens[j]) for j in expected)))
        assert kept(given_sample(tokens, (5, 6), question=question), budget, pool=pool, gamma=gamma) == sorted(expected)


def test_relevance_compares_shared_features_alone() -> None:
    tokens = np.array([[1, 0, 0], [0.5, 0.5, 9]])
    sample = given_sample(tokens, (1, 2), question=np.array([[1.0, 1, 5]]))
    sample.source.shared_dim = 2
    assert kept(sample, 1) == [1]
    sample = given_sample(tokens, (1, 2), question=np.array([[1.0, 1, -5]]))
    sample.source.shared_dim = 2
    assert kept(sample, 1) == [1], "the third feature is none of the question's"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"gamma": 1.2}, r"gamma must lie in \[0, 1\]"), ({"pool": "sum"}, "pool must be one of mean, max, got 'sum'")],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_selector("zspaprune", options)


def test_what_it_says_of_itself() -> None:
    selector = make_selector("zspaprune")
    assert (selector.name, selector.needs, selector.reads_question) == ("zspaprune", {"shared"}, True)
    (found,) = selector.select(given_sample(unit_rows(6, 5), (2, 3), question=unit_rows(2, 5)), [4])
    assert found.scores is None and found.flops == 2 * 6 * 5 * (1 + 4)
