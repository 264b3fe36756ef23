"""TRIM by hand: signs, lengths, and which part of the question counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from tests.training.selectors.signals import give_clip
from training.selectors import EncodedSample, make_selector

PATCHES = np.array([[1, 0], [6, 8], [-1, 1], [0, -2.0]])
TEXT = np.array([[2, 1], [-50, 0.0]])
"""Of a question of two chunks; dot products with the first one are 2, 20, -1, -2."""


def ranked(sample: EncodedSample, **options: Any) -> list[int]:
    kept = make_selector("trim", options).select(sample, [2])[0]
    assert kept.scores is not None and set(np.flatnonzero(kept.mask)) == set(np.argsort(-kept.scores)[:2])
    return np.argsort(-kept.scores).tolist()


def test_by_hand() -> None:
    sample = give_clip(given_sample(unit_rows(4, 3), (2, 2)), PATCHES, TEXT)
    assert ranked(sample) == [3, 2, 0, 1], "the least similar first; the second chunk is beyond CLIP's 77 tokens"
    assert ranked(sample, sign=1) == [1, 0, 2, 3]
    #   Over the patches' lengths these are 2, 2, -.71, -1: the first two are alike.
    assert ranked(sample, similarity="cosine")[:2] == [3, 2]


def test_length_counts_in_the_dot_product_alone() -> None:
    sample = give_clip(given_sample(unit_rows(2, 3), (1, 2)), np.array([[1, 0], [9, 9.0]]), np.array([[1, 0.0]]))
    assert ranked(sample) == [0, 1]
    assert ranked(sample, similarity="cosine") == [1, 0]


def test_as_released() -> None:
    patches, text = unit_rows(30, 8, 1) * 3, unit_rows(1, 8, 2) * 4
    weights = np.exp(-(patches @ text[0]))
    sample = give_clip(given_sample([unit_rows(20, 3), unit_rows(10, 3)], [(4, 5), (2, 5)]), patches, text)
    for budget, kept in zip((1, 7, 30), make_selector("trim").select(sample, [1, 7, 30]), strict=True):
        assert set(np.flatnonzero(kept.mask)) == set(np.argsort(-weights / weights.sum())[:budget])
        assert kept.flops == 2 * 30 * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sign": 2}, "sign must be 1 or -1, got 2"), ({"similarity": "l2"}, "similarity must be one of dot, cosine")],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_selector("trim", options)


def test_what_it_says_of_itself() -> None:
    selector = make_selector("trim")
    assert (selector.name, selector.needs, selector.reads_question) == ("trim", {"clip"}, True)
