"""The boxes that annotators mean in common, and how many of them mean each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotation.adjudication.policy import BoxRule, Policy
from annotation.agreement.groups import group_boxes
from annotation.agreement.overlaps import Overlaps, find_overlaps
from annotation.judgements import Judgement
from pinpoint_data.boxes import clip, union_area

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Box = tuple[float, float, float, float]

_MOSTLY = 0.5
"""Share of a box's area that must lie inside another one to be a part of it."""


@dataclass(frozen=True)
class Candidate:
    """A box that at least one annotator means.

    Attributes:
        page_index: Page of the question.
        xyxy: The box, by the policy's rule.
        role: The role of most of its boxes; `answer` when even.
        drawn_by: Those with a box in its group, sorted.
        meant_by: Those who marked the same place, but cut otherwise: one box for two lines, or two for one; sorted.
        score: Mean IoU of the group's boxes with `xyxy`.
    """

    page_index: int
    xyxy: Box
    role: str
    drawn_by: tuple[str, ...]
    meant_by: tuple[str, ...]
    score: float

    @property
    def voters(self) -> tuple[str, ...]:
        """Everybody whose vote it has, sorted."""
        return tuple(sorted({*self.drawn_by, *self.meant_by}))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """All boxes of a question: (n,) page, (n, 4) box, n roles, (n,) who."""

    page: IntArray
    xyxy: FloatArray
    roles: tuple[str, ...]
    owner: IntArray


def candidates(judgements: Sequence[Judgement], page_count: int, policy: Policy) -> list[Candidate]:
    """The boxes that some judgements of one question mean, sorted by page and place.

    Boxes are grouped as in `annotation.agreement.groups`: at most one box of each annotator in a group. Where one
    annotator's box and several of another's mark the same place (IoU of the box and the union of the parts at least
    the policy's), the reading with more annotators holds, the finer one when even, and the others vote for it too.

    Args:
        judgements: Those whose status is `evidence`, of different annotators.
        page_count: Pages of the question; boxes on others are left out.
        policy: IoU and rule of the box.
    """
    drawn = _drawn(judgements, page_count)
    overlaps = find_overlaps(drawn.xyxy, drawn.page, drawn.owner)
    group = group_boxes(drawn.xyxy, drawn.owner, _without_parts_of_wholes(drawn, overlaps, policy.iou), policy.iou)
    names = [judgement.annotator for judgement in judgements]
    groups = [np.flatnonzero(group == number) for number in range(int(group.max(initial=-1)) + 1)]
    found = [_candidate(drawn, members, names, policy.box) for members in groups]
    return sorted(_one_reading(found, drawn, groups, names, policy.iou), key=_place)


def _place(candidate: Candidate) -> tuple[int, float, float, float, float]:
    x0, y0, x1, y1 = candidate.xyxy
    return candidate.page_index, y0, x0, y1, x1


def _drawn(judgements: Sequence[Judgement], page_count: int) -> _Drawn:
    page = np.concatenate([np.empty(0, np.int64), *(judgement.page for judgement in judgements)])
    owner = np.repeat(np.arange(len(judgements)), [len(judgement.page) for judgement in judgements])
    xyxy = np.concatenate([np.empty((0, 4)), *(judgement.xyxy for judgement in judgements)])
    roles = np.array([role for judgement in judgements for role in judgement.roles], np.str_)
    # The same box drawn twice is one box; with both roles it is an answer ("answer" sorts first).
    order = np.lexsort([roles, *xyxy.T, page, owner])
    same = (np.diff(xyxy[order], axis=0) == 0).all(1) & (np.diff(page[order]) == 0) & (np.diff(owner[order]) == 0)
    keep = order[~np.concatenate([np.zeros(min(1, len(order)), bool), same])]
    keep = np.sort(keep[page[keep] < page_count])
    return _Drawn(page[keep], xyxy[keep], tuple(roles[keep].tolist()), owner[keep].astype(np.int64))


