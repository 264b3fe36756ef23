"""What `measure_agreement` says about workspaces made by hand, and against slow definitions of the same."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.agreement import Agreement, QuestionAgreement, Settings, measure_agreement
from annotation.judgements import Judgement, load_judgements
from pinpoint_data.boxes import iou, union_area
from pinpoint_data.errors import UsageError
from pinpoint_data.words.index import WordIndex
from pinpoint_data.workspace import Workspace
from tests.annotation.judged import add_words, campaign, marks, work, workspace
from tests.loaders.build import annotation, write

A, B, C = "label-studio:1", "label-studio:2", "label-studio:3"
LEFT, RIGHT = (10.0, 10.0, 30.0, 20.0), (60.0, 10.0, 90.0, 20.0)
QUICK = Settings(resamples=0)


def measured(ws: Workspace, settings: Settings = QUICK, **chosen: Any) -> Agreement:
    return measure_agreement(ws, load_judgements(ws, **chosen), settings)


def test_identical_annotators_agree_wholly(tmp_path: Path) -> None:
    rows = [row for who in (A, B, C) for row in work("funsd/q", who, [*marks(LEFT), *marks(RIGHT, role="support")])]
    found = measured(workspace(tmp_path, ["funsd/q"], rows))
    overall = found.overall
    for estimate in (overall.f1, overall.pairwise_iou, overall.matched_iou, overall.union_iou, overall.status_share):
        assert estimate.value == pytest.approx(1)
    assert all(entry.alpha_marked.value == 1 and entry.f1.value == 1 and entry.groups == 2 for entry in overall.sweep)
    assert found.disputed == ()
    # One status is no variation: alpha says nothing, and there are no words.
    assert overall.alpha_status.value is overall.alpha_words.value is overall.word_jaccard.value is None


def test_disjoint_annotators_do_not_agree_at_all(tmp_path: Path) -> None:
    rows = [*work("funsd/q", A, marks(LEFT)), *work("funsd/q", B, marks(RIGHT))]
    found = measured(workspace(tmp_path, ["funsd/q"], rows))
    overall = found.overall
    for estimate in (overall.f1, overall.pairwise_iou, overall.union_iou):
        assert estimate.value == 0
    assert overall.matched_iou.value is None
    assert overall.at(0.5).alpha_marked.value is not None
    assert overall.at(0.5).alpha_marked.value < 0
    assert [question.dispute for question in found.disputed] == [1]


def test_alpha_over_boxes_is_that_of_kalphacv(tmp_path: Path) -> None:
    """The fruits of its own example: four groups, two kinds, three annotators; alpha is 0.022."""
    places = [(x, 5.0, x + 20, 25.0) for x in (0.0, 30.0, 60.0, 90.0)]
    kinds = {A: ("support", "answer", "answer", None), B: ("support", "answer", "answer", None)}
    kinds[C] = ("answer", None, "support", "answer")
    rows = [
        row
        for who, roles in kinds.items()
        for row in work("funsd/q", who, [(0, box, role) for box, role in zip(places, roles, strict=True) if role])
    ]
    found = measured(workspace(tmp_path, ["funsd/q"], rows)).overall.at(0.5)
    assert found.alpha_marked.value == pytest.approx(1 - (2 / 3) / (1 - 42 / 132))
    assert (found.groups, found.alpha_marked.count) == (4, 4)


def test_skipped_and_unfinished_work_has_no_vote(tmp_path: Path) -> None:
    rows = [
        *work("funsd/a", A, marks(LEFT)),
        *work("funsd/a", B, marks(LEFT)),
        *work("funsd/a", C, marks(RIGHT), status="skipped"),
        *work("funsd/b", A, marks(LEFT)),
        *work("funsd/b", B, marks(RIGHT), status=None),
        *work("funsd/c", A, marks(LEFT), status="unfinished"),
    ]
    found = measured(workspace(tmp_path, ["funsd/a", "funsd/b", "funsd/c"], rows))
    assert (found.judged, found.single, found.undone, found.overall.questions) == (3, 1, 1, 1)
    assert found.overall.f1.value == 1
    by_name = {one.annotator: one for one in found.annotators}
    assert (by_name[A].done, by_name[A].unfinished, by_name[A].compared) == (2, 1, 1)
    assert (by_name[C].done, by_name[C].skipped, by_name[C].f1) == (0, 1, None)
    assert [(pair.first, pair.second, pair.questions) for pair in found.pairs] == [(A, B, 1)]


def test_boxes_and_statuses_are_judged_apart(tmp_path: Path) -> None:
    """Who denies evidence has no boxes, whatever prefilled ones were left there."""
    rows = [
        *work("funsd/a", A, marks(LEFT), status="no_evidence"),
        *work("funsd/a", B, marks(RIGHT), status="no_evidence"),
        *work("funsd/b", A, marks(LEFT)),
        *work("funsd/b", B, marks(LEFT), status="unanswerable"),
    ]
    found = measured(workspace(tmp_path, ["funsd/a", "funsd/b"], rows))
    first, second = found.questions
    assert (first.f1, first.status_share, first.dispute) == (None, 1, 0)
    assert (second.f1, second.status_share, second.dispute) == (0, 0, 1)
    assert second.statuses == ("evidence", "unanswerable")
    # no_evidence twice, evidence and unanswerable once: D_o = 1/2, D_e = 10/12.
    assert found.overall.alpha_status.value == pytest.approx(1 - 0.5 / (10 / 12))
    assert found.overall.status_share.value == 0.5
    assert found.overall.f1.count == 1


def test_words_inside_the_boxes(tmp_path: Path) -> None:
    rows = [
        *work("funsd/q", A, [*marks((9.0, 9.0, 31.0, 21.0)), *marks((59.0, 9.0, 91.0, 21.0), role="support")]),
        *work("funsd/q", B, marks((5.0, 5.0, 45.0, 25.0))),
    ]
    ws = workspace(tmp_path, ["funsd/q"], rows)
    line = [("total", (10.0, 10.0, 20.0, 20.0)), ("42", (21.0, 10.0, 30.0, 20.0)), ("eur", (32.0, 10.0, 44.0, 20.0))]
    far = [("name", (60.0, 10.0, 90.0, 20.0))]
    add_words(ws, "funsd/q-p0", [line, far, [("a", (1.0, 60.0, 9.0, 70.0))], [("b", (1.0, 72.0, 9.0, 79.0))]])
    found = measured(ws)
    # A: total 42 name; B: total 42 eur.
    assert found.overall.word_jaccard.value == pytest.approx(2 / 4)
    # Words: total 42 agree, eur and name do not, a and b are nobody's; 5 none, 6 answer, 1 support.
    none, answer, support = 1 + 1 + 4, 5, 1
    expected = 12 * 11 / (12 * 11) - 11 * 4 / (12**2 - none**2 - answer**2 - support**2)
    assert found.overall.alpha_words.value == pytest.approx(expected)
    assert found.overall.alpha_words.count == 6
    # Groups: the first boxes match (IoU 0.33 at 0.3), the second is alone; two lines that nobody touched.
    entry = found.overall.at(0.3)
    assert (entry.groups, entry.alpha_marked.count, entry.alpha.count) == (2, 2, 4)


def test_a_word_in_boxes_of_both_roles_is_the_answer(tmp_path: Path) -> None:
    both = [*marks(LEFT, role="support"), *marks(LEFT)]
    ws = workspace(tmp_path, ["funsd/q"], [*work("funsd/q", A, both), *work("funsd/q", B, marks(LEFT))])
    add_words(ws, "funsd/q-p0", [[("42", LEFT)], [("other", RIGHT)]])
    assert measured(ws).overall.alpha_words.value == 1


def test_a_careless_annotator_has_negative_vitality(tmp_path: Path) -> None:
    good, rows = campaign(30, 3, seed=1)
    rng = random.Random(5)
    for question_id in good:
        x, y = rng.uniform(0, 80), rng.uniform(0, 50)
        rows += work(
            question_id, "label-studio:9", marks((x, y, x + 20, y + 10)), rng.choice(["evidence", "no_evidence"])
        )
    found = measured(workspace(tmp_path, list(good), rows))
    boxes = {one.annotator: one.vitality_boxes for one in found.annotators}
    statuses = {one.annotator: one.vitality_status for one in found.annotators}
    assert boxes["label-studio:9"] is not None
    assert boxes["label-studio:9"] < 0 < min(value for name, value in boxes.items() if name[-1] != "9" and value)
    # Without that one everybody says the same: alpha is undefined, and so is the difference.
    assert statuses["label-studio:9"] is None


def test_untouched_proposals_and_lead_times(tmp_path: Path) -> None:
    regions = work("funsd/q", A, [*marks(LEFT, RIGHT), *marks((1.0, 50.0, 9.0, 60.0))], status=None)
    for row, origin in zip(regions, ("accepted", "moved", "new"), strict=True):
        row["origin"] = origin
    verdict = annotation("funsd/q", A, status="evidence", lead_time_s=12.0, raw=json.dumps({"deleted": ["p3", "p4"]}))
    broken = annotation("funsd/r", A, status="no_evidence", lead_time_s=4.0, raw='{"deleted": [')
    found = measured(workspace(tmp_path, ["funsd/q", "funsd/r"], [*regions, verdict, broken])).annotators[0]
    assert dict(found.origins) == {"accepted": 1, "deleted": 2, "moved": 1, "new": 1}
    assert found.untouched == 1 / 4
    assert (found.lead_time.count, found.lead_time.median, found.lead_time.total) == (2, 8.0, 16.0)
    assert dict(found.statuses) == {"evidence": 1, "no_evidence": 1}


def test_the_most_disputed_come_first(tmp_path: Path) -> None:
    rows = [
        *work("funsd/same", A, marks(LEFT)),
        *work("funsd/same", B, marks(LEFT)),
        *work("funsd/half", A, marks(LEFT, RIGHT)),
        *work("funsd/half", B, marks(LEFT)),
        *work("funsd/near", A, marks(LEFT)),
        *work("funsd/near", B, marks((22.0, 10.0, 42.0, 20.0))),
        *work("funsd/far", A, marks(LEFT)),
        *work("funsd/far", B, marks(RIGHT)),
    ]
    ws = workspace(tmp_path, ["funsd/same", "funsd/half", "funsd/near", "funsd/far"], rows)
    found = measured(ws)
    assert [question.question_id for question in found.disputed] == ["funsd/far", "funsd/near", "funsd/half"]
    assert [question.question_id for question in measured(ws, Settings(disputed=1)).disputed] == ["funsd/far"]


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    rows = [
        *work("funsd/q", A, [*marks(LEFT), *marks(RIGHT, page_index=7)]),
        *work("funsd/q", B, marks(LEFT)),
        *work("other/q", A, marks(LEFT)),
        annotation("funsd/q", C, region_id="r0", page_index=0, x0=5.0, y0=5.0, x1=5.0, y1=9.0, role="answer"),
    ]
    found = measured(workspace(tmp_path, ["funsd/q"], rows))
    assert sorted(problem.code for problem in found.problems) == [
        "bad-region",
        "page-index-out-of-range",
        "unknown-question",
    ]
    assert found.overall.f1.value == 1


def test_only_those_asked_for_are_compared(tmp_path: Path) -> None:
    rows = [row for who, box in ((A, LEFT), (B, LEFT), (C, RIGHT)) for row in work("funsd/q", who, marks(box))]
    ws = workspace(tmp_path, ["funsd/q"], [*rows, *work("funsd/q", "gold:funsd", marks(RIGHT))])
    assert measured(ws, exclude=[C]).overall.f1.value == 1
    assert measured(ws, annotators=["gold:*", C]).overall.f1.value == 1
    with pytest.raises(UsageError, match="no annotation by 'nobody'"):
        measured(ws, annotators=["nobody"])


def test_nothing_to_compare_gives_no_figures(tmp_path: Path) -> None:
    found = measured(workspace(tmp_path, ["funsd/q"], []))
    assert found.overall.questions == 0
    assert found.overall.f1.value is found.overall.at(0.5).alpha.value is None
    assert json.dumps(found.to_json(), allow_nan=False)
    assert "0 questions" in found.text()


@pytest.mark.parametrize("changes", [{"iou": 0.0}, {"iou": float("nan")}, {"sweep": (1.5,)}, {"disputed": -1}])
def test_impossible_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**changes)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    truth, rows = campaign(25, 4, seed=2)
    rng = random.Random(2)
    for row in rows:
        if row["region_id"] is None and rng.random() < 0.15:
            row["status"] = rng.choice(["no_evidence", "skipped", "unanswerable"])
    ws = workspace(tmp_path_factory.mktemp("campaign"), list(truth), rows)
    rng = random.Random(4)
    for number, question_id in enumerate(truth):
        grid = [(x, y) for y in range(2, 76, 9) for x in range(2, 112, 12)]
        words = [(f"w{i}", (float(x), float(y), x + 9.0, y + 6.0)) for i, (x, y) in enumerate(grid)]
        lines = [words[place : place + 10] for place in range(0, len(words), 10)]
        add_words(ws, f"{question_id}-p{rng.randrange(2)}", lines, part=f"funsd-words{number}")
    return ws


def test_figures_are_those_of_the_slow_definitions(simulated: Workspace) -> None:
    settings = Settings(resamples=50)
    judgements = load_judgements(simulated)
    found = measure_agreement(simulated, judgements, settings)
    by_id = {question.question_id: question for question in found.questions}
    checked = 0
    for question_id, works in judgements.by_question.items():
        done = [one for one in works if one.done]
        if len(done) < 2:
            assert question_id not in by_id
            continue
        pairs = [slow_figures(a, b, simulated, question_id) for a, b in combinations(done, 2)]
        assert_close(by_id[question_id], pairs)
        checked += 1
    assert checked > 20
    defined = [question.f1 for question in found.questions if question.f1 is not None]
    assert found.overall.f1.value == pytest.approx(np.mean(defined))
    assert found.overall.f1.low is not None
    assert found.overall.f1.low <= found.overall.f1.value <= (found.overall.f1.high or 0)
    values = [entry.f1.value or 0 for entry in found.overall.sweep]
    assert values == sorted(values, reverse=True)


def slow_figures(a: Judgement, b: Judgement, ws: Workspace, question_id: str) -> dict[str, float]:
    optimize = pytest.importorskip("scipy.optimize")
    first, second = (one.xyxy if one.marks else np.empty((0, 4)) for one in (a, b))
    page_a, page_b = (one.page if one.marks else np.empty(0) for one in (a, b))
    figures = {"status_share": float(a.status == b.status)}
    if not len(first) and not len(second):
        return figures
    weights = iou(first, second) * (page_a[:, None] == page_b)
    close = np.where(weights >= 0.5, weights, 0)
    pairs = optimize.linear_sum_assignment(-close)
    hits = int((close[pairs] > 0).sum())
    figures["f1"] = 2 * hits / (len(first) + len(second))
    if hits:
        figures["matched_iou"] = close[pairs].sum() / hits
    best = weights[optimize.linear_sum_assignment(-weights)].sum()
    figures["pairwise_iou"] = best / max(len(first), len(second))
    areas = [[union_area(boxes[page == p]) for p in (0, 1)] for boxes, page in ((first, page_a), (second, page_b))]
    joint = sum(union_area(np.concatenate([first[page_a == p], second[page_b == p]])) for p in (0, 1))
    figures["union_iou"] = (np.sum(areas) - joint) / joint
    index = WordIndex(ws)
    words: list[set[tuple[int, int]]] = [set(), set()]
    for p in (0, 1):
        page = index.get(f"{question_id}-p{p}")
        for which, (boxes, pages) in enumerate(((first, page_a), (second, page_b))):
            for x0, y0, x1, y1 in boxes[pages == p]:
                for place, word in enumerate(page.xyxy):
                    x, y = (word[0] + word[2]) / 2, (word[1] + word[3]) / 2
                    if x0 <= x < x1 and y0 <= y < y1:
                        words[which].add((p, place))
    if words[0] | words[1]:
        figures["word_jaccard"] = len(words[0] & words[1]) / len(words[0] | words[1])
    return figures


def assert_close(question: QuestionAgreement, pairs: list[dict[str, float]]) -> None:
    for name in ("f1", "pairwise_iou", "matched_iou", "union_iou", "word_jaccard", "status_share"):
        known = [figures[name] for figures in pairs if name in figures]
        assert getattr(question, name) == (pytest.approx(np.mean(known)) if known else None), name


def test_the_order_of_rows_and_parts_means_nothing(simulated: Workspace, tmp_path: Path) -> None:
    before = measured(simulated)
    rows = list(simulated.iter_rows("annotations"))
    random.Random(1).shuffle(rows)
    other = workspace(tmp_path, sorted({row["question_id"] for row in rows}), [])
    for part in simulated.parts("words"):
        write(other, "words", part, list(simulated.iter_rows("words", [part])))
    people = sorted({row["annotator"] for row in rows})
    for place, who in enumerate(reversed(people)):
        write(other, "annotations", f"part-{place}", [row for row in rows if row["annotator"] == who])
    other.remove("annotations", "label-studio.test")
    assert measured(other).to_json(questions=True) == before.to_json(questions=True)
