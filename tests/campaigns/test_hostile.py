"""The hostile campaign in short: some cases of every kind, bombs of every sort, and what the campaign rests on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.campaigns.hostile.cases import prepare
from tests.campaigns.hostile.forks import Done
from tests.campaigns.hostile.kinds import KINDS
from tests.campaigns.hostile.verdicts import disk_fault, fault_of, state
from tests.conftest import REPO

SHORT = ("infovqa", "mmdocir", "records", "image", "pdf", "ocr file", "export", "workspace table", "table to report")

needs_fork = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


@needs_fork
def test_some_cases_of_many_kinds(tmp_path: Path) -> None:
    chosen = [part for name in SHORT for part in ("--only", name)]
    command = [sys.executable, "-m", "tests.campaigns.hostile", str(tmp_path / "out"), "--cases", "105", *chosen]
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(SHORT) + 1 and all(row.split("|")[7].strip() == "0" for row in rows)


class TestCase:
    @pytest.fixture
    def case(self, tmp_path: Path):
        base = tmp_path / "base"
        base.mkdir()
        kind = KINDS["records"]
        kind.base(base)
        return prepare(kind, base, tmp_path / "case", 0, 1)

    def test_is_the_same_each_time(self, tmp_path: Path) -> None:
        kind, base = KINDS["records"], tmp_path / "base"
        base.mkdir()
        kind.base(base)
        made = []
        for place in ("a", "b"):
            prepare(kind, base, tmp_path / place, 7, 3)
            made.append(state(tmp_path / place))
        prepare(kind, base, tmp_path / "c", 7, 4)
        assert made[0] == made[1] != state(tmp_path / "c")

    @pytest.mark.parametrize(
        ("code", "stdout", "stderr", "fault"),
        [
            (0, "{}", "", None),
            (2, "", "Usage: pinpoint ...\nError: no such file\n", None),
            (1, "", "pinpoint: root/questions.jsonl: is damaged\n", None),
            (70, "", "", "exit code 70"),
            (None, "", "", "ended by signal 11"),
            (1, "", "", "failed without a word"),
            (1, "", "Traceback (most recent call last):\nKeyError\n", "Traceback"),
            (1, "", "pinpoint: internal error: KeyError: 'a'\n", "internal error"),
            (1, "", "pinpoint: is damaged\n", "names no file"),
            (0, "\x1b[31m{}", "", "control character"),
            (0, '{"a": NaN}', "", "printed no JSON"),
            (0, "{}", "5d1f7c", "outside its folder"),
            (0, "{}", "UserWarning: odd\n", "Warning"),
        ],
    )
    def test_faults_of_a_command_are_seen(
        self, case, code: int | None, stdout: str, stderr: str, fault: str | None
    ) -> None:
        done = Done(("validate", "--json"), code, 11 if code is None else 0, stdout.encode(), stderr.encode(), 0.1, 0)
        found = fault_of(case, done)
        assert (found is None) if fault is None else (fault in (found or ""))

    def test_faults_on_the_disk_are_seen(self, case) -> None:
        outside = case.folder.parent / "outside"
        before = state(outside)
        assert disk_fault(case, before) is None
        (case.folder / "loose").touch()
        (case.folder / "loose").chmod(0o666)
        assert "by others" in str(disk_fault(case, before))
        (case.folder / "loose").unlink()
        (case.folder / "copy").write_bytes((outside / "secret.json").read_bytes())
        assert "stands outside" in str(disk_fault(case, before))
        (case.folder / "copy").unlink()
        (case.folder.parent / "new").touch()
        assert "beside its folder" in str(disk_fault(case, before))
        (case.folder.parent / "new").unlink()
        (outside / "page.png").unlink()
        assert "changed what stands outside" in str(disk_fault(case, before))

    def test_records_that_are_lost_are_seen(self, case) -> None:
        (case.folder / "root" / "questions.jsonl").write_text('{"question_id": 1}\n{"question_id": 2}\n')
        lost = b'{"counts": {"questions": 1}, "problems_total": 0}'
        done = Done(tuple(case.commands()[0]), 0, 0, lost, b"", 0.1, 0)
        assert "2 lines, the summary has 1" in str(fault_of(case, done))


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_never_fail(kind: str, tmp_path: Path) -> None:
    """A mutation is a function of bytes; whatever it makes of a small file, it makes something."""
    samples = {
        "mutate_json": b'{"data": [{"a": [1, 2.5, "x", null, true, {"b": []}]}]}',
        "mutate_lines": b'{"a": 1}\n{"b": ["x"]}\n',
        "mutate_text": b"a,b\n1,2\n[c]\nd = 1\n",
        "mutate_bytes": bytes(range(256)),
    }
    for mutate in set(KINDS[kind].targets.values()):
        sample = samples.get(mutate.__name__)
        for seed in range(40 if sample else 0):
            assert isinstance(mutate(Random(seed), sample or b""), bytes)
