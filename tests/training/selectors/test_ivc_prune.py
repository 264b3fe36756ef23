"""IVC-Prune: landmarks of the rotary embedding from their formula, foreground from values computed the slow way."""

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
from training.selectors import EncodedSample, checked_select, make_selector
from training.selectors.ivc_prune import coordinates, count, joint_order, value_similarity


@pytest.fixture(scope="module")
def pages() -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in [(196, 168), (112, 140)]]


def test_similarity_by_hand() -> None:
    # One head of width 4, so that products are halved: logits of the query are ln 3 and 0, weights 3/4 and 1/4. The
    # second head's values are equal to it.
    image = torch.zeros(2, 2, 4)
    image[0, 0, 0] = 2 * np.log(3)
    query = torch.zeros(2, 1, 4)
    query[0, 0, 0] = 1
    assert value_similarity(query, image).tolist() == [pytest.approx([(0.75 + 0.5) / 2, (0.25 + 0.5) / 2])]


def test_joint_order_by_hand() -> None:
    # Lengths 1 and 2: the first list reaches its tokens at 1, 2, 3, 4, the second at 0.5, 1, 1.5, 2.
    first, second = np.array([3, 0, 1, 2]), np.array([0, 1, 2, 3])
    # Token 0 at 0.5 (second), 1 and 3 at 1, 2 at 1.5.
    assert joint_order([(first, 1), (second, 2)], second).tolist() == [0, 1, 3, 2]
    assert joint_order([(first, 1), (second, 2)], first).tolist() == [0, 3, 1, 2]
    # A list that holds a few tokens alone.
    assert joint_order([(np.array([2]), 1), (second, 1)], second).tolist() == [0, 2, 1, 3]


