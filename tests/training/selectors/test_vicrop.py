"""ViCrop: relative attention against eager attention, the adaptive window against a slow search."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import model_sample
from training.selectors import checked_select, make_selector
from training.selectors.vicrop import GENERAL, SUFFIX, best_window, window_sums


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def slow_window(area: np.ndarray, cell: tuple[float, float], base: float) -> tuple[int, int, int, int]:
    """The published search, window by window: row, col, rows, cols. For maps without equal sums."""
    found = []
    for ratio in (1, 1.2, 1.4, 1.6, 1.8, 2):
        rows, cols = min(int(base * ratio / cell[0]), area.shape[0]), min(int(base * ratio / cell[1]), area.shape[1])
        if (rows, cols) == area.shape:
            if ratio == 1:
                return 0, 0, rows, cols
            continue
        sums = {
            (row, col): area[row : row + rows, col : col + cols].sum()
            for row in range(area.shape[0] - rows + 1)
            for col in range(area.shape[1] - cols + 1)
        }
        row, col = max(sums, key=lambda place: sums[place])
        near = [sums[p] for p in [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)] if p in sums]
        found.append(((sums[row, col] - sum(near) / len(near)) / (rows * cols), (row, col, rows, cols)))
    return max(found)[1]


def test_sums_by_hand() -> None:
    area = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert window_sums(area, 1, 2).tolist() == [[3, 5], [9, 11]]
    assert window_sums(area, 2, 2).tolist() == [[12, 16]]
    assert window_sums(area, 2, 3).tolist() == [[21]]


def test_window_by_hand() -> None:
    # Cells of 10 px, base 20: windows of 2, 2, 2, 3, 3, 4 cells. The bright 2 x 2 block stands out most at size 2: its
    # sum is 40 and its four neighbours hold half of it and two cells of 1.
    area = np.ones((6, 6))
    area[2:4, 3:5] = 10
    window = best_window([area], [(10.0, 10.0)], 20, generator())
    assert (window.row, window.col, window.rows, window.cols) == (2, 3, 2, 2)
    assert np.flatnonzero(window.mask(0, area.shape)).tolist() == [15, 16, 21, 22]
    assert not window.mask(1, area.shape).any()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.floats(10, 60))
def test_window_is_that_of_the_slow_search(seed: int, rows: int, cols: int, base: float) -> None:
    area = np.random.default_rng(seed).random((rows, cols)) + 0.1
    window = best_window([area], [(10.0, 8.0)], base, generator())
    assert (window.row, window.col, window.rows, window.cols) == slow_window(area, (10.0, 8.0), base)


def test_tokens_larger_than_the_base_and_pages_much_taller_than_wide() -> None:
    # 13938 px in 24 rows are 581 px a row: the published search would sum over no token at all.
    area = np.ones((24, 1))
    area[20] = 2
    window = best_window([area], [(581.0, 87.0)], 336, generator())
    assert (window.row, window.rows, window.cols) == (20, 1, 1)


def test_a_page_within_the_base_is_its_own_window() -> None:
    window = best_window([np.ones((3, 4))], [(10.0, 10.0)], 50, generator())
    assert (window.row, window.col, window.rows, window.cols) == (0, 0, 3, 4)


def test_best_window_over_pages() -> None:
    plain, bright = np.ones((5, 5)), np.ones((5, 5))
    bright[0, 4] = 9
    cells = [(10.0, 10.0)] * 2
    assert best_window([plain, bright], cells, 10, generator()).page == 1
    assert best_window([bright, plain], cells, 10, generator()).page == 0


def test_equal_windows_are_drawn_at_random() -> None:
    area = np.full((4, 4), 0.1)
    windows = {best_window([area], [(10.0, 10.0)], 10, np.random.default_rng(s)).row for s in range(40)}
    assert len(windows) == 4


@pytest.fixture(scope="module")
def pages() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in [(140, 112), (84, 168)]]


def eager_ratio(model: Any, sample: Any, layer: int) -> np.ndarray:
    """A(x, q) / A(x, q') from the model's own attention weights, in eager mode."""
    seen = sample.source.shown(sample.pages)
    decoder, found = model.inner.language_model, []
    before = decoder.config._attn_implementation
    for text in (sample.question + SUFFIX, GENERAL + SUFFIX):
        sequence = model.assemble(model.prompt(text, len(seen)), [page.layout for page in seen])
        inputs = model.decoder_inputs(sequence, type(seen[0].visual).cat([page.visual for page in seen]))
        decoder.set_attn_implementation("eager")
        try:
            with torch.inference_mode():
                weights = model.inner(**inputs, use_cache=False, output_attentions=True).attentions[layer]
        finally:
            decoder.set_attn_implementation(before)
        slots = torch.cat(
            [torch.nonzero(sequence.image == number)[:, 0][page.layout.on_grid] for number, page in enumerate(seen)]
        )
        found.append(weights[0].mean(dim=0)[-1, slots].double().numpy())
    return np.asarray(found[0] / found[1])


@pytest.mark.parametrize(("family", "count"), [("llava-next", 1), ("qwen2-vl", 1), ("qwen2-vl", 2)])
def test_relative_attention_is_that_of_the_eager_model(
    tiny_model: Callable[..., Any], pages: list[Image.Image], family: str, count: int
) -> None:
    model = tiny_model(family)
    sample = model_sample(model, pages[:count])
    for layer in (0, 1):
        found, flops = make_selector("vicrop", {"layer": layer}).relative_attention(sample)  # type: ignore[attr-defined]
        expected = eager_ratio(model, sample, layer)
        assert found == pytest.approx(expected, rel=1e-5) and flops > 0
    # 14/32 of two layers is the second.
    [kept] = checked_select(make_selector("vicrop"), sample, [7])
    assert set(np.flatnonzero(kept.mask)) == set(np.argsort(-expected)[:7])


@pytest.mark.parametrize("name", ["vicrop", "vicrop-region"])
def test_budgets_are_exact_and_nest(tiny_model: Callable[..., Any], pages: list[Image.Image], name: str) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages)
    budgets = [1, 5, sample.n_tokens // 2, sample.n_tokens]
    found = checked_select(make_selector(name), sample, budgets)
    again = checked_select(make_selector(name), model_sample(tiny_model("qwen2-vl"), pages), budgets)
    assert [int(kept.mask.sum()) for kept in found] == budgets
    assert all((small.mask <= large.mask).all() for small, large in pairwise(found))
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, again, strict=True))
    assert all(kept.scores is not None and kept.layers is None for kept in found)
    assert {"decoder", "encode"} <= set(sample.ledger.charged(lambda: make_selector(name).select(sample, [1]))[2])


def test_region_comes_first(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    model = tiny_model("qwen2-vl")
    sample = model_sample(model, pages[:1])
    selector = make_selector("vicrop-region", {"base": 60})
    relative, _ = selector.relative_attention(sample)  # type: ignore[attr-defined]
    grid = sample.pages[0].grid
    cell = (140 / grid.rows, 112 / grid.cols)
    row, col, rows, cols = slow_window(relative.reshape(grid.rows, grid.cols), cell, 60)
    inside = {(row + i) * grid.cols + col + j for i in range(rows) for j in range(cols)}
    assert 1 < len(inside) < grid.n_tokens
    few, exact, more = selector.select(sample, [2, len(inside), len(inside) + 1])
    assert set(np.flatnonzero(exact.mask)) == inside
    assert set(np.flatnonzero(few.mask)) == set(sorted(inside, key=lambda token: -relative[token])[:2])
    outside = max(set(range(grid.n_tokens)) - inside, key=lambda token: relative[token])
    assert set(np.flatnonzero(more.mask)) == inside | {outside}


@pytest.mark.parametrize(("family", "base"), [("llava-next", 336), ("qwen2-vl", 224)])
def test_smallest_window_of_a_family(
    tiny_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, family: str, base: int
) -> None:
    bases = []

    def watched(maps: Any, cells: Any, base: float, generator: Any) -> Any:
        bases.append(base)
        return best_window(maps, cells, base, generator)

    monkeypatch.setattr("training.selectors.vicrop.best_window", watched)
    sample = model_sample(tiny_model(family), [Image.new("RGB", (30, 600), "white")])
    for options in ({}, {"base": 50}):
        make_selector("vicrop-region", options).select(sample, [1])
    assert bases == [base, 50]


def test_an_empty_suffix_looks_at_the_prompt_that_others_look_at(
    tiny_model: Callable[..., Any], pages: list[Image.Image]
) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages[:1])
    with_suffix, _ = make_selector("vicrop").relative_attention(sample)  # type: ignore[attr-defined]
    without, _ = make_selector("vicrop", {"suffix": ""}).relative_attention(sample)  # type: ignore[attr-defined]
    assert not np.allclose(with_suffix, without)
    assert f"prompt.{sample.question}" in sample.ledger.costs


@pytest.mark.parametrize("options", [{"layer": -1}, {"base": 0}])
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        make_selector("vicrop-region", options)


def test_no_such_layer(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    with pytest.raises(UsageError, match=r"below 2, .* \(--set vicrop\.layer=LAYER"):
        make_selector("vicrop", {"layer": 2}).select(model_sample(tiny_model("qwen2-vl"), pages[:1]), [1])
