"""HoloV: quotas of stretches, against a slow version that computes the variance as the released code does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by, seen
from training.selectors import make_selector
from training.selectors.holov import HoloVSelector, token_scores


def test_by_hand() -> None:
    """Stretches 0-2, 3-5, 6-7 of sums 1.25, 1 and .75: of 5 tokens 2.1, 1.7 and 1.25, so 2 + 2 + 1.

    Of 4, 1.7, 1.3 and 1: 2 + 1 + 1.
    """
    saliency = [0.25, 0.5, 0.5, 0.125, 0.25, 0.625, 0.5, 0.25]
    sample = blank([(2, 4)], saliency=saliency)
    assert kept_by(HoloVSelector(stretches=3), sample, 5) == [1, 2, 4, 5, 6]
    assert kept_by(HoloVSelector(stretches=3), sample, 4) == [1, 2, 5, 6]


def test_a_page_has_a_right_to_tokens_for_its_size() -> None:
    """Pages of 12 and 4 tokens where everything stands out as much: 6 and 2 of 8, though stretches are as many."""
    sample = blank([(3, 4), (1, 4)], saliency=np.ones(16))
    kept = kept_by(HoloVSelector(stretches=2), sample, 8)
    assert [sum(token < 12 for token in kept), sum(token >= 12 for token in kept)] == [6, 2]


def test_what_a_stretch_has_not_got_goes_to_others() -> None:
    """Of 4 tokens the first stretch has a right to 3 and holds 2."""
    sample = blank([(1, 4)], saliency=[0.5, 0.4, 0.06, 0.04])
    assert kept_by(HoloVSelector(stretches=2), sample, 3) == [0, 1, 2]


def slow_token_scores(tokens: np.ndarray, attention: np.ndarray) -> np.ndarray:
    n = len(tokens)
    cosines = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                cosines[i, j] = tokens[i] @ tokens[j] / np.linalg.norm(tokens[i]) / np.linalg.norm(tokens[j])
    mean = cosines.sum(axis=1) / (n - 1)
    variance = np.array([sum((cosines[i, j] - mean[i]) ** 2 for j in range(n)) / (n - 1) for i in range(n)])
    scaled = 1e3 * attention
    return scaled + 0.09 * variance * scaled.mean() / (variance.mean() + 1e-6)


def test_token_scores_and_that_variance_moves_no_quota() -> None:
    rng = np.random.default_rng(1)
    tokens, attention = rng.normal(size=(9, 5)), rng.random(9) / 100
    found = token_scores(torch.from_numpy(tokens), torch.from_numpy(attention)).numpy()
    np.testing.assert_allclose(found, slow_token_scores(tokens, attention), rtol=1e-10)
    np.testing.assert_allclose(found.mean(), 1.09 * 1e3 * attention.mean(), rtol=1e-4)
    assert token_scores(torch.ones(1, 3), torch.tensor([0.25])).tolist() == [250.0]


def test_within_by_score() -> None:
    """Attention is equal; in the first stretch token 2 is unlike the others, whose cosines vary more than its own."""
    tokens = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]], dtype=np.float64)
    sample = seen(given_sample(tokens, (1, 6)), saliency=np.full(6, 0.1))
    expected = [int(i) for i in slow_token_scores(tokens[:3] + 0.0, np.full(3, 0.1)).argsort()[:1]]
    assert expected == [2]
    first = [i for i in kept_by(HoloVSelector(stretches=2, within="score"), sample, 4) if i < 3]
    assert first == [0, 1]


@pytest.mark.parametrize("options", [{}, {"stretches": 4}, {"stretches": 3, "within": "score"}])
def test_invariants(options: dict[str, object]) -> None:
    check_invariants(lambda: make_selector("holov", options), nested=False)
    check_ties(lambda: make_selector("holov", options))


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="stretches must be at least 1"):
        HoloVSelector(stretches=0)
    with pytest.raises(UsageError, match="within must be one of attention, score"):
        make_selector("holov", {"within": "crop"})
