"""The benchmark's page: what it shows, in a real browser too, and strangers' text that stays text."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pinpoint_data.errors import one_line
from pinpoint_data.grids import TokenGrid
from tests.annotation.browser import chromium, chromium_page
from tests.training.benchmark.measured import whole_summary
from tests.training.benchmark.report_data import BUDGETS, HOSTILE, NAMES, example, summary
from training.benchmark.families import by_recall, first_shown
from training.benchmark.html import render, write_html
from training.benchmark.rows import readings

SOME = [name for at, name in enumerate(NAMES) if at % 3 == 0 or name in ("pinpoint", "fsr", "ivc-prune")]
"""Enough of every family for a browser, which takes its time over all of them."""


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "benchmark.html"
    write_html(path, summary(SOME, plumbing=True), [example(SOME), example(SOME, pages=2)])
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The open page; whatever a test does with it, no error, dialog or request may come of it."""
    with chromium_page(browser, width=1360) as (page, log):
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        yield page
        assert (log.errors, log.dialogs) == ([], [])
        assert {url.split("#")[0] for url in log.requests} == {file.as_uri()}


def labels(page: Any) -> list[tuple[str, float]]:
    """Visible labels of the visible chart with their places in its drawing, from the top."""
    found = page.locator(".view:not([hidden]) .line:not([display]) .label").evaluate_all(
        "all => all.map(node => [node.textContent, Number(node.getAttribute('y'))])"
    )
    return sorted(map(tuple, found), key=lambda label: label[1])


def rows(page: Any) -> list[str]:
    return page.locator(".main tbody tr:not([hidden]) th bdi").all_text_contents()


def verdicts(page: Any) -> list[str]:
    return page.locator("#pair table").first.locator("td:nth-child(2)").all_text_contents()


