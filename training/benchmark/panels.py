"""Examples inside the benchmark's page: every page once as a JPEG, every mask as a picture of its grid."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pinpoint_data.ranking import BoolArray
from training.benchmark.curves import clipped, share
from training.benchmark.examples import Example, ExamplePage, sampled
from training.evaluation.tables import short_number
from training.rendering.pictures import LINE

PAGE_PIXELS, EXAMPLE_PIXELS = 560_000, 1_000_000
_QUALITY, _TALL = 62, 1000
_VEIL, _OPACITY = LINE, 0.82


def example_panels(example: Example, index: int, order: Sequence[str], first: Collection[str]) -> dict[str, Any]:
    """What the template draws of one example: all text to be escaped, all pictures as data URIs.

    Args:
        example: What to show.
        index: Its number on the page, from 0.
        order: Selectors in the order wanted; those without a mask are left out.
        first: Those that stand in front; the others are folded away.
    """
    places, width = _side_by_side(example.pages)
    pixels = min(PAGE_PIXELS, EXAMPLE_PIXELS // max(1, len(example.pages)))
    pages = [
        _page(page, f"e{index}p{at}", place, pixels)
        for at, (page, place) in enumerate(zip(example.pages, places, strict=True))
    ]
    tiles = [_tile(example, name) for name in order if name in example.masks]
    shown = "" if len(pages) == 1 else f"pages {', '.join(str(page.number) for page in example.pages)}"
    if example.n_pages > len(pages):
        shown = f"{shown or f'page {example.pages[0].number}'} of {example.n_pages}"
    return {
        "question": clipped(example.question, 600),
        "answers": [clipped(answer, 200) for answer in example.answers[:5]],
        "id": clipped(example.question_id, 120),
        "facts": f"budget {share(example.budget)} of the visual tokens" + (f" · {shown}" if shown else ""),
        "width": width,
        "height": _TALL,
        "pages": pages,
        "wide": len(pages) > 1,
        "plain": {
            "name": "page and evidence",
            "caption": "as the methods see it",
            "label": f"{len(pages)} page{'s' if len(pages) > 1 else ''} with the gold evidence outlined",
            "veils": [],
        },
        "first": [tile for tile in tiles if tile["key"] in first],
        "more": [tile for tile in tiles if tile["key"] not in first],
    }


def _side_by_side(pages: Sequence[ExamplePage]) -> tuple[list[tuple[float, float]], float]:
    """Left edge and width of each page at a common height, and the width of them all."""
    widths = [_TALL * page.grid.page_width / page.grid.page_height for page in pages]
    gap = 0.04 * _TALL
    lefts = np.cumsum([0.0, *(width + gap for width in widths)])
    return [(round(float(x), 1), round(w, 1)) for x, w in zip(lefts[:-1], widths, strict=True)], round(
        float(lefts[-1]) - gap, 1
    )


def _page(page: ExamplePage, name: str, place: tuple[float, float], pixels: int) -> dict[str, Any]:
    grid = page.grid
    x0, y0, x1, y1 = grid.extent
    whole = x0 <= 0 and y0 <= 0 and x1 >= grid.page_width and y1 >= grid.page_height
    return {
        "name": name,
        "x": place[0],
        "shown_width": place[1],
        "width": grid.page_width,
        "height": grid.page_height,
        "image": _data_uri(_shrunk(page.image, pixels), "JPEG", quality=_QUALITY),
        "extent": [round(value, 1) for value in (x0, y0, x1 - x0, y1 - y0)],
        # What no token looks at is not kept by anyone.
        "outside": None if whole else f"M0 0H{grid.page_width}V{grid.page_height}H0ZM{x0} {y0}H{x1}V{y1}H{x0}Z",
        "evidence": [[round(v, 1) for v in (a, b, c - a, d - b)] for a, b, c, d in page.evidence.tolist()],
    }


def _tile(example: Example, name: str) -> dict[str, Any]:
    recall, used = (short_number(found[name], 3) for found in (example.recall, example.used))
    return {
        "key": name,
        "name": clipped(name, 40),
        "caption": f"recall {recall} · {used} kept",
        "label": f"{clipped(name, 40)}: evidence recall {recall}, {used} of the tokens kept",
        "veils": [_veil(mask, page) for mask, page in zip(example.masks[name], example.pages, strict=True)],
    }


def _veil(mask: BoolArray, page: ExamplePage) -> str:
    """The dropped tokens as a picture of one pixel a token, to be stretched over the grid: a kilobyte or so."""
    grid = page.grid
    even = all(np.ptp(np.diff(edges)) < 1e-6 * edges[-1] for edges in (grid.x_edges, grid.y_edges))
    finer = 1 if even else 8
    dropped = ~sampled(mask, grid, grid.cols * finer, grid.rows * finer)
    picture = Image.new("P", dropped.shape[::-1])
    picture.putpalette([*_VEIL, *_VEIL])
    picture.frombytes(dropped.astype(np.uint8).tobytes())
    return _data_uri(picture, "PNG", bits=1, transparency=bytes([0, round(255 * _OPACITY)]))


def _data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _shrunk(image: Image.Image, pixels: int) -> Image.Image:
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5, 16_000 / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
