"""Signals of the vision tower recomputed beside fused attention, against eager attention and plain formulas."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.clip import modeling_clip

from pinpoint_data.errors import TrainingError
from tests.training.vlm.eager import Largest, eager, recorded
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES
from training.vlm import VisionLanguageModel, open_model, vision_pass
from training.vlm.vision_pass import HUB_THRESHOLDS, VisionSignals, encode_with_signals

Open = Callable[..., VisionLanguageModel]
SIZES = [(400, 300), (150, 420), (300, 120)]
QWEN = [family for family in FAMILIES if family != "llava-next"]
NAMES = [field.name for field in fields(VisionSignals)]


def signals_of(model: VisionLanguageModel, *sizes: tuple[int, int]) -> list[VisionSignals]:
    layouts = [model.layout(*size) for size in sizes]
    return [own for _, own in encode_with_signals(model, [noise(*size) for size in sizes], layouts)]


def hubs(received: Tensor, threshold: float | None) -> Tensor:
    """The patches that VFlowOpt listens to, one by one."""
    mean = sum(received.tolist()) / len(received)
    found = [i for i, value in enumerate(received.tolist()) if threshold is not None and value > threshold * mean]
    best = sorted(range(len(received)), key=lambda i: -received[i].item())
    return torch.tensor(found or best[: math.ceil(len(received) / 100)])


def contexts(weights: Tensor, received: Tensor) -> Tensor:
    """(n, 4) from head-mean weights (n, n), in their unit."""
    return torch.stack([weights[hubs(received, t)].mean(dim=0) for t in (*HUB_THRESHOLDS, None)], dim=1)


def clip_reference(model: VisionLanguageModel, size: tuple[int, int]) -> dict[str, Tensor]:
    """All signals of a page of LLaVA-NeXT, tile by tile from eager attention, joined by transformers itself."""
    image, layout = noise(*size), model.layout(*size)
    with recorded(modeling_clip) as calls, torch.no_grad():
        hidden = model.inner.vision_tower(model.prepare(image, layout), output_hidden_states=True).hidden_states
    shallow, block, last = calls[1], calls[-2], calls[-1]  # of 3 blocks
    found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    for tile in range(len(hidden[0])):
        # In even shares: 577 keys, of which the class token is one.
        weights = 577 * block.weights[tile].mean(dim=0)[1:, 1:]
        query, key = block.query[tile, :, 1:], block.key[tile, :, 1:]
        products = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).mean(dim=0)
        wide_query, wide_key = (side[tile].transpose(0, 1).flatten(1) for side in (last.query, last.key))
        row = 577 * (wide_query[0] @ wide_key.T / wide_query.shape[-1] ** 0.5).softmax(dim=-1)
        received = weights.mean(dim=0)
        values = {
            "saliency": 577 * block.weights[tile, :, 0, 1:].mean(dim=0),
            "received": received,
            "context": contexts(weights, received),
            "logits_received": products.mean(dim=0),
            "logits_given": products.mean(dim=1),
            "keys": key.mean(dim=0),
            "shallow": 577 * shallow.weights[tile, :, 0, 1:].mean(dim=0),
            "single": row[1:],
            "last_keys": wide_key[1:],
            "tile": torch.full((576,), tile - 1.0),
            "patches": hidden[-2][tile, 1:],
        }
        for name, value in values.items():
            found[name].append(value.reshape(576, -1))
    signals = {
        name: grid_tokens(model, layout, torch.stack(tiles)).squeeze(1) for name, tiles in found.items() if tiles
    }
    return signals | {"overview": seen_from_afar(577 * block.weights[0, :, 0, 1:].mean(dim=0), layout)}


def seen_from_afar(saliency: Tensor, layout: Any) -> Tensor:
    """A value for each grid token from 24 x 24 over the page, one by one."""
    xs, ys = layout.grid.x_edges, layout.grid.y_edges
    found = []
    for top, bottom in pairwise(ys):
        for left, right in pairwise(xs):
            row = math.floor(24 * (top + bottom) / 2 / layout.height)
            col = math.floor(24 * (left + right) / 2 / layout.width)
            found.append(float(saliency[24 * min(max(row, 0), 23) + min(max(col, 0), 23)]))
    return torch.tensor(found)


def grid_tokens(model: VisionLanguageModel, layout: Any, tiles: Tensor) -> Tensor:
    packed, _ = model.inner.pack_image_features(
        [tiles],
        [(layout.height, layout.width)],
        vision_feature_select_strategy="default",
        image_newline=torch.full((tiles.shape[-1],), torch.nan),
    )
    mosaic: Tensor = packed[0][576:]
    return mosaic[~mosaic[:, 0].isnan()]


def qwen_reference(model: VisionLanguageModel, size: tuple[int, int], shallow_segments: int) -> dict[str, Tensor]:
    """All signals of a page of Qwen-VL from eager attention, in the order that the tower sees the tokens in."""
    layout = model.layout(*size)
    module = importlib.import_module(type(model.weights).__module__)
    with recorded(module) as calls:
        model.encode([noise(*size)], [layout])
    # In even shares of the patches that attend to each other.
    first = torch.cat([call.weights.shape[-1] * call.weights[0].mean(dim=(0, 1)) for call in calls[:shallow_segments]])
    last = calls[-1]
    weights, query, key = last.weights[0].mean(dim=0) * last.weights.shape[-1], last.query[0], last.key[0]
    products = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).mean(dim=0)
    received = weights.mean(dim=0)
    found = {
        "saliency": received,
        "overview": received,
        "received": received,
        "context": contexts(weights, received),
        "logits_received": products.mean(dim=0),
        "logits_given": products.mean(dim=1),
        "keys": key.mean(dim=0),
        "shallow": first,
        "single": received,
        "last_keys": key.transpose(0, 1).flatten(1),
    }
    merged = {name: v.reshape(-1, 4, *v.shape[1:]).mean(dim=1) for name, v in found.items()}
    return merged | {"tile": torch.zeros(layout.n_tokens)}


def raster_of_windows(rows: int, cols: int) -> Tensor:
    """Where each token stands when windows of 4 x 4 tokens are read one after the other."""
    cells = [(row, col) for row in range(rows) for col in range(cols)]
    by_window = sorted(cells, key=lambda cell: (cell[0] // 4, cell[1] // 4, cell[0] % 4, cell[1] % 4))
    return torch.tensor([by_window.index(cell) for cell in cells])


def check(found: VisionSignals, expected: dict[str, Tensor]) -> None:
    for name in NAMES:
        value, wanted = getattr(found, name), expected.get(name)
        if wanted is None:
            assert value is None, name
            continue
        assert value.dtype == (torch.int64 if name == "tile" else torch.float32)
        torch.testing.assert_close(value.float(), wanted, atol=1e-6, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


# At 0.9 times the mean many patches are hubs, at 1.1 some; as released none of so even a tower's is.
@pytest.mark.parametrize("thresholds", [HUB_THRESHOLDS, (0.9, 1.0005, 34.76)])
def test_clip_signals_are_those_of_eager_attention(
    tiny_model: Open,
    model_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    thresholds: tuple[float, ...],
) -> None:
    monkeypatch.setattr(vision_pass, "HUB_THRESHOLDS", thresholds)
    monkeypatch.setitem(globals(), "HUB_THRESHOLDS", thresholds)
    model, reference = tiny_model("llava-next"), eager(model_folder("llava-next"))
    for size, found in zip(SIZES, signals_of(model, *SIZES), strict=True):
        check(found, clip_reference(reference, size))


@pytest.mark.parametrize("family", QWEN)
@pytest.mark.parametrize("thresholds", [HUB_THRESHOLDS, (0.9, 1.0005, 34.76)])
def test_qwen_signals_are_those_of_eager_attention(
    tiny_model: Open,
    model_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    thresholds: tuple[float, ...],
) -> None:
    monkeypatch.setattr(vision_pass, "HUB_THRESHOLDS", thresholds)
    monkeypatch.setitem(globals(), "HUB_THRESHOLDS", thresholds)
    model, reference = tiny_model(family), eager(model_folder(family))
    for size, found in zip(SIZES, signals_of(model, *SIZES), strict=True):
        layout = model.layout(*size)
        rows, cols = layout.grid.rows, layout.grid.cols
        windows = -(-rows // 4) * -(-cols // 4)
        # Of 2 blocks the first is the shallow one, of Qwen3-VL's 3 the second.
        expected = qwen_reference(reference, size, windows if family == "qwen2.5-vl" else 1)
        if family == "qwen3-vl":
            expected["shallow"] = expected_of_block(reference, size, 1)
        if family == "qwen2.5-vl":
            expected = {name: value[raster_of_windows(rows, cols)] for name, value in expected.items()}
        check(found, expected)
        # Whatever the size of the page.
        assert math.isclose(float(found.received.mean()), 1, rel_tol=1e-4)


def expected_of_block(model: VisionLanguageModel, size: tuple[int, int], block: int) -> Tensor:
    with recorded(importlib.import_module(type(model.weights).__module__)) as calls:
        model.encode([noise(*size)], [model.layout(*size)])
    weights = calls[block].weights[0]
    return weights.shape[-1] * weights.mean(dim=(0, 1)).view(-1, 4).mean(dim=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_visual_tokens_are_those_of_encode(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    images, layouts = [noise(*size) for size in SIZES], [model.layout(*size) for size in SIZES]
    plain, watched = model.encode(images, layouts), encode_with_signals(model, images, layouts)
    for layout, visual, (own, found) in zip(layouts, plain, watched, strict=True):
        assert torch.equal(visual.tokens, own.tokens) and len(visual.deepstack) == len(own.deepstack)
        assert len(found) == layout.grid.n_tokens
    assert encode_with_signals(model, [], []) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_pages_together_are_pages_alone(tiny_model: Open, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(family)
    alone = [signals_of(model, size)[0] for size in SIZES]
    # Two passes of the tower, the second with one page.
    monkeypatch.setattr(type(model), "patches_a_pass", 6 if family == "llava-next" else 400)
    for one, other in zip(signals_of(model, *SIZES), alone, strict=True):
        check(one, {name: value for name in NAMES if (value := getattr(other, name)) is not None} | as_float(other))


def as_float(signals: VisionSignals) -> dict[str, Tensor]:
    return {"tile": signals.tile.float()}


def test_tiles_of_a_mosaic(tiny_model: Open) -> None:
    """A page of 400 x 300 is a mosaic of 24 x 32 tokens on two tiles of 24 x 24, with 8 columns of padding a side."""
    found, other = signals_of(tiny_model("llava-next"), (400, 300), (300, 120))
    tile = found.tile.view(24, 32)
    assert (tile[:, :16] == 0).all() and (tile[:, 16:] == 1).all()
    both = VisionSignals.cat([found, other])
    assert len(both) == len(found) + len(other)
    assert torch.equal(both.tile[len(found) :], other.tile + 2)
    assert torch.equal(both.keys, torch.cat([found.keys, other.keys]))
    assert both.patches is not None and len(both.patches) == len(both)


def test_base_view_alone(tiny_model: Open, model_folder: Callable[[str], Path]) -> None:
    base = open_model(model_folder("llava-next"), dtype="float32", device="cpu", view="base")
    [found] = signals_of(base, (400, 300))
    assert len(found) == 576 and not found.tile.any() and torch.equal(found.overview, found.saliency)
    tower = base.inner.vision_tower
    tile = base.prepare(noise(400, 300), base.layout(400, 300))
    with torch.no_grad():
        torch.testing.assert_close(found.patches, tower(tile, output_hidden_states=True).hidden_states[-2][0, 1:])


def test_half_precision_gives_float32(model_folder: Callable[[str], Path], tiny_model: Open) -> None:
    for family in ("llava-next", "qwen2-vl"):
        half = open_model(model_folder(family), dtype="bfloat16", device="cpu")
        [found], [exact] = signals_of(half, (200, 150)), signals_of(tiny_model(family), (200, 150))
        for name in set(NAMES) - {"tile", "patches"}:
            value, wanted = getattr(found, name), getattr(exact, name)
            assert value.dtype == torch.float32
            assert torch.corrcoef(torch.stack([value.flatten(), wanted.flatten()]))[0, 1] > 0.9, name


@pytest.mark.parametrize(("family", "heads", "patches"), [("llava-next", 2, 576), ("qwen2-vl", 2, 784)])
def test_no_map_of_all_tokens_by_all_tokens(
    tiny_model: Open, monkeypatch: pytest.MonkeyPatch, family: str, heads: int, patches: int
) -> None:
    model = tiny_model(family)
    [whole] = signals_of(model, (390, 390))
    monkeypatch.setattr(vision_pass, "chunk_length", lambda *_, **__: 3)
    query, key = torch.randn(heads, patches, 16), torch.randn(heads, patches, 16)
    with Largest() as largest:
        vision_pass.relative_attention(query, key)
    assert largest.numel <= heads * patches * 16
    [found] = signals_of(model, (390, 390))
    check(found, {n: value for n in NAMES if (value := getattr(whole, n)) is not None} | as_float(whole))


def test_blocks_of_published_towers() -> None:
    """CLIP-L, Qwen2-VL and Qwen2.5-VL, Qwen3-VL."""
    assert [vision_pass._shallow(blocks) for blocks in (24, 32, 27)] == [5, 7, 6]


@pytest.mark.parametrize("family", FAMILIES)
def test_tower_is_left_as_it_was(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    model.encode([noise(60, 60)], [model.layout(60, 60)])  # transformers leaves hooks of its own
    before = hooks(model)
    with pytest.raises(TrainingError, match="needs a layout of its size"):
        encode_with_signals(model, [noise(60, 60)] * 2, [model.layout(60, 60), model.layout(90, 60)])
    assert hooks(model) == before


def hooks(model: VisionLanguageModel) -> list[int]:
    return [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.weights.modules()]
