"""Votes: which boxes and statuses hold, and what is a conflict."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.adjudication.consensus import candidates, mean_box
from annotation.adjudication.decide import Ruling, decide, overrule
from annotation.adjudication.overlay import DecidedBox, Decision
from annotation.adjudication.policy import Policy, Quorum, box_rule
from annotation.judgements import DONE, Judgement
from pinpoint_data.boxes import iou, union_area
from pinpoint_data.errors import UsageError
from tests.annotation.judged import Marked, judgement, marks, noisy
from tests.domain.strategies import boxes, quick

LEFT, RIGHT = (10.0, 10.0, 30.0, 20.0), (60.0, 10.0, 90.0, 20.0)
UPPER, LOWER, BOTH = (10.0, 10.0, 60.0, 20.0), (10.0, 21.0, 60.0, 31.0), (10.0, 10.0, 60.0, 31.0)
MEDOID = Policy(box="medoid")


def ruled(*works: Judgement, policy: Policy = MEDOID) -> Ruling:
    return decide("funsd/q", works, 2, policy)


def shown(ruling: Ruling) -> list[tuple[tuple[float, ...], str, int]]:
    return [(box.xyxy, box.role, len(box.voters)) for box in ruling.boxes]


@pytest.mark.parametrize(
    ("text", "voters", "needed"),
    [
        ("2", 6, 2),
        ("1", 1, 1),
        ("0.5", 5, 3),
        ("0.5", 4, 2),
        ("2/3", 3, 2),
        ("2/3", 6, 4),
        ("50%", 3, 2),
        ("1.0", 3, 3),
    ],
)
def test_quorum_is_a_number_or_a_share(text: str, voters: int, needed: int) -> None:
    quorum = Quorum.parse(text)
    assert quorum.needed(voters) == needed
    assert Quorum.parse(str(Quorum(share=Fraction(2, 3)))) == Quorum(share=Fraction(2, 3))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "150%", "nan", "inf", "", "two", "1/0", "0.0", "٢", "1e999999999"])
def test_other_quorums_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither a number of votes"):
        Quorum.parse(text)


@pytest.mark.parametrize("changes", [{"iou": 0.0}, {"judgements": 0}, {"contest": 0.0}, {"contest": float("nan")}])
def test_impossible_policies_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Policy(**changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        box_rule("median")


def test_a_policy_says_what_it_is() -> None:
    policy = Policy(Quorum.parse("2/3"), 0.6, "medoid", exclude=("x",))
    assert str(policy) == "vote quorum=2/3 iou=0.6 box=medoid judgements=2 contest=0.5 exclude=x"


def test_a_box_with_a_quorum_holds_and_a_lone_one_does_not() -> None:
    ruling = ruled(
        judgement("a", marks(LEFT, RIGHT)), judgement("b", marks((11.0, 10.0, 31.0, 20.0))), judgement("c", marks(LEFT))
    )
    assert (ruling.status, ruling.conflict, ruling.decided_by) == ("evidence", None, "vote")
    assert shown(ruling) == [(LEFT, "answer", 3)]
    assert ruling.boxes[0].drawn_by == ("a", "b", "c")
    assert 0.9 < ruling.boxes[0].score < 1
    assert len(ruling.candidates) == 2


def test_the_mean_is_of_the_voters_boxes() -> None:
    works = [judgement(who, marks((x, 10.0, x + 20, 20.0))) for who, x in (("a", 10.0), ("b", 11.0), ("c", 15.0))]
    assert shown(ruled(*works, policy=Policy())) == [((12.0, 10.0, 32.0, 20.0), "answer", 3)]
    assert shown(ruled(*works)) == [((11.0, 10.0, 31.0, 20.0), "answer", 3)]


@pytest.mark.parametrize(
    ("roles", "expected"), [("aas", "answer"), ("ass", "support"), ("as", "answer"), ("ss", "support")]
)
def test_each_voter_has_one_vote_on_the_role(roles: str, expected: str) -> None:
    names = {"a": "answer", "s": "support"}
    works = [judgement(str(place), marks(LEFT, role=names[role])) for place, role in enumerate(roles)]
    assert shown(ruled(*works)) == [(LEFT, expected, len(roles))]


def test_a_box_drawn_twice_is_one_box() -> None:
    twice = [*marks(LEFT, role="support"), *marks(LEFT, LEFT)]
    assert shown(ruled(judgement("a", twice), judgement("b", twice))) == [(LEFT, "answer", 2)]


def test_pages_are_apart() -> None:
    works = [judgement("a", marks(LEFT)), judgement("b", marks(LEFT, page_index=1)), judgement("c", marks(LEFT))]
    assert [(box.page_index, box.drawn_by) for box in ruled(*works).boxes] == [(0, ("a", "c"))]


@pytest.mark.parametrize(
    ("statuses", "expected", "conflict"),
    [
        (["no_evidence", "no_evidence", "evidence"], "no_evidence", None),
        (["unanswerable", "wrong_answer"], "unfinished", "status-conflict"),
        (["evidence", "evidence", "no_evidence", "no_evidence"], "unfinished", "status-conflict"),
        (["evidence", "no_evidence", "unanswerable"], "unfinished", "status-conflict"),
        (["no_evidence", "skipped", "unfinished"], "unfinished", "too-few-judgements"),
        (["skipped"], "unfinished", "too-few-judgements"),
        (["evidence", "evidence", "skipped"], "evidence", None),
    ],
)
def test_a_status_needs_more_than_half_of_the_votes(statuses: list[str], expected: str, conflict: str | None) -> None:
    ruling = ruled(*(judgement(str(place), marks(LEFT), status) for place, status in enumerate(statuses)))
    assert (ruling.status, ruling.conflict) == (expected, conflict)
    assert bool(ruling.boxes) == (expected == "evidence")
    assert set(ruling.voters.values()) <= set(DONE)


def test_boxes_of_those_who_deny_evidence_have_no_vote() -> None:
    works = [judgement("a", marks(LEFT)), judgement("b", marks(LEFT)), judgement("c", marks(RIGHT), "no_evidence")]
    assert [box.voters for box in ruled(*works).candidates] == [("a", "b")]


def test_half_the_votes_contest_a_box_and_nothing_is_decided() -> None:
    ruling = ruled(judgement("a", marks(LEFT, RIGHT)), judgement("b", marks(LEFT)))
    assert (ruling.status, ruling.conflict, ruling.boxes) == ("unfinished", "contested-box", ())
    calm = ruled(judgement("a", marks(LEFT, RIGHT)), judgement("b", marks(LEFT)), policy=Policy(contest=1.5))
    assert (calm.status, shown(calm)) == ("evidence", [(LEFT, "answer", 2)])


def test_evidence_without_a_box_that_holds_is_a_conflict() -> None:
    lone = Policy(contest=2)
    assert ruled(judgement("a", marks(LEFT)), judgement("b", marks(RIGHT)), policy=lone).conflict == "no-box-quorum"
    assert ruled(judgement("a"), judgement("b")).conflict == "no-box-quorum"


def test_a_quorum_above_the_number_of_judgements_is_too_few() -> None:
    works = [judgement("a", marks(LEFT)), judgement("b", marks(LEFT))]
    assert ruled(*works, policy=Policy(Quorum(count=3))).conflict == "too-few-judgements"


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        # One drew both lines as one box: the finer reading holds, with everybody's vote.
        ({"a": [UPPER, LOWER], "b": [BOTH]}, [(UPPER, 2), (LOWER, 2)]),
        ({"a": [UPPER, LOWER], "b": [UPPER, LOWER], "c": [BOTH]}, [(UPPER, 3), (LOWER, 3)]),
        # More annotators for the whole: it holds, and whoever cut it votes for it.
        ({"a": [UPPER, LOWER], "b": [BOTH], "c": [BOTH]}, [(BOTH, 3)]),
        # Two against two: each place is evidence once.
        ({"a": [UPPER, LOWER], "b": [UPPER, LOWER], "c": [BOTH], "d": [BOTH]}, [(UPPER, 4), (LOWER, 4)]),
        # A box inside a much larger one is no part that fills it.
        ({"a": [(0.0, 0.0, 119.0, 79.0)], "b": [UPPER, LOWER], "c": [UPPER, LOWER]}, [(UPPER, 2), (LOWER, 2)]),
    ],
)
def test_whole_and_parts_are_the_same_evidence(
    works: dict[str, list[tuple[float, float, float, float]]], expected: list[tuple[object, int]]
) -> None:
    ruling = ruled(*(judgement(who, marks(*drawn)) for who, drawn in works.items()))
    assert [(box.xyxy, len(box.voters)) for box in ruling.boxes] == expected


LABEL, VALUE, LABELLED = (10.0, 10.0, 49.0, 20.0), (51.0, 10.0, 70.0, 20.0), (10.0, 10.0, 70.0, 20.0)


@pytest.mark.parametrize(
    ("wholes", "cut", "expected"),
    [
        (1, 1, [(LABEL, 2), (VALUE, 2)]),
        (1, 2, [(LABEL, 3), (VALUE, 3)]),
        (2, 1, [(LABELLED, 3)]),
        (3, 3, [(LABEL, 6), (VALUE, 6)]),
    ],
)
def test_the_larger_part_alone_is_not_taken_for_the_whole(wholes: int, cut: int, expected: list[object]) -> None:
    works = [judgement(f"whole{n}", marks(LABELLED)) for n in range(wholes)]
    works += [judgement(f"cut{n}", marks(LABEL, VALUE)) for n in range(cut)]
    assert [(box.xyxy, len(box.voters)) for box in ruled(*works).boxes] == expected


def test_a_small_box_beside_a_good_match_does_not_part_it() -> None:
    near, speck = (10.0, 10.0, 68.0, 20.0), (68.0, 10.0, 69.0, 20.0)
    ruling = ruled(judgement("a", marks(LABELLED)), judgement("b", marks(near, speck)), judgement("c", marks(near)))
    assert [box.drawn_by for box in ruling.boxes] == [("a", "b", "c")]


def test_a_person_decides_over_the_vote() -> None:
    vote = ruled(judgement("a", marks(LEFT)), judgement("b", marks(RIGHT)))
    over = overrule(vote, Decision("funsd/q", "evidence", (DecidedBox(1, RIGHT, "support"),), "eva"))
    assert (over.status, over.decided_by, over.policy) == ("evidence", "eva", "overlay")
    assert [(box.page_index, box.xyxy, box.role, box.voters) for box in over.boxes] == [(1, RIGHT, "support", ("eva",))]
    assert over.voters == vote.voters
    held = overrule(vote, Decision("funsd/q", "unfinished", (), "eva"))
    assert (held.status, held.boxes) == ("unfinished", ())


@st.composite
def judged(draw: st.DrawFn) -> list[Judgement]:
    """Up to five annotators on one question, many boxes nearly the same."""
    base = draw(boxes(low=1, high=3))
    works = []
    for person in range(draw(st.integers(1, 5))):
        drawn: list[Marked] = []
        for box in base:
            if draw(st.booleans()):
                shift, role = draw(st.sampled_from([0.0, 0.0, 0.5, 4.0])), draw(st.sampled_from(["answer", "support"]))
                x0, y0, x1, y1 = (box + shift).tolist()
                drawn.append((draw(st.integers(0, 1)), (x0, y0, x1, y1), role))
        status = draw(st.sampled_from(["evidence", "evidence", "evidence", "no_evidence", "skipped"]))
        works.append(judgement(f"p{person}", drawn, status))
    return works


policies = st.builds(
    Policy,
    st.builds(Quorum, count=st.integers(1, 4))
    | st.builds(Quorum, share=st.sampled_from([Fraction(1, 2), Fraction(1)])),
    st.sampled_from([0.3, 0.5, 0.8]),
    st.sampled_from(["mean", "medoid"]),
)


@quick
@given(judged(), policies, st.randoms(use_true_random=False))
def test_order_means_nothing(works: list[Judgement], policy: Policy, rng: random.Random) -> None:
    shuffled = list(works)
    rng.shuffle(shuffled)
    assert decide("q", works, 2, policy) == decide("q", shuffled, 2, policy)


@quick
@given(boxes(low=1, high=5), st.integers(2, 6), st.sampled_from(["mean", "medoid"]))
def test_identical_annotators_get_their_very_boxes(drawn: np.ndarray, people: int, rule: str) -> None:
    theirs = marks(*(tuple(box) for box in np.unique(drawn, axis=0).tolist()))
    works = [judgement(f"p{person}", theirs) for person in range(people)]
    ruling = decide("q", works, 1, Policy(Quorum(share=Fraction(1)), 0.9, box_rule(rule)))
    assert {box.xyxy for box in ruling.boxes} == {box for _, box, _ in theirs}
    assert all(len(box.voters) == people and box.score == pytest.approx(1) for box in ruling.boxes)


@quick
@given(judged(), st.sampled_from([0.3, 0.5, 0.8]))
def test_a_higher_quorum_adds_no_box(works: list[Judgement], threshold: float) -> None:
    kept: set[tuple[int, tuple[float, ...]]] | None = None
    for count in range(1, 6):
        ruling = decide("q", works, 2, Policy(Quorum(count=count), threshold, "medoid", contest=2))
        now = {(box.page_index, box.xyxy) for box in ruling.boxes}
        assert kept is None or now <= kept
        kept = now


@quick
@given(judged(), st.sampled_from([0.3, 0.5]))
def test_every_box_has_the_votes_it_says_and_nobody_votes_twice(works: list[Judgement], threshold: float) -> None:
    found = candidates([work for work in works if work.marks], 2, Policy(iou=threshold, box="medoid"))
    drawn = {work.annotator: {tuple(box) for box in work.xyxy.tolist()} for work in works if work.marks}
    for box in found:
        assert len(set(box.drawn_by)) == len(box.drawn_by)
        assert not set(box.drawn_by) & set(box.meant_by)
        assert any(box.xyxy in drawn[who] for who in box.drawn_by)
    assert len({(box.page_index, box.xyxy, box.drawn_by) for box in found}) == len(found)


@quick
@given(judged())
def test_a_second_copy_of_every_annotator_changes_no_share(works: list[Judgement]) -> None:
    def copied(work: Judgement) -> Judgement:
        rows = list(zip(work.page.tolist(), map(tuple, work.xyxy.tolist()), work.roles, strict=True))
        return judgement(f"{work.annotator}-again", rows, work.status)

    policy = Policy(Quorum(share=Fraction(1, 2)), 0.5, "medoid", judgements=1)
    once = decide("q", works, 2, policy)
    twice = decide("q", [*works, *map(copied, works)], 2, policy)
    assert once.status == twice.status
    regions = [
        sum(union_area([box.xyxy for box in ruling.boxes if box.page_index == page]) for page in (0, 1))
        for ruling in (once, twice)
    ]
    assert regions[0] == pytest.approx(regions[1])


@quick
@given(boxes(low=1, high=6), st.randoms(use_true_random=False))
def test_the_mean_box_is_exact_and_does_not_depend_on_order(drawn: np.ndarray, rng: random.Random) -> None:
    order = list(range(len(drawn)))
    rng.shuffle(order)
    assert mean_box(drawn) == mean_box(drawn[order])
    assert mean_box(np.repeat(drawn[:1], 7, 0)) == tuple(drawn[0])
    assert mean_box(drawn) == pytest.approx(tuple(drawn.mean(0)))


def f1(truth: list[Marked], found: list[Marked]) -> tuple[int, int]:
    """Hits at IoU 0.5, greedily, and boxes of both."""
    left = list(found)
    hits = 0
    for page, box, _ in truth:
        best = max((one for one in left if one[0] == page), key=lambda one: iou([box], [one[1]])[0, 0], default=None)
        if best is not None and iou([box], [best[1]])[0, 0] >= 0.5:
            left.remove(best)
            hits += 1
    return hits, len(truth) + len(found)


@pytest.mark.parametrize("rule", ["mean", "medoid"])
@pytest.mark.parametrize(("people", "quorum"), [(3, "2"), (5, "0.5")])
def test_the_vote_is_nearer_to_the_truth_than_any_single_annotator(people: int, quorum: str, rule: str) -> None:
    rng = random.Random(people)
    scores = np.zeros((people + 1, 2))
    policy = Policy(Quorum.parse(quorum), box=box_rule(rule))
    for _ in range(150):
        places = rng.sample([(5.0, 5.0), (50.0, 5.0), (5.0, 30.0), (50.0, 30.0), (5.0, 60.0)], rng.randint(1, 4))
        truth = [(0, (x, y, x + rng.uniform(10, 30), y + rng.uniform(6, 12)), "answer") for x, y in places]
        drawn = [noisy(truth, rng, jitter=1.0, miss=0.15, extra=0.3) for _ in range(people)]
        works = [judgement(f"p{place}", theirs) for place, theirs in enumerate(drawn)]
        ruling = decide("q", works, 2, policy)
        voted = [(box.page_index, box.xyxy, box.role) for box in ruling.boxes]
        for place, found in enumerate([*drawn, voted]):
            scores[place] += f1(truth, found)
    values = 2 * scores[:, 0] / scores[:, 1]
    assert values[-1] > values[:-1].max() + 0.03
