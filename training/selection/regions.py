"""From a mask of tokens to a few rectangles.

A mask is split into its 4-connected components, and each component into rectangles that cover it with little waste.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def connected_components(mask: Mask) -> list[Mask]:
    """The 4-connected components of a (rows, cols) mask, each a mask of that shape, in raster order of first token."""
    # Runs of tokens along a row, joined with those that they touch in the row above: a page has a few hundred runs, and
    # thousands of tokens.
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(steps == 1).tolist(), np.nonzero(steps == -1)[1].tolist()
    first = list(range(len(starts)))
    above = 0
    for run, ((row, start), end) in enumerate(zip(starts, ends, strict=True)):
        while starts[above][0] < row - 1 or (starts[above][0] == row - 1 and ends[above] <= start):
            above += 1
        touched = above
        while starts[touched][0] == row - 1 and starts[touched][1] < end:
            one, other = sorted((_first(first, touched), _first(first, run)))
            first[other] = one
            touched += 1
    components: dict[int, Mask] = {}
    for run, ((row, start), end) in enumerate(zip(starts, ends, strict=True)):
        component = _first(first, run)
        if component not in components:
            components[component] = np.zeros_like(mask)
        components[component][row, start:end] = True
    return list(components.values())


def _first(first: list[int], run: int) -> int:
    """The first run of a run's component, as far as it is known."""
    while first[run] != run:
        first[run] = first[first[run]]
        run = first[run]
    return run


def cover_rectangles(mask: Mask, max_waste: float = 0.15) -> npt.NDArray[np.int64]:
    """Rectangles (k, 4) of token indices [r0, c0, r1, c1) that together hold every True token of `mask`.

    The bounding rectangle is taken where at most `max_waste` of it is False; else it is cut straight through, at the
    row or column where the bounding rectangles of the two parts have the least area, and so on for each part. The
    rectangles do not overlap one another. With `max_waste` 0 they cover the mask exactly.
    """
    rectangles: list[tuple[int, int, int, int]] = []
    parts = [(0, 0, *mask.shape)]
    while parts:
        box = _tight(mask, parts.pop())
        if box is None:
            continue
        r0, c0, r1, c1 = box
        part = mask[r0:r1, c0:c1]
        if part.mean() >= 1 - max_waste:
            rectangles.append(box)
            continue
        row, row_area = _best_cut(part)
        col, col_area = _best_cut(part.T)
        if row_area <= col_area:
            parts += [(r0 + row, c0, r1, c1), (r0, c0, r0 + row, c1)]
        else:
            parts += [(r0, c0 + col, r1, c1), (r0, c0, r1, c0 + col)]
    return np.asarray(rectangles, dtype=np.int64).reshape(-1, 4)


def _tight(mask: Mask, box: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    r0, c0, r1, c1 = box
    part = mask[r0:r1, c0:c1]
    rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    return r0 + int(rows[0]), c0 + int(cols[0]), r0 + int(rows[-1]) + 1, c0 + int(cols[-1]) + 1


def _best_cut(part: Mask) -> tuple[int, float]:
    """The row to cut before, and the area of the two bounding rectangles it leaves. `part` is tight."""
    if len(part) < 2:
        return 0, np.inf
    areas = _areas_from_top(part)[:-1] + _areas_from_top(part[::-1])[::-1][1:]
    cut = int(areas.argmin())
    return cut + 1, float(areas[cut])


def _areas_from_top(part: Mask) -> npt.NDArray[np.int64]:
    """(rows,): the bounding area of the first 1, 2, ... rows."""
    filled, width = part.any(axis=1), part.shape[1]
    left = np.where(filled, part.argmax(axis=1), width)
    right = np.where(filled, width - part[:, ::-1].argmax(axis=1), 0)
    height = np.maximum.accumulate(np.where(filled, np.arange(1, len(part) + 1), 0))
    areas: npt.NDArray[np.int64] = height * (np.maximum.accumulate(right) - np.minimum.accumulate(left))
    return areas
