"""Runs that look at pages with fewer pixels than the model that answers: what is encoded, counted and kept."""

from __future__ import annotations

import pytest
import torch

from tests.training.answering.vlm_runs import page, vlm_run
from tests.training.runs import tiny_run
from tests.training.vlm.pictures import noise
from training.answering import answering_model, make_answerers
from training.checkpoint import load_run
from training.flops import ModelShape, vision_flops
from training.selection.select import select_regions
from training.vlm import open_model

WIDTH, HEIGHT = 300, 420
FEW = 28 * 28 * 40
LOOKS = {"qwen2-vl": {"max_pixels": FEW}, "llava-next": {"view": "base"}}
QUESTION = "What is the total?"


@pytest.fixture
def encoded(monkeypatch):
    """The layouts of all images that go through a vision tower, whoever asks."""
    from training.vlm import VisionLanguageModel

    own, seen = VisionLanguageModel.encode, []

    def encode(self, images, layouts):
        seen.extend(layouts)
        return own(self, images, layouts)

    monkeypatch.setattr(VisionLanguageModel, "encode", encode)
    return seen


def answerer_of(run, model, **options):
    settings = {"coverages": [0.3], "vanilla": False, "max_new_tokens": 2} | options
    return make_answerers(run, model=model, **settings)[-1]


def stage(answer, name):
    return {part: flops for part, flops in answer.flops.items() if part.startswith(f"{name}.")}


@pytest.mark.parametrize("name", LOOKS)
def test_selects_at_low_and_answers_at_high_resolution(tiny_model, model_folder, tmp_path, encoded, name):
    run = vlm_run(tmp_path / "run", model_folder(name), name, **LOOKS[name])
    low, high = run.backbone.grid(WIDTH, HEIGHT), tiny_model(name).layout(WIDTH, HEIGHT).grid
    assert low.n_tokens < high.n_tokens
    # What is selected is what the run alone selects; the budget is counted on the grid of the model that answers.
    alone = select_regions(run, [page(0, WIDTH, HEIGHT)], QUESTION, coverage=0.3)
    encoded.clear()
    answerer = answerer_of(run, tiny_model(name))
    answer, selection = answerer.answer_selected(QUESTION, [page(0, WIDTH, HEIGHT)])
    assert (selection.pages[0].mask == alone.pages[0].mask).all()
    assert 0.3 <= answer.budget_used <= 0.6
    look, *crops = encoded
    assert (look.grid.rows, look.grid.cols) == (low.rows, low.cols)
    assert len(crops) == len(answer.regions)
    patches = [(24, 24)] if name == "llava-next" else [(2 * low.rows, 2 * low.cols)]
    expected = vision_flops(ModelShape.of(run.backbone.model.config), patches)
    assert stage(answer, "encode") == dict(expected.under("encode"))


def test_a_look_and_the_page_whole_are_counted_together(tiny_model, model_folder, tmp_path, encoded):
    model = tiny_model("qwen2-vl")
    run = vlm_run(tmp_path / "run", model_folder("qwen2-vl"), "qwen2-vl", **LOOKS["qwen2-vl"])
    answer = answerer_of(run, model, refine=False).answer(QUESTION, [page(0, WIDTH, HEIGHT)])
    grids = [run.backbone.grid(WIDTH, HEIGHT), model.layout(WIDTH, HEIGHT).grid]
    assert [(layout.grid.rows, layout.grid.cols) for layout in encoded] == [(g.rows, g.cols) for g in reversed(grids)]
    expected = vision_flops(ModelShape.of(model.config), [(2 * g.rows, 2 * g.cols) for g in grids])
    assert stage(answer, "encode") == dict(expected.under("encode"))


