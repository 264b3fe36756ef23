"""PyramidDrop beside a decoder that is run layer by layer and cut by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from tests.training.selectors.layerwise import Layerwise, best, grid_places
from tests.training.selectors.samples import model_sample
from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import tiny_model_folder
from training.selectors import EncodedSample, Kept, checked_select, make_selector
from training.selectors.pyramiddrop import PyramidDropSelector, PyramidDropUnprunedSelector
from training.vlm import VisionLanguageModel, open_model

SIZES = [(200, 60), (120, 90)]
TALL = [(30, 900)]
"""For LLaVA-NeXT, whose tiles make many tokens of anything that is not thin."""


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Decoders of eight layers: three stages, two layers apart."""
    root = tmp_path_factory.mktemp("deep")
    return {family: tiny_model_folder(family, root / family, layers=8) for family in ("llava-next", "qwen2-vl")}


def sample_of(folder: Path, sizes: list[tuple[int, int]]) -> tuple[VisionLanguageModel, EncodedSample]:
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    return model, model_sample(model, [noise(*size) for size in sizes])


def stages_of(kept: Kept) -> list[list[int]]:
    assert kept.layers is not None
    return [np.flatnonzero(mask).tolist() for mask in kept.layers.masks[1:]]


def by_hand(
    reference: VisionLanguageModel,
    sample: EncodedSample,
    places: list[int],
    counts: list[int],
    *,
    renumbered: bool,
    pruned: bool = True,
) -> list[list[int]]:
    """What is left after each stage; the layers are 2, 4 and 6 of 8."""
    state = Layerwise(reference, sample.decoder())
    left, stages = list(range(len(places))), []
    for number in range(7):
        if number in (2, 4, 6):
            last = state.attention(number).mean(dim=0)[-1]
            at = [state.origin.index(places[token]) for token in left]
            left = [left[i] for i in best([float(last[place]) for place in at], counts[len(stages)])]
            stages.append(left)
            if pruned:
                gone = set(places) - {places[token] for token in left}
                stay = [place for place, origin in enumerate(state.origin) if origin not in gone]
                state.take(stay, renumbered=renumbered)
        state.run(number)
    return stages


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_exact_mode_is_the_decoder_cut_by_hand(deep: dict[str, Path], family: str) -> None:
    sizes = TALL if family == "llava-next" else SIZES
    model, sample = sample_of(deep[family], sizes)
    reference = eager(deep[family])
    layouts = [model.layout(*size) for size in sizes]
    places = grid_places(sample.decoder(), layouts, model.config.image_token_id)
    n = sample.n_tokens
    budgets = [n // 8, n // 20] if family == "qwen2-vl" else [n // 8]
    kept = checked_select(make_selector("pyramiddrop"), sample, budgets)
    unpruned = checked_select(make_selector("pyramiddrop-unpruned"), sample, budgets)
    for budget, exact, rough in zip(budgets, kept, unpruned, strict=True):
        ratio = (budget / n) ** (1 / 3)
        counts = [n // 2, n // 4, n // 8] if budget == n // 8 else [int(n * ratio), int(n * ratio**2), budget]
        plain = family == "llava-next"
        assert stages_of(exact) == by_hand(reference, sample, places, counts, renumbered=plain)
        assert stages_of(rough) == by_hand(reference, sample, places, counts, renumbered=plain, pruned=False)
        assert exact.layers is not None and exact.layers.starts == (0, 2, 4, 6)
        assert exact.layers.budget == pytest.approx(sum([n, *counts]) / (4 * n))
        assert exact.scores is None and (exact.mask == exact.layers.masks[-1]).all()
    # At 1 token in 8, layers see 47 % of the tokens on average, as published.
    assert kept[0].layers is not None and kept[0].layers.budget == pytest.approx(0.469, abs=0.01)


def test_original_positions_on_request(deep: dict[str, Path]) -> None:
    model, sample = sample_of(deep["llava-next"], TALL)
    places = grid_places(sample.decoder(), [model.layout(*TALL[0])], model.config.image_token_id)
    n = sample.n_tokens
    counts = [n // 2, n // 4, n // 8]
    [kept] = PyramidDropSelector(positions="original").select(sample, [n // 8])
    assert stages_of(kept) == by_hand(eager(deep["llava-next"]), sample, places, counts, renumbered=False)
    [anew] = PyramidDropSelector().select(sample, [n // 8])
    assert stages_of(kept)[0] == stages_of(anew)[0] and stages_of(kept)[1:] != stages_of(anew)[1:]


@pytest.mark.parametrize("name", ["pyramiddrop", "pyramiddrop-unpruned"])
def test_exact_budgets_and_nested_stages(deep: dict[str, Path], name: str) -> None:
    _, sample = sample_of(deep["qwen2-vl"], SIZES)
    selector = make_selector(name)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, sample.n_tokens))
    def check(budget: int) -> None:
        [kept] = checked_select(selector, sample, [budget])
        assert kept.mask.sum() == budget and kept.layers is not None
        for wider, narrower in zip(kept.layers.masks, kept.layers.masks[1:], strict=False):
            assert (wider | ~narrower).all()

    check()
    one, everything = checked_select(selector, sample, [1, sample.n_tokens])
    assert one.mask.sum() == 1 and everything.mask.all() and everything.flops == 0
    again = checked_select(make_selector(name), sample_of(deep["qwen2-vl"], SIZES)[1], [5])[0]
    assert (again.mask == checked_select(selector, sample, [5])[0].mask).all()


def test_layers_are_charged_at_their_length(deep: dict[str, Path]) -> None:
    """The exact mode needs layers 0 and 1 of all tokens, then two of what the first stage left, two of the next."""
    _, sample = sample_of(deep["qwen2-vl"], [(200, 150)])
    decoder, n = sample.decoder(), sample.n_tokens
    text = len(decoder.sequence) - n
    selector = PyramidDropSelector()
    for _ in range(2):  # the second time the first layers are there, and charged all the same
        [kept], _, signals = sample.ledger.charged(lambda: selector.select(sample, [n // 8]))
        lengths = [n + text] * 2 + [n // 2 + text] * 2 + [n // 4 + text] * 2
        assert signals["decoder"].flops == pytest.approx(sum(map(decoder.layers.flops, lengths)))
        assert kept.flops == pytest.approx(sum(decoder.layers.row_flops(1, length) for length in lengths[1::2]))
    _, _, signals = sample.ledger.charged(lambda: PyramidDropUnprunedSelector().select(sample, [n // 8, 3]))
    assert signals["decoder"].flops == pytest.approx(6 * decoder.layers.flops(n + text))


def test_equal_tokens_are_drawn_alike(deep: dict[str, Path]) -> None:
    _, sample = sample_of(deep["qwen2-vl"], [(200, 150)])
    decoder = sample.decoder()
    decoder.received = lambda *_: torch.ones(len(decoder.sequence))  # type: ignore[method-assign]
    [kept] = PyramidDropUnprunedSelector().select(sample, [sample.n_tokens // 2])
    assert 0 < kept.mask[: sample.n_tokens // 2].sum() < sample.n_tokens // 2


def test_shallow_decoder_and_other_stages(tiny_model: Callable[..., VisionLanguageModel]) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), [noise(200, 150)])
    [kept] = PyramidDropSelector().select(sample, [4])
    assert kept.layers is not None and kept.layers.starts == (0, 1) and kept.mask.sum() == 4
    [two] = PyramidDropSelector(stages=2).select(sample, [4])
    assert (two.mask == kept.mask).all()
    with pytest.raises(UsageError, match="stages must be at least 2, got 1"):
        make_selector("pyramiddrop-unpruned", {"stages": 1})
    with pytest.raises(UsageError, match="positions must be one of"):
        make_selector("pyramiddrop", {"positions": "kept"})
