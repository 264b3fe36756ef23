"""The benchmark's page as text: what it says, and strangers' text that stays text."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pinpoint_data.errors import one_line
from pinpoint_data.grids import TokenGrid
from tests.training.benchmark.measured import whole_summary
from tests.training.benchmark.report_data import BUDGETS, HOSTILE, example, summary
from training.benchmark.families import by_recall
from training.benchmark.html import render, write_html
from training.benchmark.rows import readings


class Reader(HTMLParser):
    """Tags, attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in ("script", "style"):
            self.text += data


def data_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    return found


def hostile(text: str) -> str:
    names = ["random", "fsr", text]
    facts = {
        "dataset": text,
        "split": text,
        "backbone": {"name": text},
        "warnings": [text],
        "unavailable": {text: text},
    }
    found = summary(names, **facts)
    found["questions"]["by_source"] = {text: 1}
    found["strata"]["source"] = {text: found["strata"]["source"]["infovqa"], "b": found["strata"]["source"]["mpdocvqa"]}
    found["costs"]["fsr"]["seconds"][text] = {"mean": 1.0, "median": 1.0}
    return render(found, [example(names, question=text, answers=(text,), question_id=text)])


class TestText:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_stays_text(self, text):
        plain, read = Reader(hostile("plain")), Reader(hostile(text))
        assert read.tags == plain.tags
        assert [name for name, _ in read.attributes] == [name for name, _ in plain.attributes]
        if len(text) < 100:
            assert one_line(text) in read.text
        hostile(text).encode("utf-8")

    def test_data_cannot_end_its_element(self):
        html = hostile("</script><!--\u2028")
        assert html.count("</script>") == 2 and html.count("<script") == 2
        assert data_of(html)["names"][2] == "</script><!--\\u2028"

    def test_is_self_contained(self):
        read = Reader(render(summary(), [example()]))
        assert not {"link", "iframe", "object", "base"} & set(read.tags)
        assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
        links = [value or "" for name, value in read.attributes if name in ("src", "href")]
        assert all(re.match(r"data:image/(png|jpeg);base64,|#\w", link) for link in links)
        assert "http://" not in re.sub(r"http://www.w3.org/2000/svg", "", read.text)

    def test_same_arguments_same_text(self):
        assert render(summary(), [example()]) == render(summary(), [example()])


class TestHead:
    def test_plumbing_is_loud(self):
        assert "its figures are no results" in render(summary(plumbing=True))
        assert "its figures are no results" not in render(summary(plumbing=False))

    def test_counts_warnings_and_who_is_missing(self):
        text = Reader(render(summary(warnings=["pages without words"], unavailable={"vtw": "needs decoder"}))).text
        for said in (
            "480 questions of 210 documents",
            "documents-v1",
            "pages without words",
            "needs decoder",
            "llava-next",
        ):
            assert said in text

    def test_a_summary_without_what_a_run_adds(self):
        found = summary(["random", "fsr"])
        for name in ("dataset", "split", "backbone", "program", "warnings", "unavailable"):
            del found[name]
        assert "Budget curves" in render(found)

    def test_one_selector_one_budget_one_document(self):
        found = summary(["fsr"], (0.25,))
        for own in found["scores"]["fsr"].values():
            own["low"] = own["high"] = None
        found["lift"], found["strata"]["position"] = {}, {}
        assert "Budget curves" in render(found)


class TestAnswers:
    def test_points_and_coefficients(self):
        found = whole_summary()
        html = render(found)
        both = [p for p in found["correlation"]["points"] if p["recall"] is not None and p["anls_change"] is not None]
        assert html.count("</title></path>") == len(both) > 0
        read = Reader(html).text
        assert "all budgets together" in read and "What recall says about answers" in read

    def test_points_of_a_random_model_say_so_themselves(self):
        for plumbing in (True, False):
            svg = re.search(r'<div class="scatter">(.*?)</div>', render(whole_summary(plumbing=plumbing)), re.DOTALL)[1]
            assert ("plumbing, not results" in svg) is plumbing

    def test_without_answers_there_is_no_section(self):
        assert "What recall says" not in render(whole_summary(answers=False))


