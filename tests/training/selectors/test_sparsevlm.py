"""SparseVLM beside a decoder that is run layer by layer, cut and recycled by hand; and its clustering."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import Layerwise, best, grid_places
from tests.training.selectors.samples import model_sample
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import tiny_model_folder
from training.selectors import EncodedSample, Kept, checked_select, make_selector
from training.selectors.recycling import cluster_means, distances
from training.selectors.sparsevlm import SparseVlmSelector, raters
from training.vlm import VisionLanguageModel, open_model
from training.vlm.decoder_walk import DecoderWalk

SIZES = {"llava-next": [(30, 900)], "qwen2-vl": [(200, 150), (120, 90)]}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Decoders of eight layers: what layers 1, 2 and 4 give is cut."""
    root = tmp_path_factory.mktemp("deep")
    return {family: tiny_model_folder(family, root / family, layers=8) for family in ("llava-next", "qwen2-vl")}


def sample_of(folder: Path, question: str = "What is the total?") -> tuple[VisionLanguageModel, EncodedSample]:
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    return model, model_sample(model, [noise(*size) for size in SIZES[folder.name]], question)


def stages_of(kept: Kept) -> list[list[int]]:
    assert kept.layers is not None
    return [np.flatnonzero(mask).tolist() for mask in kept.layers.masks[1:]]


def raters_by_hand(visual: Tensor, text: Tensor) -> list[int]:
    share = [0.0] * len(text)
    for token in visual.double():
        logits = [float(token @ word) for word in text.double()]
        top = max(logits)
        total = sum(math.exp(logit - top) for logit in logits)
        for number, logit in enumerate(logits):
            share[number] += math.exp(logit - top) / total / len(visual)
    return [number for number, value in enumerate(share) if value > sum(share) / len(share)]


def clusters_by_hand(states: Tensor, count: int) -> tuple[list[int], list[int]]:
    """Centres, and the cluster of each token; of two that are equally dense the first is the denser one."""
    m, width = states.shape
    exact = states.double()
    distance = [[float((a - b).norm()) / width**0.5 for b in exact] for a in exact]
    density = [math.exp(-sum(d * d for d in sorted(row)[:count]) / count) for row in distance]
    largest = max(map(max, distance))
    height = [
        density[i] * min([distance[i][j] for j in range(m) if (density[j], -j) > (density[i], -i)], default=largest)
        for i in range(m)
    ]
    centres = sorted(range(m), key=lambda i: -height[i])[:count]
    belongs = [min(range(count), key=lambda c: distance[i][centres[c]]) for i in range(m)]
    for number, centre in enumerate(centres):
        belongs[centre] = number
    return centres, belongs


class ByHand:
    """Version 1.5, one plain step after the other."""

    def __init__(self, folder: Path, model: VisionLanguageModel, sample: EncodedSample) -> None:
        decoder = sample.decoder()
        layouts = [model.layout(*size) for size in SIZES[folder.name]]
        self.places = grid_places(decoder, layouts, model.config.image_token_id)
        self.state = Layerwise(eager(folder), decoder)
        self.n_text = len(decoder.sequence) - 1 - int((decoder.sequence.image >= 0).nonzero()[-1])
        inputs = self.state.hidden[0]
        self.raters = raters_by_hand(inputs[self.places], inputs[-self.n_text :])
        self.renumbered = folder.name == "llava-next"
        self.inside: list[set[int]] = []  # the tokens in each recycled one
        self.left = list(range(len(self.places)))

    def scores(self) -> tuple[list[float], list[float]]:
        """What the hard tokens that are left and the recycled ones received in the layer that ran last."""
        state = self.state
        length = len(state.origin)
        asking = [length - self.n_text + rater for rater in self.raters]
        row = state.weights.mean(dim=0)[asking].mean(dim=0)
        hard = [float(row[state.origin.index(self.places[token])]) for token in self.left]
        return hard, [float(row[place]) for place in self.recycled()]

    def recycled(self) -> list[int]:
        return [place for place, origin in enumerate(self.state.origin) if origin < 0]

    def drop(self, count: int, *, recycle: bool) -> None:
        state = self.state
        hard, soft = self.scores()
        kept = [self.left[i] for i in best(hard, count)]
        lowest = sorted(hard, reverse=True)[count - 1]
        stays = [score > lowest for score in soft]
        # (score, place, tokens inside) of all that goes
        gone = [
            (score, state.origin.index(self.places[token]), {token})
            for token, score in zip(self.left, hard, strict=True)
            if token not in kept
        ]
        gone += [
            (score, place, inside)
            for score, place, inside, stay in zip(soft, self.recycled(), self.inside, stays, strict=True)
            if not stay
        ]
        gone.sort(key=lambda entry: -entry[0])
        leaving = {place for _, place, _ in gone}
        stay_places = [place for place in range(len(state.origin)) if place not in leaving]
        chosen = gone[: int(0.3 * len(gone)) + 1] if recycle else []
        self.inside = [inside for inside, stay in zip(self.inside, stays, strict=True) if stay]
        states = state.hidden[0, [place for _, place, _ in chosen]]
        positions = state.positions
        state.take(stay_places, renumbered=self.renumbered)
        if recycle:
            centres, belongs = clusters_by_hand(states, int(len(chosen) / 10) + 1)
            for number, centre in enumerate(centres):
                members = [i for i, cluster in enumerate(belongs) if cluster == number]
                self.inside.append(set().union(*(chosen[i][2] for i in members)))
                self.put_in(states[members].mean(dim=0), positions[:, chosen[centre][1]])
        self.left = kept

    def put_in(self, mean: Tensor, position: Tensor) -> None:
        state, at = self.state, len(self.state.origin) - self.n_text
        state.hidden = torch.cat([state.hidden[:, :at], mean[None, None], state.hidden[:, at:]], dim=1)
        state.positions = torch.cat([state.positions[:, :at], position[:, None], state.positions[:, at:]], dim=1)
        state.origin.insert(at, -1)
        if self.renumbered:
            state.positions = torch.arange(len(state.origin))[None]

    def stages(self, counts: list[int], *, recycle: bool = True) -> list[list[int]]:
        found = []
        for number in range(5):
            self.state.run(number)
            if number in (1, 2, 4):
                self.drop(counts[len(found)], recycle=recycle)
                found.append(self.left)
        return found


