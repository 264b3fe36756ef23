"""Rules about boxes that one annotator drew twice: the very same, nearly the same, or one inside the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import Boxes
from pinpoint_data.validation.overlaps import Overlaps, overlaps
from pinpoint_data.validation.view import WorkspaceView


def _layers(view: WorkspaceView) -> list[tuple[Boxes, Overlaps]]:
    return [(layer.boxes, overlaps(layer.boxes)) for layer in view.layers]


def _name(boxes: Boxes, row: int) -> str:
    return f"region {boxes.region_id[row].as_py()} of the same annotator"


def _repeated(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, found in view.once(_layers):
        for row in np.flatnonzero(found.original >= 0):
            yield boxes.hit(int(row), f"has the coordinates and role of {_name(boxes, int(found.original[row]))}")


def _duplicate(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, found in view.once(_layers):
        for row in np.flatnonzero(found.iou > limits.duplicate_iou):
            text = f"has an IoU of {found.iou[row]:.4f} with {_name(boxes, int(found.twin[row]))}"
            yield boxes.hit(int(row), text)


def _near_duplicate(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, found in view.once(_layers):
        near = (found.peer_iou > limits.near_duplicate_iou) & (found.iou <= limits.duplicate_iou)
        for row in np.flatnonzero(near):
            text = (
                f"has an IoU of {found.peer_iou[row]:.4f} with {_name(boxes, int(found.peer[row]))}, of the same role"
            )
            yield boxes.hit(int(row), text)


def _inside(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for boxes, found in view.once(_layers):
        # What nearly fills its holder is a near-duplicate, and named as such.
        inside = (found.held >= limits.inside_share) & (found.holder_iou <= limits.near_duplicate_iou)
        for row in np.flatnonzero(inside):
            text = f"lies to {found.held[row]:.1%} inside {_name(boxes, int(found.holder[row]))}, of the same role"
            yield boxes.hit(int(row), text)


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="box-repeated",
        severity="warning",
        what="the annotator's box stands twice, with the same coordinates and role",
        why="Counts of boxes and the all-hit score weigh the same evidence twice.",
        remedy="drop the repeats with --fix",
        function=_repeated,
    ),
    FunctionRule(
        code="box-duplicate",
        severity="warning",
        what="the annotator drew the box twice (IoU above 0.98, or the same box in two roles)",
        why="Counts of boxes and the all-hit score weigh the same evidence twice.",
        remedy="remove one of the two",
        function=_duplicate,
    ),
    FunctionRule(
        code="box-near-duplicate",
        severity="warning",
        what="two boxes of the annotator and of one role are nearly the same (IoU above 0.8, up to 0.98)",
        why="Usually a box that was drawn anew and whose first version stayed; it counts twice.",
        remedy="look at the page and remove the worse one",
        function=_near_duplicate,
    ),
    FunctionRule(
        code="box-inside-box",
        severity="warning",
        what="a box lies inside another one of the same annotator and role",
        why="It adds no evidence, yet it counts as a box of its own in agreement and all-hit.",
        remedy="keep the one that a reader needs; nothing to do where both are meant",
        function=_inside,
    ),
)
