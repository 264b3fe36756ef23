"""Boxes against gold boxes: pairing, areas, intervals, and why they fail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box as polygon
from shapely import union_all

from annotation.judgements import Judgement
from annotation.proposals.failures import DESCRIPTIONS, Failure, failure_of
from annotation.proposals.pagetext import PageText
from annotation.proposals.scoring import pair_boxes, ratio_of_sums, score_question, summarise
from pinpoint_data.boxes import iou
from pinpoint_data.words import PageWords
from tests.annotation.proposals_build import lines, page

Region = tuple[int, tuple[float, float, float, float], str]

BOX = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


def judgement(*regions: Region, status: str = "evidence", annotator: str = "gold:x") -> Judgement:
    return Judgement(
        "x/1",
        annotator,
        status,
        np.array([page for page, *_ in regions], np.int64),
        np.array([box for _, box, _ in regions], np.float64).reshape(-1, 4),
        tuple(role for *_, role in regions),
        ("new",) * len(regions),
        tuple(map(str, range(len(regions)))),
    )


@settings(deadline=None)
@given(st.lists(BOX, max_size=5), st.lists(BOX, max_size=5))
def test_no_pairing_has_more_pairs(found: list[tuple[float, ...]], gold: list[tuple[float, ...]]) -> None:
    a, b = np.array(found, np.float64).reshape(-1, 4), np.array(gold, np.float64).reshape(-1, 4)
    pairs = pair_boxes(a, b)
    assert len({row for row, _ in pairs}) == len({row for _, row in pairs}) == len(pairs)
    fits = iou(a, b) >= 0.5 - 1e-9 if len(a) and len(b) else np.zeros((len(a), len(b)), bool)
    assert all(fits[pair] for pair in pairs)
    short = fits if len(a) <= len(b) else fits.T
    every = permutations(range(short.shape[1]), len(short))
    assert len(pairs) == max((sum(short[row, at] for row, at in enumerate(chosen)) for chosen in every), default=0)


def test_a_chain_of_boxes_is_re_paired_to_its_end() -> None:
    # Each box fits its own gold box and the one before it; the greedy order would leave the last one over.
    found = np.array([[n * 30.0, 0, n * 30.0 + 100, 10] for n in range(300)])
    gold = found + np.array([15.0, 0, 15.0, 0])
    assert len(pair_boxes(found, gold)) == 300
    assert len(pair_boxes(found[::-1], gold)) == 300


@settings(deadline=None)
@given(st.lists(BOX, max_size=4), st.lists(BOX, min_size=1, max_size=4))
def test_shares_of_area_are_those_of_the_polygons(
    found: list[tuple[float, ...]], gold: list[tuple[float, ...]]
) -> None:
    theirs = judgement(*((0, box, "answer") for box in found))  # type: ignore[arg-type]
    truth = judgement(*((0, box, "answer") for box in gold))  # type: ignore[arg-type]
    scored = score_question(theirs, truth, source="x", doc="d", pages=1)
    a, b = (union_all([polygon(*box) for box in boxes]) for boxes in (found, gold))
    shared = a.intersection(b).area if found else 0.0
    assert scored.evidence_recall == pytest.approx(shared / b.area, abs=1e-9)
    assert (scored.area_precision is None) == (not found)
    if found:
        assert scored.area_precision == pytest.approx(shared / a.area, abs=1e-9)


def test_boxes_count_on_their_own_page_and_for_their_own_role() -> None:
    here, there = (10.0, 10.0, 50.0, 20.0), (10.0, 40.0, 50.0, 50.0)
    gold = judgement((0, here, "answer"), (1, there, "support"))
    scored = score_question(
        judgement((1, here, "answer"), (1, there, "answer"), annotator="ann"), gold, source="x", doc="d", pages=2
    )
    assert (scored.boxes.paired, scored.by_role["answer"].paired, scored.by_role["support"].paired) == (1, 0, 0)
    assert scored.pairs == ((1, 1, 1),)
    denied = judgement((0, here, "answer"), status="no_evidence")
    assert score_question(denied, gold, source="x", doc="d", pages=2).boxes.found == 0
    assert score_question(None, gold, source="x", doc="d", pages=2).evidence_recall == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("abc")), min_size=1, max_size=20))
def test_an_interval_of_sums_holds_its_mean_and_is_the_same_every_time(rows: list[tuple[int, int, str]]) -> None:
    part = np.array([min(a, b) for a, b, _ in rows], np.float64)
    whole = np.array([b for _, b, _ in rows], np.float64)
    docs = [doc for *_, doc in rows]
    found = ratio_of_sums(part, whole, docs, n=200)
    if not whole.sum():
        assert found is None
        return
    assert found is not None
    assert found.mean == part.sum() / whole.sum()
    if len(set(docs)) == 1:
        assert (found.low, found.high) == (None, None)
    else:
        assert 0 <= found.low <= found.high <= 1
    assert found == ratio_of_sums(part, whole, docs, n=200)


def test_summaries_add_boxes_up_and_average_areas() -> None:
    gold = judgement((0, (0.0, 0.0, 10.0, 10.0), "answer"))
    right = score_question(gold, gold, source="x", doc="a", pages=1)
    nothing = score_question(None, gold, source="x", doc="b", pages=1)
    summary = summarise([right, right, nothing])
    assert (summary.questions, summary.with_boxes, summary.gold, summary.paired) == (3, 2, 3, 2)
    assert summary.precision is not None and summary.recall is not None and summary.f1 is not None
    assert (summary.precision.mean, summary.recall.mean, summary.f1.mean) == (1, 2 / 3, 0.8)
    assert summary.evidence_recall is not None and summary.area_precision is not None
    assert (summary.evidence_recall.mean, summary.area_precision.mean) == (pytest.approx(2 / 3), 1)
    assert summarise([nothing]).precision is None
    assert summarise([right], "support").f1 is None


TEXT = page(
    (50, 50, "Total"),
    (300, 50, "42"),
    (50, 90, "Other"),
    (300, 90, "42"),
    (50, 400, "A line of text"),
    (50, 430, "and more"),
)
TOTAL, OTHER = (300.0, 50.0, 320.0, 70.0), (300.0, 90.0, 320.0, 110.0)
LABEL, PARAGRAPH = (50.0, 50.0, 100.0, 70.0), (50.0, 400.0, 190.0, 450.0)
LINE = (50.0, 400.0, 190.0, 420.0)


@pytest.mark.parametrize(
    ("kind", "found", "gold", "answer"),
    [
        (None, [(0, TOTAL, "answer")], [(0, TOTAL, "answer")], "42"),
        (Failure.NO_WORDS, [], [(0, (600.0, 600.0, 700.0, 700.0), "answer")], "42"),
        (Failure.PAGE_MISSED, [(0, TOTAL, "answer")], [(0, TOTAL, "answer"), (1, TOTAL, "answer")], "42"),
        (Failure.SUPPORT, [(0, TOTAL, "answer")], [(0, TOTAL, "answer"), (0, LABEL, "support")], "42"),
        (Failure.EXTRA, [(0, TOTAL, "answer"), (0, OTHER, "answer")], [(0, TOTAL, "answer")], "42"),
        (Failure.COMPUTED, [], [(0, TOTAL, "answer")], "43"),
        (Failure.NOT_READ, [], [(0, TOTAL, "answer")], "wrongly read words"),
        (Failure.ELSEWHERE, [(0, TOTAL, "answer")], [(0, LINE, "answer")], "42"),
        (
            Failure.LARGER_GOLD,
            [(0, (50.0, 400.0, 60.0, 420.0), "answer")],
            [(0, PARAGRAPH, "answer")],
            "A line of text",
        ),
        (Failure.WRONG_PLACE, [(0, OTHER, "answer")], [(0, TOTAL, "answer")], "42"),
        (Failure.INCOMPLETE, [(0, TOTAL, "answer")], [(0, TOTAL, "answer"), (0, OTHER, "answer")], "42"),
        (Failure.SHAPE, [(0, (310.0, 50.0, 600.0, 200.0), "answer")], [(0, TOTAL, "answer")], "42"),
    ],
)
def test_every_kind_of_failure(
    kind: Failure | None, found: Sequence[Region], gold: Sequence[Region], answer: str
) -> None:
    theirs, truth = judgement(*found, annotator="proposal:x@1"), judgement(*gold)
    scored = score_question(theirs, truth, source="x", doc="d", pages=2)
    pages = [TEXT, lines("Total 42")] if len({at for at, *_ in gold}) == 1 else [TEXT, TEXT]
    assert failure_of(scored, theirs, truth, pages, "What is the total?", [answer]) is kind


def test_pages_without_words_fail_for_their_words() -> None:
    truth = judgement((0, TOTAL, "answer"))
    scored = score_question(None, truth, source="x", doc="d", pages=1)
    assert failure_of(scored, None, truth, [PageText(PageWords(), 10, 10)], "What?", ["42"]) is Failure.NO_WORDS


def test_every_kind_is_described() -> None:
    assert list(DESCRIPTIONS) == list(Failure)
