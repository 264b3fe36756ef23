"""PTP: quotas of tiles, and what saliency and the decoder's attention keep in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import Layerwise, best
from tests.training.selectors.samples import model_sample
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from training.selectors import EncodedSample, checked_select, make_selector
from training.selectors.ptp import PtpSelector, fused
from training.vlm import VisionLanguageModel


def with_rows(sample: EncodedSample, rows: np.ndarray) -> EncodedSample:
    """The sample, whose decoder gives these rows (heads, text, N) and holds nothing but its visual tokens."""
    given = torch.as_tensor(rows, dtype=torch.float32)
    decoder = SimpleNamespace(
        rows=lambda layer, queries: given,
        text_places=torch.arange(rows.shape[1]),
        visual_places=torch.arange(rows.shape[2]),
        row_flops=lambda queries: 10.0 * queries,
        n_layers=8,
    )
    sample.ledger.once(f"prompt.{sample.question}", lambda: decoder)
    return sample


def test_by_hand() -> None:
    """Tiles 0 1 2 and 3 4 5 that the view of the whole gives .6 and .4: of 4 tokens 2.4 and 1.6, so 2 each.

    Means over two heads, then the larger of two text tokens: c = .5 .1 0 .3 .1 .2. b = .1 .3 .2 .2 .1 .1.
    """
    rows = np.array(
        [[[0.8, 0, 0, 0.2, 0.1, 0.1], [0, 0.1, 0, 0.4, 0, 0]], [[0.2, 0, 0, 0.1, 0.1, 0.3], [0, 0.1, 0, 0.2, 0, 0.0]]]
    )
    saliency = [0.1, 0.3, 0.2, 0.2, 0.1, 0.1]
    overview, tile = [0.2, 0.3, 0.1, 0.2, 0.2, 0.0], [0, 0, 0, 1, 1, 1]
    sample = with_rows(blank([(2, 3)], saliency=saliency, overview=overview, tile=tile), rows)
    # Scaled: b = 0 1 .5 .5 0 0, c = 1 .2 0 .6 .2 .4; halves 0.5 0.6 .25 .55 .1 .2.
    assert kept_by(PtpSelector(), sample, 4) == [0, 1, 3, 5]
    assert kept_by(PtpSelector(), sample, 3) == [0, 1, 3]
    assert kept_by(PtpSelector(alpha=0.0), sample, 3) == [1, 2, 3]
    other = with_rows(blank([(2, 3)], saliency=saliency, overview=overview[::-1], tile=tile), rows)
    assert kept_by(PtpSelector(), other, 3) == [1, 3, 5]
    [kept] = checked_select(PtpSelector(), sample, [3])
    assert kept.layers is not None and kept.layers.starts == (0, 3) and kept.flops == 20
    assert kept.layers.masks[0].all() and kept.layers.budget == pytest.approx((3 * 6 + 5 * 3) / 48)


def test_fused_where_nothing_differs() -> None:
    even = torch.full((3,), 0.2)
    assert fused(even, torch.tensor([0.0, 2.0, 1.0]), 0.5).tolist() == [0.5, 1.0, 0.75]


def make_random() -> PtpSelector:
    class Random(PtpSelector):
        def select(self, sample, budgets):  # type: ignore[no-untyped-def]
            equal = float(sample.vision().saliency.std()) == 0
            rows = (
                np.ones((2, 3, sample.n_tokens)) if equal else np.random.default_rng(1).random((2, 3, sample.n_tokens))
            )
            return super().select(with_rows(sample, rows), budgets)

    return Random()


def test_invariants() -> None:
    check_invariants(make_random)
    check_ties(make_random)


@pytest.mark.parametrize("family", ["qwen2-vl", "qwen2.5-vl"])
def test_rows_are_those_of_the_decoder(
    tiny_model: Callable[..., VisionLanguageModel], model_folder: Callable[[str], Path], family: str
) -> None:
    """One page of Qwen is one tile: the best of saliency and attention, from eager attention."""
    sample = model_sample(tiny_model(family), [noise(300, 200)], needs={"vision", "decoder"})
    budget = sample.n_tokens // 5
    [kept] = checked_select(PtpSelector(layer=1), sample, [budget])
    decoder = sample.decoder()
    state = Layerwise(eager(model_folder(family)), decoder)
    state.run(0)
    places = decoder.visual_places.tolist()
    text = range(places[-1] + 1, len(decoder.sequence))
    weights = state.attention(1).mean(dim=0)
    attention = [max(float(weights[query, place]) for query in text) for place in places]
    saliency = sample.vision().saliency.tolist()

    def scaled(values: list[float]) -> list[float]:
        return [(value - min(values)) / (max(values) - min(values)) for value in values]

    both = [a + b for a, b in zip(scaled(saliency), scaled(attention), strict=True)]
    assert np.flatnonzero(kept.mask).tolist() == sorted(best(both, budget))


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="alpha must be from 0 to 1"):
        make_selector("ptp", {"alpha": 1.5})
    with pytest.raises(UsageError, match="layer must be at least 0"):
        make_selector("ptp", {"layer": -1})
