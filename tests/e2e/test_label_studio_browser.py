"""An annotator at a real Label Studio in a real browser: what we propose is drawn where it belongs, and what they draw
comes back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import numpy as np
import pytest
from PIL import Image

from pinpoint_data.draw import ROLE_COLOURS
from pinpoint_data.workspace import Workspace
from tests.annotation.browser import chromium, chromium_page, sign_in
from tests.annotation.server import PASSWORD, LabelStudio
from tests.e2e.campaign import pinpoint

pytestmark = pytest.mark.e2e

PROJECT = "in the browser"
NEXT_PAGE = ".lsf-pagination__btn_arrow-right:not(.lsf-pagination__btn_arrow-right-double)"


class Shown(NamedTuple):
    """A page as the browser shows it: its place on the screen, and screen pixels a page pixel."""

    x: float
    y: float
    scale: float


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def campaign(label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A workspace whose questions, with proposals, are on the server; the tasks as the server shows them."""
    out = tmp_path_factory.mktemp("browser")
    workspace = out / "ws"
    pinpoint("generate", out / "drawn", "--layout", "all", "--documents", 2, "--seed", 21)
    for layout in ("mpdocvqa", "infovqa"):
        pinpoint("ingest", layout, out / "drawn" / layout, "--workspace", workspace)
    pinpoint("words", workspace)
    pinpoint("propose", workspace)
    where = ("--url", label_studio.url, "--project", PROJECT)
    pinpoint("label-studio", "push", workspace, *where, "--prelabel", "proposal:*", key=label_studio.token)
    with httpx2.Client(base_url=label_studio.url, headers=label_studio.headers(label_studio.token), timeout=60) as me:
        found = me.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
        project = next(p["id"] for p in found if p["title"] == PROJECT)
        query = {"project": project, "fields": "all", "page_size": 1000}
        tasks: list[dict[str, Any]] = me.get("/api/tasks", params=query).raise_for_status().json()["tasks"]
    return workspace, tasks


def open_task(page: Any, server: LabelStudio, task: dict[str, Any]) -> None:
    sign_in(page, server.url, server.email, PASSWORD)
    page.goto(f"{server.url}/projects/{task['project']}/data?task={task['id']}")
    page.wait_for_selector("canvas")
    settled(page)


def settled(page: Any) -> None:
    """Wait until the page's picture and its regions are drawn."""
    page.wait_for_function("document.querySelector('img[alt=image]')?.naturalWidth > 0")
    page.wait_for_timeout(1500)


def shown_page(page: Any, item: dict[str, Any]) -> Shown:
    box = page.locator("img[alt=image]").bounding_box()
    return Shown(box["x"], box["y"], box["width"] / item["width"])


def outline_is_drawn(picture: np.ndarray[Any, np.dtype[np.uint8]], edges: tuple[float, ...], role: str) -> bool:
    """Whether the middle of each edge (left, top, right, bottom; screen pixels) has the role's colour within 2 px."""
    left, top, right, bottom = edges
    middles = [(left, (top + bottom) / 2), (right, (top + bottom) / 2)]
    middles += [((left + right) / 2, top), ((left + right) / 2, bottom)]
    for x, y in middles:
        near = picture[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].astype(int)
        if np.abs(near - np.array(ROLE_COLOURS[role])).max(axis=2).min() > 60:
            return False
    return True


def screenshot(page: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def test_proposals_are_drawn_where_they_belong_and_a_drawn_box_comes_back(
    label_studio: LabelStudio, campaign: tuple[Path, list[dict[str, Any]]], browser: Any
) -> None:
    workspace, tasks = campaign
    task = next(
        t
        for t in tasks
        if len(t["data"]["items"]) > 1 and t["data"]["prelabel"] and _proposed(t, item=0) and not _pieces(t)
    )
    with chromium_page(browser, width=1700, height=2100, timeout_s=60) as (page, _):
        open_task(page, label_studio, task)
        assert page.get_by_text(task["data"]["question"]).count()
        first = shown_page(page, task["data"]["items"][0])
        picture = screenshot(page)
        for region in _proposed(task, item=0):
            x0, y0, x1, y1 = region["xyxy"]
            edges = (first.x + x0 * first.scale, first.y + y0 * first.scale)
            edges += (first.x + x1 * first.scale, first.y + y1 * first.scale)
            assert outline_is_drawn(picture, edges, region["role"]), region
            moved = tuple(edge + 12 for edge in edges)
            assert not outline_is_drawn(picture, moved, region["role"]), "the check itself must be able to fail"
        page.click(NEXT_PAGE)
        settled(page)
        second = shown_page(page, task["data"]["items"][1])
        page.keyboard.press("1")
        # Screen pixels are whole, page pixels are what comes of them.
        start, end = (round(second.x + 240), round(second.y + 300)), (round(second.x + 420), round(second.y + 372))
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(start[0] + 40, start[1] + 20)
        page.mouse.move(*end, steps=5)
        page.mouse.up()
        page.locator('input[type=radio][name="evidence"]').check(force=True)
        page.click("button[name=submit]")
        page.wait_for_selector('[data-testid="bottombar-update-button"]')
    where = ("--url", label_studio.url, "--project", PROJECT)
    pinpoint("label-studio", "pull", workspace, *where, key=label_studio.token)
    rows = list(Workspace.open(workspace).iter_rows("annotations"))
    mine = [
        r
        for r in rows
        if r["question_id"] == task["data"]["question_id"] and r["annotator"].startswith("label-studio:")
    ]
    (verdict,) = [r for r in mine if r["region_id"] is None]
    (new,) = [r for r in mine if r["origin"] == "new"]
    assert verdict["status"] == "evidence"
    assert (new["page_index"], new["role"]) == (task["data"]["items"][1]["page_index"], "answer")
    drawn = [(start[0] - second.x, start[1] - second.y), (end[0] - second.x, end[1] - second.y)]
    expected = [value / second.scale for corner in drawn for value in corner]
    assert np.abs(np.array([new[c] for c in ("x0", "y0", "x1", "y1")]) - expected).max() <= 1.0
    _accepted_to_the_last_bit(rows, mine)


def _accepted_to_the_last_bit(rows: list[dict[str, Any]], mine: list[dict[str, Any]]) -> None:
    coordinates = ("question_id", "page_index", "x0", "y0", "x1", "y1", "role")
    proposed = {tuple(r[c] for c in coordinates) for r in rows if r["annotator"].startswith("proposal:")}
    accepted = [r for r in mine if r["origin"] == "accepted"]
    assert accepted
    assert all(tuple(r[c] for c in coordinates) in proposed for r in accepted)


def _proposed(task: dict[str, Any], *, item: int) -> list[dict[str, Any]]:
    regions = task["data"]["prelabel"]["regions"].values()
    return [region for region in regions if region["item_index"] == item]


def _pieces(task: dict[str, Any]) -> bool:
    return "~" in json.dumps(list(task["data"]["prelabel"]["regions"]))
