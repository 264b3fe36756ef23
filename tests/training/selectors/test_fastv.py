"""FastV beside the eager attention of the same models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import grid_places
from tests.training.selectors.samples import model_sample
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from training.selectors import checked_select, make_selector
from training.selectors.fastv import FastVSelector
from training.vlm import VisionLanguageModel

Open = Callable[..., VisionLanguageModel]


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
@pytest.mark.parametrize("sizes", [[(30, 900)], [(120, 90), (30, 900)]], ids=["page", "pages"])
@pytest.mark.parametrize("layer", [1, 2])
def test_scores_are_those_of_eager_attention(
    tiny_model: Open, model_folder: Callable[[str], Path], family: str, sizes: list[tuple[int, int]], layer: int
) -> None:
    model, reference = tiny_model(family), eager(model_folder(family))
    sample = model_sample(model, [noise(*size) for size in sizes])
    decoder = sample.decoder()
    with torch.no_grad():
        inputs = reference.decoder_inputs(decoder.sequence, decoder.visual)
        maps = reference.weights(**inputs, output_attentions=True, use_cache=False).attentions
    places = grid_places(decoder, [model.layout(*size) for size in sizes], model.config.image_token_id)
    expected = maps[layer - 1][0].mean(dim=0)[-1, places]
    found = decoder.received(layer - 1, [decoder.last])[decoder.visual_places]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-4)

    budgets = [1, 7, sample.n_tokens // 2, sample.n_tokens]
    order = sorted(range(sample.n_tokens), key=lambda token: -float(expected[token]))
    for budget, kept in zip(budgets, checked_select(FastVSelector(layer), sample, budgets), strict=True):
        assert set(np.flatnonzero(kept.mask).tolist()) == set(order[:budget])
        assert kept.layers is not None and kept.layers.starts == (0, layer)
        assert kept.layers.masks[0].all() and (kept.layers.masks[1] == kept.mask).all()
        average = (layer * sample.n_tokens + (2 - layer) * budget) / (2 * sample.n_tokens)
        assert kept.layers.budget == pytest.approx(average)
        assert kept.scores is not None and kept.flops == decoder.row_flops(1) > 0


def test_first_layers_only_and_the_default(tiny_model: Open) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), [noise(200, 150)])
    selector = make_selector("fastv")
    _, _, signals = sample.ledger.charged(lambda: selector.select(sample, [5]))
    decoder = sample.decoder()
    # K = 2: the row of layer 1 needs layer 0 alone.
    assert signals["decoder"].flops == decoder.layers.flops(len(decoder.sequence))


def test_equal_tokens_are_drawn_alike(tiny_model: Open) -> None:
    """On a blank page neighbours tie almost; equal scores must not fall to the first of them."""
    model = tiny_model("qwen2-vl")
    sample = model_sample(model, [noise(200, 150)])
    decoder = sample.decoder()
    decoder.received = lambda *_: torch.ones(len(decoder.sequence))  # type: ignore[method-assign]
    [kept] = FastVSelector().select(sample, [sample.n_tokens // 2])
    half = kept.mask[: sample.n_tokens // 2].sum()
    assert 0 < half < sample.n_tokens // 2


def test_same_every_time(tiny_model: Open) -> None:
    twice = [
        FastVSelector().select(model_sample(tiny_model("llava-next"), [noise(30, 900)]), [3, 60]) for _ in range(2)
    ]
    for one, other in zip(*twice, strict=True):
        assert (one.mask == other.mask).all()


def test_layers_that_there_are_not(tiny_model: Open) -> None:
    with pytest.raises(UsageError, match="layer must be at least 1, got 0"):
        make_selector("fastv", {"layer": 0})
    with pytest.raises(UsageError, match=r"at most 2, the layers of this decoder, got 3 \(--set fastv\.layer=LAYER"):
        FastVSelector(3).select(model_sample(tiny_model("qwen2-vl"), [noise(60, 60)]), [1])
