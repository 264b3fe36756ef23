"""Budget curves: points where the figures say, labels apart, and an SVG that any reader takes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from tests.training.benchmark.report_data import BUDGETS, HOSTILE, NAMES, score, summary
from training.benchmark.curves import (
    GREYS,
    LABEL_GAP,
    PALETTE,
    PLOT,
    PLUMBING,
    curve,
    curves_svg,
    line_styles,
    save_curves,
    spread,
)
from training.benchmark.families import FAMILIES, by_recall, family_of, first_shown, headline
from training.selectors import _BUILT_IN

SVG = "{http://www.w3.org/2000/svg}"


def lines(svg: str) -> dict[str, ElementTree.Element]:
    """Groups of lines by label."""
    found = [g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("class") == "line"]
    return {g.findtext(f"{SVG}text", ""): g for g in found}


def path(group: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    d = next(p for p in group.iter(f"{SVG}path") if p.get("class") == kind).get("d", "")
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", d)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float(
        np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    )


class TestFamilies:
    def test_every_built_in_selector_has_one(self):
        ours = [name for names in FAMILIES.values() for name in names]
        assert len(set(ours)) == len(ours)
        assert set(ours) == set(_BUILT_IN)
        assert family_of("fastv") == "decoder" and family_of("package.module:Mine") == "others"

    def test_headline_is_the_nearest_to_a_quarter(self):
        assert headline(BUDGETS) == 0.25
        assert headline([0.6, 0.3, 0.2]) == 0.2  # as near as .3, and smaller

    def test_best_of_each_family_and_the_two_controls(self):
        found = summary()
        first = first_shown(found)
        assert first == [name for name in by_recall(found) if name in first]
        assert {"random", "uniform"} <= set(first)
        for family in FAMILIES:
            ranked = [name for name in by_recall(found) if family_of(name) == family]
            assert set(ranked[:2]) <= set(first)
        assert 8 <= len(first) <= 16

    def test_a_selector_without_the_score_is_last(self):
        found = summary(["random", "fsr", "mine"])
        del found["scores"]["fsr"]["evidence_recall@0.25"]
        assert by_recall(found)[-1] == "fsr"


class TestSpread:
    def test_by_hand(self):
        # Two that collide part around their mean; the third is left alone.
        assert spread([10.0, 12.0, 50.0], 10, 0, 100) == [6.0, 16.0, 50.0]
        assert spread([12.0, 10.0], 10, 0, 100) == [16.0, 6.0]
        assert spread([1.0, 1.0], 10, 0, 100) == [0.0, 10.0]  # not above the top
        assert spread([99.0, 99.0], 10, 0, 100) == [90.0, 100.0]
        assert spread([5.0] * 11, 20, 0, 100) == pytest.approx(np.arange(11) * 10.0)  # closer, where they do not fit
        assert spread([], 10, 0, 100) == []

    @given(st.lists(st.floats(0, 500), min_size=1, max_size=40))
    def test_apart_inside_and_in_order(self, wanted):
        places = np.array(spread(wanted, LABEL_GAP, 0, 500))
        gap = min(LABEL_GAP, 500 / max(1, len(wanted) - 1))
        order = np.argsort(wanted, kind="stable")
        assert (np.diff(places[order]) >= gap - 1e-6).all()
        assert places.min() >= -1e-6 and places.max() <= 500 + 1e-6


class TestDrawing:
    def test_points_are_where_the_figures_say(self):
        found = summary(["random", "pinpoint"])
        group = lines(curves_svg(found, "evidence_recall", "budget", shown=["pinpoint"]))["pinpoint"]
        width, height = PLOT["right"] - PLOT["left"], PLOT["bottom"] - PLOT["top"]
        for (x, y), point in zip(
            path(group, "stroke"), curve(found, "pinpoint", "evidence_recall", "budget"), strict=True
        ):
            assert (x - PLOT["left"]) / width * 0.6 * 1.02 == pytest.approx(point.x, abs=0.001)
            assert (PLOT["bottom"] - y) / height == pytest.approx(point.y, abs=0.001)

    def test_a_budget_without_the_score_is_left_out(self):
        found = summary(["fsr"])
        del found["scores"]["fsr"]["evidence_recall@0.20"]
        assert [p.at for p in curve(found, "fsr", "evidence_recall", "budget")] == [0, 1, 3, 4, 5, 6]

    def test_without_intervals_there_is_no_band(self):
        found = summary(["fsr"])
        for own in found["scores"]["fsr"].values():
            own["low"] = own["high"] = None
        svg = curves_svg(found, "evidence_recall", "budget", shown=["fsr"], whole=True)
        assert 'class="band"' not in svg and 'class="stroke"' in svg

    def test_only_shown_lines_unless_whole(self):
        found, first = summary(), first_shown(summary())
        alone, whole = (curves_svg(found, "all_hit", "budget", shown=first, whole=flag) for flag in (False, True))
        assert set(lines(alone)) == set(first)
        drawn = lines(whole)
        assert set(drawn) == set(NAMES)
        assert {name for name, group in drawn.items() if group.get("display") is None} == set(first)

    def test_budgets_in_any_order_are_drawn_from_left_to_right(self):
        found = summary(["fsr"])
        turned = found | {"budgets": found["budgets"][::-1]}
        assert [p.x for p in curve(turned, "fsr", "evidence_recall", "budget")] == [
            p.x for p in curve(found, "fsr", "evidence_recall", "budget")
        ]
        assert [p.at for p in curve(turned, "fsr", "evidence_recall", "budget")] == list(range(len(BUDGETS)))[::-1]

    def test_a_random_model_s_curves_say_so_themselves(self):
        for plumbing in (True, False):
            svg = curves_svg(summary(["fsr"], plumbing=plumbing), "evidence_recall", "budget", shown=["fsr"])
            assert (PLUMBING in svg) is plumbing

    def test_labels_do_not_overlap(self):
        drawn = lines(curves_svg(summary(), "evidence_recall", "budget", shown=NAMES))
        places = sorted(float(group.find(f"{SVG}text").get("y")) for group in drawn.values())
        assert min(np.diff(places)) >= LABEL_GAP - 0.11

    def test_precision_fills_the_height(self):
        found = summary(["fsr"])
        for at, value in enumerate([0.03, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01]):
            found["scores"]["fsr"][f"precision@{BUDGETS[at]:.2f}"] = score(value, 0)
        group = lines(curves_svg(found, "precision", "budget", shown=["fsr"]))["fsr"]
        highest = min(y for _, y in path(group, "stroke"))
        assert (PLOT["bottom"] - highest) / (PLOT["bottom"] - PLOT["top"]) == pytest.approx(0.6, abs=0.01)  # of .05

    def test_no_two_alike_and_all_legible(self):
        first = first_shown(summary())
        styles = line_styles(NAMES, first)
        assert len(set(styles.values())) == len(NAMES)
        methods = [name for name in first if family_of(name) not in GREYS]
        assert len({styles[name].colour for name in methods}) == min(len(methods), len(PALETTE))
        for colour in (*PALETTE, *GREYS.values()):
            assert 1.05 / (luminance(colour) + 0.05) >= 4.5


class TestFile:
    def test_stands_alone(self, tmp_path):
        save_curves(tmp_path / "curves.svg", summary())
        text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg" and root.get("viewBox")
        assert not re.search(r"<style|<script|class=\"band\"|href|url\(", text)
        assert text.count("http") == 1  # the name space

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_names_stay_text(self, tmp_path, name):
        save_curves(tmp_path / "curves.svg", summary(["random", name]), selectors=["random", name])
        root = ElementTree.fromstring((tmp_path / "curves.svg").read_text(encoding="utf-8"))
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            "svg",
            "title",
            "rect",
            "g",
            "path",
            "text",
        }

    def test_what_cannot_be_drawn(self, tmp_path):
        with pytest.raises(UsageError, match="no curve of 'fsr'"):
            save_curves(tmp_path / "curves.svg", summary(["random"]), selectors=["fsr"])
        found = summary(["random"])
        found["scores"]["random"] = {}
        with pytest.raises(UsageError, match="no selector has"):
            save_curves(tmp_path / "curves.svg", found)
