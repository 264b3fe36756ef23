"""A selection as a picture: the page with the regions outlined and the rest dimmed, beside its heat map."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pinpoint_data.atomic import atomic_path
from pinpoint_data.errors import one_line
from training.rendering.heat import Heat, Outline, colours, outlines, pages_shown, token_heat
from training.selection.select import Selection

INK, MUTED, LINE, PAPER = (29, 36, 48), (102, 112, 133), (208, 213, 221), (255, 255, 255)
ACCENT = (20, 90, 210)
_MARGIN, _GAP, _LEGEND, _QUESTION_LINE = 36, 32, 60, 40
_PANEL_WIDTH, _PANEL_HEIGHT, _TALL_PANEL_HEIGHT, _LEAST_WIDTH = 860, 1180, 2000, 330
_TAG = 30
_PLAIN = str.maketrans("–—−‐‑×•", "----" + "-x·")


@dataclass(frozen=True)
class _Panel:
    """The page as drawn: scaled pixels, and the factor from page pixels to them."""

    page: Image.Image
    scale: float


def save_pictures(selection: Selection, folder: Path, most: int = 12) -> list[Path]:
    """Write `selection.png`, or one `selection-p3.png` a page (counted from 1) where several pages competed.

    Args:
        selection: What to show.
        folder: Where to.
        most: Pages that are drawn at most; those with the best regions.

    Raises:
        PageError: A page's pixels cannot be read.
    """
    heat = token_heat(selection)
    written = []
    for index in pages_shown(selection, most):
        name = "selection.png" if len(selection.pages) == 1 else f"selection-p{selection.numbers[index]}.png"
        with atomic_path(folder / name) as beside:
            draw_page(selection, index, heat).save(beside, format="PNG")
        written.append(folder / name)
    return written


def draw_page(selection: Selection, page_index: int, heat: Heat | None = None) -> Image.Image:
    """One page of a selection as an RGB picture: question, both panels, legend."""
    heat = heat or token_heat(selection)
    panel = _panel(selection.pages[page_index].view.page_input.load_image())
    width, height = panel.page.size
    column = max(width, _LEAST_WIDTH)
    full = 2 * _MARGIN + _GAP + 2 * column
    question = wrap_text(one_line(selection.question), full - 2 * _MARGIN, lines=3)
    top = _MARGIN + _QUESTION_LINE * len(question) + 78
    canvas = Image.new("RGB", (full, top + height + _LEGEND + _MARGIN // 2), PAPER)
    pen = ImageDraw.Draw(canvas)
    for row, text in enumerate(question):
        draw_text(pen, (_MARGIN, _MARGIN - 8 + _QUESTION_LINE * row), text, 30, bold=True)
    draw_text(pen, (_MARGIN, top - 76), _caption(selection, page_index), 19, MUTED)
    found = outlines(selection, page_index)
    panels = (
        ("Selected regions", _MARGIN, _draw_regions(panel, found)),
        ("Heat map of window scores", _MARGIN + column + _GAP, _draw_heat(panel, heat, selection, page_index)),
    )
    for title, x, picture in panels:
        draw_text(pen, (x, top - 30), title, 19, bold=True)
        canvas.paste(picture, (x, top))
        pen.rectangle((x - 1, top - 1, x + width, top + height), outline=LINE)
    _draw_legend(canvas, heat, (_MARGIN + column + _GAP, top + height + 16), max(width, _LEAST_WIDTH))
    return canvas


def _panel(page: Image.Image) -> _Panel:
    height = _TALL_PANEL_HEIGHT if page.height > 2.2 * page.width else _PANEL_HEIGHT
    scale = min(_PANEL_WIDTH / page.width, height / page.height, 2.0)
    size = (max(1, round(page.width * scale)), max(1, round(page.height * scale)))
    return _Panel(page.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale)


def _caption(selection: Selection, page_index: int) -> str:
    regions = len({box.region for box in selection.boxes if box.page_index == page_index})
    parts = [f"{regions} region{'s' if regions != 1 else ''}"]
    if len(selection.pages) > 1:
        parts = [f"page {selection.numbers[page_index]}", *parts]
    whose = f" of {len(selection.pages)} pages" if len(selection.pages) > 1 else ""
    kept = f"{selection.budget_used:.1%} of {selection.tokens:,} visual tokens{whose} kept"
    return "  ·  ".join([*parts, kept, selection.scorer])


def _draw_regions(panel: _Panel, found: list[Outline]) -> Image.Image:
    """Regions in full colour inside an outline, the rest grey and pale."""
    page, scale = panel.page, panel.scale
    inside = Image.new("L", page.size, 0)
    pen = ImageDraw.Draw(inside)
    for outline in found:
        for x0, y0, x1, y1 in outline.boxes:
            pen.rectangle((x0 * scale, y0 * scale, x1 * scale, y1 * scale), fill=255)
    picture = Image.composite(page, pale(page), inside)
    pen = ImageDraw.Draw(picture)
    for outline in found:
        for ring in outline.rings:
            # Two pixels in from the page's edge, so that the line is whole there too.
            corners = np.clip(np.asarray(ring) * scale, 2, np.asarray(page.size) - 3)
            pen.line([(x, y) for x, y in corners.tolist()], fill=ACCENT, width=4, joint="curve")
    for outline in found:
        _draw_tag(picture, outline, scale)
    return picture


def pale(page: Image.Image) -> Image.Image:
    """A page in grey, and faint: what was not kept of it."""
    return Image.blend(ImageOps.grayscale(page).convert("RGB"), Image.new("RGB", page.size, (244, 245, 248)), 0.68)


def _draw_tag(picture: Image.Image, outline: Outline, scale: float) -> None:
    """A region's number on a round plate inside its top-left corner."""
    width, height = np.ptp(np.concatenate([np.asarray(ring) for ring in outline.rings]), axis=0) * scale
    side, zoom = round(min(_TAG, max(_TAG / 2, min(width, height) / 3))), 4
    plate = Image.new("L", (side * zoom, side * zoom), 0)
    ImageDraw.Draw(plate).ellipse((0, 0, side * zoom - 1, side * zoom - 1), fill=255)
    plate = plate.resize((side, side), Image.Resampling.LANCZOS)
    room = (picture.width - side, picture.height - side)
    x, y = (max(0, min(round(at * scale) + 6, most)) for at, most in zip(outline.anchor, room, strict=True))
    picture.paste(ACCENT, (x, y, x + side, y + side), plate)
    centre = (x + side / 2, y + side / 2)
    ImageDraw.Draw(picture).text(
        centre, str(outline.region), PAPER, _font(round(0.57 * side)), anchor="mm", stroke_width=0.4
    )


