"""Rules about single boxes: size and place on the page. Vectorised; only offenders cost Python time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import BoolArray, Boxes, FloatArray
from pinpoint_data.validation.view import WorkspaceView

_FLOAT_FUZZ_PX = 1e-6
_EDGES = ("left", "upper", "right", "lower")


def _text(values: FloatArray) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in values) + ")"


def _page_text(boxes: Boxes, row: np.intp) -> str:
    width, height = boxes.page_size[row]
    return f"{width:.0f} x {height:.0f}"


def _degenerate(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes in (layer.boxes for layer in view.layers):
        for row in np.flatnonzero(~boxes.whole):
            width, height = boxes.sides[row]
            yield boxes.hit(int(row), f"box {_text(boxes.xyxy[row])} is {width:.10g} wide and {height:.10g} high")


def beyond_page(boxes: Boxes) -> FloatArray:
    """(n, 4) pixels that each box reaches beyond the left, upper, right and lower edge; negative inside the page."""
    low, high = np.minimum(boxes.xyxy[:, :2], boxes.xyxy[:, 2:]), np.maximum(boxes.xyxy[:, :2], boxes.xyxy[:, 2:])
    return np.column_stack([-low, high - boxes.page_size])


def leaves_page(boxes: Boxes, limits: Limits) -> BoolArray:
    """(n,) True where a box reaches beyond its page by more than the tolerance."""
    # An infinite coordinate is degenerate, and a comparison with an unknown page's NaN is False.
    reaches = (beyond_page(boxes) > limits.tolerance_px + _FLOAT_FUZZ_PX).any(axis=1)
    return np.asarray(reaches & np.isfinite(boxes.xyxy).all(axis=1))


def _outside_page(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    allowed = limits.tolerance_px + _FLOAT_FUZZ_PX
    for boxes in (layer.boxes for layer in view.layers):
        beyond = beyond_page(boxes)
        for row in np.flatnonzero(leaves_page(boxes, limits)):
            reach = " and ".join(
                f"{excess:.10g} px beyond the {edge} edge"
                for edge, excess in zip(_EDGES, beyond[row], strict=True)
                if excess > allowed
            )
            where = f"box {_text(boxes.xyxy[row])}, page {_page_text(boxes, row)}"
            yield boxes.hit(int(row), f"reaches {reach} ({where})")


def _tiny(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes in (layer.boxes for layer in view.layers):
        for row in np.flatnonzero(boxes.whole & (boxes.sides < limits.tiny_px).any(axis=1)):
            width, height = boxes.sides[row]
            yield boxes.hit(int(row), f"box {_text(boxes.xyxy[row])} is only {width:.4g} x {height:.4g} px")


def _covers_page(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes in (layer.boxes for layer in view.layers):
        clipped = np.clip(boxes.xyxy, 0, np.tile(boxes.page_size, 2))
        area = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
        share = area / np.prod(boxes.page_size, axis=1)
        for row in np.flatnonzero(boxes.whole & (share >= limits.covers_share)):
            yield boxes.hit(int(row), f"box covers {share[row]:.1%} of the page ({_page_text(boxes, row)})")


def _page_index(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    n_pages = view.n_pages_of
    for boxes in (layer.boxes for layer in view.layers):
        known = boxes.question >= 0
        bad = known & (boxes.page_index < 0)
        bad[known] |= boxes.page_index[known] >= n_pages[boxes.question[known]]
        for row in np.flatnonzero(bad):
            yield boxes.hit(int(row), _index_text(int(boxes.page_index[row]), int(n_pages[boxes.question[row]])))
    index = view.questions["answer_page_index"].to_numpy()
    for row in np.flatnonzero((index < 0) | (index >= n_pages)):
        text = f"answer_page_index: {_index_text(int(index[row]), int(n_pages[row]))}"
        yield view.question_hit(int(row), text, page_index=int(index[row]))


def _index_text(index: int, n_pages: int) -> str:
    found = "page index is missing or negative" if index < 0 else f"page index {index}"
    return f"{found}, the question has {n_pages} page{'' if n_pages == 1 else 's'}"


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="box-outside-page",
        severity="error",
        what="part of the box lies beyond the page",
        why="No token lies there: the box can never be fully hit, and its coordinates are often of another image size.",
        remedy="compare the image with the one that was annotated: rescale, or clip slips of the mouse with --fix",
        function=_outside_page,
    ),
    FunctionRule(
        code="box-degenerate",
        severity="error",
        what="the box has no positive size, or a coordinate is missing or not finite",
        why="It has no area: window labels and recall are undefined for it.",
        remedy="swap the corners if they are in the wrong order, else draw the box again or remove it",
        function=_degenerate,
    ),
    FunctionRule(
        code="page-index-out-of-range",
        severity="error",
        what="the page index is not one of the question's pages",
        why="The box belongs to no page, usually because indices were counted from 1 or over the whole document.",
        remedy="count pages from 0 inside the question's own page_ids",
        function=_page_index,
    ),
    FunctionRule(
        code="box-covers-page",
        severity="warning",
        what="the box covers nearly the whole page (95 % or more of its area)",
        why="It marks everything as evidence, so it teaches a selector nothing.",
        remedy="draw what is needed to answer, or give the verdict skipped",
        function=_covers_page,
    ),
    FunctionRule(
        code="box-tiny",
        severity="warning",
        what="a side of the box is shorter than 2 pixels",
        why="Nothing legible fits in it: usually a slip of the mouse or percent taken for pixels.",
        remedy="draw the box again or remove it",
        function=_tiny,
    ),
)
