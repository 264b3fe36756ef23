"""The parts of agreement, each against an independent definition."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.agreement.alpha import Tally
from annotation.agreement.assignment import best_assignment
from annotation.agreement.groups import group_boxes
from annotation.agreement.overlaps import find_overlaps, matched
from annotation.agreement.resampling import Sums
from pinpoint_data.bootstrap import bootstrap_mean
from pinpoint_data.boxes import iou
from tests.domain.strategies import boxes, quick


def alpha_of(units: list[list[str]]) -> float:
    """Our alpha over units, each the list of its values."""
    kinds = sorted({value for unit in units for value in unit})
    counts = np.array([[unit.count(kind) for kind in kinds] for unit in units], np.int64).reshape(len(units), -1)
    return Tally.of(counts, np.zeros(len(units), np.int64), 1).alpha()


def coincidence_alpha(units: list[list[str]]) -> float:
    """Krippendorff's definition by the matrix of coincidences, pair by pair."""
    matrix: Counter[tuple[str, str]] = Counter()
    for unit in units:
        for a, b in permutations(range(len(unit)), 2):
            matrix[unit[a], unit[b]] += 1 / (len(unit) - 1)
    marginal: Counter[str] = Counter()
    for (value, _), count in matrix.items():
        marginal[value] += count
    total = sum(marginal.values())
    observed = sum(count for (a, b), count in matrix.items() if a != b) / total
    pairs = [(a, b) for a in marginal for b in marginal if a != b]
    expected = sum(marginal[a] * marginal[b] for a, b in pairs) / (total * (total - 1))
    return 1 - observed / expected


def by_coders(*rows: str) -> list[list[str]]:
    """Units from one line a coder; `*` is missing."""
    return [[value for value in unit if value != "*"] for unit in zip(*(row.split() for row in rows), strict=True)]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): A, B and C.
        (by_coders("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095),
        (by_coders("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692),
        (
            by_coders(
                "1 2 3 3 2 1 4 1 2 * * *",
                "1 2 3 3 2 2 4 1 2 5 * 3",
                "* 3 3 3 2 3 4 2 2 5 1 *",
                "1 2 3 3 2 4 4 1 2 5 1 *",
            ),
            0.743,
        ),
        # The example of kalphacv: three annotators, four groups of boxes, n for "no box".
        (by_coders("2 1 1 n", "2 1 1 n", "1 n 2 1"), 0.022),
    ],
)
def test_alpha_is_that_of_published_examples(units: list[list[str]], expected: float) -> None:
    assert alpha_of(units) == pytest.approx(expected, abs=0.0005)


@quick
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=12))
def test_alpha_is_that_of_the_coincidence_matrix(units: list[list[str]]) -> None:
    paired = [unit for unit in units if len(unit) > 1]
    if len({value for unit in paired for value in unit}) < 2:
        assert math.isnan(alpha_of(units))
    else:
        assert alpha_of(units) == pytest.approx(coincidence_alpha(paired))


def test_silent_units_count_as_joint_agreement() -> None:
    marked = by_coders("a n a", "a a n")
    silent = marked + [["n", "n"]] * 7
    counts = np.array([[2, 0], [1, 1], [1, 1]])
    tally = Tally.of(counts, np.zeros(3, np.int64), 1).with_silent(np.array([7]), np.array([2]), 1)
    assert tally.alpha() == pytest.approx(coincidence_alpha(silent))
    assert coincidence_alpha(marked) < 0 < tally.alpha()


@quick
@given(st.data())
def test_assignment_is_scipys(data: st.DataObject) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rows, columns = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))
    weight = st.sampled_from([0.0, 0.0, 0.5, 1.0]) | st.floats(0, 1)
    weights = np.array(data.draw(st.lists(weight, min_size=rows * columns, max_size=rows * columns)))
    weights = weights.reshape(rows, columns)
    ours = best_assignment(weights)
    theirs = optimize.linear_sum_assignment(weights, maximize=True)
    assert weights[ours[:, 0], ours[:, 1]].sum() == pytest.approx(weights[theirs].sum())
    assert (weights[ours[:, 0], ours[:, 1]] > 0).all()
    assert len(set(ours[:, 0])) == len(set(ours[:, 1])) == len(ours)


@quick
@given(boxes(high=12), st.data())
def test_overlaps_are_all_pairs_of_different_people_on_one_page(xyxy: np.ndarray, data: st.DataObject) -> None:
    count = len(xyxy)
    page = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.int64)
    owner = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.int64)
    found = find_overlaps(xyxy, page, owner)
    table = iou(xyxy, xyxy)
    expected = {
        (a, b): table[a, b]
        for a in range(count)
        for b in range(a + 1, count)
        if page[a] == page[b] and owner[a] != owner[b] and table[a, b] > 0
    }
    assert dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.iou, strict=True)) == expected