def _without_parts_of_wholes(drawn: _Drawn, overlaps: Overlaps, threshold: float) -> Overlaps:
    """The overlaps but those of a box with the parts into which another annotator cut it.

    The larger part may reach the IoU alone ("Total 120" beside "Total" and "120"): taken for the same box, it would be
    averaged with the whole, and the other part left alone. Boxes are parts where together they leave less than half of
    what the best of them leaves out, so that a small box beside a good match changes nothing.
    """
    partners: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
    owners = drawn.owner.tolist()
    pairs = zip(overlaps.first.tolist(), overlaps.second.tolist(), overlaps.iou.tolist(), strict=True)
    for place, (a, b, iou) in enumerate(pairs):
        for whole, part in ((a, b), (b, a)):
            partners.setdefault((whole, owners[part]), []).append((part, place, iou))
    keep = np.ones(len(overlaps.iou), np.bool_)
    for (whole, _), found in partners.items():
        x0, y0, x1, y1 = drawn.xyxy[whole].tolist()
        box = (x0, y0, x1, y1)
        mine = drawn.xyxy[[part for part, *_ in found]]
        inside = _shared(mine, box) >= _MOSTLY * _areas(mine)
        best = max(iou for *_, iou in found)
        if best < threshold or inside.sum() < 2:
            continue
        together = _union_iou(mine[inside], box)
        if 1 - together < (1 - best) / 2:
            keep[[place for (_, place, _), part in zip(found, inside, strict=True) if part]] = False
    return Overlaps(overlaps.first[keep], overlaps.second[keep], overlaps.iou[keep])


def _candidate(drawn: _Drawn, members: IntArray, names: list[str], rule: BoxRule) -> Candidate:
    boxes = drawn.xyxy[members]
    mean = mean_box(boxes)
    xyxy = mean if rule == "mean" else _nearest(boxes, mean)
    roles = Counter(drawn.roles[place] for place in members)
    return Candidate(
        int(drawn.page[members[0]]),
        xyxy,
        "support" if roles["support"] > roles["answer"] else "answer",
        tuple(sorted(names[owner] for owner in drawn.owner[members])),
        (),
        math.fsum(_ious(boxes, xyxy)) / len(boxes),
    )


def mean_box(boxes: FloatArray) -> Box:
    """The mean of boxes (n, 4): exact for equal ones and the same in any order."""
    low = boxes.min(0)
    x0, y0, x1, y1 = (float(low[i] + math.fsum(boxes[:, i] - low[i]) / len(boxes)) for i in range(4))
    return x0, y0, x1, y1


def _nearest(boxes: FloatArray, mean: Box) -> Box:
    """The box with the largest IoU with the mean; of equal ones the first by coordinates."""
    shares = _ious(boxes, mean)
    x0, y0, x1, y1 = min(tuple(box) for box in boxes[shares == shares.max()].tolist())
    return x0, y0, x1, y1


def _one_reading(
    found: list[Candidate], drawn: _Drawn, groups: list[IntArray], names: list[str], threshold: float
) -> list[Candidate]:
    """`found`, where a whole and its parts are the same evidence only once."""
    group_of = np.zeros(len(drawn.owner), np.int64)
    for number, members in enumerate(groups):
        group_of[members] = number
    kept = dict(enumerate(found))
    for number in sorted(kept, key=lambda number: (-_area(found[number].xyxy), _place(found[number]))):
        if number not in kept:
            continue
        whole = kept[number]
        parts = _parts(whole, drawn, names, threshold)
        others = {int(group_of[box]) for boxes in parts.values() for box in boxes} & (kept.keys() - {number})
        if not others:
            continue
        if len(whole.drawn_by) > len(parts):
            kept[number] = _also(whole, parts)
            for other in others:
                del kept[other]
        else:
            del kept[number]
            for other in others:
                kept[other] = _also(kept[other], whole.drawn_by)
    return list(kept.values())


def _also(candidate: Candidate, names: Sequence[str] | dict[str, IntArray]) -> Candidate:
    meant = {*candidate.meant_by, *names} - set(candidate.drawn_by)
    return replace(candidate, meant_by=tuple(sorted(meant)))


def _parts(whole: Candidate, drawn: _Drawn, names: list[str], threshold: float) -> dict[str, IntArray]:
    """Annotators who marked the place of `whole` with several boxes, and these boxes."""
    inside = _shared(drawn.xyxy, whole.xyxy) >= _MOSTLY * _areas(drawn.xyxy)
    near = np.flatnonzero(inside & (drawn.page == whole.page_index))
    found = {}
    for owner in np.flatnonzero(np.bincount(drawn.owner[near]) > 1):
        mine = near[drawn.owner[near] == owner]
        if names[owner] not in whole.drawn_by and _union_iou(drawn.xyxy[mine], whole.xyxy) >= threshold:
            found[names[owner]] = mine
    return found


def _shared(boxes: FloatArray, box: Box) -> FloatArray:
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared: FloatArray = np.maximum(sides, 0).prod(1)
    return shared


def _areas(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return areas


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _ious(boxes: FloatArray, box: Box) -> FloatArray:
    shared = _shared(boxes, box)
    return shared / (_areas(boxes) + _area(box) - shared)


def _union_iou(boxes: FloatArray, box: Box) -> float:
    """IoU of a box and the union of boxes that each share area with it."""
    shared = union_area(clip(boxes, box))
    return shared / (union_area(boxes) + _area(box) - shared)
