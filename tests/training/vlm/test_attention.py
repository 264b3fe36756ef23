"""Attention recomputed beside fused attention, against the weights that the same models give under eager attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.eager import Largest, eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.vlm import PromptSequence, VisionLanguageModel, VisualTokens, open_model
from training.vlm.attention import decoder_attention

Open = Callable[..., VisionLanguageModel]


def prompt(model: VisionLanguageModel, *sizes: tuple[int, int]) -> tuple[PromptSequence, VisualTokens]:
    images, layouts = [noise(*size) for size in sizes], [model.layout(*size) for size in sizes]
    sequence = model.assemble(model.prompt("What is the total?", len(sizes)), layouts)
    return sequence, VisualTokens.cat(model.encode(images, layouts))


@pytest.mark.parametrize("family", FAMILIES)
def test_decoder_rows_are_those_of_eager_attention(
    tiny_model: Open, model_folder: Callable[[str], Path], family: str
) -> None:
    model, reference = tiny_model(family), eager(model_folder(family))
    sequence, visual = prompt(model, (200, 150), (120, 90))
    queries = [-1, 0, len(sequence) // 2, -7]
    rows = decoder_attention(model, sequence, visual, layers=[1, 0, -1], queries=queries)
    with torch.no_grad():
        own = reference.weights(
            **reference.decoder_inputs(sequence, visual), output_attentions=True, use_cache=False
        ).attentions
    expected = torch.stack([own[layer][0][:, queries] for layer in (1, 0, 1)])
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=1e-4)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(-1), torch.ones(3, 4, 4))


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_rows_of_chosen_tokens_at_their_original_places(
    tiny_model: Open, model_folder: Callable[[str], Path], family: str
) -> None:
    model, reference = tiny_model(family), eager(model_folder(family))
    whole, visual = prompt(model, (200, 150))
    keep = (whole.image < 0) | (torch.arange(len(whole)) % 3 == 0)
    sequence, kept = whole.take(keep.nonzero()[:, 0]), visual.take(keep[whole.image >= 0].nonzero()[:, 0])
    rows = decoder_attention(model, sequence, kept, layers=[1], queries=[-1])
    with torch.no_grad():
        own = reference.weights(
            **reference.decoder_inputs(sequence, kept), output_attentions=True, use_cache=False
        ).attentions
    torch.testing.assert_close(rows[0], own[1][0][:, -1:], atol=1e-6, rtol=1e-4)


def test_sliding_window_of_mistral(tmp_path: Path) -> None:
    folder = tiny_model_folder("llava-next", tmp_path / "mistral", text="mistral")
    model, reference = open_model(folder, dtype="float32", device="cpu", language=True), eager(folder)
    for one in (model, reference):
        one.weights.config.text_config.sliding_window = 40
    sequence, visual = prompt(model, (100, 80))
    rows = decoder_attention(model, sequence, visual, layers=[0, 1], queries=[-1, 50])
    assert (rows[..., 0, :-40] == 0).all() and (rows[..., 0, -40:] > 0).all()
    with torch.no_grad():
        own = reference.weights(
            **reference.decoder_inputs(sequence, visual), output_attentions=True, use_cache=False
        ).attentions
    torch.testing.assert_close(rows, torch.stack([layer[0][:, [-1, 50]] for layer in own]), atol=1e-6, rtol=1e-4)


def test_half_precision_rows_are_float32(model_folder: Callable[[str], Path], tiny_model: Open) -> None:
    half = open_model(model_folder("qwen2-vl"), dtype="bfloat16", device="cpu", language=True)
    rows = decoder_attention(half, *prompt(half, (200, 150)), layers=[0], queries=[-1])
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, 4, 1))
    # The first layer sees nothing but rounded inputs: its rows differ by that and not by rounded weights.
    full = tiny_model("qwen2-vl")
    exact = decoder_attention(full, *prompt(full, (200, 150)), layers=[0], queries=[-1])
    assert torch.corrcoef(torch.stack([rows.flatten(), exact.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_no_map_of_all_tokens_by_all_tokens(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    sequence, visual = prompt(model, (600, 600), (600, 600))
    decoder_attention(model, sequence, visual, [0], [0])  # what is made once only is not counted
    with Largest() as largest:
        decoder_attention(model, sequence, visual, layers=[0, 1], queries=[-1])
    heads, width = 4, 96
    assert largest.numel <= len(sequence) * max(heads, width) < len(sequence) ** 2 / 4


@pytest.mark.parametrize("family", FAMILIES)
def test_model_is_left_as_it_was(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    sequence, visual = prompt(model, (200, 150))
    before = model.logits(sequence, visual)
    decoder_attention(model, sequence, visual, layers=[0], queries=[-1])
    with pytest.raises(ValueError, match=r"features|match"):
        broken = VisualTokens(visual.tokens[:, :7], visual.deepstack)
        decoder_attention(model, sequence, broken, layers=[0], queries=[-1])
    assert not any(module._forward_pre_hooks for module in model.weights.modules())
    assert torch.equal(model.logits(sequence, visual), before)


def test_only_layers_that_are_needed_run(tiny_model: Open) -> None:
    model = tiny_model("llava-next")
    sequence, visual = prompt(model, (200, 150))
    ran: list[int] = []
    layers = model.inner.language_model.layers
    handles = [
        layer.register_forward_hook(lambda *_, number=number: ran.append(number)) for number, layer in enumerate(layers)
    ]
    decoder_attention(model, sequence, visual, layers=[0], queries=[-1])
    for handle in handles:
        handle.remove()
    assert ran == [0] and len(layers) == 2


def test_what_there_is_not(tiny_model: Open, model_folder: Callable[[str], Path]) -> None:
    model = tiny_model("qwen2-vl")
    sequence, visual = prompt(model, (60, 60))
    with pytest.raises(UsageError, match="no decoder layer 2; there are 2"):
        decoder_attention(model, sequence, visual, layers=[2], queries=[-1])
    with pytest.raises(UsageError, match=f"no position {len(sequence)}; there are {len(sequence)}"):
        decoder_attention(model, sequence, visual, layers=[0], queries=[len(sequence)])
    with pytest.raises(UsageError, match="at least one"):
        decoder_attention(model, sequence, visual, layers=[], queries=[-1])
    tower = open_model(model_folder("qwen2-vl"), dtype="float32", device="cpu")
    with pytest.raises(TrainingError, match="without its language model"):
        decoder_attention(tower, sequence, visual, layers=[0], queries=[-1])
