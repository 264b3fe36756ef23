"""A selection as one HTML file: pictures inside as data URIs, no script, nothing fetched."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pinpoint_data.atomic import write_text
from pinpoint_data.errors import one_line
from training.rendering.heat import STOPS, Heat, colours, outlines, pages_shown, token_heat
from training.rendering.template import page_template
from training.selection.select import SelectedPage, Selection

_WIDEST, _TALLEST = 1600, 8000


def save_html(selection: Selection, file: Path, most: int = 12) -> None:
    """Write a self-contained page: regions outlined, the rest dimmed, heat map, scores on hover.

    Whatever the question and the page names hold is shown as text: the template escapes it, invisible characters are
    made visible, and the file's own policy forbids scripts and requests.

    Args:
        selection: What to show.
        file: Where to.
        most: Pages that are shown at most; those with the best regions.

    Raises:
        PageError: A page's pixels cannot be read.
    """
    heat, shown = token_heat(selection), pages_shown(selection, most)
    html = page_template("selection.html").render(
        question=one_line(selection.question),
        facts=_facts(selection),
        page_count=len(selection.pages),
        pages=[_page(selection, index, heat) for index in shown],
        strip=_strip(selection, shown),
        hidden=_hidden(selection, shown),
        boxes=[
            {
                "region": box.region,
                "number": selection.numbers[box.page_index],
                "score": f"{box.score:.3f}",
                "xyxy": ", ".join(f"{at:.0f}" for at in box.xyxy),
            }
            for box in selection.boxes
        ],
        low=f"{heat.low:.3f}",
        high=f"{heat.high:.3f}",
        ramp=_ramp(),
    )
    write_text(file, html)


def _facts(selection: Selection) -> str:
    limit = selection.budget or selection.coverage
    asked = f"{'budget' if selection.budget else 'coverage of at least'} {limit:.0%}"
    pages = len(selection.pages)
    boxes = "1 box holds" if len(selection.boxes) == 1 else f"{len(selection.boxes)} boxes hold"
    return (
        f"{boxes} {selection.budget_used:.1%} of {selection.tokens:,} visual tokens "
        f"of {pages} page{'s' if pages != 1 else ''} ({asked}). "
        f"Windows scored by {selection.scorer}."
    )


def _hidden(selection: Selection, shown: list[int]) -> str:
    left = len({box.page_index for box in selection.boxes}) - len(shown)
    more = "1 more page has" if left == 1 else f"{left} more pages have"
    return f"{more} regions; the {len(shown)} with the best ones are shown." if left else ""


def _strip(selection: Selection, shown: list[int]) -> list[dict[str, Any]]:
    """A bar a page: how much of it was kept, drawn against the page with most."""
    shares = [float(page.mask.mean()) for page in selection.pages]
    return [
        {
            "number": selection.numbers[index],
            "percent": f"{share:.0%}",
            "height": round(100 * share / max(shares)),
            "shown": index in shown,
        }
        for index, share in enumerate(shares)
    ]


def _page(selection: Selection, index: int, heat: Heat) -> dict[str, Any]:
    page = selection.pages[index]
    source, grid = page.view.page_input, page.view.grid
    x0, y0 = float(grid.x_edges[0]), float(grid.y_edges[0])
    unit = max(source.width, source.height / 4) / 62
    return {
        "number": selection.numbers[index],
        "name": one_line(source.page_id),
        "width": source.width,
        "height": source.height,
        "tokens": page.mask.size,
        "tokens_used": int(page.mask.sum()),
        "unit": round(unit, 2),
        "image": _data_uri(_fitted(source.load_image()), "JPEG"),
        "heat": _data_uri(heat.image(index), "PNG"),
        "extent": [x0, y0, float(grid.x_edges[-1]) - x0, float(grid.y_edges[-1]) - y0],
        "regions": [
            {
                "number": outline.region,
                "x": round(outline.anchor[0] + 1.6 * unit, 1),
                "y": round(outline.anchor[1] + 1.6 * unit, 1),
                "path": "".join(f"M{_path(ring)}Z" for ring in outline.rings),
            }
            for outline in outlines(selection, index)
        ],
        "windows": _windows(page, sum(len(p.scores) for p in selection.pages), unit),
    }


def _path(ring: tuple[tuple[float, float], ...]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in ring[:-1])


def _windows(page: SelectedPage, ranked: int, unit: float) -> list[dict[str, Any]]:
    """Every window with the part of the page that is nearest its centre: pointing there shows it."""
    frames = page.view.windows.xyxy
    size = page.view.page_input
    x_hit, y_hit = _nearest(frames[:, [0, 2]], size.width), _nearest(frames[:, [1, 3]], size.height)
    shown = []
    for frame, (left, right), (top, bottom), score, place in zip(
        frames.tolist(), x_hit, y_hit, page.scores.tolist(), page.places.tolist(), strict=True
    ):
        x0, y0, x1, y1 = frame
        # The label stays on the page, whatever the window.
        middle = min(max((x0 + x1) / 2, 5.6 * unit), size.width - 5.6 * unit)
        shown.append(
            {
                "hit": _rounded(left, top, right - left, bottom - top),
                "frame": _rounded(x0, y0, x1 - x0, y1 - y0),
                "tip": _rounded(middle, max(y0, 0) + 1.4 * unit),
                "label": f"score {score:.3f} · {place} of {ranked}",
            }
        )
    return shown


def _nearest(spans: npt.NDArray[np.float64], end: float) -> list[tuple[float, float]]:
    """For windows' spans (w, 2) along one axis, the stretch of [0, end] nearest each centre among the distinct ones."""
    centres = spans.mean(axis=1)
    distinct = np.unique(centres)
    borders = np.concatenate([[0.0], (distinct[1:] + distinct[:-1]) / 2, [float(end)]])
    places = np.searchsorted(distinct, centres)
    return [(float(borders[place]), float(borders[place + 1])) for place in places]


def _rounded(*values: float) -> list[float]:
    return [round(value, 1) for value in values]


def _fitted(image: Image.Image) -> Image.Image:
    """No larger than a screen needs; a copy."""
    fitted = image.convert("RGB")
    fitted.thumbnail((_WIDEST, _TALLEST), Image.Resampling.LANCZOS)
    return fitted


def _data_uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **({"quality": 86, "optimize": True} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _ramp() -> str:
    """The heat's colours as CSS stops."""
    steps = colours(np.linspace(0, 1, 3 * len(STOPS)))
    return ", ".join(f"rgba({r}, {g}, {b}, {a / 255:.2f})" for r, g, b, a in steps.tolist())
