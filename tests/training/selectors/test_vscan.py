"""VScan: windows and the whole page; and its stage in the decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import Layerwise, best
from tests.training.selectors.samples import model_sample
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from training.selectors import checked_select, make_selector
from training.selectors.vscan import VScanSelector, window_of_each
from training.vlm import VisionLanguageModel


def test_by_hand() -> None:
    """Windows of 2 x 2 over 2 x 4: the best of each by shallow attention is 5 and 2; then by deep 0 and, 2 taken, 7."""
    shallow = [0.1, 0.2, 0.9, 0.8, 0.3, 0.4, 0.5, 0.6]
    deep = [0.9, 0.0, 0.8, 0.1, 0.2, 0.3, 0.4, 0.7]
    sample = blank([(2, 4)], shallow=shallow, saliency=deep)
    assert kept_by(VScanSelector(window=2), sample, 4) == [0, 2, 5, 7]


def test_windows() -> None:
    """3 x 5 tokens in windows of 2: those at the right and the bottom are smaller; the next page's follow."""
    found = window_of_each(blank([(3, 5), (1, 3)]), 2)
    assert found.reshape(6, 3)[:5].ravel().tolist() == [0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5]
    assert found[15:].tolist() == [6, 6, 7]


def test_side_of_a_window_is_that_of_the_tower() -> None:
    """6 x 8 tokens, budget 8, 4 of them for windows, whose first tokens are the best.

    With a class token (LLaVA-NeXT) windows of 6 x 6 and 6 x 2 have a right to 3 and 1. Without, windows of 4 x 4 and
    2 x 4, two of each, have a right to 1.3 and .7, which is 1 each.
    """
    shallow = np.arange(48.0, 0, -1)
    clip = blank([(6, 8)], shallow=shallow, saliency=np.zeros(48), patches=np.zeros((48, 1)))
    plain = blank([(6, 8)], shallow=shallow, saliency=np.zeros(48))
    assert {0, 1, 2, 6} <= set(kept_by(VScanSelector(), clip, 8))
    assert {0, 4, 32, 36} <= set(kept_by(VScanSelector(), plain, 8))
    assert kept_by(VScanSelector(window=6), plain, 8) == kept_by(VScanSelector(), clip, 8)


@pytest.mark.parametrize("window", [2, 6])
def test_invariants(window: int) -> None:
    check_invariants(lambda: VScanSelector(window=window), nested=False)
    check_ties(lambda: VScanSelector(window=window))


@pytest.mark.parametrize("family", ["qwen2-vl", "qwen2.5-vl"])
def test_stage_two_is_the_decoder_cut_by_hand(
    tiny_model: Callable[..., VisionLanguageModel], model_folder: Callable[[str], Path], family: str
) -> None:
    sample = model_sample(tiny_model(family), [noise(200, 60), noise(120, 90)], needs={"vision", "decoder"})
    budget = sample.n_tokens // 5
    selector = make_selector("vscan", {"decoder_layer": 1})
    assert selector.needs == {"vision", "decoder"} and selector.reads_question
    [kept] = checked_select(selector, sample, [budget])
    first = kept_by(VScanSelector(), sample, 3 * budget)
    assert kept.layers is not None and kept.layers.starts == (0, 1) and kept.layers.n_layers == 2
    assert np.flatnonzero(kept.layers.masks[0]).tolist() == first
    decoder = sample.decoder()
    state = Layerwise(eager(model_folder(family)), decoder)
    places = decoder.visual_places.tolist()
    gone = set(places) - {places[token] for token in first}
    state.take([place for place in range(len(decoder.sequence)) if place not in gone], renumbered=False)
    state.run(0)
    row = state.attention(1).mean(dim=0)[-1]
    wanted = best([float(row[state.origin.index(places[token])]) for token in first], budget)
    assert np.flatnonzero(kept.mask).tolist() == sorted(first[i] for i in wanted)


def test_stage_two_of_everything(tiny_model: Callable[..., VisionLanguageModel]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), [noise(120, 90)], needs={"vision", "decoder"})
    one, everything = checked_select(VScanSelector(decoder_layer=1), sample, [1, sample.n_tokens])
    assert one.mask.sum() == 1 and everything.mask.all()


def test_released_counts(tiny_model: Callable[..., VisionLanguageModel]) -> None:
    """32 tokens in the end: 96 before. Of a third of all and more, stage 1 keeps all."""
    sample = model_sample(tiny_model("qwen2-vl"), [noise(400, 300)], needs={"vision", "decoder"})
    n = sample.n_tokens
    assert n > 96
    counts = [
        [int(mask.sum()) for mask in kept.layers.masks]
        for kept in checked_select(VScanSelector(decoder_layer=1), sample, [32, 1, n // 2])
        if kept.layers
    ]
    assert counts == [[96, 32], [3, 1], [n, n // 2]]


def test_impossible_options() -> None:
    assert VScanSelector().needs == {"vision"} and not VScanSelector().reads_question
    for options, message in [
        ({"window": 0}, "window must be at least 1"),
        ({"decoder_layer": 0}, "decoder_layer must be at least 1"),
        ({"share": 0.0}, "share must be more than 0"),
    ]:
        with pytest.raises(UsageError, match=message):
            make_selector("vscan", options)