def test_a_page_with_thousands_of_boxes_is_taken_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = np.random.default_rng(0).uniform(0, 1000, (300, 2))
    xyxy, owner = np.concatenate([corners, corners + 40], 1), np.arange(300) % 3
    page = np.zeros(300, np.int64)
    whole = find_overlaps(xyxy, page, owner)
    monkeypatch.setattr("annotation.agreement.overlaps._CHUNK", 2_000)
    strips = find_overlaps(xyxy, page, owner)
    assert len(whole.iou) > 100
    assert whole.first.tolist() == strips.first.tolist()
    assert whole.second.tolist() == strips.second.tolist()


@quick
@given(boxes(high=5), boxes(high=5), st.sampled_from([1e-9, 0.3, 0.5, 0.9]))
def test_matches_are_the_best_assignment(mine: np.ndarray, theirs: np.ndarray, threshold: float) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    xyxy = np.concatenate([mine, theirs])
    owner = np.repeat([0, 1], [len(mine), len(theirs)])
    overlaps = find_overlaps(xyxy, np.zeros(len(xyxy), np.int64), owner).at(threshold)
    chosen = matched(overlaps, np.zeros(len(overlaps.iou), np.int64), np.zeros(len(overlaps.iou), np.int64))
    weights = iou(mine, theirs)
    weights = np.where(weights >= threshold, weights, 0)
    assert overlaps.iou[chosen].sum() == pytest.approx(weights[optimize.linear_sum_assignment(-weights)].sum())
    assert len(set(overlaps.first[chosen])) == len(set(overlaps.second[chosen])) == chosen.sum()


@st.composite
def drawn(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of up to four people, many of them nearly the same."""
    base = draw(boxes(low=1, high=4))
    rows, owners = [], []
    for owner in range(draw(st.integers(1, 4))):
        for box in base:
            if draw(st.booleans()):
                shift = draw(st.sampled_from([0.0, 0.0, 0.5, 3.0]))
                rows.append(box + shift)
                owners.append(owner)
    return np.array(rows).reshape(-1, 4), np.array(owners, np.int64)


@quick
@given(drawn(), st.sampled_from([0.3, 0.5, 0.8]), st.randoms(use_true_random=False))
def test_groups_hold_each_person_once_and_do_not_depend_on_order(
    case: tuple[np.ndarray, np.ndarray], threshold: float, random: object
) -> None:
    xyxy, owner = case
    page = np.zeros(len(xyxy), np.int64)
    group = group_boxes(xyxy, owner, find_overlaps(xyxy, page, owner), threshold)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        assert len(set(owner[members])) == len(members)
        if len(members) > 1:
            table = iou(xyxy[members], xyxy[members])
            assert table[np.triu_indices(len(members), 1)].mean() >= threshold - 1e-12

    order = list(range(len(xyxy)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = group_boxes(xyxy[order], owner[order], find_overlaps(xyxy[order], page, owner[order]), threshold)

    def sets(rows: np.ndarray, people: np.ndarray, numbers: np.ndarray) -> Counter[frozenset[tuple[object, ...]]]:
        return Counter(
            frozenset((*rows[i].tolist(), int(people[i])) for i in np.flatnonzero(numbers == n)) for n in set(numbers)
        )

    assert sets(xyxy, owner, group) == sets(xyxy[order], owner[order], shuffled)


def test_groups_of_two_people_are_the_best_assignment_not_the_greedy_one() -> None:
    # The best single pair would leave the other two boxes alone.
    xyxy = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [1.0, 0, 11, 10], [-4, 0, 6, 10]])
    owner = np.array([0, 0, 1, 1])
    overlaps = find_overlaps(xyxy, np.zeros(4, np.int64), owner)
    group = group_boxes(xyxy, owner, overlaps, 0.4)
    assert group[0] == group[3]
    assert group[1] == group[2]


def test_intervals_are_those_of_the_bootstrap_of_means() -> None:
    rng = np.random.default_rng(3)
    values, docs = rng.random(40), rng.integers(0, 9, 40)
    sums = Sums(docs, 300, 7)
    sums.add_mean(values)
    (ours,) = sums.estimates()
    theirs = bootstrap_mean(values, docs, 300, 7)
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.mean, theirs.low, theirs.high))
    assert ours.count == 40


def test_one_document_gives_no_interval() -> None:
    sums = Sums(np.zeros(5, np.int64), 300, 7)
    sums.add_mean(np.linspace(0, 1, 5))
    (found,) = sums.estimates()
    assert (found.value, found.low, found.high, found.count) == (0.5, None, None, 5)


def test_undefined_values_are_left_out_of_means() -> None:
    sums = Sums(np.arange(3), 0, 0)
    sums.add_mean(np.array([1.0, np.nan, 0.0]))
    sums.add_mean(np.full(3, np.nan))
    known, unknown = sums.estimates()
    assert (known.value, known.low, known.count) == (0.5, None, 2)
    assert (unknown.value, unknown.count) == (None, 0)
