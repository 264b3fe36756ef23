"""Layouts and visual tokens against the models' own processors and forward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.errors import GeometryError, TrainingError
from pinpoint_data.grids import make_grid
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES
from training.vlm import GLOBAL, GRID, NEWLINE, VisionLanguageModel, VisualTokens, open_model
from training.vlm.layout import fitting_grid

Open = Callable[..., VisionLanguageModel]
# The grids themselves are proven over more sizes in tests/domain; these are the odd ones among them.
SIZES = [
    (400, 300), (200, 500), (337, 335), (28, 28), (1, 1), (17, 900), (1000, 10), (5000, 1), (1, 5000), (99, 98),
    (336, 672), (29, 3000), (3, 2), (2084, 13938),
]  # fmt: skip


@torch.no_grad()
def own_tokens(model: VisionLanguageModel, image: Image.Image) -> Any:
    """What the model's own processor and `get_image_features` give."""
    inputs = model.processor(images=image, return_tensors="pt")
    second = inputs["image_sizes"] if model.family == "llava-next" else inputs["image_grid_thw"]
    return model.inner.get_image_features(inputs["pixel_values"], second).pooler_output[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_models_own_path(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    for width, height in SIZES:
        image = noise(width, height)
        try:
            own = own_tokens(model, image)
        except ValueError as reason:
            with pytest.raises(GeometryError) as refusal:
                model.layout(width, height)
            assert str(reason) in str(refusal.value)
            continue
        layout = model.layout(width, height)
        assert layout.n_tokens == len(own), (width, height)
        [visual] = model.encode([image], [layout])
        assert torch.equal(visual.tokens, own), (width, height)


def test_grids_are_the_published_ones(tiny_model: Open) -> None:
    llava, qwen = tiny_model("llava-next"), open_model(tiny_model("qwen2-vl").source.path, max_pixels=28 * 28 * 1280)
    for width, height in ((1700, 2200), (1000, 3000), (640, 480)):
        assert llava.layout(width, height).grid == make_grid("llava-next", width, height)
        assert np.array_equal(qwen.layout(width, height).grid.x_edges, make_grid("qwen2-vl", width, height).x_edges)
        assert qwen.layout(width, height).grid.n_tokens == make_grid("qwen2-vl", width, height).n_tokens


def test_roles_of_a_llava_page(tiny_model: Open) -> None:
    layout = tiny_model("llava-next").layout(400, 300)
    rows, cols = layout.grid.rows, layout.grid.cols
    assert [int((layout.role == role).sum()) for role in (GLOBAL, GRID, NEWLINE)] == [576, rows * cols, rows]
    closes_row = np.flatnonzero(layout.role == NEWLINE)
    assert closes_row.tolist() == [576 + (row + 1) * (cols + 1) - 1 for row in range(rows)]
    assert layout.place[closes_row].tolist() == list(range(rows))


def test_page_without_a_mosaic_has_the_base_view(tiny_model: Open) -> None:
    layout = tiny_model("llava-next").layout(1, 5000)
    assert (layout.grid.rows, layout.grid.cols, layout.grid.view) == (24, 24, "llava-next-base")
    assert layout.n_tokens == 600


def test_base_view_is_the_first_tile(tiny_model: Open) -> None:
    model, image = tiny_model("llava-next"), noise(400, 300)
    base = open_model(model.source.path, dtype="float32", device="cpu", view="base")
    [whole] = model.encode([image], [model.layout(400, 300)])
    [alone] = base.encode([image], [base.layout(400, 300)])
    assert len(alone) == 577
    torch.testing.assert_close(alone.tokens[:576], whole.tokens[:576])
    assert torch.equal(alone.tokens[576], model.inner.image_newline)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_equals_single_images(tiny_model: Open, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(family)
    images = [noise(400, 300, 1), noise(120, 500, 2), noise(300, 300, 3)]
    layouts = [model.layout(*image.size) for image in images]
    alone = [model.encode([image], [layout])[0] for image, layout in zip(images, layouts, strict=True)]
    for room in (1, 10**6):
        monkeypatch.setattr(type(model), "patches_a_pass", room)
        together = model.encode(images, layouts)
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one.tokens, other.tokens, atol=1e-5, rtol=1e-5)
            assert len(one.deepstack) == len(other.deepstack) == (2 if family == "qwen3-vl" else 0)
            for a, b in zip(one.deepstack, other.deepstack, strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_need_no_language_model(tiny_model: Open, family: str) -> None:
    whole, image = tiny_model(family), noise(300, 200)
    tower = open_model(whole.source.path, dtype="float32", device="cpu")
    layout = tower.layout(300, 200)
    assert torch.equal(tower.encode([image], [layout])[0].tokens, whole.encode([image], [layout])[0].tokens)
    assert torch.equal(tower.embed([5, 6]), whole.embed([5, 6]))
    assert len(tower.inner.language_model.layers) == 0
    assert not hasattr(tower.weights, "lm_head")
    with pytest.raises(TrainingError, match="without its language model"):
        tower.generate(tower.assemble(tower.prompt("What?", 1), [layout]), tower.encode([image], [layout])[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_lower_precision_is_kept(tiny_model: Open, family: str) -> None:
    model = tiny_model(family, dtype="bfloat16", language=False)
    exact, image = tiny_model(family), noise(300, 200)
    layout = model.layout(300, 200)
    half, full = model.encode([image], [layout])[0].tokens, exact.encode([image], [layout])[0].tokens
    assert half.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(half.float(), full).mean() > 0.99


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("width", "height", "tokens"), [(130, 90, 50), (60, 400, 7), (500, 500, 900), (20, 20, 64)])
def test_crop_tokens_look_where_the_grid_says(
    tiny_model: Open, family: str, width: int, height: int, tokens: int
) -> None:
    model = tiny_model(family)
    layout = model.crop_layout(width, height, tokens)
    assert 1 <= layout.grid.n_tokens <= tokens
    assert layout.grid.extent == (0, 0, width, height)
    # On a crop enlarged to one pixel size a token, light up single cells.
    size = layout.grid.cols * 28, layout.grid.rows * 28
    layout = model.crop_layout(*size, layout.grid.n_tokens)
    dark = Image.new("RGB", size, (96, 96, 96))
    [plain] = model.encode([dark], [layout])
    for token in {0, layout.grid.n_tokens - 1, layout.grid.n_tokens // 2}:
        lit = dark.copy()
        lit.paste((255, 255, 255), tuple(int(v) for v in layout.grid.token_xyxy()[token]))
        [changed] = model.encode([lit], [layout])
        moved = (changed.tokens - plain.tokens)[layout.on_grid].norm(dim=1)
        assert int(moved.argmax()) == token


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 3000))
def test_fitting_grid_uses_what_it_is_allowed(width: int, height: int, tokens: int) -> None:
    rows, cols = fitting_grid(width, height, tokens)
    assert rows >= 1 and cols >= 1 and rows * cols <= tokens
    if max(width, height) <= 4 * min(width, height) and tokens >= 64:
        assert rows * cols >= 0.75 * tokens
        assert 0.75 < (width / cols) / (height / rows) < 4 / 3


def test_fitting_grid_needs_a_token() -> None:
    with pytest.raises(TrainingError, match="at least 1 token"):
        fitting_grid(10, 10, 0)


def test_image_must_be_of_its_layouts_size(tiny_model: Open) -> None:
    model = tiny_model("qwen2-vl")
    with pytest.raises(TrainingError, match=r"\(300, 200\).*\(200, 300\)"):
        model.encode([noise(300, 200)], [model.layout(200, 300)])


def test_another_number_of_tokens_is_an_error(tiny_model: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2-vl")
    monkeypatch.setattr(model, "encode_prepared", lambda pixels, layouts: [VisualTokens(torch.zeros(3, 64))])
    with pytest.raises(TrainingError, match=r"gave 3 visual tokens .* its layout has"):
        model.encode([noise(300, 200)], [model.layout(300, 200)])
