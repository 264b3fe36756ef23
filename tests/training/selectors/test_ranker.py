"""The ranker as a selector: against a naive reading of its expected evidence, and against an evaluation's scores."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.grids import patch_grid
from pinpoint_data.token_grid import TokenGrid, even_grid
from pinpoint_data.windows import WindowSpec, make_windows
from tests.training.ranker.build import random_ranker
from tests.training.selectors.evaluated import assert_exact, assert_nested, assert_same_as_evaluation, first_tokens
from tests.training.selectors.samples import given_sample, on_grid
from tests.training.toy import toy_problem
from training.ranker import Ranker
from training.ranker.features import FEATURES
from training.ranker.fit import Network
from training.ranker.page import read_page
from training.selectors import checked_select, make_selector
from training.selectors.ranker import RankerSelector
from training.window_scorers import RankerScorer

WORDS = [("total", (12.0, 12.0, 38.0, 19.0)), ("2019", (52.0, 33.0, 78.0, 38.0)), ("cost", (3.0, 61.0, 22.0, 69.0))]
QUESTION = "What was the total cost in 2019?"


@pytest.fixture
def ranker() -> Ranker:
    return random_ranker(3)


def _sample(*shapes, **options):
    defaults = {"placed": WORDS, "question_text": QUESTION}
    return given_sample([np.zeros((rows * cols, 2)) for rows, cols in shapes], shapes, **(defaults | options))


def expected_densities(ranker: Ranker, sample) -> np.ndarray:
    """(N,): the mean of the expected evidence under each token, from overlaps of boxes, one pair after the other."""
    read = []
    for page in sample.pages:
        grid = patch_grid(page.page_input.width, page.page_input.height)
        read.append(read_page(grid, page.words, page.page_input.load_image()))
    found = []
    for page, own, shares in zip(sample.pages, read, ranker.shares(read, sample.question), strict=True):
        for x0, y0, x1, y1 in page.grid.token_xyxy().tolist():
            inside = 0.0
            for share, (a0, b0, a1, b1) in zip(shares.tolist(), own.grid.token_xyxy().tolist(), strict=True):
                across, down = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
                inside += share * max(across, 0) * max(down, 0) / ((a1 - a0) * (b1 - b0))
            # In tokens of the page's own grid, so that pages of other sizes compare.
            area = (x1 - x0) * (y1 - y0) * own.grid.n_tokens / (page.grid.page_width * page.grid.page_height)
            found.append(inside / area)
    return np.array(found)


UNEVEN = TokenGrid(np.array([0.0, 7, 40, 61.5, 90]), np.array([0.0, 22, 31, 80]), 90, 80, "test")


@pytest.mark.parametrize("grid", [even_grid(4, 3, 90, 80, "test"), even_grid(2, 6, 90, 80, "test"), UNEVEN])
def test_any_grid_takes_the_tokens_of_the_highest_expected_density(ranker, grid):
    sample = on_grid(_sample((grid.rows, grid.cols)), grid)
    expected = expected_densities(ranker, sample)
    assert np.diff(np.sort(expected)).min() > 1e-6, "no ties that another order might hide behind"
    assert first_tokens(RankerSelector(ranker), sample, 12) == np.argsort(-expected).tolist()


def test_pages_of_different_sizes_compete_by_density(ranker):
    sample = _sample((8, 9), (3, 4))
    expected = expected_densities(ranker, sample)
    kept = checked_select(RankerSelector(ranker), sample, [5, 30, 84])
    assert_exact(kept, [5, 30, 84])
    assert_nested(kept)
    for found in kept[:2]:
        assert expected[found.mask].min() >= expected[~found.mask].max() - 1e-9
    scores = kept[0].scores
    assert scores is not None and np.all(np.diff(expected[np.argsort(-scores)]) <= 1e-9)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=3, unique=True))
@settings(max_examples=25, deadline=None)
def test_scores_are_those_of_an_evaluation_of_single_tokens(shapes):
    ranker = random_ranker(1)
    evidence = [(0, (3.0, 2.0, 27.0, 9.0)), (len(shapes) - 1, (0.0, 0.0, 9.0, 9.0), "support")]
    sample = _sample(*shapes, evidence=evidence)
    pages = [replace(page, windows=make_windows(page.grid, WindowSpec(1, 1, 1))) for page in sample.pages]
    scores = RankerScorer(ranker).score(replace(sample.view, pages=tuple(pages)))
    assert_same_as_evaluation(RankerSelector(ranker), sample, [page.windows for page in pages], scores)


def test_a_page_without_words_is_ranked_by_its_ink(ranker):
    sample = _sample((5, 5), placed=())
    assert first_tokens(RankerSelector(ranker), sample, 25)[0] == int(expected_densities(ranker, sample).argmax())


class TestCost:
    def test_operations_are_those_that_torch_counts(self):
        ranker = random_ranker(members=3, hidden=7)
        sample = _sample((6, 9), (4, 4))
        tokens = sum(patch_grid(page.page_input.width, page.page_input.height).n_tokens for page in sample.pages)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            Network(len(FEATURES), 7, 0.0).eval()(torch.zeros(tokens, len(FEATURES)))
        [kept] = checked_select(RankerSelector(ranker), sample, [5])
        assert kept.flops == 3 * counter.get_total_flops()

    def test_a_page_is_read_once_and_every_question_is_charged_for_it(self, ranker):
        selector, first = RankerSelector(ranker), _sample((6, 6))
        [page] = first.pages
        loaded = []

        def load():
            loaded.append(page)
            return page.page_input.load_image()

        shown = replace(page, page_input=replace(page.page_input, load_image=load))
        asked = [
            first.source.sample(replace(first.view, pages=(shown,), question_id=f"test/{index}")) for index in range(2)
        ]
        spent = [sample.ledger.charged(lambda sample=sample: selector.select(sample, [3]))[2] for sample in asked]
        assert len(loaded) == 1
        assert [list(signals) for signals in spent] == [["read"]] * 2, "no visual token is asked for"
        assert spent[0]["read"].seconds == spent[1]["read"].seconds > 0
        assert spent[0]["read"].flops == 0

    def test_decoding_a_page_is_no_part_of_reading_it(self, ranker, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("training.ranker.reading.time", SimpleNamespace(perf_counter=lambda: now[0]))

        def slowly(*given):
            now[0] += 2
            return read_page(*given)

        monkeypatch.setattr("training.ranker.reading.read_page", slowly)
        sample = _sample((6, 6), (3, 3))

        def load(page):
            now[0] += 100
            return page.page_input.load_image()

        shown = [replace(p, page_input=replace(p.page_input, load_image=partial(load, p))) for p in sample.pages]
        asked = sample.source.sample(replace(sample.view, pages=tuple(shown)))
        _, _, signals = asked.ledger.charged(lambda: RankerSelector(ranker).select(asked, [3]))
        assert now[0] == 204 and signals["read"].seconds == pytest.approx(4)

    def test_what_two_budgets_share_is_read_once(self, ranker):
        sample = _sample((6, 6))
        selector = RankerSelector(ranker)
        _, own, signals = sample.ledger.charged(lambda: selector.select(sample, [3]))
        _, again, cost = sample.ledger.charged(lambda: selector.select(sample, [30]))
        assert cost == signals and own > 0 and again > 0


class TestOptions:
    def test_a_file_and_a_folder(self, ranker, tmp_path):
        ranker.save(tmp_path / "ranker.safetensors")
        orders = []
        for place in (tmp_path, tmp_path / "ranker.safetensors", str(tmp_path)):
            orders.append(first_tokens(make_selector("ranker", {"ranker": place}), _sample((5, 4)), 20))
        assert orders[0] == orders[1] == orders[2] == first_tokens(RankerSelector(ranker), _sample((5, 4)), 20)

    def test_its_identity_is_the_content_of_the_file(self, tmp_path):
        def identity(name, ranker):
            ranker.save(tmp_path / name)
            return make_selector("ranker", {"ranker": tmp_path / name}).identity()

        first = identity("a.safetensors", random_ranker(0))
        assert first == identity("b.safetensors", random_ranker(0))
        assert first != identity("a.safetensors", random_ranker(1))
        assert first != identity("a.safetensors", random_ranker(0, trained="otherwise"))

    def test_no_such_ranker(self, tmp_path):
        with pytest.raises(UsageError, match="no ranker 'nowhere'"):
            make_selector("ranker", {"ranker": "nowhere"})
        (tmp_path / "x.safetensors").write_bytes(b"nothing")
        with pytest.raises(TrainingError, match="no readable safetensors"):
            make_selector("ranker", {"ranker": str(tmp_path / "x.safetensors")})


class _Hashed:
    """A store whose pages' hashes are their names, padded."""

    def row(self, page_id):
        return {"page_id": page_id, "sha256": page_id.rpartition("/")[2].ljust(64, "0"), "pdf_page": None}


def test_pages_that_it_has_learnt_from_are_counted():
    samples, _ = toy_problem(4, questions=2)
    assert RankerSelector(random_ranker(pages=["p9".ljust(12, "0")])).warnings(samples, _Hashed()) == []
    learnt = random_ranker(pages=["p1".ljust(12, "0"), "p3".ljust(12, "0")])
    [warning] = RankerSelector(learnt).warnings(samples, _Hashed())
    assert "ranker random has learnt from 2 of the 4 pages" in warning and "4 of the 8 questions" in warning
