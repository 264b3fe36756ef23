"""CDPruner by hand and against the incremental Cholesky that it was published with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from tests.training.selectors.signals import give_clip
from training.selectors import EncodedSample, make_selector


def order(sample: EncodedSample, count: int, **options: Any) -> list[int]:
    """The tokens in the order in which growing budgets take them."""
    kept = make_selector("cdpruner", options).select(sample, range(1, count + 1))
    masks = np.stack([np.zeros(sample.n_tokens, bool), *(k.mask for k in kept)]).astype(int)
    return np.diff(masks, axis=0).argmax(axis=1).tolist()


def published(kernel: np.ndarray, count: int) -> list[int]:
    """Incremental Cholesky of Chen et al. (2018): rows c of the factor, d2 what is left of the diagonal."""
    left, rows, picked = np.diag(kernel).copy(), np.zeros((0, len(kernel))), []
    for _ in range(count):
        best = int(np.argmax(left))
        row = (kernel[best] - rows[:, best] @ rows) / np.sqrt(left[best])
        left -= row**2
        left[best] = -np.inf
        rows = np.vstack([rows, row])
        picked.append(best)
    return picked


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_by_hand() -> None:
    #   Cosines with the question (1, 0, 0): 1, .8, 0, -.6, so that r = 1, .875, .375, 0. Token 0 comes first. What is
    #   left of the others is r^2 (1 - cos^2 with token 0): .766 * .36 = .276 and .141 * 1. Token 1; of token 2, whose
    #   cosine with what is new in token 1 is 0, still .141. Token 3 counts for nothing.
    tokens = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [-0.6, 0.8, 0]])
    assert order(given_sample(tokens, (2, 2), question=np.array([[2.0, 0, 0]])), 4) == [0, 1, 2, 3]
    #   The same question the other way round: r = 0, .125, .625, 1.
    assert order(given_sample(tokens, (2, 2), question=np.array([[2.0, 0, 0]])), 4, sign=-1) == [3, 2, 1, 0]


@pytest.mark.parametrize("seed", range(4))
def test_text_relevance(seed: int) -> None:
    tokens, question = unit_rows(20, 32, seed) * 3, unit_rows(5, 32, seed + 50) * 2
    similarity = (unit(tokens) @ unit(question).T).astype(np.float64).mean(axis=1)
    relevance = (similarity - similarity.min()) / (similarity.max() - similarity.min())
    kernel = relevance[:, None] * (unit(tokens) @ unit(tokens).T) * relevance
    assert order(given_sample(tokens, (4, 5), question=question), 12) == published(kernel, 12)


@pytest.mark.parametrize("sign", [None, 1])
def test_clip_relevance(sign: int | None) -> None:
    tokens, patches, text = unit_rows(20, 32, 1), unit_rows(20, 8, 2) * 4, unit_rows(3, 8, 3) * 5
    similarity = (unit(patches) @ unit(text).T).astype(np.float64).mean(axis=1) * (sign or -1)
    relevance = (similarity - similarity.min()) / (similarity.max() - similarity.min())
    kernel = relevance[:, None] * (tokens @ tokens.T) * relevance
    sample = give_clip(given_sample(tokens, (4, 5)), patches, text)
    assert order(sample, 12, relevance="clip", sign=sign) == published(kernel, 12)


def test_pages_are_weighed_together_and_chosen_from_apart() -> None:
    #   The second page is far less relevant. Together it gets less than its half; apart its half.
    near, far = np.eye(8)[:4] + np.eye(8)[7] * 3, np.eye(8)[:4] + np.eye(8)[7] * np.array([[0.4], [0.3], [0.2], [0.1]])
    sample = given_sample([near, far], [(2, 2), (2, 2)], question=np.eye(8)[7:])
    together = make_selector("cdpruner").select(sample, [4])[0].mask
    apart = make_selector("cdpruner", {"most_joint": 4}).select(sample, [4])[0].mask
    assert together[4:].sum() < 2 and apart[4:].tolist() == [True, True, False, False]


def test_more_tokens_than_features() -> None:
    sample = given_sample(unit_rows(30, 3), (5, 6), question=unit_rows(2, 3, 9))
    kept = make_selector("cdpruner").select(sample, [2, 3, 4, 20, 30])
    assert [int(k.mask.sum()) for k in kept] == [2, 3, 4, 20, 30]


def test_question_of_no_consequence_leaves_diversity() -> None:
    tokens = unit_rows(12, 16, 4)
    sample = given_sample(tokens, (3, 4), question=np.zeros((2, 16)))
    picked = order(sample, 12)
    assert picked[1:] == published_from(tokens @ tokens.T, picked[0])


def published_from(kernel: np.ndarray, first: int) -> list[int]:
    """All others in greedy order: the kernel of a token that comes first is made the largest."""
    lifted = kernel.astype(np.float64)
    lifted[first] *= 2
    lifted[:, first] *= 2
    return published(lifted, len(kernel))[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"relevance": "both"}, "relevance must be one of text, clip, got 'both'"), ({"sign": 0}, "sign must be 1 or -1")],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_selector("cdpruner", options)


def test_what_it_says_of_itself() -> None:
    text, clip = make_selector("cdpruner"), make_selector("cdpruner", {"relevance": "clip"})
    assert (text.name, text.needs, clip.name, clip.needs) == ("cdpruner", {"shared"}, "cdpruner-clip", {"clip"})
    (kept,) = text.select(given_sample(unit_rows(6, 5), (2, 3), question=unit_rows(2, 5)), [4])
    assert kept.scores is None and kept.flops == 2 * 6 * 5 + 4 * (2 * 6 * 5 + 4 * 5 * 5)
