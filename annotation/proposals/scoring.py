"""Scores of any annotator's boxes against gold boxes.

A box is found when an IoU of at least 0.5 pairs it with a gold box of the same page, one to one, as many pairs as can
be. Precision, recall and F1 are over all boxes together (micro); evidence recall and box precision are shares of area
and means over questions. Intervals resample documents, as everywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotation.judgements import Judgement
from pinpoint_data.bootstrap import Interval, bootstrap_mean
from pinpoint_data.boxes import FloatArray, iou, union_area
from pinpoint_data.schema import ROLES

THRESHOLD = 0.5
# IoU of boxes in floats: half must count as half.
_TOLERANCE = 1e-9


def pair_boxes(found: FloatArray, gold: FloatArray, threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """The largest one-to-one pairing of boxes (n, 4) and (m, 4) with an IoU of at least `threshold`.

    Augmenting paths (Kuhn's algorithm, breadth first), tried from each box in order and best IoU first: no pairing
    has more pairs. Where several have as many, which one is returned depends on the order of the boxes alone.

    Returns:
        Pairs of rows of `found` and `gold`, sorted.
    """
    if not len(found) or not len(gold):
        return []
    overlap = iou(found, gold)
    fits = [np.flatnonzero(row >= threshold - _TOLERANCE) for row in overlap]
    edges = [near[np.argsort(-row[near], kind="stable")].tolist() for row, near in zip(overlap, fits, strict=True)]
    owner: dict[int, int] = {}
    for start in range(len(found)):
        _augment(start, edges, owner)
    return sorted((box, target) for target, box in owner.items())


def _augment(start: int, edges: Sequence[Sequence[int]], owner: dict[int, int]) -> None:
    """Pair `start` too, re-pairing others along the shortest path, if there is one."""
    reached: dict[int, int] = {}  # gold box -> the found box it was reached from
    queue = deque([start])
    while queue:
        box = queue.popleft()
        for target in edges[box]:
            if target in reached:
                continue
            reached[target] = box
            if target not in owner:
                _flip(target, start, reached, owner)
                return
            queue.append(owner[target])


def _flip(target: int, start: int, reached: dict[int, int], owner: dict[int, int]) -> None:
    held = {box: gold for gold, box in owner.items()}
    while True:
        box = reached[target]
        before = held.get(box)
        owner[target] = box
        if box == start or before is None:
            return
        target = before


@dataclass(frozen=True)
class Counts:
    """Boxes found, boxes of the gold, and pairs of the two."""

    found: int = 0
    gold: int = 0
    paired: int = 0


@dataclass(frozen=True)
class QuestionScores:
    """One annotator on one question.

    Attributes:
        question_id: The question.
        source: Its source.
        doc: Its document.
        pages: Number of its pages.
        boxes: Over all roles: a box may be paired with gold of the other role.
        by_role: Boxes and gold of one role alone.
        evidence_recall: Share of the gold's area that is covered.
        area_precision: Share of the boxes' area that is gold; None without boxes.
        pairs: (page, row of the annotator's boxes, row of the gold's), rows of their judgements.
    """

    question_id: str
    source: str
    doc: str
    pages: int
    boxes: Counts
    by_role: dict[str, Counts]
    evidence_recall: float
    area_precision: float | None
    pairs: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)


def score_question(
    judgement: Judgement | None, gold: Judgement, *, source: str, doc: str, pages: int
) -> QuestionScores:
    """Score one annotator's boxes on one question.

    Args:
        judgement: What the annotator said; None, or a status that denies evidence, is no box.
        gold: The gold, with at least one box.
        source: The question's source.
        doc: The question's document.
        pages: Number of the question's pages.
    """
    theirs = judgement if judgement is not None and judgement.marks else None
    page = theirs.page if theirs else np.zeros(0, np.int64)
    xyxy = theirs.xyxy if theirs else np.zeros((0, 4))
    roles = np.array(theirs.roles if theirs else (), dtype=np.str_)
    gold_roles = np.array(gold.roles, dtype=np.str_)
    pairs: list[tuple[int, int, int]] = []
    by_role = dict.fromkeys(ROLES, Counts())
    shared = whole = mine = 0.0
    for index in sorted({*page.tolist(), *gold.page.tolist()}):
        ours, theirs_gold = np.flatnonzero(page == index), np.flatnonzero(gold.page == index)
        pairs += [(index, int(ours[a]), int(theirs_gold[b])) for a, b in pair_boxes(xyxy[ours], gold.xyxy[theirs_gold])]
        for role in ROLES:
            a, b = ours[roles[ours] == role], theirs_gold[gold_roles[theirs_gold] == role]
            now, was = len(pair_boxes(xyxy[a], gold.xyxy[b])), by_role[role]
            by_role[role] = Counts(was.found + len(a), was.gold + len(b), was.paired + now)
        area, gold_area = union_area(xyxy[ours]), union_area(gold.xyxy[theirs_gold])
        # What two unions share: what they have together, less what they cover together.
        shared += area + gold_area - union_area(np.concatenate([xyxy[ours], gold.xyxy[theirs_gold]]))
        mine, whole = mine + area, whole + gold_area
    return QuestionScores(
        question_id=gold.question_id,
        source=source,
        doc=doc,
        pages=pages,
        boxes=Counts(len(xyxy), len(gold.xyxy), len(pairs)),
        by_role=by_role,
        evidence_recall=float(np.clip(shared / whole, 0, 1)),
        area_precision=float(np.clip(shared / mine, 0, 1)) if mine else None,
        pairs=tuple(pairs),
    )


@dataclass(frozen=True)
class Summary:
    """Scores over many questions, with intervals that resample documents; None where nothing is to be counted."""

    questions: int
    with_boxes: int
    found: int
    gold: int
    paired: int
    precision: Interval | None
    recall: Interval | None
    f1: Interval | None
    evidence_recall: Interval | None
    area_precision: Interval | None


def summarise(scores: Sequence[QuestionScores], role: str | None = None) -> Summary:
    """Scores over questions, of all boxes or of one role's; the shares of area are of all roles and left out there."""
    counts = [score.boxes if role is None else score.by_role[role] for score in scores]
    found, gold, paired = (
        np.array([getattr(c, name) for c in counts], np.float64) for name in ("found", "gold", "paired")
    )
    docs = np.array([score.doc for score in scores])
    covered = [score for score in scores if score.area_precision is not None]
    areas = role is None and bool(scores)
    return Summary(
        questions=len(scores),
        with_boxes=int(np.count_nonzero(found)),
        found=int(found.sum()),
        gold=int(gold.sum()),
        paired=int(paired.sum()),
        precision=ratio_of_sums(paired, found, docs),
        recall=ratio_of_sums(paired, gold, docs),
        f1=ratio_of_sums(2 * paired, found + gold, docs),
        evidence_recall=bootstrap_mean([s.evidence_recall for s in scores], docs) if areas else None,
        area_precision=bootstrap_mean([s.area_precision or 0.0 for s in covered], [s.doc for s in covered])
        if areas and covered
        else None,
    )


def ratio_of_sums(
    part: NDArray[np.float64], whole: NDArray[np.float64], docs: ArrayLike, n: int = 1000, seed: int = 0
) -> Interval | None:
    """The sum of `part` over the sum of `whole`, with a 95 % percentile interval over resampled documents.

    Resamples without anything to count are left out.

    Args:
        part: (q,) numerators.
        whole: (q,) denominators.
        docs: (q,) the document of each.
        n: Number of resamples.
        seed: Seed of the random generator.

    Returns:
        The interval, without ends where there is one document; None where `whole` sums to nothing.
    """
    if not whole.sum():
        return None
    _, doc = np.unique(np.asarray(docs), return_inverse=True)
    parts, wholes = np.bincount(doc, part), np.bincount(doc, whole)
    if len(parts) == 1:
        return Interval(float(part.sum() / whole.sum()), None, None)
    times = np.random.default_rng(seed).multinomial(len(parts), np.full(len(parts), 1 / len(parts)), size=n)
    sums = times @ wholes
    drawn = (times @ parts)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(part.sum() / whole.sum()), float(low), float(high))
