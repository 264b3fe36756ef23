"""CROP's rectangle: from gold boxes, and from a localiser's file."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.token_grid import even_grid
from tests.training.selectors.evaluated import assert_exact, assert_nested, first_tokens
from tests.training.selectors.samples import given_sample
from tests.training.toy import toy_problem
from training.selectors import checked_select, make_selector
from training.selectors.crop import nearness
from training.selectors.located import outwards


def _sample(*shapes, **options):
    return given_sample([np.zeros((rows * cols, 2)) for rows, cols in shapes], shapes, **options)


def _file(tmp_path, *lines):
    file = tmp_path / "boxes.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return file


def _line(box, page_index=0, question_id="test/1", key="box"):
    return {"question_id": question_id, "page_index": page_index, key: box}


def _crop(tmp_path, *lines, **options):
    return make_selector("crop", {"boxes": _file(tmp_path, *lines), **options})


class TestOutwards:
    @pytest.mark.parametrize(
        ("xyxy", "blocks"),
        [
            ((0, 0, 80, 160), (0, 0, 7, 7)),
            ((10, 20, 20, 40), (1, 1, 1, 1)),  # exactly one block
            ((9.9, 20, 20.1, 40), (0, 1, 2, 1)),  # a little more
            ((79, 159, 80, 160), (7, 7, 7, 7)),
            ((-30, -1, 5, 500), (0, 0, 0, 7)),  # sticks out
            ((90, 170, 95, 190), (7, 7, 7, 7)),  # wholly outside
            ((-9, -9, -5, -5), (0, 0, 0, 0)),
        ],
    )
    def test_by_hand(self, xyxy, blocks):
        assert outwards(xyxy, 80, 160) == blocks

    @given(st.integers(1, 5000), st.integers(0, 7), st.integers(0, 7))
    def test_the_edges_of_blocks_do_not_reach_further(self, side, first, last):
        first, last = sorted((first, last))
        low, high = first * side / 8, (last + 1) * side / 8
        assert outwards((low, low, high, high), side, side) == (first, first, last, last)
        percent = np.array([low, low, high, high]) * 100 / side
        assert outwards(tuple(percent / 100 * side), side, side) == (first, first, last, last)

    @given(st.tuples(*[st.floats(0, 99)] * 2, *[st.floats(1e-3, 99)] * 2))
    def test_holds_the_box(self, box):
        x0, y0, x1, y1 = box[0], box[1], min(box[0] + box[2], 100), min(box[1] + box[3], 100)
        b = outwards((x0, y0, x1, y1), 100, 100)
        assert b[0] * 12.5 <= x0 + 1e-6 and b[1] * 12.5 <= y0 + 1e-6
        assert (b[2] + 1) * 12.5 >= x1 - 1e-6 and (b[3] + 1) * 12.5 >= y1 - 1e-6

    def test_an_edge_up_to_rounding(self):
        assert outwards((np.nextafter(30.0, 0), 0, np.nextafter(50.0, 60), 160), 80, 160) == (3, 0, 4, 7)


class TestNearness:
    def test_left_and_top_edges_are_inside(self):
        # Four tokens a side over eight blocks of 5 pixels: their centres lie on edges of blocks.
        grid = even_grid(4, 4, 40, 40, "test")
        assert np.flatnonzero(nearness(grid, (1, 3, 1, 3)) > 1).tolist() == [4]
        assert not (nearness(grid, (0, 2, 0, 2)) > 1).any()

    def test_by_hand(self):
        # Tokens of 10 pixels, the rectangle from 10 to 20 both ways: 1 + 1 at its centre; 5 pixels, half a token, from
        # its edge 1 / 1.5; from its corner 1 / (1 + sqrt(.5)).
        found = nearness(even_grid(4, 4, 40, 40, "test"), (2, 2, 3, 3)).reshape(4, 4)
        assert found[1, 1] == 2
        assert found[:3, :3].ravel()[[1, 3, 5, 7]] == pytest.approx([1 / 1.5] * 4)
        assert found[[0, 0, 2, 2], [0, 2, 0, 2]] == pytest.approx([1 / (1 + math.sqrt(0.5))] * 4)

    def test_pages_of_several_sizes_compare(self):
        found, large = (nearness(even_grid(6, 4, 40 * k, 60 * k, "test"), (2, 1, 5, 4)) for k in (1, 25))
        assert found.tolist() == large.tolist()

    def test_mirrored_tokens_tie_whatever_the_page_measures(self):
        found = nearness(even_grid(9, 7, 997, 613, "test"), (2, 3, 5, 4)).reshape(9, 7)
        assert (found == found[::-1]).all() and (found == found[:, ::-1]).all()


class TestOracle:
    def test_one_block_by_hand(self):
        # 8 x 8 tokens, so a block is a token. The hull of both boxes is the 2 x 2 blocks from (2, 3).
        sample = _sample((8, 8), evidence=[(0, (22, 31, 28, 34)), (0, (31, 41, 36, 44))])
        order = first_tokens(make_selector("crop-oracle"), sample, 12)
        assert set(order[:4]) == {26, 27, 34, 35}
        # Then the eight tokens beside its edges, before those at its corners.
        assert set(order[4:]) == {18, 19, 25, 28, 33, 36, 42, 43}

    def test_more_inside_than_the_budget_goes_by_the_centre(self):
        sample = _sample((8, 8), evidence=[(0, (0, 0, 30, 10))])
        assert first_tokens(make_selector("crop-oracle"), sample, 1) == [1]

    def test_keeps_all_evidence_that_fits(self):
        sample = _sample((16, 16), evidence=[(0, (33, 47, 55, 52))])
        kept = checked_select(make_selector("crop-oracle"), sample, [2 * 2 * 2 * 2 * 2])[0]
        assert sample.evidence_area()[kept.mask].sum() == pytest.approx(22 * 5)

    def test_one_rectangle_a_page(self):
        sample = _sample((8, 8), (4, 4), (8, 7), evidence=[(0, (1, 1, 9, 9)), (2, (61, 71, 69, 79))])
        kept = checked_select(make_selector("crop-oracle"), sample, [2, 60, sample.n_tokens - 16])
        assert np.flatnonzero(kept[0].mask).tolist() == [0, 64 + 16 + 55]
        assert not kept[2].mask[sample.slices[1]].any()
        assert_nested(kept)

    def test_mirrored_tokens_tie(self):
        # The rectangle is the middle of the row: both neighbours are as far away.
        firsts = {
            first_tokens(make_selector("crop-oracle"), _sample((1, 24), evidence=[(0, (95, 1, 145, 9))], seed=s), 8)[-1]
            for s in range(40)
        }
        assert len(firsts) > 1

    def test_exact_at_every_budget(self):
        sample = _sample((3, 5), (2, 2), evidence=[(1, (3, 3, 9, 9))])
        budgets = range(1, 20)
        kept = checked_select(make_selector("crop-oracle"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)


class TestLocaliser:
    def test_blocks_and_pixels_say_the_same(self, tmp_path):
        oracle = checked_select(
            make_selector("crop-oracle"), _sample((16, 16), evidence=[(0, (33, 47, 55, 52))]), [5, 20, 90]
        )
        for line in (_line([1, 2, 2, 2]), _line([33, 47, 55, 52], key="xyxy")):
            kept = checked_select(_crop(tmp_path, "", line), _sample((16, 16)), [5, 20, 90])
            assert all((a.mask == b.mask).all() for a, b in zip(kept, oracle, strict=True))

    def test_a_line_a_page(self, tmp_path):
        sample = _sample((8, 8), (8, 7))
        kept = checked_select(_crop(tmp_path, _line([0, 0, 0, 0]), _line([7, 7, 7, 7], 1)), sample, [2])[0]
        assert np.flatnonzero(kept.mask).tolist() == [0, 64 + 55]

    def test_a_question_without_a_line_is_ranked_at_random_and_counted(self, tmp_path):
        selector = _crop(tmp_path, _line([0, 0, 0, 0], question_id="test/other"))
        firsts = [first_tokens(selector, _sample((4, 4), seed=seed), 1)[0] for seed in range(100)]
        assert len(set(firsts)) > 12
        [warning] = selector.warnings(*toy_problem(1, questions=3))
        assert warning == "crop: boxes.jsonl has no line for 3 questions, ranked at random"

    def test_or_refused(self, tmp_path):
        selector = _crop(tmp_path, missing="refuse")
        with pytest.raises(TrainingError, match="test/1: has no line for this question"):
            selector.select(_sample((4, 4)), [1])

    def test_a_page_that_is_not_there(self, tmp_path):
        selector = _crop(tmp_path, "", _line([0, 0, 0, 0], 1))
        with pytest.raises(TrainingError, match=r"boxes.jsonl: line 2: page_index 1 is no page of question test/1"):
            selector.select(_sample((4, 4)), [1])

    def test_is_known_by_what_the_file_says(self, tmp_path):
        one = _crop(tmp_path, _line([0, 0, 1, 1])).identity()
        assert _crop(tmp_path, _line([0, 0, 1, 1])).identity() == one != _crop(tmp_path, _line([0, 0, 1, 2])).identity()

    def test_needs_a_file(self, tmp_path):
        with pytest.raises(UsageError, match=r"crop needs the rectangles of a localiser .*option boxes"):
            make_selector("crop")
        with pytest.raises(UsageError, match=r"nowhere\.jsonl: there is no such file"):
            make_selector("crop", {"boxes": tmp_path / "nowhere.jsonl"})
        with pytest.raises(TrainingError, match="cannot be read"):
            make_selector("crop", {"boxes": tmp_path})
        with pytest.raises(UsageError, match="missing must be one of random, refuse, got 'skip'"):
            _crop(tmp_path, missing="skip")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("[1, 2]", "must be an object"),
            (_line([0, 0, 1, 1], question_id=7), "question_id must be text"),
            (_line([0, 0, 1, 1], question_id=""), "question_id must be text"),
            (_line([0, 0, 1, 1], -1), "page_index must be a whole number"),
            (_line([0, 0, 1, 1], True), "page_index must be a whole number"),
            (_line([0, 0, 1, 1], 0.0), "page_index must be a whole number"),
            ({"question_id": "a", "page_index": 0}, "must have either box, in blocks, or xyxy"),
            ({**_line([0, 0, 1, 1]), "xyxy": [0, 0, 1, 1]}, "must have either box, in blocks, or xyxy"),
            (_line([0, 0, 1]), "box must be"),
            (_line([0, 0, 8, 1]), "box must be"),
            (_line([0, 0, 1.5, 1]), "box must be"),
            (_line([3, 0, 2, 1]), "box must be"),
            (_line({"x": 1}), "box must be"),
            (_line([5, 5, 5, 6], key="xyxy"), "xyxy must be"),
            (_line([0, 0, "1", 1], key="xyxy"), "xyxy must be"),
            (_line([0, 0, True, 1], key="xyxy"), "xyxy must be"),
            ('{"question_id": "a", "page_index": 0, "xyxy": [0, 0, NaN, 1]}', "xyxy must be"),
            ('{"question_id": "a", "page_index": 0, "xyxy": [0, 0, 1e999, 1]}', "xyxy must be"),
            (_line([0, 0, 10**400, 1], key="xyxy"), "xyxy must be"),
        ],
    )
    def test_hostile_lines_are_named(self, tmp_path, line, message):
        with pytest.raises(TrainingError, match=rf"boxes\.jsonl: line 2: {message}") as caught:
            _crop(tmp_path, _line([0, 0, 1, 1]), line)
        assert "\n" not in str(caught.value)

    def test_bytes_that_are_no_text(self, tmp_path):
        file = tmp_path / "boxes.jsonl"
        file.write_bytes(b'\xff\xfe{"question_id"')
        with pytest.raises(TrainingError, match="line 1: is no JSON"):
            make_selector("crop", {"boxes": file})

    def test_one_rectangle_a_page(self, tmp_path):
        with pytest.raises(TrainingError, match=r"line 3: .*is on line 1 already"):
            _crop(tmp_path, _line([0, 0, 1, 1]), _line([0, 0, 1, 1], 1), _line([0, 0, 2, 2]))

    def test_a_byte_order_mark_and_other_fields_do_no_harm(self, tmp_path):
        file = tmp_path / "boxes.jsonl"
        file.write_text("\ufeff" + json.dumps({**_line([7, 7, 7, 7]), "score": 0.3}), encoding="utf-8")
        assert first_tokens(make_selector("crop", {"boxes": str(file)}), _sample((8, 8)), 1) == [63]
