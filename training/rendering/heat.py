"""How a selection looks: the heat of tokens, its colours, and the outlines of regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image

from training.selection.select import SelectedPage, Selection

STOPS = ((255, 250, 220), (254, 213, 105), (250, 142, 50), (214, 47, 39), (128, 8, 30))
"""Light yellow to dark red: ordered in lightness, so it survives grey print and colour blindness."""
STRONGEST = 0.7
_ZOOM = 6


@dataclass(frozen=True)
class Heat:
    """The heat of every page on one scale.

    Attributes:
        pages: (rows, cols) a page: the scores of windows, interpolated between the windows' centres.
        low: Least score of a window, over all pages.
        high: Greatest score of a window, over all pages.
    """

    pages: tuple[npt.NDArray[np.float64], ...]
    low: float
    high: float

    def image(self, page: int) -> Image.Image:
        """One page's heat as an RGBA picture of its grid, several pixels a token, to be laid over the page."""
        values = (self.pages[page] - self.low) / max(self.high - self.low, 1e-12)
        rows, cols = values.shape
        smooth = Image.fromarray(values.astype(np.float32)).resize(
            (cols * _ZOOM, rows * _ZOOM), Image.Resampling.BICUBIC
        )
        return Image.fromarray(colours(np.clip(np.asarray(smooth), 0, 1)))


def token_heat(selection: Selection) -> Heat:
    """The windows' scores spread over the tokens, for all pages on one scale.

    A token at the centre of a window has that window's score, a token between centres a bilinear mean of the windows
    around it; beyond the outermost centres the nearest score goes on.
    """
    pages = tuple(_interpolated(page) for page in selection.pages)
    low, high = (float(end(np.concatenate([page.scores for page in selection.pages]))) for end in (np.min, np.max))
    return Heat(pages, low, high)


def _interpolated(page: SelectedPage) -> npt.NDArray[np.float64]:
    rows, cols = page.mask.shape
    r0, c0, r1, c1 = page.view.windows.rows_cols.T
    down, row = np.unique((r0 + r1) / 2, return_inverse=True)
    across, col = np.unique((c0 + c1) / 2, return_inverse=True)
    scores = np.zeros((len(down), len(across)))
    scores[row, col] = page.scores
    wide = np.stack([np.interp(np.arange(cols) + 0.5, across, line) for line in scores])
    return np.stack([np.interp(np.arange(rows) + 0.5, down, line) for line in wide.T], axis=1)


def colours(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """RGBA (..., 4) of values in [0, 1]: the hotter, the darker and the less transparent."""
    at = np.linspace(0, 1, len(STOPS))
    channels = [np.interp(values, at, [stop[channel] for stop in STOPS]) for channel in range(3)]
    alpha = 255 * STRONGEST * values**1.4
    return np.stack([*channels, alpha], axis=-1).round().astype(np.uint8)


@dataclass(frozen=True)
class Outline:
    """A region's shape on one page, in page pixels.

    Attributes:
        region: Its number; 1 holds the best window.
        score: Its best score.
        rings: Closed rings of corners, outer ones and holes.
        anchor: Its top-left corner, where its number stands.
        boxes: The boxes (xyxy) it is made of.
    """

    region: int
    score: float
    rings: tuple[tuple[tuple[float, float], ...], ...]
    anchor: tuple[float, float]
    boxes: tuple[tuple[float, float, float, float], ...]


def outlines(selection: Selection, page_index: int) -> list[Outline]:
    """The regions of a page, each as the outline of the union of its boxes."""
    found = []
    numbers = dict.fromkeys(box.region for box in selection.boxes if box.page_index == page_index)
    for number in numbers:
        boxes = [box for box in selection.boxes if box.region == number]
        shape = shapely.union_all([shapely.box(*box.xyxy) for box in boxes])
        top = min(boxes, key=lambda box: (box.xyxy[1], box.xyxy[0]))
        xyxy = tuple(box.xyxy for box in boxes)
        found.append(Outline(number, max(box.score for box in boxes), _rings(shape), top.xyxy[:2], xyxy))
    return found


def _rings(shape: shapely.Geometry) -> tuple[tuple[tuple[float, float], ...], ...]:
    polygons: Sequence[shapely.Polygon] = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon"]
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return tuple(tuple((float(x), float(y)) for x, y in ring.simplify(0).coords) for ring in rings)


def pages_shown(selection: Selection, most: int) -> list[int]:
    """Indices of the pages with a region, `most` of them, the page of the best region first."""
    return list(dict.fromkeys(box.page_index for box in selection.boxes))[:most]
