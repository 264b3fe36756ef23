"""The report in a real browser: filters, drawn boxes, pictures, keys, and strangers' text that stays text."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation.report import ReportOptions, write_report
from annotation.report.page import render
from pinpoint_data.workspace import Workspace
from tests.annotation.browser import chromium, chromium_page
from tests.annotation.report_build import ANNA, HOSTILE, MARK, A, B, campaign

ALL = 8
CASES: list[tuple[dict[str, str], set[str]]] = [
    ({"source": "other"}, {"nobody"}),
    ({"split": "test"}, {"nobody"}),
    ({"source": "toy", "split": "test"}, set()),
    ({"annotator": f"A · {MARK}"}, {"agree", "pages", "tall", "open", "hostile"}),
    ({"status": "wrong answer"}, {"status"}),
    ({"status": "skipped"}, {"open"}),
    ({"status": "evidence", "annotator": f"C · {ANNA}"}, {"agree", "tall", "status", "single", "hostile"}),
    ({"status": "wrong answer", "annotator": f"C · {ANNA}"}, set()),
    ({"status": "statuses differ"}, {"status"}),
    ({"status": "done by nobody"}, {"open", "nobody"}),
    ({"status": "done by one only"}, {"single"}),
    ({"verdict": "decided"}, {"agree", "pages"}),
    ({"verdict": "in conflict"}, {"status", "open"}),
    ({"verdict": "in conflict: status conflict"}, {"status"}),
    ({"verdict": f"decided by review:{MARK}"}, {"pages"}),
    ({"finding": "box-outside-page"}, {"single"}),
    ({"low": "90"}, {"agree", "tall", "hostile"}),
    ({"low": "0", "high": "50"}, {"pages", "status"}),
    ({"text": "toy/TALL"}, {"tall"}),
    ({"text": "CAFE ou"}, {"nobody"}),
    ({"text": "a12"}, {"nobody"}),
    ({"text": "alert(3)"}, {"hostile"}),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(campaign(folder), folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The open report; whatever a test does with it, no error, dialog or request may come of it."""
    with chromium_page(browser) as (page, log):
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        yield page
        assert (log.errors, log.dialogs) == ([], [])
        assert {url.split("#")[0] for url in log.requests} == {file.as_uri()}


def listed(page: Any) -> list[str]:
    """Ids in the list, in order."""
    return [text.strip() for text in page.locator("#list .meta > bdi").all_text_contents()]


