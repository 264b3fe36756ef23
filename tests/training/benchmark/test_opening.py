"""What a benchmark works with: selectors that cannot run, models and runs that moved, caches, CLIP."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from loaders.publishing import publish
from loaders.samples import load_samples
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from tests.training.answering.vlm_runs import vlm_run
from tests.training.features.build import fill
from tests.training.forms import fill_forms
from tests.training.runs import tiny_run
from tests.training.vlm.tiny import tiny_model_folder
from tests.training.vlm.tiny_clip import tiny_clip_folder
from training.backbones import OcrGrid, make_backbone
from training.benchmark import BenchmarkSettings, ModelOptions, run_benchmark
from training.benchmark.opening import choose_selectors, open_backbone, open_source
from training.evaluation.pages import PageViews
from training.pages.store import PageStore
from training.selectors import NEEDS, EncodedSample, ModelSource, SignalSource, make_selector, selector_names

PLAIN = {"pixels", "evidence", "words"}
TINY = {"dtype": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opening")
    publish(fill_forms(folder), folder / "dataset")
    return folder


@pytest.fixture
def store(made: Path) -> PageStore:
    return PageStore(Workspace.open(made / "ws"))


def opened(store: PageStore, backbone: Any, *, cache: Path | None = None, clip: Path | None = None, **more: Any) -> Any:
    """The source and what to close."""
    with ExitStack() as stack:
        options = ModelOptions(clip=clip)
        defaults = {"run": None, "seed": 0, "needs": NEEDS}
        source = open_source(stack, backbone, store, options=options, cache=cache, **(defaults | more))
        return source, stack.pop_all()


class TestSelectors:
    def test_all_that_can_run_are_left_and_the_others_say_what_they_lack(self) -> None:
        chosen = choose_selectors((), {})
        # One without the option that it cannot do without is no error where nobody named it.
        assert set(chosen.unavailable) == {"crop"} and "option boxes" in chosen.unavailable["crop"]
        chosen.keep_offered(PLAIN | {"shared"})
        assert set(chosen.made) | set(chosen.unavailable) == set(selector_names())
        assert not set(chosen.made) & set(chosen.unavailable)
        assert all(selector.needs <= PLAIN | {"shared"} for selector in chosen.made.values())
        for name, reason in chosen.unavailable.items():
            if name != "crop":
                needs = make_selector(name).needs - PLAIN - {"shared"}
                assert reason.startswith("needs ") and all(need in reason for need in needs)
        assert "--model" in chosen.unavailable["fastv"] and "RUN" in chosen.unavailable["pinpoint"]
        assert "--clip" in chosen.unavailable["trim"] and "--cache" not in chosen.unavailable["fastv"]

    def test_without_words_those_that_live_on_them_are_left_out(self) -> None:
        chosen = choose_selectors((), {})
        chosen.keep_offered(set(NEEDS) - {"words"})
        assert {"bm25", "text-density", "ranker"} <= set(chosen.unavailable)
        assert "pinpoint words" in chosen.unavailable["bm25"] and "fastv" in chosen.made

    def test_beside_a_cache_the_remedy_is_to_leave_it_out(self) -> None:
        chosen = choose_selectors((), {})
        chosen.keep_offered(PLAIN | {"shared"}, cached=True)
        assert chosen.unavailable["fastv"] == "needs decoder: leave out --cache"
        assert "RUN" in chosen.unavailable["pinpoint"]

    def test_one_that_was_named_is_not_left_out(self) -> None:
        chosen = choose_selectors(("random", "fastv"), {})
        with pytest.raises(UsageError, match=r"selector 'fastv' needs decoder \(name a vision-language model"):
            chosen.keep_offered(PLAIN)
        with pytest.raises(UsageError, match=r"boxes"):
            choose_selectors(("crop",), {})
        with pytest.raises(UsageError, match="layer"):
            choose_selectors((), {"fastv": {"layer": -1}})

    def test_none_is_left(self) -> None:
        chosen = choose_selectors((), {})
        chosen.made = {"fastv": chosen.made["fastv"]}
        with pytest.raises(UsageError, match="no selector is left to compare"):
            chosen.keep_offered(PLAIN)

    def test_names_and_options(self) -> None:
        chosen = choose_selectors(("bm25", "training.selectors.controls:RandomSelector"), {"bm25": {"k1": 2.0}})
        assert list(chosen.made) == ["bm25", "training.selectors.controls:RandomSelector"]
        assert chosen.options == {"bm25": {"k1": 2.0}, "training.selectors.controls:RandomSelector": {}}
        with pytest.raises(UsageError, match="two selectors are named 'random'"):
            choose_selectors(("random", "training.selectors.controls:RandomSelector"), {})
        with pytest.raises(UsageError, match="'random', which is not among the selectors"):
            choose_selectors(("bm25",), {"random": {}})
        with pytest.raises(UsageError, match=r"no_such:Thing' cannot be imported"):
            choose_selectors(("no_such:Thing",), {})


class TestBackbone:
    def test_the_embedded_one_is_the_default(self) -> None:
        backbone, run = open_backbone(None, ModelOptions(), language=False)
        assert isinstance(backbone, OcrGrid) and run is None

    @pytest.mark.parametrize("options", [{"dtype": "float32"}, {"max_pixels": 9}, {"clip": Path("c")}, TINY])
    def test_options_of_no_model(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="belong to a model"):
            open_backbone(None, ModelOptions(**options), language=False)

    @pytest.mark.parametrize(("family", "name"), [("llava-next", "llava-next"), ("qwen2.5-vl", "qwen2-vl")])
    def test_a_model(self, model_folder: Any, family: str, name: str) -> None:
        backbone, run = open_backbone(None, ModelOptions(str(model_folder(family)), **TINY), language=True)
        assert (backbone.name, run, backbone.model.language) == (name, None, True)
        assert (backbone.model.dtype, backbone.model.device.type) == (torch.float32, "cpu")
        with pytest.raises(UsageError, match="no device 'tpu'"):
            open_backbone(None, ModelOptions(str(model_folder(family)), device="tpu"), language=True)

    def test_a_run_on_words_takes_no_model(self, tmp_path: Path) -> None:
        folder = tiny_run(tmp_path / "run")
        backbone, run = open_backbone(folder, ModelOptions(device="cpu"), language=True)
        assert run is not None and backbone is run.backbone and backbone.name == "ocr-grid"
        with pytest.raises(TrainingError, match="model"):
            open_backbone(folder, ModelOptions("some-model"), language=False)

    def test_a_run_whose_model_has_moved(self, tmp_path: Path) -> None:
        tiny_model_folder("qwen2-vl", tmp_path / "before")
        recorded = vlm_run(tmp_path / "run", tmp_path / "before", "qwen2-vl")
        shutil.move(tmp_path / "before", tmp_path / "after")
        with pytest.raises(TrainingError, match=r"before.*--model"):
            open_backbone(tmp_path / "run", ModelOptions(), language=False)
        backbone, run = open_backbone(tmp_path / "run", ModelOptions(str(tmp_path / "after")), language=True)
        assert run is not None and backbone is run.backbone and backbone.model.language
        assert backbone.spec() == recorded.backbone.spec() and run.window_spec == WindowSpec(4, 4, 3)
        tiny_model_folder("qwen2-vl", tmp_path / "other", seed=1)
        with pytest.raises(TrainingError, match="fingerprint"):
            open_backbone(tmp_path / "run", ModelOptions(str(tmp_path / "other")), language=False)

    @pytest.mark.parametrize("option", [{"dtype": "float32"}, {"max_pixels": 9}, {"revision": "main"}])
    def test_what_decides_about_tokens_is_the_runs(self, tmp_path: Path, option: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=rf"{next(iter(option))}: a run has its own"):
            open_backbone(tmp_path, ModelOptions(**option), language=False)


class TestSource:
    def test_the_embedded_one(self, store: PageStore, tmp_path: Path) -> None:
        source, _ = opened(store, OcrGrid())
        assert type(source) is SignalSource and source.offers == {"pixels", "evidence", "shared"}
        _, run = open_backbone(tiny_run(tmp_path / "run"), ModelOptions(), language=False)
        assert "run" in opened(store, run.backbone, run=run)[0].offers

    def test_a_model_with_and_without_its_language_model(self, store: PageStore, model_folder: Any) -> None:
        for language in (False, True):
            backbone, _ = open_backbone(None, ModelOptions(str(model_folder("qwen2-vl")), **TINY), language=language)
            source, _ = opened(store, backbone)
            assert isinstance(source, ModelSource)
            assert source.offers == {"pixels", "evidence", "shared", "vision"} | ({"decoder"} if language else set())

    def test_clip_belongs_to_llava_next(self, store: PageStore, model_folder: Any, tmp_path: Path) -> None:
        clip = tiny_clip_folder(tmp_path / "clip")
        backbone = make_backbone("llava-next", {"model": str(model_folder("llava-next"))} | TINY)
        assert "clip" in opened(store, backbone, clip=clip)[0].offers
        assert "clip" not in opened(store, backbone)[0].offers
        others = (OcrGrid(), make_backbone("qwen2-vl", {"model": str(model_folder("qwen2-vl"))} | TINY))
        for other in others:
            with pytest.raises(UsageError, match="clip: a CLIP model belongs to LLaVA-NeXT"):
                opened(store, other, clip=clip)
        with pytest.raises(TrainingError, match="not a CLIP model"):
            opened(store, backbone, clip=model_folder("qwen2-vl"))

    def test_tokens_from_a_cache_and_nothing_else(
        self, made: Path, store: PageStore, model_folder: Any, tmp_path: Path
    ) -> None:
        backbone = make_backbone("llava-next", {"model": str(model_folder("llava-next"))} | TINY)
        fill(tmp_path / "cache", Workspace.open(made / "ws"), backbone)
        source, closing = opened(store, backbone, cache=tmp_path / "cache")
        with closing:
            assert source.offers == {"pixels", "evidence", "shared"}
            book = next(sample for sample in load_samples(made / "dataset") if len(sample.pages) == 2)
            view = PageViews(store, backbone.grid, WindowSpec()).of(book)
            cached, encoded = source.sample(view), opened(store, backbone)[0].sample(view)
            assert isinstance(cached, EncodedSample)
            torch.testing.assert_close(cached.tokens, encoded.tokens)
            for one, other in zip(cached.shared(), encoded.shared(), strict=True):
                torch.testing.assert_close(one, other)
            with pytest.raises(TrainingError, match="has not got a vision tower"):
                cached.vision()
        clip = tiny_clip_folder(tmp_path / "clip")
        with pytest.raises(UsageError, match="which a feature cache has not got"):
            opened(store, backbone, cache=tmp_path / "cache", clip=clip)
        other = make_backbone("qwen2-vl", {"model": str(model_folder("qwen2-vl"))} | TINY)
        with pytest.raises(TrainingError, match="backbone"):
            opened(store, other, cache=tmp_path / "cache")


def test_a_benchmark_on_a_cache_runs_what_it_can(made: Path, model_folder: Any, tmp_path: Path) -> None:
    folder = str(model_folder("qwen2-vl"))
    fill(tmp_path / "cache", Workspace.open(made / "ws"), make_backbone("qwen2-vl", {"model": folder} | TINY))
    settings = BenchmarkSettings(budgets=(0.25, 0.5), limit=2, examples=1, resamples=20)
    data, summary = run_benchmark(
        made / "dataset", made / "ws", tmp_path / "out", settings, model=ModelOptions(folder, **TINY),
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert {"divprune", "zspaprune", "random", "oracle-token"} <= set(data.selectors)
    assert summary["unavailable"]["fastv"] == "needs decoder: leave out --cache"
    assert summary["plumbing"] and summary["questions"]["scored"] == 2
    with pytest.raises(UsageError, match=r"needs vision \(leave out --cache\)"):
        run_benchmark(
            made / "dataset", made / "ws", tmp_path / "out", BenchmarkSettings(selectors=("visionzip",)),
            model=ModelOptions(folder, **TINY), cache=tmp_path / "cache",
        )  # fmt: skip
    with pytest.raises(UsageError, match="answers need a vision-language model"):
        run_benchmark(
            made / "dataset", made / "ws", tmp_path / "out", BenchmarkSettings(selectors=("random",), answers=True),
            model=ModelOptions(folder, **TINY), cache=tmp_path / "cache",
        )  # fmt: skip


def test_a_question_to_draw_that_is_not_there_is_refused_before_any_work(
    made: Path, model_folder: Any, tmp_path: Path
) -> None:
    settings, model = BenchmarkSettings(questions=("no/such",)), ModelOptions(str(model_folder("qwen2-vl")), **TINY)
    with pytest.raises(UsageError, match="question no/such: cannot be shown"):
        run_benchmark(made / "dataset", made / "ws", tmp_path / "out", settings, model=model)
    assert not (tmp_path / "out").exists()
