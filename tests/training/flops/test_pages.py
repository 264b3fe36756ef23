"""Page sizes to patches and tokens, against the models' own layouts and the operations of a real answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.training.flops.small import Counter
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.flops import AlignerShape, FlopCount, ModelShape, refined, vanilla
from training.flops.models import find_shape
from training.flops.pages import Reading, answer_regions, answer_whole, page_shape
from training.vlm import GLOBAL, NEWLINE, ImageLayout, VisionLanguageModel, open_model

SIZES = ((967, 2076), (1710, 2220), (640, 480), (1000, 1000), (13, 31), (900, 140), (30, 2900), (2084, 13938))
NARROW = ((1, 5000), (5000, 1), (10, 1000))


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VisionLanguageModel:
    folder = tiny_model_folder(request.param, tmp_path_factory.mktemp(request.param))
    return open_model(folder, dtype="float32", device="cpu", language=True)


def patches(shape: ModelShape, layout: ImageLayout) -> list[tuple[int, int]]:
    """From the pixels that the model says it encodes."""
    down, across = layout.canvas[0] // shape.vision.patch, layout.canvas[1] // shape.vision.patch
    if not shape.tile:
        return [(down, across)]
    return [(24, 24)] * (down // 24 * (across // 24) + bool((layout.role == GLOBAL).any()))


def test_a_page_is_encoded_as_the_model_does(model: VisionLanguageModel) -> None:
    found = find_shape(str(model.source.path))
    assert found.shape == ModelShape.of(model.config)
    for size in (*SIZES, *(NARROW if found.shape.tile else ())):
        page, layout = page_shape(found.shape, *size, found.pixels), model.layout(*size)
        assert (page.rows, page.cols, page.tokens) == (layout.grid.rows, layout.grid.cols, layout.n_tokens)
        assert page.newlines == (layout.role == NEWLINE).sum()
        assert page.view_tokens == (layout.role == GLOBAL).sum()
        assert list(page.patches) == patches(found.shape, layout)


def test_crops_come_to_what_the_model_makes_of_them(model: VisionLanguageModel) -> None:
    """The share itself, where a real crop ends at whole rows and columns within it."""
    found = find_shape(str(model.source.path))
    aligner = AlignerShape(64, 64, 100, 128, 256)
    for width, height in ((967, 2076), (1710, 2220), (640, 480)):
        page = page_shape(found.shape, width, height, found.pixels)
        for share in (0.6, 0.25, 0.1):
            counted = answer_regions(found.shape, [page], Reading(), aligner, share)
            side = share**0.5
            tokens = round(share * page.grid_tokens)
            crop = model.crop_layout(round(width * side), round(height * side), tokens)
            least = tokens - crop.grid.rows - crop.grid.cols
            assert least <= crop.grid.n_tokens <= tokens
            assert 0 <= counted.visual_tokens - crop.n_tokens <= crop.grid.rows + crop.grid.cols + 1
            real = refined(found.shape, page.patches, 1, counted.flops, patches(found.shape, crop)).stages()["refine"]
            assert real == pytest.approx(counted.flops.stages()["refine"], rel=0.02 if found.shape.tile else 0.3)


def test_a_whole_answer_against_the_counter(model: VisionLanguageModel) -> None:
    """Two passes of the tower, prefill and decoding as the answering code runs them."""
    shape = ModelShape.of(model.config)
    model.weights.set_attn_implementation("eager")
    page, crop = Image.new("RGB", (150, 210), "white"), Image.new("RGB", (90, 70), "grey")
    page_layout, crop_layout = model.layout(*page.size), model.crop_layout(*crop.size, 30)
    for layout, image, again in ((page_layout, page, []), (crop_layout, crop, [crop_layout])):
        with Counter() as counter:
            [seen] = model.encode([page], [page_layout])
            if again:
                [seen] = model.encode([crop], [crop_layout])
            sequence = model.assemble(model.prompt("How many?", 1), [layout])
            made = model.generate(sequence, seen, max_new_tokens=4)
        new = min(len(made.ids) + 1, 4)
        patches_seen = patches(shape, page_layout)
        if again:
            found = refined(shape, patches_seen, len(sequence), FlopCount(), patches(shape, crop_layout), new)
        else:
            found = vanilla(shape, patches_seen, len(sequence), new)
        assert counter.total == found.total, image.size


class TestReading:
    shape = find_shape("qwen2-vl-7b")
    tiled = find_shape("llava-next-7b")
    aligner = AlignerShape(8, 8, 9, 4, 8)

    def test_everything_selected_and_read_again_is_vanilla(self) -> None:
        page = page_shape(self.shape.shape, 1240, 1754, self.shape.pixels)
        whole = answer_whole(self.shape.shape, [page], Reading())
        found = answer_regions(self.shape.shape, [page], Reading(refine=False), self.aligner, 1.0)
        assert found.visual_tokens == whole.visual_tokens == page.grid_tokens
        assert found.flops.stages() == whole.flops.stages() | {"select": found.flops.stages()["select"]}

    def test_the_view_of_the_whole(self) -> None:
        page = page_shape(self.tiled.shape, 1240, 1754)
        plain, view = (
            answer_regions(self.tiled.shape, [page], Reading(global_view=on), self.aligner, 0.25)
            for on in (False, True)
        )
        assert view.visual_tokens - plain.visual_tokens == 576
        assert view.flops.stages()["refine"] == plain.flops.stages()["refine"]
        page = page_shape(self.shape.shape, 1240, 1754, self.shape.pixels)
        plain, view, kept = (
            answer_regions(self.shape.shape, [page], Reading(global_view=on, refine=again), self.aligner, 0.25)
            for on, again in ((False, True), (True, True), (True, False))
        )
        assert view.visual_tokens - plain.visual_tokens == 144
        assert view.flops.stages()["refine"] > plain.flops.stages()["refine"]
        assert kept.visual_tokens == plain.visual_tokens

    def test_more_regions_take_less_attention_and_more_tiles(self) -> None:
        for model, part in ((self.shape, "attention"), (self.tiled, "linear")):
            page = page_shape(model.shape, 1240, 1754, model.pixels)
            one, four = (
                answer_regions(model.shape, [page], Reading(regions=n), self.aligner, 0.6).flops[f"refine.{part}"]
                for n in (1, 4)
            )
            assert (four < one) == (model is self.shape)

    def test_regions_are_no_more_than_tokens(self) -> None:
        page = page_shape(self.shape.shape, 60, 60, self.shape.pixels)
        found = answer_regions(self.shape.shape, [page], Reading(regions=50), self.aligner, 0.01)
        assert found.visual_tokens == 1

    def test_pages_add_up(self) -> None:
        page = page_shape(self.shape.shape, 1240, 1754, self.shape.pixels)
        one, two = (answer_whole(self.shape.shape, [page] * n, Reading()) for n in (1, 2))
        assert two.visual_tokens == 2 * one.visual_tokens
        assert two.flops.stages()["encode"] == 2 * one.flops.stages()["encode"]
        assert two.flops["prefill.attention"] > 2 * one.flops["prefill.attention"]


def test_a_folder_without_limits_has_those_of_qwen(tmp_path: Path) -> None:
    folder = tiny_model_folder("qwen2-vl", tmp_path / "model")
    assert find_shape(str(folder)).pixels == (4 * 196, 200 * 4 * 196)
    (folder / "preprocessor_config.json").unlink()
    assert find_shape(str(folder)).pixels == (3136, 12_845_056)
