"""Which questions are shown, and what an example takes from the selectors."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from loaders.samples import EvidenceBox, PageRef, Sample
from pinpoint_data.errors import UsageError
from pinpoint_data.grids import TokenGrid
from pinpoint_data.scores import MeasuredEvidence, PageEvidence
from tests.training.views import page_view, question_view, square_grid
from training.benchmark.examples import MOST_PAGES, choose_examples, make_example, sampled


def sample(name: str, source: str = "a", doc: str | None = None, boxes: int = 1) -> Sample:
    page = PageRef("p", 0, 100, 100, None)
    evidence = tuple(EvidenceBox(0, (0.0, 0.0, 9.0, 9.0), "answer") for _ in range(boxes))
    return Sample(
        f"{source}/{name}",
        source,
        "test",
        doc or f"doc-{source}-{name}",
        "What?",
        ("x",),
        "evidence",
        (page,),
        evidence,
    )


MANY = [sample(str(n), source) for source in ("a", "b", "c") for n in range(20)]


class TestChoice:
    def test_sources_in_turn(self):
        chosen = choose_examples(MANY, 7)
        assert [s.source for s in chosen] == ["a", "b", "c", "a", "b", "c", "a"]

    def test_the_same_whatever_the_order(self):
        shuffled = random.Random(0).sample(MANY, len(MANY))
        assert choose_examples(MANY, 5) == choose_examples(shuffled, 5)

    def test_more_is_the_same_and_more(self):
        assert choose_examples(MANY, 9)[:4] == choose_examples(MANY, 4)

    def test_wanted_ones_first_and_all(self):
        chosen = choose_examples(MANY, 3, ["c/7", "a/1"])
        assert [s.question_id for s in chosen][:2] == ["c/7", "a/1"] and len(chosen) == 3
        assert len(choose_examples(MANY, 0, ["c/7", "a/1"])) == 2
        with pytest.raises(UsageError, match="question a/99: cannot be shown"):
            choose_examples(MANY, 1, ["a/99"])

    def test_no_document_twice_while_there_are_others(self):
        one = [sample(str(n), doc="d") for n in range(5)]
        chosen = choose_examples([*one, sample("other")], 2)
        assert {s.doc_id for s in chosen} == {"d", "doc-a-other"}
        assert len(choose_examples(one, 9)) == 5

    def test_questions_without_boxes_are_not_drawn(self):
        assert choose_examples([sample("none", boxes=0)], 3) == []


class TestSampled:
    def test_an_even_grid_is_its_own_picture(self):
        mask = np.random.default_rng(0).random((5, 7)) < 0.5
        assert np.array_equal(sampled(mask, square_grid(5, 7), 7, 5), mask)
        assert np.array_equal(sampled(mask, square_grid(5, 7), 14, 15), mask.repeat(3, 0).repeat(2, 1))

    def test_uneven_edges(self):
        grid = TokenGrid(np.array([0.0, 10.0, 40.0]), np.array([-5.0, 5.0]), 40, 10, "test")
        assert sampled(np.array([[True, False]]), grid, 4, 2).tolist() == [[True, False, False, False]] * 2


class TestExample:
    def _made(self, masks: dict[str, np.ndarray], evidence, pages: int = 1, **kind):
        views = [page_view(square_grid(4, 4), page_id=f"p{n}", **kind) for n in range(pages)]
        view = question_view(views, "Where?", evidence)
        measured = MeasuredEvidence.of(
            [
                PageEvidence(p.grid, view.evidence_on(n), ("answer",) * len(view.evidence_on(n)))
                for n, p in enumerate(views)
            ]
        )
        return make_example(view, measured, ["here"], 0.25, masks)

    def test_by_hand(self):
        mask = np.zeros(16, dtype=bool)
        mask[[0, 1, 4]] = True
        made = self._made({"a": mask, "b": ~mask}, [(0, (0, 0, 20, 20))], colour="red")
        assert made.recall == {"a": 0.75, "b": 0.25}
        assert made.used == {"a": 3 / 16, "b": 13 / 16}
        assert made.masks["a"][0].tolist() == mask.reshape(4, 4).tolist()
        (page,) = made.pages
        assert page.number == 1 and page.evidence.tolist() == [[0, 0, 20, 20]]
        assert page.image.getpixel((0, 0)) == (255, 0, 0)

    def test_pages_with_evidence_then_those_with_most_tokens(self):
        mask = np.zeros((6, 16), dtype=bool)
        mask[1, :2], mask[3, :9], mask[4, :5] = True, True, True
        made = self._made({"a": mask.ravel()}, [(5, (0, 0, 10, 10))], pages=6)
        assert [page.number for page in made.pages] == [4, 5, 6]
        assert len(made.pages) == MOST_PAGES and made.n_pages == 6
        assert [int(m.sum()) for m in made.masks["a"]] == [9, 5, 0]
        assert made.used["a"] == 16 / 96

    def test_pages_without_anything_are_left_out(self):
        mask = np.zeros(48, dtype=bool)
        mask[0] = True
        made = self._made({"a": mask}, [(0, (0, 0, 10, 10))], pages=3)
        assert [page.number for page in made.pages] == [1]

    def test_large_pages_are_held_small(self):
        grid = square_grid(4, 4, cell=800)
        view = question_view([page_view(grid)], "Where?", [(0, (0, 0, 10, 10))])
        measured = MeasuredEvidence.of([PageEvidence(grid, view.evidence_on(0), ("answer",))])
        made = make_example(view, measured, [], 0.25, {"a": np.ones(16, dtype=bool)})
        assert made.pages[0].image.size < (1300, 1300) and made.pages[0].grid.page_width == 3200
        assert isinstance(made.pages[0].image, Image.Image)
