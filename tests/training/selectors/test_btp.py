"""BTP: its pieces by hand, and the whole against a naive pass through the decoder, layer by layer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.errors import UsageError
from tests.training.selectors.samples import given_sample, model_sample, unit_rows
from tests.training.vlm.eager import eager, recorded
from tests.training.vlm.tiny import tiny_model_folder
from training.selectors import EncodedSample, checked_select, make_selector
from training.selectors.btp import Candidates, by_attention, farthest_points, in_proportion, max_min, rebalanced, spread
from training.vlm import open_model

LAYERS = 8


def test_attention_of_the_first_half_goes_first() -> None:
    ranked = by_attention(np.array([0.1, 0.5, 0.2, 0.9, 0.4, 0.8]), np.arange(6))
    assert ranked.tolist() == [3, 5, 1, 4, 2, 0]
    # Of the four best, 3, 5, 1, 4, index 1 alone is below 3.
    assert rebalanced(ranked, 3, 4, 3).tolist() == [1, 3, 5]
    assert rebalanced(ranked, 2, 2, 3).tolist() == [3, 5]
    assert rebalanced(ranked, 3, 6, 3).tolist() == [1, 2, 0]
    assert rebalanced(ranked, 0, 0, 3).tolist() == []
    assert by_attention(np.zeros(3), np.array([2, 0, 1])).tolist() == [1, 2, 0]


def test_first_stage_looks_far_into_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    # 20 of 40 tokens, the lower half looked at most: int(0.3 x 20) = 6 of the int(3.7 x 6) = 22 best; 0 and 1 are in.
    monkeypatch.setattr("training.selectors.btp.farthest_points", lambda *_: np.zeros(0, np.int64))
    found = object.__new__(Candidates)
    found.sample, found.tokens, found.ranked = None, np.arange(40), np.r_[20:40, :20]  # type: ignore[assignment]
    found.diverse = lambda *_: np.zeros(0, np.int64)  # type: ignore[method-assign]
    assert sorted(found.for_llava(0, 20, True).tolist()) == [0, 1, 20, 21, 22, 23]
    assert sorted(found.for_llava(0, 20, False).tolist()) == [20, 21, 22, 23, 24, 25]


def test_spread_by_hand() -> None:
    generator = np.random.default_rng(0)
    # From the corner of 3 x 3: the far corner, then the other two, and the rest are all 1 away from these but the
    # middle, which is 2.
    found = spread(3, 3, 5, generator).tolist()
    assert found[:2] == [0, 8] and set(found[2:4]) <= {2, 6, 4} and spread(3, 3, 0, generator).tolist() == []
    assert sorted(spread(3, 3, 9, generator).tolist()) == list(range(9))
    assert spread(1, 5, 3, generator).tolist() == [0, 4, 2]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_spread_is_greedy_and_draws_ties(rows: int, cols: int, data: Any) -> None:
    wanted = data.draw(st.integers(1, rows * cols))
    found = spread(rows, cols, wanted, np.random.default_rng(data.draw(st.integers(0, 99)))).tolist()
    at = [(i // cols, i % cols) for i in range(rows * cols)]

    def to_chosen(token: int, chosen: list[int]) -> int:
        return min(abs(at[token][0] - at[c][0]) + abs(at[token][1] - at[c][1]) for c in chosen)

    for number in range(1, wanted):
        chosen = found[:number]
        assert to_chosen(found[number], chosen) == max(to_chosen(token, chosen) for token in range(rows * cols))
    assert len(set(found)) == wanted


@settings(deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_shares_fit(wanted: int, sizes: list[int]) -> None:
    wanted = min(wanted, sum(sizes))
    shares = in_proportion(wanted, np.array(sizes))
    assert sum(shares) == wanted and all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))


def test_points_of_several_pages() -> None:
    sample = given_sample([unit_rows(16, 4), unit_rows(8, 4)], [(4, 4), (2, 4)])
    found = farthest_points(sample, 9)
    assert len(set(found.tolist())) == 9 and (found < 16).sum() == 6
    assert {0, 16} <= set(found.tolist())


def slow_max_min(hidden: np.ndarray, chosen: list[int], wanted: int) -> list[int]:
    """DivPrune's greedy choice from the whole matrix of distances."""
    rows = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    distance = 1 - rows @ rows.T
    found = list(chosen)
    for _ in range(wanted):
        alone = distance + np.diag(np.full(len(rows), np.inf))
        score = distance[found].min(axis=0) if found else alone.min(axis=1)
        score[found] = -np.inf
        found.append(int(score.argmax()))
    return found[len(chosen) :]


