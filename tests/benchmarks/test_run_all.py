"""One command runs every benchmark with an alternative and gathers what they found in one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import run_all
from benchmarks.ratios import Ratio
from benchmarks.run_all import BENCHES, Bench


def of_script(folder: Path, name: str, code: str) -> Bench:
    file = folder / f"{name}.py"
    file.write_text(code)
    return Bench(name, str(file))


def gather(monkeypatch: pytest.MonkeyPatch, out: Path, benches: tuple[Bench, ...], *options: str) -> int:
    monkeypatch.setattr(run_all, "BENCHES", benches)
    with pytest.raises(SystemExit) as ended:
        run_all.main([str(out), *options])
    return int(ended.value.code or 0)


HANDS_OVER = """
from pathlib import Path
from benchmarks.ratios import Ratio, hand_over
turn = Path({turns!r}); number = len(turn.read_text()) if turn.exists() else 0; turn.write_text("x" * (number + 1))
hand_over([Ratio("a page", "seconds", [2.0, 1.0, 4.0][number], "theirs", 8.0)])
"""


def test_every_script_that_hands_ratios_over_is_in_the_list() -> None:
    scripts = {file.name for file in run_all.HERE.glob("*.py") if "hand_over" in file.read_text(encoding="utf-8")}
    listed = {bench.command.split()[0] for bench in BENCHES}
    assert scripts - {"ratios.py", "run_all.py"} == {name for name in listed if name != "-m"}
    assert len({bench.name for bench in BENCHES}) == len(BENCHES)


def test_medians_over_the_runs_with_the_alternative_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = of_script(tmp_path, "fast", HANDS_OVER.format(turns=str(tmp_path / "turns")))
    assert gather(monkeypatch, tmp_path / "out", (bench,), "--runs", "3") == 0
    [row] = json.loads((tmp_path / "out" / "bench.json").read_text())["ratios"]
    assert (row["ours"], row["theirs"], row["times_better"]) == (2.0, 8.0, 4.0)
    assert (row["least"], row["largest"], row["runs"]) == (2.0, 8.0, 3)
    shown = (tmp_path / "out" / "bench.md").read_text()
    assert "| fast | a page | seconds | 2 | theirs | 8 | 4 | 2 to 8 | 3 |" in shown
    assert shown in capsys.readouterr().out


def test_what_is_done_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = of_script(tmp_path, "fast", HANDS_OVER.format(turns=str(tmp_path / "turns")))
    assert gather(monkeypatch, tmp_path / "out", (bench,), "--runs", "1") == 0
    assert gather(monkeypatch, tmp_path / "out", (bench,), "--runs", "2") == 0
    assert (tmp_path / "turns").read_text() == "xx"


def test_one_that_fails_is_named_with_its_log_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = str(tmp_path / "turns")
    benches = (
        of_script(tmp_path, "broken", "import sys; print('no such page'); sys.exit(3)"),
        of_script(tmp_path, "silent", ""),
        of_script(tmp_path, "fast", HANDS_OVER.format(turns=turns)),
        Bench("pages", "real_pages.py {data}"),
    )
    assert gather(monkeypatch, tmp_path / "out", benches, "--runs", "2") == 1
    found = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [row["bench"] for row in found["ratios"]] == ["fast"]
    assert found["not_run"]["broken"].startswith("ended with exit code 3, see ")
    assert "no such page" in Path(found["not_run"]["broken"].split("see ")[1]).read_text()
    assert found["not_run"]["silent"].startswith("handed over no ratio")
    assert found["not_run"]["pages"] == "needs --data, a folder of real pages"
    assert "`broken` was not run: ended with exit code 3" in (tmp_path / "out" / "bench.md").read_text()


def test_more_is_better_where_the_quantity_says_so() -> None:
    assert Ratio("recall", "recall", 0.9, "theirs", 0.3, less_is_better=False).times_better == pytest.approx(3)
    assert Ratio("a page", "seconds", 0.9, "theirs", 0.3).times_better == pytest.approx(1 / 3)


def test_an_alternative_that_reaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "from benchmarks.ratios import Ratio, hand_over\n"
        "hand_over([Ratio('a', 'recall', own, 'theirs', 0.0, False) for own in (0.5,)])\n"
        "hand_over([Ratio('b', 'recall', 0.0, 'theirs', 0.0, False)])"
    )
    assert gather(monkeypatch, tmp_path / "out", (of_script(tmp_path, "zero", code),), "--runs", "1") == 0
    found = json.loads((tmp_path / "out" / "bench.json").read_text())["ratios"]
    assert [(row["ours"], row["times_better"]) for row in found] == [(0.5, None), (0.0, None)]
    assert "| zero | a | recall | 0.5 | theirs | 0 |  |  | 1 |" in capsys.readouterr().out


def test_a_short_run_of_a_real_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run_all.main([str(tmp_path / "out"), "--only", "startup", "--runs", "1"])
    assert not ended.value.code
    found = json.loads((tmp_path / "out" / "bench.json").read_text())
    [row] = found["ratios"]
    assert row["bench"] == "startup" and row["ours"] > row["theirs"] > 0  # it does import click, and more
    assert {"ranker-table", "real-pages"} == found["not_run"].keys()