def counts_for(n: int, budget: int, published: tuple[int, ...]) -> list[int]:
    power = math.log(budget / n) / math.log(published[-1] / 576)
    return [int(n * (count / 576) ** power) for count in published[:-1]] + [budget]


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
@pytest.mark.parametrize(("share", "published"), [(0.2, (300, 200, 110)), (0.06, (303, 110, 36))])
def test_exact_mode_is_the_decoder_cut_by_hand(
    deep: dict[str, Path], family: str, share: float, published: tuple[int, ...]
) -> None:
    model, sample = sample_of(deep[family])
    n = sample.n_tokens
    budget = round(share * n)
    counts = counts_for(n, budget, published)
    [kept] = checked_select(make_selector("sparsevlm"), sample, [budget])
    hand = ByHand(deep[family], model, sample)
    assert stages_of(kept) == hand.stages(counts)
    assert kept.merged is not None and not (kept.merged & kept.mask).any()
    assert set(np.flatnonzero(kept.merged).tolist()) == set().union(*hand.inside)
    assert kept.layers is not None and kept.layers.starts == (0, 2, 3, 5)
    first, second, third = counts
    assert kept.layers.budget == pytest.approx((2 * n + first + 2 * second + 3 * third) / (8 * n))
    assert kept.flops > 0 and kept.scores is None


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_without_recycling_and_without_pruning(deep: dict[str, Path], family: str) -> None:
    model, sample = sample_of(deep[family])
    n = sample.n_tokens
    budget = round(0.2 * n)
    counts = counts_for(n, budget, (300, 200, 110))
    [kept] = checked_select(make_selector("sparsevlm", {"recycle": False}), sample, [budget])
    assert stages_of(kept) == ByHand(deep[family], model, sample).stages(counts, recycle=False)
    assert kept.merged is None
    [rough] = checked_select(make_selector("sparsevlm-unpruned"), sample, [budget])
    hand, left, stages = ByHand(deep[family], model, sample), list(range(n)), []
    for number in range(5):
        hand.state.run(number)
        if number in (1, 2, 4):
            scores, _ = hand.scores()
            left = [left[i] for i in best([scores[token] for token in left], counts[len(stages)])]
            stages.append(left)
    assert stages_of(rough) == stages
    assert stages_of(rough)[0] == stages_of(kept)[0]  # nothing was dropped before


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
@pytest.mark.parametrize("question", ["What is the total?", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Z"])
def test_raters_by_hand(deep: dict[str, Path], family: str, question: str) -> None:
    _, sample = sample_of(deep[family], question)
    decoder = sample.decoder()
    inputs = decoder.hidden(0)
    expected = raters_by_hand(inputs[decoder.visual_places], inputs[decoder.text_places])
    found, flops = raters(decoder)
    assert found.tolist() == expected and 0 < len(expected) < len(decoder.text_places)
    assert flops == 2 * 64 * sample.n_tokens * len(decoder.text_places)


def test_all_rate_where_none_stands_out(deep: dict[str, Path]) -> None:
    decoder = sample_of(deep["qwen2-vl"])[1].decoder()
    inputs = decoder.hidden(0).clone()
    inputs[decoder.text_places] = 0
    decoder.hidden = lambda _: inputs  # type: ignore[method-assign]
    assert raters(decoder)[0].tolist() == list(range(len(decoder.text_places)))


@pytest.mark.parametrize(("m", "count"), [(1, 1), (2, 1), (12, 2), (40, 5)])
@pytest.mark.parametrize("rows", [3, 100])
def test_clusters_by_hand(m: int, count: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.selectors.recycling.chunk_length", lambda *_: rows)
    states = torch.randn(m, 6, generator=torch.Generator().manual_seed(m))
    # What all have in common is large, as in the hidden states of language models, and tells no two apart.
    states[:, 2] += 10_000
    centres, belongs = clusters_by_hand(states, count)
    means, at, cluster = cluster_means(states, count)
    assert at.tolist() == centres and cluster.tolist() == belongs
    for number in range(count):
        members = [i for i, own in enumerate(belongs) if own == number]
        torch.testing.assert_close(means[number], states[members].mean(dim=0))


@pytest.mark.parametrize("rows", [7, 30, 100])
def test_distances_are_the_same_both_ways(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.selectors.recycling.chunk_length", lambda *_: rows)
    states = torch.randn(80, 33, generator=torch.Generator().manual_seed(1))
    found = distances(states)
    assert torch.equal(found, found.T) and not found.diagonal().any()
    expected = (states[:, None].double() - states.double()).norm(dim=-1).float()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_recycled_tokens_stand_where_their_cluster_has_its_centre(
    deep: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_as_centre(states: Tensor, _: int) -> tuple[Tensor, Tensor, Tensor]:
        return states[-1:], torch.tensor([len(states) - 1]), torch.zeros(len(states), dtype=torch.int64)

    stages = []
    keep = DecoderWalk.keep

    def watched(walk: DecoderWalk, visual: Tensor, **options: Any) -> None:
        stages.append(torch.equal(walk.hidden[options["merged_at"]], options["merged"]))
        keep(walk, visual, **options)

    monkeypatch.setattr("training.selectors.sparsevlm.cluster_means", last_as_centre)
    monkeypatch.setattr(DecoderWalk, "keep", watched)
    SparseVlmSelector().select(sample_of(deep["qwen2-vl"])[1], [9])
    assert stages == [True, True, True]


def test_clusters_worked_out_on_paper() -> None:
    """On a line at 0, 1, 2 and 10, 11: two dense ends. With k = 2 and d = 1 the two nearest are itself and one more."""
    states = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0]]) / 10
    # Nearest others are all at 0.1, so all are equally dense and the first counts as the densest: it takes the largest
    # distance, 1.1. The nearest denser one of 0.1, 0.2 and 1.1 is at 0.1, of 1.0 it is at 0.8: the second centre.
    means, centres, cluster = cluster_means(states, 2)
    assert centres.tolist() == [0, 3] and cluster.tolist() == [0, 0, 0, 1, 1]
    torch.testing.assert_close(means, torch.tensor([[0.1], [1.05]]))


def test_equal_states_are_merged_into_themselves() -> None:
    means, _, _ = cluster_means(torch.full((20, 4), 3.0, dtype=torch.bfloat16), 3)
    assert torch.equal(means[0], torch.full((4,), 3.0, dtype=torch.bfloat16)) and not means.isnan().any()


@pytest.mark.parametrize("name", ["sparsevlm", "sparsevlm-unpruned"])
def test_exact_budgets_and_nested_stages(deep: dict[str, Path], name: str) -> None:
    _, sample = sample_of(deep["qwen2-vl"])
    selector = make_selector(name)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, sample.n_tokens))
    def check(budget: int) -> None:
        [kept] = checked_select(selector, sample, [budget])
        assert kept.mask.sum() == budget and kept.layers is not None
        for wider, narrower in zip(kept.layers.masks, kept.layers.masks[1:], strict=False):
            assert (wider | ~narrower).all()
        assert kept.merged is None or not (kept.merged & kept.mask).any()

    check()
    one, everything = checked_select(selector, sample, [1, sample.n_tokens])
    assert one.mask.sum() == 1 and everything.mask.all()
    again = checked_select(make_selector(name), sample_of(deep["qwen2-vl"])[1], [5])[0]
    assert (again.mask == checked_select(selector, sample, [5])[0].mask).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl", "qwen3-vl"])