@pytest.mark.parametrize("seeds", [[], [3], [1, 4, 9]])
def test_max_min_is_that_of_the_whole_matrix(seeds: list[int]) -> None:
    rows = unit_rows(20, 6)
    found = max_min(torch.from_numpy(rows), torch.tensor(seeds, dtype=torch.int64), 7)
    assert found.tolist() == slow_max_min(rows.astype(np.float64), seeds, 7)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny models with eight layers."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tiny_model_folder(family, tmp_path_factory.mktemp("deep") / family, layers=LAYERS)
        return made[family]

    return folder


@pytest.fixture(scope="module")
def pages() -> list[Image.Image]:
    rng = np.random.default_rng(2)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in [(336, 308), (84, 140)]]


def sample_of(folder: Path, pages: list[Image.Image]) -> EncodedSample:
    return model_sample(open_model(folder, dtype="float32", device="cpu", language=True), pages)


def naive(sample: EncodedSample, folder: Path, counts: list[int], first_points: set[int]) -> list[set[int]]:
    """What each stage keeps, one eager layer after the other, in sets of ints; stages before layers 1, 2 and 4 of 8."""
    model = eager(folder)
    is_llava = model.family == "llava-next"
    seen = sample.source.shown(sample.pages)  # type: ignore[attr-defined]
    sequence = model.assemble(model.prompt(sample.question, len(seen)), [page.layout for page in seen])
    language = model.inner.language_model
    hidden = model.inner.get_input_embeddings()(sequence.ids)
    hidden[sequence.image >= 0] = torch.cat([page.visual.tokens for page in seen])
    positions = sequence.positions
    tokens = torch.full((len(sequence),), -1)
    on_grid = np.concatenate([page.layout.role for page in seen]) == 0
    tokens[torch.nonzero(sequence.image >= 0)[:, 0][torch.from_numpy(on_grid)]] = torch.arange(sample.n_tokens)
    kept: list[set[int]] = []
    weights = torch.zeros(0)
    module = importlib.import_module(type(language).__module__)
    for layer in range(5):
        if layer in (1, 2, 4):
            image = [i for i in range(len(tokens)) if tokens[i] >= 0]
            states = hidden[image].double().numpy()
            attention = weights[0, :, -1, image].double().mean(dim=0).numpy()
            chosen = naive_stage(is_llava, len(kept), counts[len(kept)], states, attention, first_points)
            kept.append({int(tokens[image[i]]) for i in chosen})
            stays = [i for i in range(len(tokens)) if tokens[i] < 0 or int(tokens[i]) in kept[-1]]
            hidden, positions, tokens = hidden[stays], positions[:, stays], tokens[stays]
        mask = torch.full((len(tokens), len(tokens)), -torch.inf).triu(1)[None, None]
        angles = language.rotary_emb(hidden[None], positions if is_llava else positions[:, None])
        with torch.inference_mode(), recorded(module) as calls:
            made = language.layers[layer](hidden[None], attention_mask=mask, position_embeddings=angles)
        hidden, weights = (made[0] if isinstance(made, tuple) else made)[0], calls[-1].weights
    return kept


def naive_stage(
    is_llava: bool, stage: int, k: int, states: np.ndarray, attention: np.ndarray, first_points: set[int]
) -> set[int]:
    ranked = sorted(range(len(attention)), key=lambda i: -attention[i])

    def attn_prune(n: int, over: int) -> set[int]:
        best = ranked[:over]
        return set(([i for i in best if i < k] + [i for i in best if i >= k])[:n])

    if stage == 2:
        return attn_prune(k, int(1.2 * k))
    if is_llava and stage == 0:
        n = int(k * 0.3)
        union = set(slow_max_min(states, [], n)) | attn_prune(n, int(n * 3.7)) | first_points
    elif is_llava:
        n = int(k * 0.9)
        union = set(slow_max_min(states, [], int(k * 0.1))) | attn_prune(n, int(n * 1.5))
    else:
        union = set(ranked[: int(1.2 * int(0.1 * k)) if stage == 0 else int(0.4 * k)])
    if len(union) >= k:
        return set([i for i in ranked if i in union][:k])
    return union | set(slow_max_min(states, sorted(union), k - len(union)))