def _draw_heat(panel: _Panel, heat: Heat, selection: Selection, page_index: int) -> Image.Image:
    """The page in grey under its heat."""
    picture = ImageOps.grayscale(panel.page).convert("RGBA")
    grid = selection.pages[page_index].view.grid
    edges = np.array([grid.x_edges[0], grid.y_edges[0], grid.x_edges[-1], grid.y_edges[-1]]) * panel.scale
    x0, y0, x1, y1 = edges.round().astype(int).tolist()
    size = (max(1, x1 - x0), max(1, y1 - y0))
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    layer.paste(heat.image(page_index).resize(size, Image.Resampling.BILINEAR), (x0, y0))
    return Image.alpha_composite(picture, layer).convert("RGB")


def _draw_legend(canvas: Image.Image, heat: Heat, place: tuple[int, int], width: int) -> None:
    """The colour scale with its least and greatest score."""
    x, y = place
    low, high = f"{heat.low:.3f}", f"{heat.high:.3f}"
    before = round(_font(17).getlength(low)) + 10
    bar = (min(320, width - 2 * before - 10), 14)
    if bar[0] < 20:
        return
    ramp = colours(np.tile(np.linspace(0, 1, bar[0]), (bar[1], 1)))
    pen = ImageDraw.Draw(canvas)
    draw_text(pen, (x, y - 2), low, 17, MUTED)
    canvas.paste(Image.fromarray(ramp), (x + before, y), Image.fromarray(ramp))
    pen.rectangle((x + before - 1, y - 1, x + before + bar[0], y + bar[1]), outline=LINE)
    draw_text(pen, (x + before + bar[0] + 10, y - 2), high, 17, MUTED)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: tuple[int, int, int] = INK,
    *,
    bold: bool = False,
) -> None:
    """Write one line, its top left corner at `place`, with what the font can draw of it."""
    pen.text(place, drawable(text), colour, _font(size), stroke_width=0.5 if bold else 0, stroke_fill=colour)


def drawable(text: str) -> str:
    """`text` with what Pillow's bundled font lacks replaced: the letter without its accent, a plain dash, or "?"."""
    return "".join(_drawable(character) for character in text.translate(_PLAIN))


@lru_cache(maxsize=4096)
def _drawable(character: str) -> str:
    font = _font(20)
    missing = bytes(font.getmask("\uffff"))
    base = unicodedata.normalize("NFKD", character)
    for candidate in (character, *(c for c in base if not unicodedata.combining(c))):
        if candidate == " " or bytes(font.getmask(candidate)) != missing:
            return candidate
    return "?"


def wrap_text(text: str, width: int, lines: int, size: int = 30) -> list[str]:
    """`text` broken into at most `lines` of `width` pixels; what is left out is an ellipsis."""
    font, rows, row = _font(size), [], ""
    for character in drawable(" ".join(text.split())):
        if font.getlength(row + character) > width - 4:
            head, space, tail = row.rpartition(" ")
            rows.append(head if space else row)
            row = (tail if space else "") + character
            if len(rows) == lines:
                return [*rows[:-1], rows[-1].rstrip()[:-1] + "…"]
        else:
            row += character
    return [*rows, row]