class TestReadings:
    """What only methods in the decoder, methods that merge, and approximations have."""

    def _groups(self) -> dict[str, dict[str, list[str]]]:
        found = readings(whole_summary(), by_recall(whole_summary()))
        return {group["title"]: {row["name"]: row["cells"] for row in group["rows"]} for group in found}

    def test_who_stands_in_which_group(self):
        layers, recall, merged, agreement = self._groups().values()
        assert list(layers) == list(recall) == ["fastv"]
        assert list(merged) == list(agreement) == ["sparsevlm-unpruned"]

    def test_figures_are_those_of_the_summary(self):
        scores = whole_summary()["scores"]
        budgets = [f"{budget:.2f}" for budget in whole_summary()["budgets"]]
        for (_, rows), score in zip(
            self._groups().items(), ("layer_budget", "layer_recall", "evidence_recall_merged", "agreement"), strict=True
        ):
            for name, cells in rows.items():
                means = [scores[name][f"{score}@{budget}"]["mean"] for budget in budgets]
                assert [float(cell["text"]) for cell in cells] == pytest.approx(means, abs=6e-4)

    def test_two_random_sets_stand_below_the_agreement(self):
        # Of shares r each both keep r * r, either keeps 2 r - r * r.
        found = readings(whole_summary(), by_recall(whole_summary()))
        assert [group["chance"] == [] for group in found] == [True, True, True, False]
        at = list(whole_summary()["budgets"]).index(0.25)
        assert found[3]["chance"][at]["text"] == ".143"
        assert "two random sets" in Reader(render(whole_summary())).text

    def test_nothing_is_offered_that_nobody_has(self):
        found = summary(["random", "uniform", "fsr"])
        text = render(found)
        assert readings(found, by_recall(found)) == []
        assert "readings-title" not in text and "decoder layers" not in Reader(text).text
        assert 'data-axis="layer_budget"' not in text and 'value="layer_recall"' not in text


class TestData:
    def test_pairs_are_stored_once_and_rounded(self):
        found = data_of(render(summary(["random", "fsr", "pinpoint"])))
        assert set(found["differences"]["evidence_recall"]) == {"0,1", "0,2", "1,2"}
        assert len(found["differences"]["evidence_recall"]["0,1"]) == len(BUDGETS)

    def test_scores_that_are_missing_are_null(self):
        given = summary(["fsr", "random"])
        del given["scores"]["fsr"]["all_hit@0.10"]
        given["lift"]["random"]["fsr"]["evidence_recall@0.25"] = {"mean": None, "low": None, "high": None, "n": 3}
        assert data_of(render(given))["scores"]["all_hit"][0][1] is None


class TestMasks:
    def _veils(self, **kind: Any) -> list[np.ndarray]:
        html = render(summary(["fsr"]), [example(["fsr"], **kind)])
        found = re.findall(r'class="veil" href="data:image/png;base64,([^"]+)"', html)
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(veil))).convert("RGBA"))[:, :, 3] for veil in found]

    def test_dropped_tokens_are_veiled_and_kept_ones_are_not(self):
        (veil,) = self._veils(rows=9, cols=7)
        (mask,) = example(["fsr"], rows=9, cols=7).masks["fsr"]
        assert veil.shape == (9, 7)
        assert np.array_equal(veil == 0, mask)
        assert set(np.unique(veil)) == {0, 209}

    def test_an_uneven_grid_is_drawn_finer(self):
        grid = TokenGrid(np.array([0.0, 100, 400]), np.array([0.0, 200, 520]), 400, 520, "t")
        (veil,) = self._veils(grid=grid)
        (mask,) = example(["fsr"], grid=grid).masks["fsr"]
        assert veil.shape == (16, 16)
        assert np.array_equal(veil[:, 3] == 0, mask[[0] * 6 + [1] * 10, 0])

    def test_which_pages_are_shown_is_said(self):
        for shown, of, said in (
            (1, 1, ""),
            (1, 4, " · page 1 of 4"),
            (2, 2, " · pages 1, 2"),
            (2, 9, " · pages 1, 2 of 9"),
        ):
            text = Reader(render(summary(["fsr"]), [example(["fsr"], pages=shown, n_pages=of)])).text
            assert f"budget .25 of the visual tokens{said} · test/1" in text

    def test_every_page_is_there_once(self):
        html = render(summary(), [example(pages=3), example()])
        assert html.count("data:image/jpeg") == 4

    def test_what_no_token_sees_is_veiled(self):
        grid = TokenGrid(np.linspace(20, 380, 5), np.linspace(0, 520, 5), 400, 520, "t")
        assert 'class="outside"' in render(summary(["fsr"]), [example(["fsr"], grid=grid)])

    def test_four_large_examples_of_all_selectors_are_small(self, tmp_path):
        large = example(size=(2000, 2600), rows=93, cols=71, noise=60)
        write_html(tmp_path / "benchmark.html", summary(), [large] * 4)
        assert (tmp_path / "benchmark.html").stat().st_size < 3_000_000
