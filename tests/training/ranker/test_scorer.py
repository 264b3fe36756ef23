"""The ranker as a window scorer: windows of any grid, against sums over tokens."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shapely.geometry import box

from pinpoint_data.grids import make_grid, patch_grid
from pinpoint_data.windows import WindowSpec, make_windows
from tests.domain.strategies import boxes, quick
from tests.training.ranker.build import random_ranker
from tests.training.views import page_view, question_view, square_grid, words_of
from training.pages.input import PageInput
from training.ranker.model import Ranker
from training.window_scorers import RankerScorer, make_scorer
from training.window_scorers.base import PageView, checked_scores
from training.window_scorers.ranker import window_means

SIZE = (330, 250)
WORDS = words_of([("Total", (20, 20, 80, 40)), ("42", (90, 20, 120, 40)), ("sales", (20, 120, 80, 140))])


def view(grid, spec=None, page_id="test/1"):
    page = PageInput(page_id, *SIZE, WORDS, lambda: Image.new("RGB", SIZE, "white"))
    return PageView(grid, make_windows(grid, spec or WindowSpec(1, 1, 1)), WORDS, page)


def means_by_areas(density, grid, windows):
    """Means over windows, token by token, of what of a window lies on the page."""
    tokens = np.array([box(*xyxy) for xyxy in grid.token_xyxy()])
    found = []
    for window in windows:
        areas = shapely.area(shapely.intersection(tokens, box(*window)))
        found.append(areas @ density / areas.sum())
    return found


@pytest.mark.parametrize("name", ["qwen2-vl", "llava-next", "llava-next-base"])
def test_windows_of_another_grid_hold_the_mean_of_what_they_cover(name):
    scorer = RankerScorer(random_ranker())
    grid = make_grid(name, *SIZE)
    own, other = view(scorer.grid(*SIZE)), view(grid, WindowSpec(3, 2, 2))
    tokens = scorer.score(question_view([own], "total sales"))[0]
    windows = scorer.score(question_view([other], "total sales"))[0]
    every = range(0, len(windows), max(1, len(windows) // 25))
    expected = means_by_areas(tokens, own.grid, other.windows.xyxy[list(every)])
    assert windows[list(every)] == pytest.approx(expected, rel=1e-6)


@quick
@given(boxes(low=1, high=3, size=80), st.integers(-40, 40), st.integers(0, 99))
def test_any_window_holds_the_mean_of_what_it_covers(xyxy, moved, seed):
    grid = square_grid(6, 5)
    density = np.random.default_rng(seed).exponential(size=30)
    windows = xyxy + moved
    found = window_means(density, grid, SimpleNamespace(xyxy=windows))
    inside = [i for i, (x0, y0, x1, y1) in enumerate(windows) if x0 < 50 and y0 < 60 and x1 > 0 and y1 > 0]
    assert found[inside] == pytest.approx(means_by_areas(density, grid, windows[inside]), rel=1e-6, abs=1e-9)
    outside = sorted(set(range(len(windows))) - set(inside))
    assert not found[outside].any()


def test_single_tokens_are_what_the_ranker_expects_in_them():
    ranker = random_ranker()
    scorer = RankerScorer(ranker)
    page = view(scorer.grid(*SIZE))
    scores = scorer.score(question_view([page], "total"))[0]
    (read, _), = scorer.read([page.page_input])  # fmt: skip
    assert scores == pytest.approx(ranker.shares([read], "total")[0] * page.grid.n_tokens)
    assert scorer.window_spec == WindowSpec(1, 1, 1) and scorer.grid(*SIZE) == patch_grid(*SIZE)


def test_chance_is_one():
    tensors = random_ranker().tensors
    blind = Ranker("blind", {**tensors, "last.weight": np.zeros_like(tensors["last.weight"])}, {})
    pages = [view(patch_grid(*SIZE)), view(make_grid("qwen2-vl", *SIZE), WindowSpec(3, 3, 2), "test/2")]
    for scores in checked_scores(RankerScorer(blind), question_view(pages, "total")):
        assert scores == pytest.approx(np.ones_like(scores))


def test_the_mean_over_all_pages_tokens_is_one():
    scorer = RankerScorer(random_ranker())
    pages = [view(patch_grid(*SIZE)), page_view(square_grid(9, 4, 30), [("Total", (0, 0, 30, 30))], page_id="test/3")]
    pages[1] = page_view(patch_grid(120, 270), [("Total", (0, 0, 30, 30))], WindowSpec(1, 1, 1), "test/3")
    scores = np.concatenate(scorer.score(question_view(pages, "total")))
    assert scores.mean() == pytest.approx(1) and scores.std() > 0.01 and scores.min() >= 0


def test_a_page_is_read_once_for_all_questions():
    loads = []

    def load():
        loads.append(1)
        return Image.new("RGB", SIZE, "white")

    grid = patch_grid(*SIZE)
    page = PageView(grid, make_windows(grid, WindowSpec(1, 1, 1)), WORDS, PageInput("test/4", *SIZE, WORDS, load))
    scorer = RankerScorer(random_ranker())
    first = [scorer.score(question_view([page], question))[0] for question in ("total", "sales", "total")]
    assert len(loads) == 1 and np.array_equal(first[0], first[2]) and not np.array_equal(first[0], first[1])
    assert scorer.seconds["read"] > 0 and scorer.seconds["score"] > 0


def test_pages_of_one_id_are_not_taken_for_one_another():
    """Two files of one name, or a page read anew with words of another engine."""
    scorer = RankerScorer(random_ranker())
    first = view(patch_grid(*SIZE))
    moved = words_of([("Total", (220, 200, 280, 220)), ("42", (90, 20, 120, 40))])
    others = [
        replace(first.page_input, words=moved),
        replace(first.page_input, words=replace(WORDS, texts=["sum", "42", "sales"])),
        replace(first.page_input, words=replace(WORDS, xyxy=WORDS.xyxy + 40)),
        replace(first.page_input, sha256="0" * 64, load_image=lambda: Image.new("RGB", SIZE, "black")),
    ]
    ((read, _),) = scorer.read([first.page_input])
    assert all(scorer.read([page])[0][0] is not read for page in others)
    assert scorer.read([replace(first.page_input, words=replace(WORDS, texts=list(WORDS.texts)))])[0][0] is read
    for page in others:
        shown = question_view([PageView(first.grid, first.windows, page.words, page)], "total")
        assert np.array_equal(scorer.score(shown)[0], RankerScorer(scorer.ranker).score(shown)[0])
    together = scorer.read([first.page_input, *others])
    assert len({id(page) for page, _ in together}) == 5


def test_it_is_known_by_name_and_takes_a_file(tmp_path):
    random_ranker().save(tmp_path / "mine.safetensors")
    scorer = make_scorer("ranker", ranker=tmp_path / "mine.safetensors")
    assert isinstance(scorer, RankerScorer) and scorer.ranker.name == "mine"
