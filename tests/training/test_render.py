"""Pictures of a selection, and the HTML page against hostile text."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from pinpoint_data.errors import one_line
from pinpoint_data.windows import WindowSpec
from tests.training.views import page_view, square_grid
from training.rendering.heat import colours, outlines, token_heat
from training.rendering.html import save_html
from training.rendering.pictures import draw_page, drawable, save_pictures
from training.selection.select import select_regions

HOSTILE = [
    "</h1><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }} {% raw %} {# #}",
    "javascript:alert(1) https://evil.example/?q=1",
    "right\u202eto left, bell\x07, null\x00, half \ud800, tag\U000e0041",
    "&lt;b&gt; &amp; é € 漢字 👍",
    "x" * 5000,
]


class Given:
    name = "given"

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=float)

    def score(self, view):
        return [self.scores for _ in view.pages]


def _selection(question="Where?", pages=1, taken=(5,), page_id="test/page", colour="white", **shares):
    """A page of 8 x 8 cells (80 x 80 pixels) with windows of 2 x 2 cells in 4 rows and 4 columns."""
    scores = np.zeros(16)
    scores[list(taken)] = np.linspace(1.0, 0.5, len(taken))
    views = [page_view(square_grid(8, 8), page_id=page_id, colour=colour) for _ in range(pages)]
    return select_regions(Given(scores), views, question, **(shares or {"budget": len(taken) / 16}))


class TestHeat:
    def test_the_centre_of_a_window_has_its_score(self):
        view = page_view(square_grid(9, 9), spec=WindowSpec(3, 3, 3))
        scores = np.arange(9.0)
        heat = token_heat(select_regions(Given(scores), [view], "Where?", budget=0.2))
        assert heat.pages[0][1::3, 1::3].ravel().tolist() == scores.tolist()
        assert (heat.low, heat.high) == (0.0, 8.0)
        assert heat.pages[0][0, 0] == 0.0  # beyond the outermost centre its score goes on
        assert heat.pages[0][1, 2] == pytest.approx(1 / 3)

    def test_one_window_is_one_colour(self):
        heat = token_heat(select_regions(Given([0.3]), [page_view(square_grid(2, 2))], "Where?"))
        assert np.array_equal(heat.pages[0], np.full((2, 2), 0.3))
        assert heat.image(0).getextrema()[3] == (0, 0)

    def test_hotter_is_darker_and_denser(self):
        ramp = colours(np.linspace(0, 1, 50)).astype(int)
        lightness = ramp[:, :3] @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(lightness) < 0).all()
        assert (np.diff(ramp[:, 3]) >= 0).all()


class TestOutlines:
    def test_touching_boxes_have_one_outline(self):
        (outline,) = outlines(_selection(taken=(0, 1, 4)), 0)
        assert outline.region == 1
        (ring,) = outline.rings
        assert set(ring) == {(0, 0), (40, 0), (40, 20), (20, 20), (20, 40), (0, 40)}

    def test_a_hole_is_a_ring(self):
        (outline,) = outlines(_selection(taken=(0, 1, 2, 4, 6, 8, 9, 10), budget=0.5, max_waste=0), 0)
        assert len(outline.rings) == 2


class TestPicture:
    def test_the_region_keeps_its_colours_and_the_rest_is_pale(self):
        picture = draw_page(_selection(taken=(5, 6, 9, 10), colour="red"), 0)
        red = np.asarray(picture)[:, :, 0].astype(int) - np.asarray(picture)[:, :, 1]
        left = red[:, : picture.width // 2]
        assert (left > 200).sum() == pytest.approx(80 * 80, rel=0.25)  # 40 pixels, drawn twice as large

    def test_one_picture_a_page_with_a_region(self, tmp_path):
        assert [p.name for p in save_pictures(_selection(), tmp_path)] == ["selection.png"]
        several = _selection(pages=3, taken=(5,), budget=1.0)
        assert len(save_pictures(several, tmp_path, most=2)) == 2

    @pytest.mark.parametrize("question", HOSTILE)
    def test_any_question_can_be_drawn(self, question):
        # The bundled font reports a glyph it lacks as a box; nothing may raise either.
        picture = draw_page(_selection(question), 0)
        assert picture.height < 500

    @pytest.mark.parametrize("size", [(1, 90), (90, 1)])
    def test_extreme_pages(self, size):
        view = page_view(square_grid(*size))
        selection = select_regions(Given(np.arange(len(view.windows))), [view], "Where?")
        assert draw_page(selection, 0).width >= 700

    def test_letters_that_the_font_lacks(self):
        assert drawable("naïve – “quoted” 漢") == "naive - “quoted” ?"
        font = ImageFont.load_default(20)
        missing = bytes(font.getmask("\uffff"))
        assert all(c == " " or bytes(font.getmask(c)) != missing for c in drawable("".join(map(chr, range(32, 1500)))))


class _Reader(HTMLParser):
    """Tags, attributes, and the text of the heading."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.heading, self._inside = [], [], "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag == "h1"

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.heading += data


def _read(selection, folder):
    save_html(selection, folder / "selection.html")
    return _Reader((folder / "selection.html").read_text(encoding="utf-8"))


class TestHtml:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_stays_text(self, tmp_path, text):
        plain = _read(_selection(), tmp_path)
        read = _read(_selection(text, page_id=text), tmp_path)
        assert read.heading == one_line(text)
        assert read.tags == plain.tags
        assert [name for name, _ in read.attributes] == [name for name, _ in plain.attributes]

    @given(st.text(min_size=1).filter(str.strip))
    @settings(max_examples=30, deadline=None)
    def test_any_question_is_shown_as_it_is(self, tmp_path_factory, question):
        assert _read(_selection(question), tmp_path_factory.mktemp("html")).heading == one_line(question)

    def test_is_self_contained(self, tmp_path):
        read = _read(_selection(pages=2, taken=(5, 6), budget=0.2), tmp_path)
        assert not {"script", "link", "iframe", "object"} & set(read.tags)
        assert not [name for name, _ in read.attributes if name.startswith("on")]
        links = [value for name, value in read.attributes if name in ("src", "href")]
        assert all(value.startswith(("data:image/", "#page-", "#region-")) for value in links)
        policy = dict(read.attributes).get("content", "")
        assert "width=device-width" in policy
        assert any("default-src 'none'" in (value or "") for _, value in read.attributes)
        assert not re.search(r"https?://|@import|url\(", (tmp_path / "selection.html").read_text())

    def test_pictures_open_and_scores_are_there(self, tmp_path):
        selection = _selection(taken=(5, 0))
        read = _read(selection, tmp_path)
        pictures = [value for _, value in read.attributes if value and value.startswith("data:image/")]
        for picture in pictures:
            Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).load()
        html = (tmp_path / "selection.html").read_text()
        assert html.count('class="window"') == 16
        assert "score 1.000 · 1 of 16" in html

    def test_pages_left_out_are_counted(self, tmp_path):
        selection = _selection(pages=4, budget=1.0)
        save_html(selection, tmp_path / "selection.html", most=3)
        assert "1 more page has regions" in (tmp_path / "selection.html").read_text()

    def test_pointing_shows_the_nearest_window(self, tmp_path):
        read = _read(_selection(), tmp_path)
        html = (tmp_path / "selection.html").read_text()
        hits = re.findall(r'class="hit" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', html)
        assert sum(float(w) * float(h) for _, _, w, h in hits) == 80 * 80  # every point of the page, once
        assert read.tags.count("figure") == 1
