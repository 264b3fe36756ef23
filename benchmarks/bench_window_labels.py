"""Window labels for many questions: the vectorised labeller against the obvious shapely double loop.

    python benchmarks/bench_window_labels.py --questions 100000 --reference 500

Pages differ in size and have 49 windows each; a question has 3 evidence boxes, and in about half of the
questions some of them overlap. The shapely loop labels the first `--reference` questions only, its results are compared
with the vectorised ones, and its time per question is what the ratio is taken against.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.grids import TokenGrid, patch_grid
from pinpoint_data.windows import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    LabelRule,
    Windows,
    label_windows_many,
    make_windows,
)


def draw_pages(rng: np.random.Generator, count: int) -> list[TokenGrid]:
    """Pages of different sizes, of which each has 49 windows (46 to 52 tokens a side)."""
    rows, cols = rng.integers(46, 53, (2, count)) * 28
    jitter = rng.integers(-10, 11, (2, count))
    sizes = zip(cols + jitter[0], rows + jitter[1], strict=True)
    return [patch_grid(int(w), int(h), long_side=int(max(w, h))) for w, h in sizes]


def draw_boxes(rng: np.random.Generator, grids: list[TokenGrid], page: NDArray[np.int64], each: int) -> np.ndarray:
    """Boxes of 2 to 50 % of the page's sides, some of them sticking out of the page."""
    size = np.array([[g.page_width, g.page_height] for g in grids])[page][:, None]
    centre = rng.random((len(page), each, 2)) * size
    half = rng.uniform(0.01, 0.25, (len(page), each, 2)) * size
    return np.concatenate([centre - half, centre + half], -1).reshape(-1, 4)


def label_one(windows: Windows, grid: TokenGrid, boxes: np.ndarray, rule: LabelRule) -> tuple[np.ndarray, ...]:
    """The rule as one would write it down with shapely: per window, per box."""
    extent = shapely.box(*grid.extent)
    shapes = [shapely.box(*b).intersection(extent) for b in boxes]
    evidence = shapely.unary_union(shapes)
    overlap = np.zeros((len(windows), len(boxes)))
    recall, density = np.zeros(len(windows)), np.zeros(len(windows))
    for i, xyxy in enumerate(windows.xyxy):
        window = shapely.box(*xyxy)
        for j, box in enumerate(shapes):
            overlap[i, j] = window.intersection(box).area / min(window.area, box.area)
        covered = window.intersection(evidence).area
        recall[i], density[i] = covered / evidence.area, covered / window.area
    owned = ((overlap >= overlap.max(0) - rule.tolerance) & (overlap.max(0) > 0)).any(1)
    largest = overlap.max(1)
    label = np.where(largest <= rule.negative + rule.tolerance, NEGATIVE, IGNORED)
    label[owned | (largest >= rule.positive - rule.tolerance)] = POSITIVE
    return label, largest, recall, density


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--reference", type=int, default=500, help="questions that the shapely loop labels")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    grids = draw_pages(rng, args.pages)
    windows = [make_windows(grid) for grid in grids]
    assert {len(w) for w in windows} == {49}
    page = rng.integers(len(grids), size=args.questions)
    boxes = draw_boxes(rng, grids, page, args.boxes)
    question = np.repeat(np.arange(args.questions), args.boxes)

    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        batch = label_windows_many(windows, page, boxes, question)
        seconds.append(time.perf_counter() - start)
    rate = args.questions / float(np.median(seconds))

    start = time.perf_counter()
    n = args.boxes
    reference = [
        label_one(windows[page[i]], grids[page[i]], boxes[i * n : (i + 1) * n], LabelRule())
        for i in range(args.reference)
    ]
    reference_rate = args.reference / (time.perf_counter() - start)

    for got, (label, overlap, recall, density) in zip(batch, reference, strict=False):
        np.testing.assert_array_equal(got.label, label)
        for mine, theirs in ((got.overlap, overlap), (got.evidence_recall, recall), (got.evidence_density, density)):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)

    print(f"{args.questions:,} questions, {len(grids):,} pages, 49 windows and {args.boxes} boxes each")
    print(f"vectorised    {rate:>12,.0f} questions/s (median of {args.repeats}; {min(seconds):.2f} s at best)")
    print(f"shapely loop  {reference_rate:>12,.0f} questions/s (measured on {args.reference:,} questions)")
    print(f"ratio         {rate / reference_rate:>12,.0f} x, results equal on those {args.reference:,} questions")
    what = f"labels of 49 windows, {args.boxes} boxes a question"
    hand_over([Ratio(what, "questions/s", rate, "shapely double loop", reference_rate, less_is_better=False)])


if __name__ == "__main__":
    main()