def test_every_family_in_16_bits_too_and_shallow_decoders(
    tiny_model: Callable[..., Any], family: str, dtype: str
) -> None:
    model = tiny_model(family, dtype=dtype)
    sample = model_sample(model, [noise(30, 900) if family == "llava-next" else noise(200, 150)])
    pruning = ("sparsevlm", "sparsevlm-unpruned", "pyramiddrop", "pyramiddrop-unpruned", "fastv", "btp", "ivc-prune")
    for name in pruning:
        [kept] = checked_select(make_selector(name), sample, [9])
        assert kept.mask.sum() == 9 and kept.layers is not None


def test_schedules(tiny_model: Callable[..., Any]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), [noise(200, 150)])
    chosen = SparseVlmSelector(schedule="64").stages(sample, 9, 32)
    assert list(chosen) == [2, 6, 15] and chosen[15] == 9
    assert SparseVlmSelector().stages(sample, 9, 32) != chosen  # a fifth of the tokens is nearer to another list
    assert list(SparseVlmSelector().stages(sample, 9, 28)) == [2, 5, 13]
    with pytest.raises(UsageError, match="schedule must be one of 192, 128, 96, 64 or nearest, got '100'"):
        make_selector("sparsevlm", {"schedule": "100"})
    with pytest.raises(UsageError, match="positions must be one of"):
        make_selector("sparsevlm", {"positions": "kept"})
