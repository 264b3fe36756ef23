"""VisionDrop: its stage in the vision tower, and all four beside a decoder cut and merged by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import Layerwise, best
from tests.training.selectors.samples import model_sample
from tests.training.selectors.seen import blank, check_invariants, check_ties
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import tiny_model_folder
from training.selectors import EncodedSample, Kept, checked_select, make_selector
from training.selectors.visiondrop import VisionDropSelector
from training.vlm import open_model

SIZES = {"qwen2-vl": [(200, 60), (120, 90)], "llava-next": [(60, 900)]}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Decoders of four layers: stages before 0, 1, 2 and 3."""
    root = tmp_path_factory.mktemp("deep")
    return {family: tiny_model_folder(family, root / family, layers=4) for family in SIZES}


def sample_of(folder: Path, family: str) -> EncodedSample:
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    return model_sample(model, [noise(*size) for size in SIZES[family]], needs={"vision", "decoder"})


def both(kept: Kept) -> int:
    assert kept.merged is not None
    return int((kept.mask | kept.merged).sum())


def test_first_stage_by_hand() -> None:
    """6 of 48: of 8 tokens 1 is contextual. 7 are dominant, and of 0 and 2, the rest, the first is the target."""
    saliency = [0.0, 0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    [kept] = VisionDropSelector().select(blank([(3, 3)], saliency=saliency), [8])
    assert kept.merged is not None and np.flatnonzero(~kept.mask).tolist() == [0, 2]
    assert np.flatnonzero(kept.merged).tolist() == [0] and kept.layers is None
    [released] = VisionDropSelector().select(blank([(24, 24)], saliency=np.random.default_rng(0).random(576)), [48])
    assert released.mask.sum() == 42 and both(released) == 48


def test_invariants() -> None:
    check_invariants(VisionDropSelector, counted=both)
    check_ties(VisionDropSelector)


def keys_of(state: Layerwise, layer: int) -> Tensor:
    """(S, head width): rotated keys, mean over heads."""
    module = state.text.layers[layer]
    with torch.no_grad():
        key = module.self_attn.k_proj(module.input_layernorm(state.hidden))
    key = key.view(1, key.shape[1], -1, module.self_attn.head_dim).transpose(1, 2)
    _, rotated = apply_rotary_pos_emb(key, key, *state.rotation())
    return rotated[0].mean(dim=0)


class ByHand:
    """A prompt of which `image` are the visual tokens' places: those of the page, then averages."""

    def __init__(self, folder: Path, sample: EncodedSample) -> None:
        decoder = sample.decoder()
        self.state = Layerwise(eager(folder), decoder)
        self.image: list[int] = decoder.visual_places.tolist()
        self.owner = list(range(len(self.image)))
        self.is_average = [False] * len(self.image)
        self.text = len(decoder.text_places)

    def stage(self, scores: list[float], keys: Tensor, count: int, contextual: int, *, renumbered: bool) -> None:
        dominant = best(scores, count - contextual)
        rest = [i for i in range(len(scores)) if i not in dominant]
        targets = [rest[number * (len(rest) // contextual)] for number in range(contextual)]
        members: dict[int, list[int]] = {target: [] for target in targets}
        for i in rest:
            if i not in targets:
                cosines = [float(torch.cosine_similarity(keys[i], keys[t], dim=0)) for t in targets]
                members[targets[cosines.index(max(cosines))]].append(i)
        hidden = self.state.hidden[0]
        averages = [
            hidden[self.image[t]] + (torch.stack([hidden[self.image[i]] for i in own]).mean(dim=0) if own else 0)
            for t, own in members.items()
        ]
        gone = {self.image[i] for i in range(len(scores)) if i not in dominant}
        stay = [place for place in range(len(hidden)) if place not in gone]
        cut = len(stay) - self.text
        positions = self.state.positions
        new = positions[:, [self.image[t] for t in targets]]
        self.state.take(stay, renumbered=False)
        origin, at = self.state.origin, self.state.positions
        self.state.origin = origin[:cut] + [-1] * contextual + origin[cut:]
        self.state.positions = torch.cat([at[:, :cut], new, at[:, cut:]], dim=1)
        if renumbered:
            self.state.positions = torch.arange(len(stay) + contextual)[None]
        rows = self.state.hidden[0]
        self.state.hidden = torch.cat([rows[:cut], torch.stack(averages), rows[cut:]])[None]
        self.image = [stay.index(self.image[i]) for i in dominant] + list(range(cut, cut + contextual))
        self.owner = [self.owner[i] for i in [*dominant, *targets]]
        self.is_average = [self.is_average[i] for i in dominant] + [True] * contextual

    def tokens(self, averages: bool) -> list[int]:
        return sorted(o for o, average in zip(self.owner, self.is_average, strict=True) if average == averages)


@pytest.mark.parametrize("family", ["qwen2-vl", "llava-next"])
def test_all_stages_are_the_decoder_cut_and_merged_by_hand(deep: dict[str, Path], family: str) -> None:
    sample = sample_of(deep[family], family)
    n = sample.n_tokens
    budget = n // 5
    selector = make_selector("visiondrop", {"decoder": True})
    assert selector.needs == {"vision", "decoder"} and not selector.reads_question
    [kept] = checked_select(selector, sample, [budget])
    assert kept.layers is not None and kept.layers.starts == (0, 1, 2, 3) and kept.merged is not None

    power = math.log(budget / n) / math.log(19 / 576)
    counts = [int(n * (share / 576) ** power) for share in (48, 35, 26)] + [budget]
    hand = ByHand(deep[family], sample)
    scores: list[float] = sample.vision().saliency.tolist()
    keys = sample.vision().keys
    for layer, (count, share) in enumerate(zip(counts, (6 / 48, 5 / 35, 4 / 26, 3 / 19), strict=True)):
        if layer:
            hand.state.run(layer - 1)
            weights = hand.state.attention(layer).mean(dim=0)
            scores = [sum(float(weights[i, j]) for i in hand.image) for j in hand.image]
            keys = keys_of(hand.state, layer)[hand.image]
        hand.stage(scores, keys, count, math.floor(count * share + 0.5), renumbered=family == "llava-next")
        assert np.flatnonzero(kept.layers.masks[layer]).tolist() == hand.tokens(averages=False)
    assert np.flatnonzero(kept.merged).tolist() == hand.tokens(averages=True)
    assert both(kept) == budget


def test_budgets_in_the_decoder(deep: dict[str, Path]) -> None:
    budgets = [1, 2, 7, 20]
    found: list[Any] = []
    for _ in range(2):
        sample = sample_of(deep["qwen2-vl"], "qwen2-vl")
        found.append(checked_select(VisionDropSelector(decoder=True), sample, [*budgets, sample.n_tokens]))
    for budget, one, again in zip(budgets, *found, strict=False):
        assert both(one) == budget and (one.mask == again.mask).all()
        assert one.layers is not None
        assert all((a >= b).all() for a, b in zip(one.layers.masks, one.layers.masks[1:], strict=False))
    assert found[0][-1].mask.all() and found[0][-1].flops == 0


def test_unknown_positions() -> None:
    with pytest.raises(UsageError, match="positions must be one of"):
        make_selector("visiondrop", {"positions": "kept"})
