"""Answers of tiny models of the true architectures, from all tokens and from selected ones."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.answering.vlm_runs import page, vlm_run
from tests.training.runs import tiny_run
from tests.training.views import words_of
from tests.training.vlm.tiny import FAMILIES
from training.answering import Answerer, PinpointAnswerer, VanillaAnswerer, answering_model, make_answerers
from training.answering.encoded import PageEncoder
from training.answering.scoring import StageOne
from training.checkpoint import load_run
from training.flops import ModelShape, aligner_flops, decode_flops, prefill_flops, vision_flops
from training.flops.parts import AlignerShape
from training.pages.input import PageInput
from training.refinement import Refinement
from training.selection.select import select_regions

QUESTION = "What was the total in 2019?"
PAGES = [page(0, 300, 400), page(1, 336, 224)]
BACKBONES = {"llava-next": "llava-next", "qwen2-vl": "qwen2-vl", "qwen2.5-vl": "qwen2-vl", "qwen3-vl": "qwen2-vl"}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, model_folder):
    """A run on a tiny model, by family."""
    runs = {}

    def made(family):
        if family not in runs:
            folder = tmp_path_factory.mktemp("runs") / family
            runs[family] = vlm_run(folder, model_folder(family), BACKBONES[family])
        return runs[family]

    return made


@pytest.fixture(scope="module")
def stage_one_of(tiny_model, run_of):
    """Pages encoded once for many answerers, by family."""
    return cache(lambda family: StageOne(run_of(family), PageEncoder(tiny_model(family))))


@pytest.fixture
def read(monkeypatch):
    """What the language model was given and made of it, whoever asked."""
    from training.vlm import VisionLanguageModel

    own, seen = VisionLanguageModel.generate, []

    def generate(self, sequence, visual, max_new_tokens=32):
        made = own(self, sequence, visual, max_new_tokens)
        seen.append((sequence, visual, made))
        return made

    monkeypatch.setattr(VisionLanguageModel, "generate", generate)
    return seen


class TestVanilla:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_everything_selected_and_not_refined_is_vanilla_token_for_token(self, tiny_model, run_of, read, family):
        model = tiny_model(family)
        for pages in (PAGES[:1], PAGES):
            read.clear()
            whole, same = make_answerers(
                run_of(family), model=model, coverages=[1.0], refine=False, global_view=True, max_new_tokens=6
            )
            first, second = (answerer.answer(QUESTION, pages) for answerer in (whole, same))
            (sequence, visual, made), (sequence2, visual2, made2) = read
            assert made.ids == made2.ids
            assert first.text == second.text
            assert torch.equal(sequence.ids, sequence2.ids)
            assert torch.equal(sequence.positions, sequence2.positions)
            assert torch.equal(visual.tokens, visual2.tokens)
            assert first.visual_tokens == second.visual_tokens == second.vanilla_tokens == len(visual)
            assert (first.budget_used, second.budget_used) == (1.0, 1.0)
            assert first.vanilla_flops == sum(first.flops.values()) == second.vanilla_flops

    def test_it_is_the_model_s_own_generate(self, tiny_model):
        model = tiny_model("qwen2-vl")
        answer = VanillaAnswerer(model, max_new_tokens=6).answer(QUESTION, PAGES)
        layouts = [model.layout(p.width, p.height) for p in PAGES]
        sequence = model.assemble(model.prompt(QUESTION, 2), layouts)
        made = model.processor(images=[p.load_image() for p in PAGES], return_tensors="pt")
        slots = (sequence.ids == model.config.image_token_id).int()[None]
        mask = torch.ones_like(slots)
        out = model.weights.generate(
            input_ids=sequence.ids[None], attention_mask=mask, mm_token_type_ids=slots, max_new_tokens=6, **made
        )
        assert model.tokenizer.decode(out[0, len(sequence) :], skip_special_tokens=True).strip() == answer.text


class TestPinpoint:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"regions": "windows", "max_tokens_region": 12},
            {"global_view": True, "global_tokens": 20},
            {"positions": "original", "zoom": 1.5},
            {"refine": False},
        ],
    )
    def test_what_it_reads_and_what_it_says_of_it(self, tiny_model, run_of, stage_one_of, read, family, settings):
        model, run = tiny_model(family), run_of(family)
        stage_one = stage_one_of(family)
        answerer = PinpointAnswerer(
            run, model, coverage=0.3, refinement=Refinement(**settings), max_new_tokens=4, stage_one=stage_one
        )
        answer, selection = answerer.answer_selected(QUESTION, PAGES)
        ((sequence, visual, made),) = read
        layouts = [model.layout(p.width, p.height) for p in PAGES]
        assert answer.text == made.text
        assert answer.visual_tokens == len(visual) == int((sequence.image >= 0).sum())
        assert answer.vanilla_tokens == sum(layout.n_tokens for layout in layouts)
        assert answer.budget_used == selection.budget_used
        assert 0.3 <= answer.budget_used < 0.5
        # Row ends, a view of the whole and zoom are beside the tokens of the regions.
        limit = selection.tokens_used * settings.get("zoom", 1) ** 2
        newlines = sum(int(r.xyxy[3] - r.xyxy[1]) for r in answer.regions) if family == "llava-next" else 0
        views = (20 if family != "llava-next" else 576) * 2 if settings.get("global_view") else 0
        assert 0 < answer.visual_tokens <= limit + newlines + views + len(answer.regions)
        for region in answer.regions:
            x0, y0, x1, y1 = region.xyxy
            assert 0 <= x0 < x1 <= PAGES[region.page_index].width
            assert 0 <= y0 < y1 <= PAGES[region.page_index].height
        stages = ["encode", "select", "refine", "prefill", "decode"]
        assert list(answer.seconds) == [s for s in stages if s != "refine" or settings.get("refine", True)]
        assert all(math.isfinite(s) and s >= 0 for s in answer.seconds.values())
        assert answer.vanilla_flops > 0

    def test_pages_without_anything_selected_leave_the_prompt(self, tiny_model, run_of, read):
        model = tiny_model("qwen2-vl")
        pages = [page(number, 336, 224) for number in range(4)]
        answerer = PinpointAnswerer(run_of("qwen2-vl"), model, budget=0.1, max_new_tokens=2)
        _, selection = answerer.answer_selected(QUESTION, pages)
        ((sequence, _, _),) = read
        stay = [number for number, taken in enumerate(selection.pages) if taken.mask.any()]
        assert 0 < len(stay) < 4
        starts = int((sequence.ids == model.config.vision_start_token_id).sum())
        assert starts == len(stay)
        assert sorted(set(sequence.image.tolist()) - {-1}) == stay

    def test_a_page_is_encoded_once_for_all_answerers_and_questions(self, tiny_model, run_of, monkeypatch):
        model, encoded = tiny_model("qwen2-vl"), []
        own = type(model).encode
        monkeypatch.setattr(
            type(model), "encode", lambda self, images, layouts: encoded.extend(layouts) or own(self, images, layouts)
        )
        answerers = make_answerers(
            run_of("qwen2-vl"), model=model, coverages=[0.2, 0.5], refine=False, max_new_tokens=2
        )
        answers = [[a.answer(question, PAGES) for a in answerers] for question in (QUESTION, "Who?")]
        assert len(encoded) == 2
        assert len({answer.seconds["encode"] for row in answers for answer in row}) == 1
        assert [a.name for a in answerers] == ["vanilla", "pinpoint@0.20", "pinpoint@0.50"]
        assert all(isinstance(answerer, Answerer) for answerer in answerers)

    def test_remembered_answers_are_those_of_a_fresh_start(self, tiny_model, run_of):
        model, run = tiny_model("qwen3-vl"), run_of("qwen3-vl")
        shared = make_answerers(run, model=model, coverages=[0.2], global_view=True, max_new_tokens=3)
        for answerer in shared:
            answerer.answer("Who?", PAGES[:1])
        again = shared[1].answer(QUESTION, PAGES)
        (fresh,) = make_answerers(run, model=model, coverages=[0.2], vanilla=False, global_view=True, max_new_tokens=3)
        assert fresh.answer(QUESTION, PAGES).regions == again.regions
        assert fresh.answer(QUESTION, PAGES).text == again.text


class TestOddPages:
    @pytest.mark.parametrize(
        ("family", "sizes"),
        [("llava-next", [(1000, 10), (1, 5000)]), ("qwen2-vl", [(1, 1), (3000, 20), (20, 3000)])],
    )
    @pytest.mark.parametrize("settings", [{"positions": "packed"}, {"positions": "original"}, {"refine": False}])
    def test_any_page_that_the_model_takes(self, tiny_model, run_of, family, sizes, settings):
        options = {"global_view": True, "max_waste": 0.5, "max_new_tokens": 1, "vanilla": False} | settings
        pages = [page(number, *size) for number, size in enumerate(sizes)]
        (answerer,) = make_answerers(run_of(family), model=tiny_model(family), coverages=[0.9], **options)
        answer = answerer.answer(QUESTION, pages)
        assert {region.page_index for region in answer.regions} == set(range(len(pages)))

    def test_half_precision(self, model_folder, tmp_path):
        run = vlm_run(tmp_path / "run", model_folder("qwen2-vl"), "qwen2-vl", dtype="bfloat16")
        (answerer,) = make_answerers(run, coverages=[0.3], vanilla=False, max_new_tokens=2)
        assert answerer.stage_one.look == "page"
        assert answerer.model.dtype == torch.bfloat16
        assert answerer.answer(QUESTION, PAGES).visual_tokens > 0

    def test_more_pages_than_are_remembered_are_encoded_once_a_question(self, tiny_model, run_of, monkeypatch):
        monkeypatch.setattr("training.pages.memory.MOST_TOKENS", 100)
        model, encoded = tiny_model("qwen2-vl"), []
        own = type(model).encode
        monkeypatch.setattr(
            type(model), "encode", lambda self, images, layouts: encoded.extend(layouts) or own(self, images, layouts)
        )
        (answerer,) = make_answerers(run_of("qwen2-vl"), model=model, coverages=[0.2], vanilla=False, refine=False)
        answerer.answer(QUESTION, PAGES)
        assert len(encoded) == 2
        answerer.answer(QUESTION, [page(5, 100, 100)])
        answerer.answer(QUESTION, PAGES)
        assert len(encoded) == 5


class TestFlops:
    def test_by_hand_for_qwen(self, tiny_model, run_of, read):
        model, run = tiny_model("qwen2-vl"), run_of("qwen2-vl")
        shape = ModelShape.of(model.config)
        answerer = PinpointAnswerer(run, model, coverage=0.2, refinement=Refinement(global_view=True), max_new_tokens=3)
        answer = answerer.answer(QUESTION, PAGES)
        ((sequence, _, made),) = read
        new = min(3, len(made.ids) + 1)
        grids = [model.layout(p.width, p.height).grid for p in PAGES]
        pages = [(2 * grid.rows, 2 * grid.cols) for grid in grids]
        stages = dict.fromkeys(answer.seconds, 0.0)
        for name, flops in answer.flops.items():
            stages[name.partition(".")[0]] += flops
        aligner = AlignerShape.of(run.config, 64, 64)
        crops = [region.tokens * 4 for region in answer.regions]  # thumbnails are regions too
        assert stages == {
            "encode": vision_flops(shape, pages).total,
            "select": aligner_flops(aligner, [(g.rows, g.cols) for g in grids], len(QUESTION)).total,
            "refine": vision_flops(shape, crops).total,
            "prefill": prefill_flops(shape, len(sequence)).total,
            "decode": decode_flops(shape, len(sequence), new).total,
        }
        whole = VanillaAnswerer(model, max_new_tokens=3).answer(QUESTION, PAGES)
        if len(read[1][2].ids) == len(made.ids):
            assert whole.vanilla_flops == answer.vanilla_flops

    def test_tiles_of_llava_are_counted_once(self, tiny_model, run_of):
        model = tiny_model("llava-next")
        shape = ModelShape.of(model.config)
        settings = Refinement(global_view=True)
        answer = PinpointAnswerer(run_of("llava-next"), model, coverage=1.0, refinement=settings).answer(
            QUESTION, [page(2, 600, 640)]
        )
        # Base view and a canvas of 672 x 672; the one crop of 48 x 46 tokens reaches into four tiles.
        refined = sum(flops for name, flops in answer.flops.items() if name.startswith("refine."))
        encoded = sum(flops for name, flops in answer.flops.items() if name.startswith("encode."))
        assert encoded == vision_flops(shape, [(24, 24)] * 5).total
        assert refined == vision_flops(shape, [(24, 24)] * 4).total


class TestAnotherBackbone:
    @pytest.fixture
    def words(self):
        placed = words_of([("total", (20.0, 20.0, 90.0, 40.0)), ("2019", (200.0, 300.0, 260.0, 320.0))])
        return [PageInput(p.page_id, p.width, p.height, placed, p.load_image) for p in PAGES]

    @pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
    def test_tokens_with_their_centre_in_a_selected_cell_are_read(self, tiny_model, tmp_path, read, words, family):
        run, model = load_run(tiny_run(tmp_path / "run")), tiny_model(family)
        answerer = PinpointAnswerer(run, model, coverage=0.3, refinement=Refinement(refine=False), max_new_tokens=2)
        answer = answerer.answer(QUESTION, words)
        selection = select_regions(run, words, QUESTION, coverage=0.3)
        ((sequence, _, _),) = read
        count, total, newlines = 0, 0, 0
        for taken, layout in zip(selection.pages, (model.layout(p.width, p.height) for p in words), strict=True):
            cells, rows = taken.view.grid, set()
            chosen = {(r, c) for r, c in np.argwhere(taken.mask).tolist()}
            for number, (x0, y0, x1, y1) in enumerate(layout.grid.token_xyxy()):
                row = min(int((y0 + y1) / 2 / (cells.page_height / cells.rows)), cells.rows - 1)
                col = min(int((x0 + x1) / 2 / (cells.page_width / cells.cols)), cells.cols - 1)
                if (row, col) in chosen:
                    count += 1
                    rows.add(number // layout.grid.cols)
            total += layout.grid.n_tokens
            newlines += len(rows) if family == "llava-next" else 0
        assert int((sequence.image >= 0).sum()) == count + newlines
        assert answer.budget_used == count / total

    def test_the_page_is_not_encoded_whole_where_nobody_looks(self, tiny_model, tmp_path, words):
        run, model = load_run(tiny_run(tmp_path / "run")), tiny_model("qwen2-vl")
        answer = PinpointAnswerer(run, model, coverage=0.2, max_new_tokens=2).answer(QUESTION, words)
        assert not any(name.startswith("encode.") and flops for name, flops in answer.flops.items())
        assert any(name.startswith("refine.") for name in answer.flops)
        assert answer.seconds["encode"] > 0  # on the run's own backbone

    def test_another_model_may_select(self, tiny_model, run_of):
        answer = PinpointAnswerer(run_of("qwen2-vl"), tiny_model("llava-next"), coverage=0.3, max_new_tokens=2).answer(
            QUESTION, PAGES
        )
        assert 0.2 < answer.budget_used < 0.5


class TestMisuse:
    def test_impossible_requests(self, tiny_model, run_of, tmp_path):
        model, run = tiny_model("qwen2-vl"), run_of("qwen2-vl")
        with pytest.raises(UsageError, match="not both"):
            PinpointAnswerer(run, model, coverage=0.5, budget=0.5)
        with pytest.raises(UsageError, match="coverage must be in"):
            PinpointAnswerer(run, model, coverage=1.5)
        with pytest.raises(UsageError, match="question is empty"):
            PinpointAnswerer(run, model).answer(" \n", PAGES)
        with pytest.raises(UsageError, match="no page"):
            VanillaAnswerer(model).answer(QUESTION, [])
        with pytest.raises(UsageError, match="needs a run"):
            make_answerers(None, model=model, coverages=[0.5])
        with pytest.raises(UsageError, match="does not take these options"):
            make_answerers(run, model=model, coverages=[0.5], colour="red")
        with pytest.raises(UsageError, match="no model to answer with: the run's backbone ocr-grid writes no text"):
            make_answerers(load_run(tiny_run(tmp_path / "run")), coverages=[0.5])
        with pytest.raises(UsageError, match="opened without its language model"):
            answering_model(None, tiny_model("qwen2-vl", language=False))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"regions": "pages"}, "regions must be"),
            ({"positions": "random"}, "positions must be"),
            ({"positions": "packed", "refine": False}, "packed needs refinement"),
            ({"zoom": 0.0}, "zoom must be from"),
            ({"max_tokens_region": 0}, "max_tokens_region must be at least 1"),
            ({"max_tokens_region": 9, "refine": False}, "they need refinement"),
            ({"regions": "windows", "refine": False}, "they need refinement"),
            ({"max_waste": 1.0}, "max_waste must be in"),
        ],
    )
    def test_impossible_settings(self, settings, message):
        with pytest.raises(UsageError, match=message):
            Refinement(**settings)

    def test_a_full_gpu_gives_one_line(self, tiny_model, run_of, monkeypatch):
        model = tiny_model("qwen2-vl")

        def full(*_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")

        monkeypatch.setattr(type(model), "generate", full)
        for answerer in make_answerers(run_of("qwen2-vl"), model=model, coverages=[0.5]):
            with pytest.raises(TrainingError) as error:
                answerer.answer(QUESTION, PAGES, "infovqa/7")
            assert str(error.value).startswith("infovqa/7: the GPU's memory is full (give fewer pages")

    def test_a_model_is_compared_with_the_run_s_at_the_revision_asked_for(self, run_of, monkeypatch):
        asked = []
        own = run_of("qwen2-vl").backbone.model.source
        monkeypatch.setattr("training.answering.opening.find_model", lambda *named: asked.append(named) or own)
        model = answering_model(run_of("qwen2-vl"), own.path, revision="v1")
        assert asked == [(own.path, "v1")]
        assert model.dtype == torch.float32  # as the run has it

    def test_the_run_s_own_model_answers_where_none_is_named(self, run_of, tmp_path):
        run = run_of("qwen2-vl")
        model = answering_model(run)
        assert model.language
        assert model.source.fingerprint == run.backbone.model.source.fingerprint
        (answerer,) = make_answerers(run, model=model, coverages=[0.5], vanilla=False)
        assert answerer.stage_one.look == "page"
