"""What can be mended without looking at the page: boxes that leave it a little, and boxes that stand twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import shapely

from pinpoint_data.errors import one_line
from pinpoint_data.validation.box_rules import leaves_page
from pinpoint_data.validation.findings import Limits
from pinpoint_data.validation.layers import XYXY, BoolArray, Boxes, FloatArray
from pinpoint_data.validation.overlaps import overlaps
from pinpoint_data.validation.view import WorkspaceView
from pinpoint_data.workspace import Workspace

CLIP, DROP = "box-outside-page", "box-repeated"
FIXABLE = (CLIP, DROP)
"""Codes of the rules whose findings `--fix` mends."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row that is changed or dropped.

    Attributes:
        code: The rule whose finding is mended.
        action: `clip` or `drop`.
        table: `annotations` or `evidence`.
        part: The part of the table.
        row: 0-based number of the row inside the part.
        question_id: The question.
        annotator: Whose box; None for adjudicated evidence.
        region_id: The box.
        page_index: Its page, into the question's own pages.
        before: The box before.
        after: The box after, None where it is dropped.
        unrotated: True where a rotated region becomes the upright box around what is left of it on the page.
    """

    code: str
    action: Literal["clip", "drop"]
    table: str
    part: str
    row: int
    question_id: str
    annotator: str | None
    region_id: str
    page_index: int
    before: tuple[float, ...]
    after: tuple[float, ...] | None
    unrotated: bool = False

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return vars(self) | {"before": list(self.before), "after": None if self.after is None else list(self.after)}

    def __str__(self) -> str:
        whose = f" by {self.annotator}" if self.annotator else ""
        where = f"{self.table}/{self.part}: {self.question_id}, page {self.page_index}, region {self.region_id}{whose}"
        then = "" if self.after is None else f" -> {_text(self.after)}"
        return one_line(f"{self.action} {where}: {_text(self.before)}{then}{' (upright)' if self.unrotated else ''}")


def _text(box: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in box) + ")"


def plan(view: WorkspaceView, limits: Limits, codes: Collection[str] = FIXABLE) -> list[Change]:
    """The changes that mend a workspace; nothing is written.

    A box is clipped if `limits.clip_share` of it lies on the page: what lies further out was drawn for another image,
    and clipping would hide that. Of boxes with equal coordinates and role, after clipping, the first one stays.
    """
    with np.errstate(all="ignore"):  # as in `run.validate`
        return [change for layer in view.layers for change in _of(view.workspace, layer.boxes, limits, codes)]


def _of(workspace: Workspace, boxes: Boxes, limits: Limits, codes: Collection[str]) -> Iterator[Change]:
    xyxy, cut = _clipped(workspace, boxes, limits) if CLIP in codes else (boxes.xyxy, np.zeros(len(boxes.group), bool))
    after = replace(boxes, xyxy=xyxy, rotated=boxes.rotated & ~cut)
    again = overlaps(after).original >= 0 if DROP in codes else np.zeros(len(cut), bool)
    for row in np.flatnonzero(cut | again).tolist():
        hit = boxes.hit(row, "")
        yield Change(
            code=DROP if again[row] else CLIP,
            action="drop" if again[row] else "clip",
            table=boxes.table,
            part=boxes.place.part_of(row),
            row=int(boxes.place.row[row]),
            question_id=hit.question_id or "",
            annotator=hit.annotator,
            region_id=hit.region_id or "",
            page_index=int(boxes.page_index[row]),
            before=tuple(boxes.xyxy[row].tolist()),
            after=None if again[row] else tuple(xyxy[row].tolist()),
            unrotated=bool(boxes.rotated[row] and not again[row]),
        )


def _clipped(workspace: Workspace, boxes: Boxes, limits: Limits) -> tuple[FloatArray, BoolArray]:
    """All boxes, those that leave their page cut at it, and which these are."""
    inside = np.clip(boxes.xyxy, 0, np.tile(boxes.page_size, 2))
    share = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.prod(boxes.sides, axis=1)
    cut = np.asarray(leaves_page(boxes, limits) & boxes.whole & (share >= limits.clip_share))
    for row in np.flatnonzero(cut & boxes.rotated):
        quad = _quad(workspace, boxes, int(row))
        left = shapely.intersection(shapely.MultiPoint(quad).convex_hull, shapely.box(*inside[row])).bounds
        # NaN stands for no area: the corners do not fit the box, which is nothing to mend blindly.
        inside[row] = np.clip(left, inside[row, [0, 1, 0, 1]], inside[row, [2, 3, 2, 3]])
    cut &= (inside[:, 2:] > inside[:, :2]).all(axis=1)
    return np.where(cut[:, None], inside, boxes.xyxy), cut


def _quad(workspace: Workspace, boxes: Boxes, row: int) -> FloatArray:
    """(k, 2) corners of one rotated region; what is no finite corner is left out."""
    part = workspace.read(boxes.table, [boxes.place.part_of(row)], ["quad"])
    values = np.array(part["quad"][int(boxes.place.row[row])].as_py(), dtype=np.float64)
    corners = values[: len(values) // 2 * 2].reshape(-1, 2)
    return corners[np.isfinite(corners).all(axis=1)]


def mended(row: dict[str, Any], change: Change) -> dict[str, Any] | None:
    """A row of the table after its change, None if it is dropped; `raw` stays what it was."""
    if change.after is None:
        return None
    upright = {"rotation": None, "quad": None} if change.unrotated else {}
    return row | dict(zip(XYXY, change.after, strict=True)) | upright