@pytest.mark.parametrize("look", ["glance", "words"])
def test_llava_s_view_of_the_whole_is_shown_without_its_mosaic(tiny_model, model_folder, tmp_path, encoded, look):
    model = tiny_model("llava-next")
    if look == "glance":
        run = vlm_run(tmp_path / "run", model_folder("llava-next"), "llava-next", view="base")
    else:
        run = load_run(tiny_run(tmp_path / "run"))
    # The second has no mosaic: its view is all there is of it, and a thumbnail is what is shown.
    pages = [page(0, WIDTH, HEIGHT), page(1, 40, 4000)]
    answerer = answerer_of(run, model, coverages=[0.9], global_view=True, max_waste=0.8)
    answer = answerer.answer(QUESTION, pages)
    tiles = {"glance": 2, "words": 1}[look]
    expected = vision_flops(ModelShape.of(model.config), [(24, 24)] * tiles)
    assert stage(answer, "encode") == dict(expected.under("encode"))
    assert sum(layout.grid.view == "llava-next-base" for layout in encoded) == tiles
    assert not any(layout.grid.view == "llava-next" for layout in encoded)
    view = answer.regions[0]
    assert (view.xyxy, view.tokens) == ((0.0, 0.0, WIDTH, HEIGHT), 576)
    assert sum(region.tokens for region in answer.regions) == answer.visual_tokens
    before = len(encoded)
    answerer.answer("Who?", pages)
    assert all(layout.grid.view == "llava-next-crop" for layout in encoded[before:])


def test_the_view_alone_is_the_view_before_the_mosaic(tiny_model, model_folder, tmp_path):
    model, image = tiny_model("llava-next"), noise(WIDTH, HEIGHT)
    run = vlm_run(tmp_path / "run", model_folder("llava-next"), "llava-next", view="base")
    for size in [(WIDTH, HEIGHT), (2084, 1033), (336, 336), (77, 900)]:
        own = model.processor(images=noise(*size), return_tensors="pt")["pixel_values"][0]
        assert torch.equal(model.prepare(noise(*size), model.view_layout(*size)), own[:1])
    (whole,) = model.encode([image], [model.layout(WIDTH, HEIGHT)])
    (view,) = model.encode([image], [model.view_layout(WIDTH, HEIGHT)])
    torch.testing.assert_close(view.tokens, whole.tokens[:576], atol=1e-5, rtol=1e-4)
    of_run = run.backbone.encode_page(page(0, WIDTH, HEIGHT)).tensor()
    assert torch.equal(view.tokens, of_run)
    assert model.view_layout(1, 5000) is None
    assert run.backbone.model.view_layout(WIDTH, HEIGHT) is None
    assert tiny_model("qwen2-vl").view_layout(WIDTH, HEIGHT) is None


def test_same_weights_are_in_memory_once(tiny_model, model_folder):
    folder, whole = model_folder("qwen2-vl"), tiny_model("qwen2-vl")
    few = open_model(folder, dtype="float32", device="cpu", max_pixels=FEW)
    image, layout = noise(WIDTH, HEIGHT), few.layout(WIDTH, HEIGHT)
    alone = few.encode([image], [layout])[0].tokens
    assert few.borrow_weights(whole)
    assert few.weights is whole.weights
    assert torch.equal(few.encode([image], [layout])[0].tokens, alone)
    assert torch.equal(few.embed([5, 6]), whole.embed([5, 6]))
    assert whole.borrow_weights(few)  # what it lent it does not borrow back
    assert whole.weights is few.weights
    other = open_model(folder, dtype="bfloat16", device="cpu")
    assert not other.borrow_weights(whole)
    assert other.weights is not whole.weights


@pytest.mark.parametrize("name", LOOKS)
def test_the_answering_model_looks_as_it_was_made_to(tiny_model, model_folder, tmp_path, name):
    run = vlm_run(tmp_path / "run", model_folder(name), name, **LOOKS[name])
    for model in (answering_model(run), answering_model(run, model_folder(name))):
        assert model.settings() == tiny_model(name).settings()
        assert model.dtype == torch.float32
        answerer = answerer_of(run, model)
        assert answerer.stage_one.look == {"qwen2-vl": "own", "llava-next": "glance"}[name]
        assert run.backbone.model.weights is model.weights
