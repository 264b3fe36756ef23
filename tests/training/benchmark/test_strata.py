"""Who is in which stratum, by hand and as a partition."""

from __future__ import annotations

import numpy as np

from tests.training.benchmark.measured import measured, sample
from training.benchmark.data import BoxTable
from training.benchmark.strata import box_strata, question_strata, role_strata


def _box(share: float, centre: float, role: str = "answer") -> tuple[int, tuple[float, ...], str]:
    """A box of the whole width of 1000, high enough for its share of the page, around a height."""
    return 0, (0.0, (centre - share / 2) * 1000, 1000.0, (centre + share / 2) * 1000), role


def test_boxes_by_hand() -> None:
    boxes = [_box(0.0005, 0.1), _box(0.002, 0.2), _box(0.005, 0.5), _box(0.02, 0.79, "support"), _box(0.5, 0.5)]
    found = box_strata(BoxTable.of([sample(0, "d", boxes)]))
    sizes = {name: np.flatnonzero(mask).tolist() for name, mask in found["box_size"].items()}
    assert sizes == {"<0.1 %": [0], "0.1-0.3 %": [1], "0.3-1 %": [2], "1-5 %": [3], ">=5 %": [4]}
    places = {name: np.flatnonzero(mask).tolist() for name, mask in found["position"].items()}
    assert places == {"0-20 %": [0], "20-40 %": [1], "40-60 %": [2, 4], "60-80 %": [3]}
    roles = role_strata(BoxTable.of([sample(0, "d", boxes)]))
    assert {role: np.flatnonzero(mask).tolist() for role, mask in roles.items()} == {
        "answer": [0, 1, 2, 4],
        "support": [3],
    }


def test_questions_by_hand() -> None:
    box = _box(0.01, 0.5)
    samples = [
        sample(index, f"d{index}", [box] * count, pages, source)
        for index, (count, pages, source) in enumerate(
            [(1, 1, "b"), (2, 2, "a"), (3, 1, "a"), (5, 9, "b"), (6, 1, "b")]
        )
    ]
    found = question_strata(samples, BoxTable.of(samples))
    named = {d: {name: np.flatnonzero(m).tolist() for name, m in masks.items()} for d, masks in found.items()}
    assert named == {
        "boxes": {"1": [0], "2": [1], "3 to 5": [2, 3], "6 or more": [4]},
        "pages": {"single": [0, 2, 4], "several": [1, 3]},
        "source": {"a": [1, 2], "b": [0, 3, 4]},
    }


def test_every_question_and_box_is_in_one_stratum_of_a_dimension() -> None:
    data = measured(60)
    for masks in (*question_strata(data.samples, data.boxes).values(), *box_strata(data.boxes).values()):
        assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
        assert all(mask.any() for mask in masks.values())


def test_nothing_has_no_strata() -> None:
    assert question_strata([], BoxTable.of([])) == {"boxes": {}, "pages": {}, "source": {}}
    assert box_strata(BoxTable.of([])) == {"box_size": {}, "position": {}}
    assert role_strata(BoxTable.of([])) == {}
