"""The log that a benchmark is resumed from: torn, hostile, locked, on a full disk."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError, WorkspaceError
from tests.domain.strategies import quick
from training.benchmark.log import BenchmarkLog, Row
from training.json_log import json_digest

ROW = Row(
    {"evidence_recall@0.10": 1 / 3, "full_coverage_budget": 0.1 + 0.2},
    np.array([[0.1, 2 / 3], [np.nan, np.nan]]),
    {"choice": 1e-9, "encode": 5e-324},
    {"choice": 1e30},
    0.25,
    "cpu (x86)",
)


def _append(file, *keys):
    with BenchmarkLog(file) as log:
        for key in keys:
            log.append(key, "forms/a", "random", ROW)


def _same(one: Row, other: Row) -> bool:
    """To the last bit."""
    return json.dumps(one.to_json()) == json.dumps(other.to_json()) and (
        one.box_recall.tobytes() == other.box_recall.tobytes()
    )


@contextmanager
def _full_after(size):
    """Nothing is written beyond this size of a file, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestRows:
    def test_what_comes_back_is_the_same_to_the_last_bit(self, tmp_path):
        file = tmp_path / "deep" / "samples.jsonl"
        _append(file, "a")
        with BenchmarkLog(file) as log:
            assert _same(log.get("a", (2, 2)), ROW)
            assert list(log.get("a", (2, 2)).scores) == list(ROW.scores)
            assert (log.get("b", (2, 2)), log.unreadable) == (None, 0)

    @quick
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
    def test_any_number_comes_back(self, numbers):
        row = Row({"a": numbers[0]}, np.array([numbers[1:3]]), {"b": numbers[3]}, {}, 0.0, "x")
        assert _same(Row.of_json(json.loads(json.dumps(row.to_json())), (1, 2)), row)

    def test_the_last_line_of_a_key_counts(self, tmp_path):
        file = tmp_path / "samples.jsonl"
        with BenchmarkLog(file) as log:
            log.append("a", "q", "s", ROW)
            log.append("a", "q", "s", Row({}, np.zeros((2, 2)), {}, {}, 0.0, "later"))
            assert log.get("a", (2, 2)).device == "later"
        with BenchmarkLog(file) as log:
            assert log.get("a", (2, 2)).device == "later"

    def test_what_was_there_before(self, tmp_path):
        file = tmp_path / "samples.jsonl"
        _append(file, "a")
        with BenchmarkLog(file) as log:
            log.append("b", "q", "s", ROW)
            assert [log.was_there(key) for key in "abc"] == [True, False, False]
            assert [key in log for key in "abc"] == [True, True, False]
            log.append("a", "q", "s", ROW)
            assert not log.was_there("a")

    @pytest.mark.parametrize(
        "change",
        [
            {"scores": {"a": float("nan")}},
            {"scores": {"a": float("inf")}},
            {"scores": {"a": True}},
            {"scores": {"a": "0.5"}},
            {"scores": {"a": 10**400}},
            {"scores": [0.5]},
            {"seconds": None},
            {"flops": {"choice": [1]}},
            {"clipped": None},
            {"box_recall": [[0.1, 0.2]]},
            {"box_recall": [[0.1, 0.2], [0.3]]},
            {"box_recall": [[0.1, 0.2], [0.3, False]]},
            {"box_recall": "ab"},
            {"box_recall": 7},
        ],
    )
    def test_hostile_numbers(self, tmp_path, change):
        file = tmp_path / "samples.jsonl"
        file.write_text(json.dumps({"key": "a", **ROW.to_json(), **change}) + "\n")
        _append(file, "b")
        with BenchmarkLog(file) as log:
            assert log.get("a", (2, 2)) is None
            assert log.get("a", (2, 2)) is None
            assert (log.unreadable, "a" in log) == (1, False)
            assert _same(log.get("b", (2, 2)), ROW)

    def test_a_row_of_other_boxes_or_budgets(self, tmp_path):
        file = tmp_path / "samples.jsonl"
        _append(file, "a")
        for shape in ((1, 2), (2, 3), (3, 2), (0, 2)):
            with BenchmarkLog(file) as log:
                assert log.get("a", shape) is None


class TestFile:
    @pytest.mark.parametrize("kept", [1, 5, 12, 100, 250, -1])
    def test_a_torn_last_line_is_cut_off_and_what_follows_is_whole(self, tmp_path, kept):
        file = tmp_path / "samples.jsonl"
        _append(file, "a", "b")
        one, two = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(one + two[:kept])
        _append(file, "c")
        with BenchmarkLog(file) as log:
            assert [log.get(key, (2, 2)) is not None for key in "abc"] == [True, False, True]
            assert log.unreadable == 0
        assert all(json.loads(line) for line in file.read_text().splitlines())

    def test_broken_lines_in_the_middle_are_counted(self, tmp_path):
        file = tmp_path / "samples.jsonl"
        _append(file, "a", "b", "c")
        one, two, three = file.read_bytes().splitlines(keepends=True)
        other = [b"\n", b"[]\n", b"\xff\xfe\n", b'{"key": 7}\n', b"[" * 100_000 + b"\n", b'{"keys": "a"}\n']
        file.write_bytes(b"".join([one, *other, two[:90] + b"\n", b'{"key": "x"' + b"[" * 100_000 + b"\n", three]))
        with BenchmarkLog(file) as log:
            assert log.unreadable == len(other)
            assert [log.get(key, (2, 2)) is not None for key in "abxc"] == [True, False, False, True]
            assert log.unreadable == len(other) + 2

    def test_two_do_not_write_one_file(self, tmp_path):
        file = tmp_path / "samples.jsonl"
        with BenchmarkLog(file), pytest.raises(UsageError, match=r"samples\.jsonl: is being written by another"):
            BenchmarkLog(file)
        _append(file, "a")
        assert [path.name for path in tmp_path.iterdir()] == ["samples.jsonl"]

    @pytest.mark.parametrize("room", [0, 1, 100])
    def test_a_full_disk_loses_nothing(self, tmp_path, room):
        file = tmp_path / "samples.jsonl"
        _append(file, "a")
        whole = file.read_bytes()
        with BenchmarkLog(file) as log:
            with _full_after(len(whole) + room), pytest.raises(WorkspaceError, match="cannot be written: File too"):
                log.append("b", "q", "s", ROW)
            assert file.read_bytes() == whole
            assert "b" not in log
            # Room was made.
            log.append("c", "q", "s", ROW)
            assert _same(log.get("c", (2, 2)), ROW)
        with BenchmarkLog(file) as log:
            assert ["a" in log, "b" in log, "c" in log, log.unreadable] == [True, False, True, 0]


def test_digests_tell_apart():
    assert json_digest({"a": 1, "b": [2]}) == json_digest({"b": [2], "a": 1})
    assert len({json_digest(value) for value in (1, "1", [1], 1.5, None, {"1": 1}, "\udce9")}) == 7
