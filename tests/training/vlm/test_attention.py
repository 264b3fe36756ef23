"""Attention recomputed beside fused attention, against the weights that the same models give under eager attention."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.vlm import GLOBAL, GRID, NEWLINE, PromptSequence, VisionLanguageModel, VisualTokens, open_model
from training.vlm.attention import decoder_attention, encode_with_saliency

Open = Callable[..., VisionLanguageModel]
SIZES = [(400, 300), (150, 420), (300, 120)]
QWEN = [family for family in FAMILIES if family != "llava-next"]


def eager(folder: Path) -> VisionLanguageModel:
    """A second copy of the same model, whose attention gives its weights."""
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    model.weights.set_attn_implementation("eager")
    return model


@contextmanager
def recorded(model: VisionLanguageModel) -> Iterator[list[Tensor]]:
    """The weights of every eager attention while inside, whatever the modules make of them."""
    module: Any = importlib.import_module(type(model.weights).__module__)
    own, weights = module.eager_attention_forward, []

    def forward(*args: Any, **kwargs: Any) -> Any:
        out = own(*args, **kwargs)
        weights.append(out[1])
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "eager_attention_forward", forward)
        yield weights


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


def test_clip_saliency_is_the_class_row_of_eager_attention(
    tiny_model: Open, model_folder: Callable[[str], Path]
) -> None:
    model, reference = tiny_model("llava-next"), eager(model_folder("llava-next"))
    images, layouts = [noise(*size) for size in SIZES], [model.layout(*size) for size in SIZES]
    plain = model.encode(images, layouts)
    seen = encode_with_saliency(model, images, layouts)
    for image, layout, found, tokens in zip(images, layouts, seen, plain, strict=True):
        assert torch.equal(found.visual.tokens, tokens.tokens)
        with torch.no_grad():
            tiles = reference.prepare(image, layout)
            attention = reference.inner.vision_tower(tiles, output_attentions=True).attentions[-2]
        received = attention[:, :, 0, 1:].mean(dim=1)
        expected, _ = reference.inner.pack_image_features(
            [received[..., None]],
            [(layout.height, layout.width)],
            vision_feature_select_strategy="default",
            image_newline=torch.tensor([torch.nan]),
        )
        torch.testing.assert_close(found.saliency, expected[0][:, 0], equal_nan=True, atol=1e-7, rtol=1e-4)
        role = torch.from_numpy(layout.role)
        assert found.saliency[role == NEWLINE].isnan().all() and not found.saliency[role != NEWLINE].isnan().any()
        torch.testing.assert_close(found.saliency[role == GLOBAL], received[0])


@pytest.mark.parametrize("block", [0, 2, -1])
def test_clip_block_of_choice(tiny_model: Open, model_folder: Callable[[str], Path], block: int) -> None:
    model, reference = tiny_model("llava-next"), eager(model_folder("llava-next"))
    image, layout = noise(400, 300), model.layout(400, 300)
    [found] = encode_with_saliency(model, [image], [layout], block=block)
    with torch.no_grad():
        attention = reference.inner.vision_tower(reference.prepare(image, layout), output_attentions=True).attentions
    torch.testing.assert_close(found.saliency[:576], attention[block][0, :, 0, 1:].mean(dim=0), atol=1e-7, rtol=1e-4)


def test_clip_base_view_and_crops(tiny_model: Open, model_folder: Callable[[str], Path]) -> None:
    base = open_model(model_folder("llava-next"), dtype="float32", device="cpu", view="base")
    layout = base.layout(400, 300)
    [found] = encode_with_saliency(base, [noise(400, 300)], [layout])
    model = tiny_model("llava-next")
    [whole] = encode_with_saliency(model, [noise(400, 300)], [model.layout(400, 300)])
    torch.testing.assert_close(found.saliency[layout.on_grid], whole.saliency[:576])
    crops = [model.crop_layout(300, 120, 50), model.crop_layout(200, 500, 900)]
    seen = encode_with_saliency(model, [noise(300, 120), noise(200, 500)], crops)
    for layout, part in zip(crops, seen, strict=True):
        assert len(part.saliency) == layout.n_tokens
        assert (part.saliency.isnan().numpy() == (layout.role != GRID)).all()


@pytest.mark.parametrize("family", QWEN)
def test_qwen_saliency_is_the_column_mean_of_eager_attention(
    tiny_model: Open, model_folder: Callable[[str], Path], family: str
) -> None:
    model, reference = tiny_model(family), eager(model_folder(family))
    images, layouts = [noise(*size) for size in SIZES], [model.layout(*size) for size in SIZES]
    seen = encode_with_saliency(model, images, layouts)
    for image, layout, found in zip(images, layouts, seen, strict=True):
        with recorded(reference) as weights:
            [visual] = reference.encode([image], [layout])
        torch.testing.assert_close(found.visual.tokens, visual.tokens, atol=1e-4, rtol=1e-4)
        received = weights[-1][0].mean(dim=(0, 1)).view(-1, 4).mean(dim=1)
        expected = (
            received[raster_of_windows(layout.grid.rows, layout.grid.cols)] if family == "qwen2.5-vl" else received
        )
        torch.testing.assert_close(found.saliency, expected, atol=1e-7, rtol=1e-4)
        assert math.isclose(float(found.saliency.sum()), 0.25, rel_tol=1e-4)


def raster_of_windows(rows: int, cols: int) -> Tensor:
    """Where each token stands when windows of 4 x 4 tokens are read one after the other."""
    cells = [(row, col) for row in range(rows) for col in range(cols)]
    by_window = sorted(cells, key=lambda cell: (cell[0] // 4, cell[1] // 4, cell[0] % 4, cell[1] % 4))
    return torch.tensor([by_window.index(cell) for cell in cells])


def test_windowed_block_of_qwen(tiny_model: Open, model_folder: Callable[[str], Path]) -> None:
    """In its first block the tiny Qwen2.5-VL attends inside windows: the queries are those of the patch's window."""
    model, reference = tiny_model("qwen2.5-vl"), eager(model_folder("qwen2.5-vl"))
    image, layout = noise(400, 300), model.layout(400, 300)
    [found] = encode_with_saliency(model, [image], [layout], block=0)
    with recorded(reference) as weights:
        reference.encode([image], [layout])
    windows = [each[0].mean(dim=(0, 1)) for each in weights[:-1]]
    assert len(windows) > 4
    received = torch.cat(windows).view(-1, 4).mean(dim=1)[raster_of_windows(layout.grid.rows, layout.grid.cols)]
    torch.testing.assert_close(found.saliency, received, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_images_together_are_images_alone(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    layouts = [model.layout(*size) for size in SIZES]
    together = encode_with_saliency(model, [noise(*size) for size in SIZES], layouts)
    for size, layout, one in zip(SIZES, layouts, together, strict=True):
        [alone] = encode_with_saliency(model, [noise(*size)], [layout])
        torch.testing.assert_close(one.saliency, alone.saliency, equal_nan=True)
    assert encode_with_saliency(model, [], []) == []


class _Largest(TorchDispatchMode):
    """The largest tensor that any operation makes while inside."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_no_map_of_all_tokens_by_all_tokens(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    sequence, visual = prompt(model, (600, 600), (600, 600))
    decoder_attention(model, sequence, visual, [0], [0])  # what is made once only is not counted
    with _Largest() as largest:
        decoder_attention(model, sequence, visual, layers=[0, 1], queries=[-1])
    heads, width = 4, 96
    assert largest.numel <= len(sequence) * max(heads, width) < len(sequence) ** 2 / 4


def test_large_pages_are_rated_some_queries_at_a_time(tiny_model: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2-vl")
    image, layout = noise(600, 600), model.layout(600, 600)
    expected = encode_with_saliency(model, [image], [layout])[0].saliency
    monkeypatch.setattr("training.vlm.attention.chunk_length", lambda *_: 3)
    found = encode_with_saliency(model, [image], [layout])[0].saliency
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_model_is_left_as_it_was(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    sequence, visual = prompt(model, (200, 150))
    before = model.logits(sequence, visual)
    decoder_attention(model, sequence, visual, layers=[0], queries=[-1])
    with pytest.raises(ValueError, match=r"features|match"):
        broken = VisualTokens(visual.tokens[:, :7], visual.deepstack)
        decoder_attention(model, sequence, broken, layers=[0], queries=[-1])
    with pytest.raises(TrainingError, match="needs a layout of its size"):
        encode_with_saliency(model, [noise(60, 60)] * 2, [model.layout(60, 60), model.layout(90, 60)])
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
    with pytest.raises(UsageError, match="no block of the vision tower -3; there are 2"):
        encode_with_saliency(model, [noise(60, 60)], [model.layout(60, 60)], block=-3)
    tower = open_model(model_folder("qwen2-vl"), dtype="float32", device="cpu")
    with pytest.raises(TrainingError, match="without its language model"):
        decoder_attention(tower, sequence, visual, layers=[0], queries=[-1])
