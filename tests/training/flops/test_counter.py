"""The formulas against PyTorch's own counter, term by term and exactly: both count products of matrices alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pinpoint_data.token_grid import even_grid
from pinpoint_data.windows import WindowSpec, make_windows
from tests.training.flops.small import FAMILIES, Counter, build, small_config
from training.aligner.model import Aligner, window_tokens
from training.flops import AlignerShape, FlopCount, ModelShape, aligner_flops, decode_flops, prefill_flops, vision_flops
from training.vlm.published import published_config

IMAGES = ((40, 30), (18, 26), (2, 2))
"""Rows and columns of patches of some images: windows of 8 x 8 fit the first ones' sides partly."""


def see(model: Any, shape: ModelShape, images: tuple[tuple[int, int], ...], device: str = "cpu") -> tuple[Any, Any]:
    """Counters of tower and projector together, and of the projector alone."""
    if shape.tile:
        with Counter() as tower:
            tiles = torch.zeros(len(images), 3, shape.tile, shape.tile, device=device)
            seen = model.model.vision_tower(tiles, output_hidden_states=True).hidden_states[-2][:, 1:]
            with Counter() as projector:
                model.model.multi_modal_projector(seen)
        return tower, projector
    count = sum(rows * cols for rows, cols in images)
    thw = torch.tensor([[1, rows, cols] for rows, cols in images])
    # On the meta device positions cannot be computed from the sizes; their values change nothing.
    made = {"position_ids": torch.zeros(count, 2, device=device)} if device == "meta" else {}
    visual = model.model.visual
    with Counter() as tower:
        visual(torch.zeros(count, shape.vision.patch_values, device=device), thw, **made)
    with Counter() as projector:
        for merger in (visual.merger, *getattr(visual, "deepstack_merger_list", ())):
            merger(torch.zeros(count, shape.vision.width, device=device))
    return tower, projector


def read(model: Any, shape: ModelShape, tokens: int, device: str = "cpu") -> Any:
    """The counter of a prefill, as `generate` does it: the LM head on the last position alone."""
    axes = () if shape.tile else (3,)
    # Masks and positions that are given keep the model from looking into its input, which meta tensors do not allow.
    given = {
        "attention_mask": torch.zeros(1, 1, tokens, tokens, device=device),
        "position_ids": torch.arange(tokens, device=device).expand(*axes, 1, tokens),
    }
    with Counter() as counter:
        embeds = torch.zeros(1, tokens, shape.decoder.width, device=device)
        hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False, **given).last_hidden_state
        model.lm_head(hidden[:, -1:])
    return counter


def terms(tower: Any, projector: Any) -> FlopCount:
    return FlopCount(
        patch_embedding=tower.of("convolution"),
        linear=tower.of("mm", "addmm") - projector.total,
        attention=tower.of("bmm"),
        projector=projector.total,
    )


@pytest.mark.parametrize("name", FAMILIES)
class TestSmallModels:
    def test_vision_tower_and_projector(self, name: str) -> None:
        config = small_config(name)
        shape = ModelShape.of(config)
        images = ((24, 24),) * 3 if shape.tile else IMAGES
        tower, projector = see(build(config), shape, images)
        assert tower.total == vision_flops(shape, images).total
        assert terms(tower, projector) == vision_flops(shape, images)

    def test_prefill(self, name: str) -> None:
        config = small_config(name)
        shape = ModelShape.of(config)
        counter = read(build(config), shape, 33)
        found = prefill_flops(shape, 33)
        assert counter.of("bmm") == found["attention"]
        assert counter.of("mm", "addmm") == found["linear"] + found["lm_head"]
        assert counter.total == found.total

    def test_generate(self, name: str) -> None:
        config = small_config(name)
        shape = ModelShape.of(config)
        model = build(config)
        ids = torch.arange(10, 29)[None]
        for new in (1, 2, 7):
            with Counter() as counter:
                made = model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)
            assert made.shape[1] == 19 + new
            assert counter.total == (prefill_flops(shape, 19) + decode_flops(shape, 19, new)).total


@pytest.mark.parametrize("name", ["llava-next-7b", "qwen2-vl-7b"])
def test_published_sizes(name: str) -> None:
    """The full 7B models, on the device that has shapes and no memory."""
    config = published_config(name)
    shape = ModelShape.of(config)
    model = build(config, "meta")
    images = ((24, 24),) * 5 if shape.tile else ((138, 106),)
    tower, projector = see(model, shape, images, "meta")
    assert terms(tower, projector) == vision_flops(shape, images)
    assert read(model, shape, 2048, "meta").total == prefill_flops(shape, 2048).total


@pytest.mark.parametrize("hidden", [None, 6])
def test_aligner(hidden: int | None) -> None:
    grids = ((23, 12), (5, 31), (10, 10))
    spec = WindowSpec(10, 8, 7)
    aligner = Aligner(20, 14, queries=9, width=16, hidden=hidden)
    found = aligner_flops(AlignerShape(20, 14, 9, 16, hidden or 32, spec), grids, 11)
    with Counter() as question:
        encoded = aligner.encode_questions(torch.zeros(1, 11, 14), torch.ones(1, 11, dtype=torch.bool))
    assert question.total == found["question"]
    page_flops = score_flops = 0
    for rows, cols in grids:
        windows = make_windows(even_grid(rows, cols, cols, rows, "test"), spec)
        with Counter() as page:
            made = aligner.encode_page(torch.zeros(rows * cols, 20))
        with Counter() as score:
            aligner.score(made, [window_tokens(windows.rows_cols, cols)], encoded)
        page_flops, score_flops = page_flops + page.total, score_flops + score.total
    assert page_flops == found["projection"] + found["logits"]
    assert score_flops == found["pooling"] + found["cosines"]
