"""VisionZip: dominant tokens and where contextual ones stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import model_sample
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by
from tests.training.vlm.pictures import noise
from training.selectors import Kept, checked_select, make_selector
from training.selectors.visionzip import VisionZipSelector
from training.vlm import open_model


def both(kept: Kept) -> int:
    assert kept.merged is not None
    return int((kept.mask | kept.merged).sum())


def test_by_hand() -> None:
    """Budget 4 with half of it contextual: 1 and 5 are dominant; of 0 2 3 4 6 7 every third is a target: 0 and 4."""
    sample = blank([(2, 4)], saliency=[0.1, 0.9, 0.2, 0.3, 0.0, 0.8, 0.4, 0.05])
    [kept] = VisionZipSelector(contextual=0.5).select(sample, [4])
    assert np.flatnonzero(kept.mask).tolist() == [1, 5]
    assert kept.merged is not None and np.flatnonzero(kept.merged).tolist() == [0, 4]
    # Four of eight tokens are neither: each is compared with both targets by keys of width 2.
    assert kept.flops == 2 * 4 * 2 * 2


def test_published_split() -> None:
    """54 + 10 of 64, 162 + 30 of 192; of 576 tokens."""
    sample = blank([(24, 24)], saliency=np.random.default_rng(0).random(576))
    kept = VisionZipSelector().select(sample, [64, 192])
    assert [int(one.mask.sum()) for one in kept] == [54, 162] and [both(one) for one in kept] == [64, 192]
    assert all(one.scores is None for one in kept)
    # 10 / 64 of 10 tokens are 1.6, which is 2.
    assert VisionZipSelector().select(sample, [10])[0].mask.sum() == 8


def test_dominant_alone_is_a_ranking() -> None:
    saliency = [0.1, 0.9, 0.2, 0.3]
    [kept] = VisionZipSelector(contextual=0).select(blank([(2, 2)], saliency=saliency), [2])
    assert kept.merged is None and kept.scores is not None and kept.scores.argsort().tolist() == [0, 2, 3, 1]


def test_pages_compete() -> None:
    sample = blank([(1, 3), (1, 3)], saliency=[0.1, 0.2, 0.3, 0.6, 0.5, 0.4])
    assert kept_by(VisionZipSelector(contextual=0), sample, 3) == [3, 4, 5]


@pytest.mark.parametrize("share", [0.0, 10 / 64, 0.5])
def test_invariants(share: float) -> None:
    check_invariants(lambda: VisionZipSelector(share), counted=both if share else None)
    check_ties(lambda: VisionZipSelector(share))


@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl"])
def test_tower_alone_is_enough_for_the_whole_family(model_folder: Callable[[str], Path], family: str) -> None:
    """On a model without its language model, over two pages, and never by the question."""
    tower = open_model(model_folder(family), dtype="float32", device="cpu")
    images = [noise(200, 60), noise(120, 160)]
    samples = [model_sample(tower, images, question, needs={"vision"}) for question in ("Why?", "Who signed it?")]
    for name in ("visionzip", "holov", "vscan", "fopru", "fopru-row", "vflowopt", "prumerge-plus", "visiondrop"):
        selector = make_selector(name)
        assert selector.name == name and selector.needs == {"vision"} and not selector.reads_question
        budgets = [1, 9, samples[0].n_tokens // 3]
        for one, other, budget in zip(*(checked_select(selector, s, budgets) for s in samples), budgets, strict=True):
            assert (one.mask == other.mask).all() and 0 < one.mask.sum() <= budget


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_impossible_share(share: float) -> None:
    with pytest.raises(UsageError, match="contextual must be at least 0"):
        make_selector("visionzip", {"contextual": share})