@pytest.mark.parametrize(
    ("family", "n_pages", "shares"),
    [("llava-next", 1, (2, 4, 12)), ("qwen2-vl", 1, (2, 4, 8)), ("qwen2-vl", 2, (2, 4, 8)), ("qwen3-vl", 1, (2, 4, 8))],
)
def test_whole_method_is_that_of_a_naive_pass(
    deep: Callable[[str], Path], pages: list[Image.Image], family: str, n_pages: int, shares: tuple[int, ...]
) -> None:
    sample = sample_of(deep(family), pages[:n_pages])
    n = sample.n_tokens
    counts = [n // share for share in shares]  # as published
    points = set(farthest_points(sample, counts[0] // 2).tolist())
    expected = naive(sample, deep(family), counts, points)
    [kept] = checked_select(make_selector("btp"), sample, [counts[-1]])
    assert kept.layers is not None and kept.layers.starts == (0, 1, 2, 4, 6)
    masks = [set(np.flatnonzero(mask).tolist()) for mask in kept.layers.masks]
    assert [len(stage) for stage in masks] == [n, *counts, 0]
    assert masks[1:4] == expected and np.array_equal(kept.mask, kept.layers.masks[3])
    assert kept.layers.budget == pytest.approx((n + counts[0] + 2 * counts[1] + 2 * counts[2]) / (8 * n))


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_budgets_are_exact_and_stages_nest(deep: Callable[[str], Path], pages: list[Image.Image], family: str) -> None:
    sample = sample_of(deep(family), pages[1:] if family == "llava-next" else pages)
    budgets = [1, 2, sample.n_tokens // 3, sample.n_tokens - 1, sample.n_tokens]
    found = checked_select(make_selector("btp", {"most_joint": 30}), sample, budgets)
    again = make_selector("btp", {"most_joint": 30}).select(sample, budgets)
    for budget, kept, other in zip(budgets, found, again, strict=True):
        assert int(kept.mask.sum()) == budget and np.array_equal(kept.mask, other.mask)
        assert kept.layers is not None and kept.scores is None
        stages = kept.layers.masks
        assert all((later <= earlier).all() for earlier, later in pairwise(stages)) and not stages[-1].any()
    assert {"decoder", "encode"} <= set(sample.ledger.charged(lambda: make_selector("btp").select(sample, [1]))[2])
    assert found[0].flops > 0 and found[-1].flops == 0


def test_stages_that_meet_in_a_shallow_decoder(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages)
    [kept] = checked_select(make_selector("btp"), sample, [5])
    assert kept.layers is not None and kept.layers.starts == (0, 1, 2) and kept.layers.n_layers == 2
    assert [int(mask.sum()) for mask in kept.layers.masks] == [sample.n_tokens, 5, 0]
    # The last stage alone: rebalanced attention of the layer before.
    decoder = sample.decoder()
    row = decoder.rows(0, [decoder.last])[:, 0].mean(dim=0)[decoder.visual_places].numpy()
    best = np.argsort(-row)[:6]
    expected = [i for i in best if i < 5] + [i for i in best if i >= 5]
    assert set(np.flatnonzero(kept.mask)) == set(expected[:5])


def test_without_rebalancing_attention_alone_decides(tiny_model: Callable[..., Any], pages: list[Image.Image]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), pages)
    decoder = sample.decoder()
    row = decoder.rows(0, [decoder.last])[:, 0].mean(dim=0)[decoder.visual_places].numpy()
    budget = sample.n_tokens // 2
    [plain] = make_selector("btp", {"rebalance": False}).select(sample, [budget])
    [tilted] = make_selector("btp").select(sample, [budget])
    assert set(np.flatnonzero(plain.mask)) == set(np.argsort(-row)[:budget])
    assert tilted.mask[:budget].sum() > plain.mask[:budget].sum()


def test_equal_tokens_do_not_favour_the_top_of_the_page(deep: Callable[[str], Path]) -> None:
    sample = sample_of(deep("qwen2-vl"), [Image.new("RGB", (224, 224), "white")])
    [kept] = make_selector("btp", {"rebalance": False, "schedule": "llava"}).select(sample, [sample.n_tokens // 4])
    assert kept.layers is not None
    first = np.flatnonzero(kept.layers.masks[1]) // sample.pages[0].grid.cols
    assert abs(first.mean() - (sample.pages[0].grid.rows - 1) / 2) < 1


@pytest.mark.parametrize("options", [{"schedule": "llama"}, {"most_joint": 0}])
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        make_selector("btp", options)
