"""The figure for a paper: kept tokens keep their colours, the rest is pale, evidence is outlined."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pinpoint_data.errors import UsageError
from pinpoint_data.grids import even_grid
from tests.training.benchmark.report_data import HOSTILE, NAMES, example
from training.benchmark.examples import Example, ExamplePage
from training.benchmark.families import FAMILIES, family_of
from training.benchmark.pictures import EVIDENCE, WARNING, draw_figure, figure_selectors, save_figure


def red_page(masks: dict[str, np.ndarray], evidence=((0, 0, 0, 0),), **facts) -> Example:
    """A red page of 400 x 520 pixels in 2 x 2 tokens."""
    page = ExamplePage(
        1, Image.new("RGB", (400, 520), "red"), even_grid(2, 2, 400, 520, "t"), np.array(evidence, float)
    )
    given = {name: (mask,) for name, mask in masks.items()}
    shares = {name: float(mask.mean()) for name, mask in masks.items()}
    return Example("q", "Where?", (), 0.25, (page,), 1, given, shares, shares, **facts)


def pixels(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


class TestColours:
    def test_kept_tokens_alone_are_in_full_colour(self):
        kept = np.array([[True, False], [False, False]])
        none = draw_figure(red_page({"a": np.zeros((2, 2), bool)}, np.zeros((0, 4))))
        quarter = draw_figure(red_page({"a": kept}, np.zeros((0, 4))))
        # The plain page is there both times; the difference is the kept token.
        assert pixels(quarter, (255, 0, 0)) - pixels(none, (255, 0, 0)) == pytest.approx(200 * 260, rel=0.01)

    def test_evidence_is_outlined_in_every_panel(self):
        one, two = (
            draw_figure(red_page({name: np.ones((2, 2), bool) for name in names}, [(100, 100, 200, 200)]))
            for names in ("a", "ab")
        )
        assert pixels(two, EVIDENCE) / pixels(one, EVIDENCE) == pytest.approx(3 / 2)

    def test_a_box_at_the_edge_or_outside_does_not_break_it(self):
        boxes = [(0, 0, 400, 520), (390, 510, 500, 600), (-20, -20, 3, 3)]
        assert pixels(draw_figure(red_page({"a": np.ones((2, 2), bool)}, boxes)), EVIDENCE) > 1000


class TestChoice:
    def test_families_in_turn(self):
        chosen = figure_selectors(NAMES)
        assert len(chosen) == 11
        assert {family_of(name) for name in chosen} == {family for family in FAMILIES if family != "others"}
        assert chosen == [name for name in NAMES if name in chosen]
        assert figure_selectors(["mine", "fsr"]) == ["fsr", "mine"]

    def test_a_selector_without_a_mask_is_refused(self):
        with pytest.raises(UsageError, match="no mask of selector 'nobody'"):
            draw_figure(example(["fsr"]), ["nobody"])


class TestFigure:
    @pytest.mark.parametrize("size", [(400, 520), (60, 1500), (1500, 60), (1, 300)])
    @pytest.mark.parametrize("pages", [1, 3])
    def test_any_shape_of_page(self, size, pages):
        figure = draw_figure(example(NAMES[:5], size=size, pages=pages, rows=5, cols=3))
        assert figure.width < 4000 and figure.height < 4000

    @pytest.mark.parametrize("text", HOSTILE)
    def test_any_text(self, tmp_path, text):
        save_figure(example(["fsr", text], question=text, answers=(text,)), tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as saved:
            assert saved.format == "PNG" and saved.width < 3000

    def test_a_random_model_s_choice_says_so_on_the_picture(self):
        plain, warned = (draw_figure(example(["fsr"]), plumbing=plumbing) for plumbing in (False, True))
        assert plain.size == warned.size
        assert pixels(plain, WARNING) == 0 < pixels(warned, WARNING)

    def test_deterministic(self, tmp_path):
        for name in ("a.png", "b.png"):
            save_figure(example(NAMES[:4]), tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
