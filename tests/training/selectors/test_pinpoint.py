"""The trained run as a selector: what an evaluation of the same run gives."""

from __future__ import annotations

import numpy as np
import pytest

from pinpoint_data.errors import TrainingError
from tests.training.answering.vlm_runs import vlm_run
from tests.training.runs import tiny_run
from tests.training.selectors.evaluated import assert_exact, assert_nested, assert_same_as_evaluation
from tests.training.selectors.samples import given_sample, model_page
from tests.training.views import page_view, question_view
from tests.training.vlm.pictures import noise
from training.checkpoint import load_run
from training.flops import AlignerShape, aligner_flops
from training.selectors import ModelSource, SignalSource, checked_select, make_selector
from training.window_scorers import PinpointScorer

SIZES = ((560, 700), (420, 300))
WORDS = [("revenue", (40, 50, 120, 70)), ("costs", (300, 500, 360, 520)), ("2019", (400, 60, 450, 80))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return load_run(tiny_run(tmp_path_factory.mktemp("run") / "run"))


def _view(run, question="What is the revenue in 2019?"):
    pages = [
        page_view(run.backbone.grid(*size), WORDS if i == 0 else (), run.window_spec, f"test/page{i}")
        for i, size in enumerate(SIZES)
    ]
    return question_view(pages, question, [(0, (40, 50, 120, 70)), (1, (10, 10, 60, 40), "support")])


def _sample(run, **options):
    return SignalSource(run.backbone, run=run).sample(_view(run, **options))


def test_scores_are_those_of_an_evaluation(run):
    for question in ("What is the revenue in 2019?", "Costs?"):
        sample = _sample(run, question=question)
        windows = [page.windows for page in sample.pages]
        scores = PinpointScorer(run).score(_view(run, question))
        assert_same_as_evaluation(make_selector("pinpoint"), sample, windows, scores)


def test_windows_are_the_runs_own(run):
    sample = _sample(run)
    pages = [
        page_view(page.grid, WORDS if i == 0 else (), page_id=f"test/page{i}") for i, page in enumerate(sample.pages)
    ]
    other = SignalSource(run.backbone, run=run).sample(question_view(pages, sample.question))
    found, expected = (checked_select(make_selector("pinpoint"), s, [90])[0].mask for s in (other, sample))
    assert (found == expected).all()


def test_pages_are_encoded_once(run, monkeypatch):
    sample = _sample(run)
    _ = sample.tokens
    monkeypatch.setattr(run.backbone, "encode_page", None)
    kept = checked_select(make_selector("pinpoint"), sample, [1, 50, sample.n_tokens])
    assert_exact(kept, [1, 50, sample.n_tokens])
    assert_nested(kept)


def test_charges_the_aligner(run):
    sample = _sample(run)
    shape = AlignerShape.of(run.config, run.backbone.token_dim, run.backbone.question_dim)
    grids = [(page.grid.rows, page.grid.cols) for page in sample.pages]
    expected = aligner_flops(shape, grids, len(sample.question_tokens)).total
    kept, _, signals = sample.ledger.charged(lambda: checked_select(make_selector("pinpoint"), sample, [10]))
    assert kept[0].flops == expected
    assert set(signals) == {"encode", "question"}


def test_is_the_same_twice(run):
    first, again = (checked_select(make_selector("pinpoint"), _sample(run), [77])[0].mask for _ in range(2))
    assert (first == again).all()


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_reads_the_tokens_of_a_whole_model(family, model_folder, tmp_path):
    run = vlm_run(tmp_path / "run", model_folder(family), family)
    images = [noise(300, 400), noise(500, 250, seed=1)]
    pages = [model_page(run.backbone.model, image, f"test/page{i}", run.window_spec) for i, image in enumerate(images)]
    view = question_view(pages, "Where is it?", [(0, (10, 20, 90, 60)), (1, (300, 100, 340, 140))])
    sample = ModelSource(run.backbone, run=run).sample(view)
    scores = PinpointScorer(run).score(view)
    assert_same_as_evaluation(make_selector("pinpoint"), sample, [page.windows for page in pages], scores)


def test_tokens_of_another_width_are_refused(run):
    sample = given_sample(np.zeros((4, 3)), (2, 2), run=run)
    with pytest.raises(TrainingError, match=r"the run expects visual tokens of .* features, those of the pages have 3"):
        make_selector("pinpoint").select(sample, [1])


def test_needs_a_run():
    with pytest.raises(TrainingError, match="needs a trained run"):
        make_selector("pinpoint").select(given_sample(np.zeros((4, 3)), (2, 2)), [1])
