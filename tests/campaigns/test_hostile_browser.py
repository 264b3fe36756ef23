"""Markup and script in questions, answers, annotators and file names, in Chromium: nothing runs, nothing is fetched."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation.report import write_report
from pinpoint_data.sources import ingest
from pinpoint_data.workspace import Workspace
from tests.annotation.browser import chromium, chromium_page
from tests.campaigns.hostile.values import MARKUP
from tests.loaders.build import regions, write
from tests.sources.build import png, put, put_lines
from tests.validation.build import pinpoint

# What a file may be called, on any of our systems' disks.
NAMES = tuple(
    f"{text}.png"
    for text in (
        "<img src=x onerror=alert(1)>",
        "'onmouseover='alert(2)' \"",
        "&lt;script&gt;alert(3)&lt;",
        "{{ 7 * 7 }}${alert(4)}",
        "javascript&#58;alert(5)",
        "<svg onload=alert(6)>",
    )
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a campaign in which everything that a stranger names is markup."""
    folder = tmp_path_factory.mktemp("hostile-report")
    asked = []
    for number, text in enumerate(MARKUP):
        name = NAMES[number % len(NAMES)]
        put(folder / "in" / name, png(60 + number % len(NAMES), 40))
        record = {"question_id": f"{number} {text}", "question": text, "answers": [text, text[::-1]], "image": name}
        asked.append(record | {"answer_types": [text], "doc_id": f"doc {text}"})
    put_lines(folder / "in" / "questions.jsonl", asked)
    assert not ingest(folder / "ws", "records", folder / "in").outcome.refused
    ws = Workspace.open(folder / "ws")
    people = [f"label-studio:{text}" for text in MARKUP[:4]]
    ids = [row["question_id"] for row in ws.iter_rows("questions")]
    rows = [
        row
        for place, who in enumerate(people)
        for id_ in ids
        for row in regions(id_, [(1.0 + place, 2.0, 30.0, 20.0)], annotator=who)
    ]
    write(ws, "annotations", "records-train.people", rows)
    write_report(ws, folder / "report.html")
    return folder / "report.html"


def test_a_report_of_markup_runs_nothing(browser: Any, report: Path) -> None:
    with chromium_page(browser) as (page, log):
        page.add_init_script("window.alerted = 0; window.alert = () => { window.alerted += 1 }")
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready]")
        links = page.locator("#list a")
        assert links.count() == len(MARKUP)
        for number in range(links.count()):
            links.nth(number).click()
            page.locator("#detail").hover()
            shown = page.locator("#detail").text_content()
            assert any(text in shown for text in MARKUP)
        assert page.evaluate("window.alerted") == 0
        assert page.locator("script").count() == 3
        # Pictures come from the file itself; what strangers wrote made no element and no handler.
        sources = page.locator("img").evaluate_all("all => all.map(image => image.src)")
        assert all(source.startswith("data:image/jpeg") for source in sources)
        assert page.locator("svg[onload], [onerror], [onmouseover], a[href^=javascript]").count() == 0
        assert (log.errors, log.dialogs) == ([], [])
        assert {url.split("#")[0] for url in log.requests} == {report.as_uri()}


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_selection_of_markup_runs_nothing(browser: Any, tmp_path: Path, number: int) -> None:
    put(tmp_path / NAMES[number], png(300, 200))
    word = {"words": [MARKUP[number]], "bounding_boxes": [[10, 10, 100, 30]]}
    put(tmp_path / "words.json", word)
    out = tmp_path / "out"
    words = tmp_path / "words.json"
    done = pinpoint("select", tmp_path / NAMES[number], MARKUP[number], "--words", words, "--out", out)
    assert done.returncode == 0, done.stderr
    with chromium_page(browser) as (page, log), socket.create_server(("127.0.0.1", 0)) as listening:
        page.add_init_script("window.alerted = 0; window.alert = () => { window.alerted += 1 }")
        page.goto((out / "selection.html").as_uri())
        page.wait_for_load_state()
        assert MARKUP[number] in page.locator("body").text_content()
        page.mouse.move(200, 200)
        assert page.evaluate("window.alerted") == 0
        assert page.locator("script, svg[onload], [onerror], [onmouseover], a[href^=javascript]").count() == 0
        sources = page.locator("image, img").evaluate_all("all => all.map(i => i.getAttribute('href') ?? i.src)")
        assert sources and all(source.startswith("data:image/") for source in sources)
        assert (log.errors, log.dialogs) == ([], [])
        assert all(url.startswith(out.as_uri()) for url in log.requests)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        refused = page.evaluate("url => fetch(url).then(() => 'fetched', error => error.name)", url)
        assert refused == "TypeError" and any("Content Security Policy" in error for error in log.errors)
