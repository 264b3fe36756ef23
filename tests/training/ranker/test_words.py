"""Words on the grid: boxes in tokens, runs, kinds, and what is indexed, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.strategies import boxes, quick
from tests.training.ranker.build import page_map, read
from tests.training.views import square_grid, words_of
from training.ranker.words import KINDS, place_words

GRID = square_grid(10, 10)


def placed(*words):
    return place_words(GRID, words_of(words))


def naive_runs(xyxy: np.ndarray) -> list[list[int]]:
    """Runs of words: one word after the other."""
    runs: list[list[int]] = []
    for index, (x0, y0, _, y1) in enumerate(xyxy):
        joins = False
        if runs:
            _, above, right, below = xyxy[index - 1]
            heights = sorted((below - above, y1 - y0))
            joins = (
                min(below, y1) - max(above, y0) > heights[0] / 2 and -0.6 * heights[1] < x0 - right < 1.0 * heights[1]
            )
        if joins:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


class TestRuns:
    @quick
    @given(boxes(high=8), st.booleans())
    def test_match_a_loop(self, xyxy, in_line):
        if in_line:  # most random boxes are far apart
            xyxy[:, 0], xyxy[:, 2] = np.arange(len(xyxy)) * 9.0, np.arange(len(xyxy)) * 9.0 + 7
        words = placed(*(("a", tuple(box)) for box in xyxy))
        runs = naive_runs(xyxy / 10)
        assert words.n_runs == len(runs)
        assert words.run.tolist() == [number for number, run in enumerate(runs) for _ in run]
        assert words.run_starts.tolist() == [run[0] for run in runs]
        assert words.run_lengths.tolist() == [len(run) for run in runs]
        for run, box in zip(runs, words.run_boxes, strict=True):
            own = xyxy[run] / 10
            assert box == pytest.approx([*own[:, :2].min(0), *own[:, 2:].max(0)])

    def test_a_line_a_column_apart_and_the_next_line(self):
        row = [("a", (0, 0, 20, 10)), ("b", (25, 1, 40, 11)), ("c", (60, 0, 70, 10)), ("d", (0, 12, 10, 22))]
        assert placed(*row).run.tolist() == [0, 0, 1, 2]

    @pytest.mark.parametrize(
        ("box", "joins"),
        [
            ((29.5, 0, 40, 10), True),
            ((30.5, 0, 40, 10), False),
            ((14.5, 0, 40, 10), True),
            ((13.5, 0, 40, 10), False),
            ((22, 4.5, 40, 14.5), True),
            ((22, 5.5, 40, 15.5), False),
            ((38, 0, 40, 20), True),  # a gap is measured in the taller of both
        ],
    )
    def test_how_near_is_near(self, box, joins):
        assert placed(("a", (0, 0, 20, 10)), ("b", box)).n_runs == 2 - joins

    def test_a_word_that_goes_back_begins_a_run(self):
        assert placed(("a", (50, 0, 70, 10)), ("b", (0, 0, 20, 10))).run.tolist() == [0, 1]


def test_no_words():
    words = placed()
    assert words.n_runs == 0 and words.boxes.shape == (0, 4) and words.kinds.shape == (0, len(KINDS))
    assert words.run_stems.shape == words.run_lengths.shape == (0,) and not words.words_of and not words.initials
    page = read()
    assert (page.run == -1).all() and not page_map(page, "covered").any() and not page_map(page, "run-words").any()


def test_words_off_the_page_are_on_no_token():
    page = read([("Total", (-5, -5, -1, -2)), ("42", (20, 3, 25, 4))])
    assert (page.run == -1).all() and not page_map(page, "covered").any()
    assert np.isfinite(page.features).all()


def test_boxes_are_in_tokens_across_and_down():
    grid = square_grid(4, 8, 20)
    words = place_words(grid, words_of([("a", (20, 40, 60, 50)), ("b", (100, 60, 110, 80))]))
    assert words.boxes.tolist() == [[1, 2, 3, 2.5], [5, 3, 5.5, 4]]
    assert words.height == 0.75


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("42", {"digits"}),
        ("12%", {"digits", "percent"}),
        ("(2019),", {"digits", "year"}),
        ("3019", {"digits"}),
        ("$5", {"digits", "currency"}),
        ("Total:", {"capital", "colon"}),
        ("total", set()),
        ("Élan", {"capital"}),
    ],
)
def test_kinds(text, kinds):
    found = placed((text, (0, 0, 10, 10))).kinds[0]
    assert {name for name, is_so in zip(KINDS, found, strict=True) if is_so} == kinds


def test_what_is_indexed_by_stem():
    # Two runs: "net sales net" and "sales".
    words = placed(
        ("Net", (0, 0, 10, 10)), ("sales net", (12, 0, 30, 10)), ("Sales", (0, 30, 10, 40)), ("-", (12, 30, 14, 40))
    )
    assert words.words_of == {"net": [0, 1], "sale": [1, 2]}
    assert words.pairs_of == {("net", "sale"): [0, 1], ("sale", "net"): [0]}
    assert words.initials == {"s": ["sale"]}
    assert words.run_stems.tolist() == [2, 1]


class TestOnTokens:
    def test_cover_and_kinds_of_a_token_by_hand(self):
        # A word over the left half of token (2, 3) and all of (2, 2); another, of digits, over a quarter of (2, 3).
        page = read([("Total:", (2, 2, 3.5, 3)), ("42", (3.5, 2, 4, 2.5))])
        covered = page_map(page, "covered")
        assert covered[2, 2] == 1 and covered[2, 3] == pytest.approx(0.75)
        assert covered.sum() == pytest.approx(1.75)
        assert page_map(page, "colon")[2, 3] == pytest.approx(0.5)
        assert page_map(page, "digits")[2].tolist()[2:4] == pytest.approx([0, 0.25])

    def test_words_one_over_the_other_cover_a_token_once(self):
        assert page_map(read([("a", (1, 1, 2, 2))] * 3), "covered")[1, 1] == 1

    def test_large_letters_stand_out_among_small_ones(self):
        small = [("a", (x, 6, x + 1, 7)) for x in range(0, 12, 2)]
        page = read([*small, ("Title", (0, 0, 4, 2))])
        assert page_map(page, "letter-height")[1, 2] == pytest.approx(np.log(2))
        assert page_map(page, "large-letters")[0, 1] == 1 and not page_map(page, "large-letters")[6].any()

    def test_the_run_of_a_token_is_that_of_the_word_that_covers_most(self):
        page = read([("a", (1, 1, 2, 1.3)), ("b", (1, 1.4, 2, 2))])
        assert page.run.reshape(10, 14)[1, 1] == 1 and (page.run >= 0).sum() == 1

    def test_what_is_told_of_a_run(self):
        page = read([("a", (2, 2, 4, 3)), ("b", (4.5, 2, 9, 3))])
        for name, value in (("run-words", 2), ("run-width", 7 / 14), ("run-x", 2 / 14)):
            assert page_map(page, name)[2, 5] == pytest.approx(value)
            assert page_map(page, name)[4, 5] == 0
