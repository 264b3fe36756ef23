"""An example as a picture for a paper: the page with its evidence beside what each selector keeps of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from pinpoint_data.atomic import atomic_path
from pinpoint_data.errors import UsageError, one_line
from pinpoint_data.ranking import BoolArray
from training.benchmark.curves import PLUMBING, share
from training.benchmark.examples import Example, ExamplePage, sampled
from training.benchmark.families import FAMILIES, family_of
from training.evaluation.tables import short_number
from training.rendering.pictures import INK, LINE, MUTED, PAPER, draw_text, pale, wrap_text

EVIDENCE, WARNING = (194, 74, 6), (168, 32, 26)
MOST_METHODS = 11
"""With the page itself a dozen panels."""
_MARGIN, _GAP, _PAGE_GAP, _HEAD, _LINE = 36, 28, 10, 54, 40
_PANEL_WIDTH, _PANEL_HEIGHT, _TALL_PANEL_HEIGHT, _LEAST_WIDTH = 400, 520, 900, 190
_SHAPE = 1.6


@dataclass(frozen=True)
class _Shown:
    """A page as drawn: its pixels, and the factor from page pixels to them."""

    picture: Image.Image
    scale: float
    page: ExamplePage


def save_figure(
    example: Example, file: Path, selectors: Sequence[str] | None = None, *, plumbing: bool = False
) -> None:
    """Write a PNG: question on top, then the page with its evidence, then each selector's kept tokens on it.

    Args:
        example: What to show.
        file: Where to.
        selectors: Whose; by default `MOST_METHODS`, the families in turn.
        plumbing: Whether to say on it that a random model chose the tokens.

    Raises:
        UsageError: The example has no mask of one of them.
    """
    with atomic_path(file) as beside:
        draw_figure(example, selectors, plumbing=plumbing).save(beside, format="PNG", optimize=True)


def draw_figure(example: Example, selectors: Sequence[str] | None = None, *, plumbing: bool = False) -> Image.Image:
    """The same as an RGB picture."""
    chosen = figure_selectors(list(example.masks)) if selectors is None else list(selectors)
    if unknown := [name for name in chosen if name not in example.masks]:
        raise UsageError(f"no mask of selector {unknown[0]!r}", record=f"question {example.question_id}")
    pages = _shown(example.pages)
    plain = _joined([_outlined(page.picture, page) for page in pages])
    tiles = [("page and evidence", _numbers(example), plain)]
    for name in chosen:
        kept = [_outlined(_kept(page, mask), page) for page, mask in zip(pages, example.masks[name], strict=True)]
        recall, used = (short_number(found[name], 3) for found in (example.recall, example.used))
        tiles.append((name, f"recall {recall}  ·  {used} kept", _joined(kept)))
    return _sheet(example, tiles, plumbing)


def figure_selectors(names: Sequence[str], most: int = MOST_METHODS) -> list[str]:
    """`most` of the selectors, taken from the families in turn, and given by family."""
    left = {family: [name for name in names if family_of(name) == family] for family in FAMILIES}
    taken: list[str] = []
    while len(taken) < min(most, len(names)):
        for family in left.values():
            if family and len(taken) < most:
                taken.append(family.pop(0))
    return sorted(taken, key=lambda name: (list(FAMILIES).index(family_of(name)), names.index(name)))


def _sheet(example: Example, tiles: Sequence[tuple[str, str, Image.Image]], plumbing: bool) -> Image.Image:
    """The tiles in rows under the question, about `_SHAPE` times as wide as high."""
    width, height = tiles[0][2].size
    column, row = max(width, _LEAST_WIDTH) + _GAP, height + _HEAD + _GAP
    columns = min(len(tiles), max(1, round(math.sqrt(_SHAPE * len(tiles) * row / column))))
    columns = math.ceil(len(tiles) / math.ceil(len(tiles) / columns))
    inner = max(columns * column - _GAP, 3 * _LEAST_WIDTH)
    question = wrap_text(one_line(example.question), inner, lines=3)
    said = f"{PLUMBING}  ·  {_answers(example)}" if plumbing else _answers(example)
    answers = wrap_text(said, inner, lines=1, size=19)
    top = _MARGIN + _LINE * len(question) + 26 * len(answers) + 14
    canvas = Image.new("RGB", (inner + 2 * _MARGIN, top + row * math.ceil(len(tiles) / columns) + 8), PAPER)
    pen = ImageDraw.Draw(canvas)
    for index, text in enumerate(question):
        draw_text(pen, (_MARGIN, _MARGIN - 8 + _LINE * index), text, 30, bold=True)
    for text in answers:
        draw_text(pen, (_MARGIN, _MARGIN + _LINE * len(question) - 4), text, 19, WARNING if plumbing else MUTED)
    for index, (name, caption, picture) in enumerate(tiles):
        x, y = _MARGIN + column * (index % columns), top + row * (index // columns)
        for offset, text, size, colour in ((0, name, 19, INK), (25, caption, 16, MUTED)):
            for line in wrap_text(one_line(text), column - _GAP, lines=1, size=size):
                draw_text(pen, (x, y + offset), line, size, colour, bold=size == 19)
        canvas.paste(picture, (x, y + _HEAD))
    return canvas


def _answers(example: Example) -> str:
    answers = " | ".join(one_line(answer) for answer in example.answers) or "not given"
    return f"answer: {answers}  ·  budget {share(example.budget)} of the visual tokens"


def _numbers(example: Example) -> str:
    if example.n_pages == 1:
        return "1 page"
    numbers = ", ".join(str(page.number) for page in example.pages)
    return f"page{'s' if len(example.pages) > 1 else ''} {numbers} of {example.n_pages}"


def _shown(pages: Sequence[ExamplePage]) -> list[_Shown]:
    """The pages at one height, together at most as wide as a panel of as many pages may be."""
    shapes = [page.grid.page_width / page.grid.page_height for page in pages]
    tallest = _TALL_PANEL_HEIGHT if min(shapes) < 0.45 else _PANEL_HEIGHT
    height = min(tallest, _PANEL_WIDTH * (1 + len(pages)) / 2 / sum(shapes))
    found = []
    for page, shape in zip(pages, shapes, strict=True):
        size = (max(1, round(height * shape)), max(1, round(height)))
        picture = page.image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        found.append(_Shown(picture, height / page.grid.page_height, page))
    return found


def _kept(shown: _Shown, mask: BoolArray) -> Image.Image:
    """Kept tokens in full colour, the rest pale."""
    x0, y0, x1, y1 = (round(edge * shown.scale) for edge in shown.page.grid.extent)
    inside = Image.new("L", shown.picture.size, 0)
    size = (max(1, x1 - x0), max(1, y1 - y0))
    inside.paste(Image.fromarray(sampled(mask, shown.page.grid, *size)).convert("L"), (x0, y0))
    veil = Image.blend(pale(shown.picture), Image.new("RGB", shown.picture.size, LINE), 0.5)
    return Image.composite(shown.picture, veil, inside)


def _outlined(picture: Image.Image, shown: _Shown) -> Image.Image:
    """Evidence in a line with a light rim, a little outside the box so that it hides none of it; the page framed."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    for x0, y0, x1, y1 in (shown.page.evidence * shown.scale).tolist():
        for away, width, colour in ((4, 5, PAPER), (3, 3, EVIDENCE)):
            box = (max(x0 - away, 0), max(y0 - away, 0), x1 + away, y1 + away)
            right, bottom = min(box[2], picture.width - 1), min(box[3], picture.height - 1)
            pen.rectangle((box[0], box[1], max(right, box[0]), max(bottom, box[1])), outline=colour, width=width)
    pen.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=LINE)
    return drawn


def _joined(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width for picture in pictures) + _PAGE_GAP * (len(pictures) - 1)
    joined = Image.new("RGB", (width, max(picture.height for picture in pictures)), PAPER)
    x = 0
    for picture in pictures:
        joined.paste(picture, (x, 0))
        x += picture.width + _PAGE_GAP
    return joined
