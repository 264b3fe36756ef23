"""Models of the published sizes with random weights, as benchmarks run them, scaled down here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from benchmarks.bench_prefill import Rig, add_ratios, make_rig, measure, noise_page, table
from benchmarks.random_model import MODELS, random_weights, scaled
from training.vlm import Generated, PromptSequence
from training.vlm.published import published_config


def small(name: str) -> Any:
    return scaled(published_config(name), 32)


@pytest.mark.parametrize("name", ["llava-next-7b", "llava-next-mistral-7b", "qwen2-vl-2b", "qwen2-vl-7b"])
def test_weights_made_in_place_are_those_of_a_new_model(name: str) -> None:
    made = random_weights(small(name), torch.float32, torch.device("cpu"))
    usual = AutoModelForImageTextToText.from_config(small(name), dtype=torch.float32)
    tables, weights = dict(made.named_buffers()), dict(made.named_parameters())
    assert len(tables) > 0
    for key, value in usual.named_buffers():
        assert tables.pop(key).equal(value), key
    assert not tables
    for key, value in usual.named_parameters():
        found = weights.pop(key)
        assert found.shape == value.shape and found.isfinite().all() and not found.requires_grad, key
        assert found.std(correction=0).item() == pytest.approx(value.std(correction=0).item(), rel=0.5, abs=1e-6), key
    assert not weights


def test_inits_in_half_precision_keep_rotary_frequencies_exact() -> None:
    made = random_weights(small("qwen2-vl-7b"), torch.bfloat16, torch.device("cpu"))
    assert {weight.dtype for weight in made.parameters()} == {torch.bfloat16}
    assert made.model.language_model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("name", MODELS)
def test_scaling_keeps_the_proportions(name: str) -> None:
    full, part = published_config(name), scaled(published_config(name), 4)
    for one in (full, part):
        assert one.text_config.hidden_size % one.text_config.num_attention_heads == 0
        assert one.text_config.num_attention_heads % one.text_config.num_key_value_heads == 0
    heads = full.text_config.num_attention_heads
    assert part.text_config.hidden_size * heads == full.text_config.hidden_size * part.text_config.num_attention_heads
    assert part.text_config.num_attention_heads == pytest.approx(heads / 4, abs=1)
    assert part.text_config.num_hidden_layers == full.text_config.num_hidden_layers // 4
    assert scaled(published_config(name), 1).to_dict() == full.to_dict()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder = tmp_path_factory.mktemp("models") / "qwen2-vl-7b"
    return make_rig("qwen2-vl-7b", folder, scale=32, dtype="float32", device="cpu")


def test_both_sides_are_measured(rig: Rig) -> None:
    page = noise_page(560, 700)
    sides = measure(rig, page, [None, 0.6, 0.1], repeats=1, warmups=0)
    add_ratios(sides)
    vanilla, most, least = sides
    assert vanilla["visual_tokens"] == vanilla["vanilla_tokens"] == 20 * 25 > most["visual_tokens"]
    assert most["budget_used"] >= 0.6 and least["visual_tokens"] < most["visual_tokens"]
    assert vanilla["seconds"]["select"] == 0 < most["seconds"]["select"]
    for side in sides:
        assert 0 < side["seconds"]["encode"] < side["seconds"]["first_token"]
        assert sum(side["seconds"].values()) - side["seconds"]["first_token"] <= side["seconds"]["first_token"]
        assert 0 <= side["share_of_stage_one"]["select"] < side["share_of_stage_one"]["encode_and_select"] < 1
    assert vanilla["ratio_to_vanilla"]["prefill"] == vanilla["ratio_to_vanilla"]["flops"] == 1
    with_view, _ = replace(rig, global_view=True).answer(0.1, page)
    assert with_view.visual_tokens > least["visual_tokens"]


def test_a_side_that_runs_out_of_memory_is_a_line_of_the_table(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    own = rig.model.generate

    def small_memory(sequence: PromptSequence, *args: Any) -> Generated:
        if len(sequence) > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(sequence, *args)

    monkeypatch.setattr(rig.model, "generate", small_memory)
    sides = measure(rig, noise_page(560, 700), [None, 0.1], repeats=1, warmups=0)
    add_ratios(sides)
    result = {
        "model": "qwen2-vl-7b", "scale": 32, "parameters": 2e6, "dtype": "float32", "device": "cpu", "repeats": 1,
        "statistic": "least",
        "pages": [{"width": 560, "height": 700, "seconds_to_prepare": 0.1, "sides": sides}],
    }  # fmt: skip
    lines = table(result).splitlines()
    assert any(line.startswith("vanilla: the GPU's memory is full") for line in lines)
    [refined] = [line.split() for line in lines if line.split()[0] == "0.1"]
    assert refined[1] == str(sides[1]["visual_tokens"]) and "-" in refined