def test_lengths_of_lists() -> None:
    assert [count(0.4, n) for n in (2880, 9, 11)] == [1152, 4, 4]  # 3.6 and 4.4 of the last two
    assert count(0.01, 20) == 1


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_published_lengths_give_the_published_union(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [(rng.permutation(n), length) for length in (count(0.1, n), count(0.1, n), count(0.4, n))]
    union = set().union(*(set(tokens[:length].tolist()) for tokens, length in lists))
    order = joint_order(lists, lists[-1][0])
    assert set(order[: len(union)].tolist()) == union and sorted(order.tolist()) == list(range(n))


@pytest.mark.parametrize(("family", "base"), [("llava-next", 1e4), ("qwen2-vl", 1e6), ("qwen3-vl", 1e6)])
def test_coordinates_are_sums_over_all_frequencies(
    tiny_model: Callable[..., Any], pages: list[Image.Image], family: str, base: float
) -> None:
    decoder = model_sample(tiny_model(family), pages[1:] if family == "llava-next" else pages).decoder()
    cosine, sine = coordinates(decoder)
    thetas = [base ** (-2 * k / 16) for k in range(8)]  # heads of width 16
    for token in (0, 7, len(cosine) - 1):
        axes = decoder.sequence.positions[:, decoder.visual_places[token]].tolist()
        v = sum(np.cos(m * theta) for m in axes for theta in thetas) / (len(axes) * 8)
        u = sum(np.sin(m * theta) for m in axes for theta in thetas) / (len(axes) * 8)
        assert (cosine[token], sine[token]) == pytest.approx((v, u), abs=1e-5)


def test_transposed_tokens_of_a_page_tie(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages[:1])
    grid = sample.pages[0].grid
    cosine, sine = (axis.reshape(grid.rows, grid.cols) for axis in coordinates(sample.decoder()))
    side = min(grid.rows, grid.cols)
    for landmark in (cosine[:side, :side], sine[:side, :side]):
        assert np.array_equal(landmark, landmark.T) and len(np.unique(landmark)) > side


def slow_foreground(sample: EncodedSample, model: Any, layer: int) -> tuple[list[int], list[float]]:
    """Seeds and refined scores, token by token, from the hidden states that transformers gives."""
    seen = sample.source.shown(sample.pages)  # type: ignore[attr-defined]
    layouts = [page.layout for page in seen]
    sequence = model.assemble(model.prompt(sample.question, len(seen)), layouts)
    inputs = model.decoder_inputs(sequence, type(seen[0].visual).cat([page.visual for page in seen]))
    with torch.inference_mode():
        hidden = model.inner(**inputs, use_cache=False, output_hidden_states=True).hidden_states[layer][0]
        module = model.inner.language_model.layers[layer]
        values = module.self_attn.v_proj(module.input_layernorm(hidden)).view(len(hidden), -1, 16).numpy()
    image = [
        int(place)
        for number, layout in enumerate(layouts)
        for place in np.flatnonzero(sequence.image == number)[layout.on_grid.numpy()]
    ]
    text = list(range(max(np.flatnonzero(sequence.image >= 0)) + 1, len(sequence)))

    def similarity(queries: list[int]) -> list[np.ndarray]:
        rows = []
        for query in queries:
            heads = []
            for head in range(values.shape[1]):
                logits = np.array([values[query, head] @ values[place, head] / 4 for place in image])
                heads.append(np.exp(logits) / np.exp(logits).sum())
            rows.append(np.mean(heads, axis=0))
        return rows

    by_text = similarity(text)
    mean = np.mean(by_text, axis=0)
    seeds = sorted(range(len(image)), key=lambda token: -mean[token])[: max(1, round(len(image) / 100))]
    return seeds, np.mean(by_text + similarity([image[seed] for seed in seeds]), axis=0).tolist()


# With a small foreground the seeds are not all among it.
@pytest.mark.parametrize(("family", "share"), [("llava-next", 0.4), ("llava-next", 0.002), ("qwen2-vl", 0.4)])
def test_published_budget_keeps_the_published_set(
    tiny_model: Callable[..., Any], pages: list[Image.Image], family: str, share: float
) -> None:
    model = tiny_model(family)
    sample = model_sample(model, pages[1:] if family == "llava-next" else pages)
    seeds, scores = slow_foreground(sample, model, 0)
    n = sample.n_tokens
    cosine, sine = coordinates(sample.decoder())
    union = set(seeds) | set(sorted(range(n), key=lambda token: -scores[token])[: max(1, round(share * n))])
    for axis in (cosine, sine):
        union |= set(sample.order(axis)[: round(0.1 * n)].tolist())
    assert len(union) < n * 0.62
    [kept] = checked_select(make_selector("ivc-prune", {"foreground": share}), sample, [len(union)])
    assert set(np.flatnonzero(kept.mask).tolist()) == union
    assert kept.layers is not None and kept.layers.starts == (0, 1) and kept.layers.masks[0].all()
    assert kept.layers.budget == pytest.approx((n + len(union)) / (2 * n)) and kept.flops > 0
    [plain] = make_selector("ivc-prune", {"foreground_only": True}).select(sample, [9])
    assert set(np.flatnonzero(plain.mask)) == set(sorted(range(n), key=lambda token: -scores[token])[:9])


def test_budgets_are_exact_and_nest(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages)
    budgets = [1, 4, sample.n_tokens // 3, sample.n_tokens]
    found = checked_select(make_selector("ivc-prune", {"layer": 1}), sample, budgets)
    again = make_selector("ivc-prune", {"layer": 1}).select(model_sample(tiny_model("qwen2-vl"), pages), budgets)
    assert [int(kept.mask.sum()) for kept in found] == budgets
    assert all((small.mask <= large.mask).all() for small, large in pairwise(found))
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, again, strict=True))


def test_equal_tokens_do_not_favour_the_top_of_the_page(tiny_model: Callable[..., Any]) -> None:
    # One colour: the values of all visual tokens are equal at the first layer.
    sample = model_sample(tiny_model("qwen2-vl"), [Image.new("RGB", (224, 224), "white")])
    [kept] = make_selector("ivc-prune", {"foreground_only": True}).select(sample, [sample.n_tokens // 4])
    rows = np.flatnonzero(kept.mask) // sample.pages[0].grid.cols
    assert abs(rows.mean() - (sample.pages[0].grid.rows - 1) / 2) < 1.5


@pytest.mark.parametrize("options", [{"layer": -1}, {"coordinates": 0.0}, {"foreground": 1.1}])
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        make_selector("ivc-prune", options)


def test_no_such_layer(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    with pytest.raises(UsageError, match=r"below 2, .* \(--set ivc-prune\.layer=LAYER"):
        make_selector("ivc-prune", {"layer": 2}).select(model_sample(tiny_model("qwen2-vl"), pages[:1]), [1])
