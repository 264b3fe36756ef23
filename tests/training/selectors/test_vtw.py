"""VTW: how many layers a budget buys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.training.selectors.samples import model_sample
from training.selectors import checked_select, make_selector
from training.selectors.vtw import VtwSelector, withdrawn


def test_half_of_the_layers_see_all() -> None:
    kept = withdrawn(10, 2, 4)
    assert not kept.mask.any() and kept.layers is not None
    assert kept.layers.starts == (0, 2) and [int(m.sum()) for m in kept.layers.masks] == [10, 0]
    assert kept.layers.budget == pytest.approx(0.5)


def test_no_layer_and_all_layers() -> None:
    none, everything = withdrawn(10, 0, 4), withdrawn(10, 4, 4)
    assert none.layers is not None and none.layers.budget == 0 and not none.mask.any()
    assert everything.layers is not None and everything.layers.budget == 1 and everything.mask.all()


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_budget_is_the_nearest_not_above(tiny_model: Callable[..., Any], family: str) -> None:
    sample = model_sample(tiny_model(family), [Image.new("RGB", (84, 84)), Image.new("RGB", (60, 90), "white")])
    n = sample.n_tokens
    budgets = [1, n // 2 - 1, n // 2 + 1, n]
    found = checked_select(make_selector("vtw"), sample, budgets)
    layers = [kept.layers for kept in found]
    assert [lay.budget for lay in layers if lay is not None] == [0, 0, 0.5, 1]  # of two layers
    assert [int(kept.mask.sum()) for kept in found] == [0, 0, 0, n]


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 80), st.data())
def test_layer_average_is_within_the_budget_and_one_more_layer_would_not_be(n: int, n_layers: int, data: Any) -> None:
    budget = data.draw(st.integers(1, n))

    class Sample:
        n_tokens = n

        def decoder(self) -> Any:
            return type("Decoder", (), {"n_layers": n_layers})

    [kept] = VtwSelector().select(Sample(), [budget])  # type: ignore[arg-type]
    assert kept.layers is not None
    seen = round(kept.layers.budget * n_layers)
    assert seen * n <= budget * n_layers < (seen + 1) * n
    assert np.array_equal(kept.mask, kept.layers.masks[-1])
