"""Counts as objects, and the formulas' properties beyond what the counter can show."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from pinpoint_data.token_grid import even_grid
from pinpoint_data.windows import WindowSpec, make_windows
from tests.training.flops.small import FAMILIES, small_config
from training.config import load_config
from training.flops import (
    AlignerShape,
    FlopCount,
    ModelShape,
    aligner_flops,
    decode_flops,
    prefill_flops,
    refined,
    vanilla,
    vision_flops,
)
from training.flops.architectures import PUBLISHED, architecture
from training.vlm.published import published_config

SHAPES = {name: ModelShape.of_values(known.config) for name, known in PUBLISHED.items()}
VICUNA = SHAPES["llava-next-7b"]
sides = st.integers(1, 40).map(lambda n: 2 * n)


class TestFlopCount:
    def test_order_sum_and_stages(self) -> None:
        count = FlopCount(b=1, a=2).under("x") + FlopCount({"y.c": 5, "x.a": 10})
        assert list(count.items()) == [("x.b", 1), ("x.a", 12), ("y.c", 5)]
        assert count.total == 18
        assert count.stages() == {"x": 13, "y": 5}
        assert json.loads(json.dumps(dict(count))) == dict(count)

    def test_nothing(self) -> None:
        assert FlopCount().total == 0
        assert FlopCount(a=1) + FlopCount() == FlopCount(a=1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters(name: str) -> None:
    from transformers import AutoModelForImageTextToText

    config = published_config(name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    known = architecture(name).parameters
    found = sum(weight.numel() for weight in model.parameters())
    # Known to three digits, or exactly.
    assert abs(found / known - 1) < 6e-4 if known % 10_000_000 == 0 else found == known


@pytest.mark.parametrize("name", PUBLISHED)
def test_plain_values_are_those_of_the_configuration(name: str) -> None:
    assert SHAPES[name] == ModelShape.of(published_config(name))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no published architecture 'gpt'; expected one of llava-next-7b"):
        published_config("gpt")


def test_a_published_configuration_is_ones_own() -> None:
    published_config("qwen2-vl-7b").text_config.num_hidden_layers = 1
    assert published_config("qwen2-vl-7b").text_config.num_hidden_layers == 28


def test_prefill_is_the_formula_of_multi_head_attention() -> None:
    n, d, m, layers = 1000, 4096, 11_008, 32
    layer = 2 * n * (2 * d * d + 2 * d * d + 3 * d * m) + 4 * n * n * d
    found = prefill_flops(VICUNA, n)
    assert found["linear"] + found["attention"] == layers * layer
    assert found["lm_head"] == 2 * d * 32_064


def test_decoding_one_by_one_reads_what_a_longer_prompt_reads() -> None:
    """Matrices take as much either way; attention takes the lower triangle with its diagonal."""
    d = VICUNA.decoder
    short, long = prefill_flops(VICUNA, 100), prefill_flops(VICUNA, 120)
    steps = decode_flops(VICUNA, 100, 21)
    assert steps["linear"] == long["linear"] - short["linear"]
    assert steps["attention"] == d.layers * 4 * d.query_width * sum(range(101, 121))
    assert steps["lm_head"] == 20 * long["lm_head"]
    assert decode_flops(VICUNA, 100, 0).total == decode_flops(VICUNA, 100, 1).total == 0


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=4))
def test_windows_of_the_tower_are_those_of_transformers(images: list[tuple[int, int]]) -> None:
    from transformers.vision_utils import get_vision_window_index

    shape = SHAPES["qwen2.5-vl-7b"]
    thw = torch.tensor([[1, rows, cols] for rows, cols in images])
    _, ends = get_vision_window_index(thw, spatial_merge_size=2, window_size=112, patch_size=14)
    windows = int((ends.diff().long() ** 2).sum())
    whole = sum((rows * cols) ** 2 for rows, cols in images)
    assert vision_flops(shape, images)["attention"] == 4 * 1280 * (28 * windows + 4 * whole)


@given(st.lists(st.tuples(sides, sides), max_size=5))
def test_mere_numbers_of_patches(images: list[tuple[int, int]]) -> None:
    for name in FAMILIES:
        shape = SHAPES[name]
        exact, number = (
            vision_flops(shape, sequences) for sequences in (images, [rows * cols for rows, cols in images])
        )
        if shape.vision.window:
            assert number["attention"] >= exact["attention"]
            number, exact = (FlopCount(dict(count) | {"attention": 0}) for count in (number, exact))
        assert number == exact


@given(st.integers(1, 35), st.integers(1, 35), st.integers(1, 12), st.integers(1, 12), st.data())
def test_every_window_pools_its_own_tokens(rows: int, cols: int, height: int, width: int, data: st.DataObject) -> None:
    spec = WindowSpec(width, height, data.draw(st.integers(1, min(width, height))))
    windows = make_windows(even_grid(rows, cols, cols, rows, "test"), spec)
    members = int(np.count_nonzero(windows.token_mask()))
    found = aligner_flops(AlignerShape(8, 8, 3, 4, 8, spec), [(rows, cols)], 1)
    assert found["pooling"] == 2 * 3 * 4 * members
    assert found["cosines"] == 2 * 3 * 4 * len(windows)
    assert found["logits"] == 2 * 3 * 4 * rows * cols


def test_aligner_of_settings() -> None:
    settings = load_config(None, ["aligner.queries=7", "aligner.dim=20", "windows.width=9"])
    assert AlignerShape.of(settings, 30, 40) == AlignerShape(30, 40, 7, 20, 40, WindowSpec(9, 10, 7))
    wider = load_config(None, ["aligner.hidden=50"])
    assert AlignerShape.of(wider, 30, 40).hidden == 50


def test_stages_of_an_answer() -> None:
    scoring = aligner_flops(AlignerShape(4096, 4096, 100, 512, 1024), [(48, 36)], 12)
    tiles, crops = [(24, 24)] * 5, [(24, 24)] * 2
    whole = vanilla(VICUNA, tiles, 2400, new_tokens=5)
    part = refined(VICUNA, tiles, 800, scoring, crops, new_tokens=5)
    assert list(whole.stages()) == ["encode", "prefill", "decode"]
    assert list(part.stages()) == ["encode", "select", "refine", "prefill", "decode"]
    assert part.stages()["refine"] * 5 == part.stages()["encode"] * 2
    assert list(refined(VICUNA, tiles, 800, scoring).stages()) == ["encode", "select", "prefill"]
    assert part.total == sum(part.values()) < whole.total


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "llava"}, "'llava' models"),
        ({}, "None models"),
    ],
)
def test_other_architectures_are_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ModelShape.of_values(values)


def test_other_llava_variants_are_refused() -> None:
    config = small_config("llava-next-7b")
    config.vision_feature_select_strategy = "full"
    with pytest.raises(UsageError, match="strategy 'default'"):
        ModelShape.of(config)


def test_a_question_has_tokens() -> None:
    with pytest.raises(UsageError, match="at least 1 token"):
        aligner_flops(AlignerShape(8, 8, 9, 4, 8), [(3, 3)], 0)