def until(page: Any, condition: str, seconds: float = 5) -> None:
    """Wait for a JavaScript condition; Playwright's own waiting evaluates text, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        page.wait_for_timeout(20)


class TestCurves:
    def test_lines_come_and_go_and_labels_stay_apart(self, page):
        assert {name for name, _ in labels(page)} == set(first_shown(summary(SOME)))
        page.get_by_role("button", name="All", exact=True).click()
        found = labels(page)
        assert {name for name, _ in found} == set(SOME)
        assert min(np.diff([top for _, top in found])) > 14.8
        page.get_by_role("button", name="None", exact=True).click()
        assert labels(page) == []
        page.get_by_role("checkbox", name="fsr", exact=True).check()
        assert [name for name, _ in labels(page)] == ["fsr"]
        page.get_by_role("button", name="First choice").click()
        assert {name for name, _ in labels(page)} == set(first_shown(summary(SOME)))

    def test_the_script_places_labels_as_the_drawing_does(self, page):
        before = labels(page)
        page.get_by_role("button", name="None", exact=True).click()
        page.get_by_role("button", name="First choice").click()
        after = labels(page)
        assert [name for name, _ in after] == [name for name, _ in before]
        assert [top for _, top in after] == pytest.approx([top for _, top in before], abs=0.2)

    def test_metric_and_axis(self, page):
        view = page.locator(".view:not([hidden])")
        assert (view.get_attribute("data-metric"), view.get_attribute("data-axis")) == ("evidence_recall", "budget")
        page.get_by_role("radio", name="All boxes hit").check()
        page.get_by_role("radio", name="mean over decoder layers").last.check()
        assert (view.get_attribute("data-metric"), view.get_attribute("data-axis")) == ("all_hit", "layer_budget")
        assert view.count() == 1

    def test_pointing_tells_the_figures_and_shows_the_interval(self, page):
        label = page.locator(".view:not([hidden]) .line:not([display])", has_text="pinpoint").locator(".label")
        band = page.locator(".view:not([hidden]) .line", has_text="pinpoint").locator(".band")
        assert band.evaluate("node => getComputedStyle(node).opacity") == "0"
        label.hover()
        tip = page.locator("#tip")
        assert tip.is_visible() and tip.text_content().startswith("pinpoint")
        mean = summary(SOME)["scores"]["pinpoint"]["evidence_recall@0.60"]["mean"]
        assert f"{mean:.3f}".removeprefix("0") in tip.text_content()
        assert band.evaluate("node => getComputedStyle(node).opacity") == "1"
        label.click()
        page.mouse.move(5, 5)
        assert not tip.is_visible()
        assert band.evaluate("node => getComputedStyle(node).opacity") == "1"  # pinned

    def test_by_keyboard(self, page):
        box = page.get_by_role("checkbox", name="random", exact=True)
        box.focus()
        assert page.locator(".view:not([hidden]) .line.active .label").text_content() == "random"
        page.keyboard.press("Space")
        assert "random" not in {name for name, _ in labels(page)}


class TestTables:
    def test_sorting(self, page):
        ranked = by_recall(summary(SOME))
        assert rows(page) == ranked
        page.locator(".main thead").get_by_role("button", name="selector").click()
        assert rows(page) == sorted(SOME)
        page.locator(".main thead").get_by_role("button", name=".25").click()
        assert rows(page)[0] == ranked[0]
        page.locator(".main thead").get_by_role("button", name=".25").click()
        assert rows(page)[0] == ranked[-1]
        assert page.locator(".main th[aria-sort=ascending]").count() == 1

    def test_cells_without_a_value_are_last_either_way(self, page):
        full = page.locator(".main thead").get_by_role("button", name="full")
        for _ in range(2):
            full.click()
            cells = page.locator(".main tbody td:nth-child(13)").all_text_contents()
            assert cells[0] != "–" and cells[-1] == "–"

    def test_filter_and_metric(self, page):
        page.locator("[name=filter]").fill("decoder prune")
        assert rows(page) == ["ivc-prune"] or all("prune" in name for name in rows(page))
        assert page.locator("#count").text_content().endswith(f"of {len(SOME)} selectors")
        page.locator("[name=filter]").fill("")
        page.locator("[name=table-metric]").select_option(label="All boxes hit")
        mean = summary(SOME)["scores"]["fsr"]["all_hit@0.25"]["mean"]
        cell = page.locator(".main tbody tr", has=page.get_by_text("fsr", exact=True)).locator("td").nth(3)
        assert cell.text_content().startswith(f"{mean:.3f}".removeprefix("0"))

    def test_the_script_writes_what_the_page_was_written_with(self, browser, tmp_path):
        # Means of 16 or 32 questions lie half-way between two numbers of three digits, where rounding is a convention.
        found = summary(["random", "fsr", "uniform"])
        marks = iter(range(1, 1000))
        strata = [part["scores"] for group in found["strata"].values() for part in group.values()]
        for scores in (found["scores"], *strata):
            for own in scores.values():
                for score in own.values():
                    mean = next(marks) % 32 / 32
                    score.update(mean=mean, low=max(0.0, mean - 0.125), high=min(1.0, mean + 0.125))
        write_html(tmp_path / "benchmark.html", found)
        shown = "all => all.map(cell => cell.textContent + cell.getAttribute('class'))"
        with chromium_page(browser, width=1360) as (page, _):
            page.goto((tmp_path / "benchmark.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            cells = page.locator(".main td, .heat td, .mini text, .mini .fifth")
            before = cells.evaluate_all(shown)
            for name, other, back in (("table-metric", "all_hit", "evidence_recall"), ("strata-budget", "0", "3")):
                page.locator(f"[name={name}]").select_option(other)
                assert cells.evaluate_all(shown) != before
                page.locator(f"[name={name}]").select_option(back)
            assert cells.evaluate_all(shown) == before

    def test_the_budget_of_strata(self, page):
        page.locator("[name=strata-budget]").select_option(label=".05")
        given = summary(SOME)["strata"]
        found = page.locator(".mini", has=page.get_by_text("fsr", exact=True)).locator("text").all_text_contents()
        means = [s["scores"]["fsr"]["evidence_recall@0.05"]["mean"] for s in given["position"].values()]
        assert found == [f"{mean:.3f}".removeprefix("0") for mean in means]
        row = page.locator("table.heat tbody tr", has=page.get_by_text("fsr", exact=True))
        mean = given["role"]["answer"]["scores"]["fsr"]["evidence_recall@0.05"]["mean"]
        assert row.locator("td").first.text_content().startswith(f"{mean:.3f}".removeprefix("0"))

    def test_pairs_both_ways(self, page):
        page.locator("[name=first]").select_option(label="random")
        page.locator("[name=second]").select_option(label="pinpoint")
        one = verdicts(page)
        stored = summary(SOME)["differences"]["random"]["pinpoint"]["evidence_recall@0.05"]["mean"]
        assert one[0] == f"{stored:.3f}".replace("-0.", "-.") and stored < 0
        page.locator("#swap").click()
        assert verdicts(page) == [text.replace("-", "+") for text in one]
        assert "differs" in page.locator("#pair").text_content()
        interval = page.locator("#pair table").first.locator("td:nth-child(3)").first.text_content()
        low, high = map(float, interval.strip("[]").split(","))
        assert low < high
        page.locator("[name=first]").select_option(label="random")
        page.locator("[name=second]").select_option(label="random")
        assert "two different selectors" in page.locator("#pair").text_content()


class TestExamples:
    def test_enlarging_and_closing_by_keyboard(self, page):
        page.get_by_role("button", name=re.compile("Enlarge: pinpoint")).first.press("Enter")
        assert page.locator("dialog[open] p").text_content().startswith("pinpoint")
        page.keyboard.press("Enter")
        until(page, "!document.querySelector('dialog[open]')")

    def test_pictures_are_drawn(self, page):
        # The veil over three quarters of the tokens darkens white paper.
        plain, kept = (
            np.asarray(Image.open(io.BytesIO(page.locator(".enlarge > svg").nth(n).screenshot())).convert("L"))
            for n in (0, 1)
        )
        assert len(np.unique(plain)) > 20
        assert np.median(plain) > 240 > np.median(kept) > 190

    def test_the_others_are_folded_away(self, page):
        first = len(first_shown(summary(SOME)))
        assert page.locator(".example").first.locator(":scope > .tiles .tile").count() == first + 1
        page.locator(".example details summary").first.click()
        assert page.locator(".example").first.locator("details .tile:visible").count() == len(SOME) - first


class TestPage:
    @pytest.mark.parametrize("width", [1360, 700, 390])
    def test_nothing_is_wider_than_the_window(self, page, width):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_print_and_dark(self, page):
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 248)"
        page.emulate_media(media="print")
        assert not page.locator("[name=filter]").is_visible()
        assert page.locator("#pair").is_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).maxHeight") == "none"

    def test_every_row_is_a_row(self, page):
        # A family's name must not collide with a class of the page: "controls" once did.
        for table in (".main", ".heat", ".costs"):
            displayed = page.locator(f"{table} tbody tr").evaluate_all(
                "all => all.map(r => getComputedStyle(r).display)"
            )
            assert set(displayed) == {"table-row"}, table

    def test_controls_and_pictures_have_names(self, page):
        for role in ("button", "checkbox", "radio", "combobox", "searchbox"):
            found = page.get_by_role(role)
            named = page.get_by_role(role, name=re.compile(r"\S"))
            assert found.count() == named.count() > 0, role
        # Each drawing has a name, and what it is made of is not read out one by one.
        assert page.locator("svg[role=img]").evaluate_all(
            "all => all.length > 40 && all.every(one => one.ariaLabel || one.firstElementChild.tagName === 'title')"
        )

    def test_without_its_script(self, browser, file):
        with chromium_page(browser, java_script_enabled=False) as (page, log):
            page.goto(file.as_uri())
            assert page.locator(".view:visible .line .label:visible").count() == len(first_shown(summary(SOME)))
            assert page.locator(".main tbody tr:visible").count() == len(SOME)
            assert page.locator(".tile svg:visible").count() > 10
            assert page.locator("#swap").is_hidden()
            assert log.errors == []


def test_hostile_text_runs_nothing_in_a_browser(browser, tmp_path):
    names = ["random", "fsr", *HOSTILE]
    found = summary(names, dataset=HOSTILE[1], warnings=HOSTILE, unavailable=dict.fromkeys(HOSTILE, HOSTILE[0]))
    shown = [example(names, question=text, answers=(text,), question_id=text) for text in HOSTILE[:3]]
    write_html(tmp_path / "benchmark.html", found, shown)
    with chromium_page(browser) as (page, log):
        page.goto((tmp_path / "benchmark.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        page.get_by_role("button", name="All", exact=True).click()
        for index in range(len(names)):
            page.locator("[name=first]").select_option(str(index))
            page.locator(".legend input").nth(index).focus()
        page.locator(".view:not([hidden]) .line .label").last.hover()
        page.locator(".enlarge").nth(2).click()
        page.keyboard.press("Escape")
        assert page.title().startswith("</script>")
        assert page.locator("script").count() == 2
        assert page.locator("img, [onerror], [onmouseover]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert (log.errors, log.dialogs) == ([], [])
        assert log.requests == [(tmp_path / "benchmark.html").as_uri()]
        refused = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'fetched', error => error.name)")
        assert refused == "TypeError" and any("Content Security Policy" in error for error in log.errors)