def choose(page: Any, **settings: str) -> list[str]:
    """Set filters by the text that a person sees; the ids that are left."""
    for name, value in settings.items():
        field = page.locator(f"#filters [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)
    return listed(page)


def ratio(outer: Any, inner: Any) -> list[float]:
    """Where `inner` lies in `outer`, as shares of its sides: x0, y0, x1, y1."""
    a, b = outer.bounding_box(), inner.bounding_box()
    x, y = b["x"] - a["x"], b["y"] - a["y"]
    ends = (x / a["width"], y / a["height"], (x + b["width"]) / a["width"], (y + b["height"]) / a["height"])
    return list(ends)


def until(page: Any, condition: str, seconds: float = 10) -> None:
    """Wait for a JavaScript condition. Playwright's own waiting evaluates text, which the report's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        page.wait_for_timeout(30)


class TestFilters:
    def test_each(self, page):
        for settings, expected in CASES:
            found = {id_.split("/")[1] for id_ in choose(page, **settings)}
            assert found == expected, settings
            assert page.locator("#count").text_content() == f"{len(expected)} of {ALL} questions"
            page.get_by_role("button", name="Reset").click()
            until(page, f"document.querySelectorAll('#list a').length === {ALL}")

    def test_disputed_only(self, page):
        page.get_by_label("Disputed only").check()
        assert set(listed(page)) == {"toy/pages", "toy/status"}

    def test_order(self, page):
        by_dispute = listed(page)
        assert set(by_dispute[:2]) == {"toy/pages", "toy/status"}
        assert choose(page, sort="id") == sorted(by_dispute)
        assert choose(page, sort="lead time")[:2] == ["toy/tall", "toy/pages"]
        assert choose(page, sort="order of the workspace")[0] == "other/nobody"
        assert choose(page, sort="most agreed")[-5:][0] in ("toy/pages", "toy/status")

    def test_finding_and_annotator_lead_to_their_questions(self, page):
        finding = page.locator("details", has_text="box-outside-page")
        finding.locator("summary").click()
        finding.get_by_role("button", name="Show the questions").click()
        assert listed(page) == ["toy/single"]
        page.locator("#progress table").first.get_by_role("button", name=ANNA).click()
        assert len(listed(page)) == 6
        finding.get_by_role("link", name="toy/single").click()
        assert page.locator("#detail .id").text_content() == "toy/single"


class TestDetail:
    def open(self, page: Any, name: str) -> Any:
        page.locator("#list a", has=page.get_by_text(f"toy/{name}", exact=True)).click()
        until(page, f"document.querySelector('#detail .id')?.textContent === 'toy/{name}'")
        return page.locator("#detail")

    def test_boxes_are_drawn_where_they_belong(self, page):
        detail = self.open(page, "status")
        sheet = detail.locator(".sheet")
        shapes = detail.locator(".hue-2 .shape").all()
        assert len(shapes) == 2
        for shape, (x0, y0, x1, y1) in zip(shapes, (A, B), strict=True):
            # The sheet is some 700 pixels wide; a line is 2 wide.
            assert ratio(sheet, shape) == pytest.approx([x0 / 400, y0 / 300, x1 / 400, y1 / 300], abs=0.005)
        assert detail.locator(".hue-1 .shape").count() == 0

    def test_pages_of_a_question(self, page):
        detail = self.open(page, "pages")
        figures = detail.locator("figure")
        assert figures.evaluate_all("all => all.map(one => one.dataset.page)") == ["1", "2"]
        assert figures.nth(0).locator(".region.hue-0").count() == 1
        assert figures.nth(1).locator(".region.hue-1").count() == 2
        assert "1 more page" in detail.text_content()
        assert "unanswerable" in detail.locator(".strip").first.text_content()
        shape = figures.nth(1).locator(".shape").nth(1)
        expected = [B[0] / 300, B[1] / 400, B[2] / 300, B[3] / 400]
        assert ratio(figures.nth(1).locator(".sheet"), shape) == pytest.approx(expected, abs=0.005)

    def test_tall_page_shows_the_box_first(self, page):
        detail = self.open(page, "tall")
        until(page, "document.querySelector('.scroller').scrollTop > 500")
        scroller, shape = detail.locator(".scroller").bounding_box(), detail.locator(".hue-2 .shape").bounding_box()
        assert scroller["y"] <= shape["y"] <= scroller["y"] + scroller["height"]
        assert detail.locator("polygon.shape").get_attribute("points") == "28,1500 120,1515 112,1545 20,1530"
        before = detail.locator(".sheet").bounding_box()["width"]
        detail.get_by_label("Zoom").fill("2")
        assert detail.locator(".sheet").bounding_box()["width"] == pytest.approx(2 * before)

    def test_layers_can_be_hidden(self, page):
        detail = self.open(page, "agree")
        kinds = {"person": 3, "gold": 1, "evidence": 1}
        for kind, count in kinds.items():
            assert detail.locator(f"[data-layer={kind}]").count() == count
        detail.get_by_label("gold:toy").uncheck()
        detail.get_by_label("adjudicated").uncheck()
        detail.get_by_label(ANNA).uncheck()
        assert detail.locator(".region").count() == 2
        self.open(page, "hostile")  # the choice holds
        assert detail.locator(".region").count() == 1
        detail.get_by_label(ANNA).check()
        assert detail.locator(".region").count() == 2

    def test_everybody_is_named_with_status_and_boxes(self, page):
        lines = self.open(page, "open").locator(".layers li").all_text_contents()
        assert lines[0] == f"A{MARK}unfinished · 1 box"
        assert lines[1] == f"C{ANNA}skipped · 0 boxes"

    def test_keys_and_address(self, page, file):
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.locator("#list a[aria-current]").get_attribute("data-place") == "2"
        page.keyboard.press("k")
        assert page.locator("#list a[aria-current]").get_attribute("data-place") == "1"
        page.locator("[name=text]").fill("jj")
        assert page.locator("#list a").count() == 0
        page.goto(f"{file.as_uri()}#q=toy%2Ftall")
        until(page, "document.querySelector('#detail .id').textContent === 'toy/tall'")
        page.goto(f"{file.as_uri()}#q=%E0%A4%A")
        page.goto(f"{file.as_uri()}#q=nothing")
        assert page.locator("#detail .id").text_content() == "toy/tall"

    def test_cards_lead_to_the_question(self, page):
        cards = page.locator(".card")
        assert cards.count() == 2
        cards.nth(1).click()
        until(page, "location.hash.length > 3")
        until(page, f"document.querySelector('#detail .id')?.textContent === {listed(page)[1]!r}")


class TestHostileText:
    def test_it_is_shown_as_text(self, page):
        page.locator("#list a", has=page.get_by_text("toy/hostile", exact=True)).click()
        until(page, "document.querySelector('#detail .id')?.textContent === 'toy/hostile'")
        detail = page.locator("#detail").text_content()
        assert HOSTILE[0] in detail and HOSTILE[1] in detail
        assert "\\u202e txet \\u200f" in detail
        assert page.title() == "ws · campaign report"
        assert page.locator("script").count() == 3
        assert page.locator('img[src="x"], svg[onload], [onerror], [onmouseover]').count() == 0

    def test_the_browser_itself_forbids_markup_and_requests(self, file, browser):
        with chromium_page(browser) as (page, log), socket.create_server(("127.0.0.1", 0)) as listening:
            page.goto(file.as_uri())
            made = page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>' } catch (e) { return e.name } }")
            assert made == "TypeError"
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
            page.evaluate("url => { const image = document.createElement('img'); image.src = url; }", url)
            refused = page.evaluate("url => fetch(url).then(() => 'fetched', error => error.name)", url)
            assert refused == "TypeError"
            assert any("Content Security Policy" in error for error in log.errors)
            listening.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listening.accept()


class TestPictures:
    def test_they_come_when_they_are_near(self, page):
        page.set_viewport_size({"width": 1280, "height": 400})
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert page.locator("img").count() == 0
        page.evaluate("document.getElementById('disputed').scrollIntoView()")
        until(page, "document.querySelectorAll('img').length > 0")
        assert page.locator("img").evaluate_all("all => all.every(i => i.src.startsWith('data:image/jpeg'))")
        page.locator("#list a", has=page.get_by_text("toy/single", exact=True)).click()
        until(page, "document.querySelector('#detail img')?.naturalWidth === 400")

    def test_dark_and_print(self, page):
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(ground) != light
        page.emulate_media(media="print", color_scheme="light")
        assert not page.locator("#filters").is_visible()
        assert page.locator(".cards").is_visible()

    @pytest.mark.parametrize("width", [1280, 800])
    def test_nothing_is_wider_than_the_window(self, page, width):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_report_of_some_questions_says_so(browser, file, tmp_path):
    with chromium_page(browser) as (page, _):
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        assert page.locator("#left-out").text_content() == ""
        assert page.locator("#count").text_content() == f"{ALL} questions"
    write_report(Workspace.open(file.parent / "ws"), tmp_path / "some.html", ReportOptions(questions=1))
    with chromium_page(browser) as (page, log):
        page.goto((tmp_path / "some.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        assert (
            page.locator("#left-out").text_content().startswith(f"Listed are 1 of {ALL} questions: the most disputed")
        )
        assert page.locator("#count").text_content() == "1 listed question"
        assert "2 questions with different statuses" in page.locator("#disputed .lead").text_content()
        assert "The first 1 are listed." in page.locator("#disputed .lead").text_content()
        assert choose(page, finding="box-outside-page") == []
        assert page.locator("#list").text_content() == "No listed question fits the filters."
        assert log.errors == []


def test_five_thousand_questions_stay_usable(browser, file, tmp_path):
    html = file.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    some = data["questions"]
    data["progress"]["questions"] = 5000
    data["questions"] = [some[n % ALL] | {"id": f"{some[n % ALL]['id']}-{n}", "place": n} for n in range(5000)]
    (tmp_path / "many.html").write_text(render("many", data, {}), encoding="utf-8")
    with chromium_page(browser) as (page, log):
        page.goto((tmp_path / "many.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        nodes = "document.querySelectorAll('*').length"
        assert page.locator("#list a").count() == 50
        assert page.evaluate(nodes) < 5000
        ids = set(listed(page))
        page.get_by_role("button", name="Next page").click()
        assert not ids & set(listed(page))
        page.get_by_role("button", name="Last page").click()
        assert page.locator("#pager").text_content() == "«‹100 of 100›»"
        assert choose(page, text="-4999") == ["other/nobody-4999"] or len(listed(page)) == 1
        assert page.locator("#count").text_content() == "1 of 5,000 questions"
        choose(page, text="")
        page.locator("#list a").nth(48).click()
        for _ in range(3):  # past the end of a page of the list
            page.keyboard.press("j")
        assert page.locator("#pager").text_content() == "«‹2 of 100›»"
        assert page.evaluate(nodes) < 5000
        assert log.errors == []
