"""The benchmark's page in a real browser: what its script shows, sorts and switches, and that nothing is fetched."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotation.browser import chromium, chromium_page
from tests.training.benchmark.report_data import HOSTILE, NAMES, example, summary
from training.benchmark.families import by_recall, first_shown
from training.benchmark.html import write_html

SOME = [name for at, name in enumerate(NAMES) if at % 3 == 0 or name in ("pinpoint", "fsr", "ivc-prune")]
"""Enough of every family for a browser, which takes its time over all of them."""


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
