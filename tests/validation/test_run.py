"""The run as a whole: reports, exit codes, rules from other packages, the command and the published list of codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinpoint_data.errors import PinpointError, UsageError, WorkspaceError
from pinpoint_data.validation import FunctionRule, Hit, Limits, WorkspaceView, all_rules, validate
from pinpoint_data.validation.findings import SEVERITIES, codes_table
from pinpoint_data.validation.run import BUILT_IN
from pinpoint_data.workspace import Workspace
from tests.conftest import REPO
from tests.validation.build import page, question, region, toy, verdict, workspace

CODES_FILE = REPO / "docs" / "validation-codes.md"
CODES_HEAD = """# Validation codes

What `pinpoint validate` looks for. Codes are stable: a code keeps its meaning from release to release.
Errors and warnings make the exit code 1, info does not. This table is the output of `pinpoint validate --list-codes`.

`pinpoint validate WS --fix` mends what is safe without a look at the page: it clips boxes of which at least three
quarters lie on the page (`box-outside-page`), and drops boxes that stand twice in one part (`box-repeated`). It prints
each change and makes a revision in `WS/files/revisions/<number>`: the parts as they were (`<table>/<part>.parquet`),
one line a changed row (`changes.jsonl`), and the hashes of the parts before and after (`revision.json`). `raw` and
verdicts stay.
`--undo-fix` puts the last revision's parts back, byte for byte; a part that was written anew since is refused.

"""


def pinpoint(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pinpoint_data", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_published_codes_are_those_in_force() -> None:
    text = CODES_HEAD + codes_table(BUILT_IN)
    if os.environ.get("PINPOINT_UPDATE_GOLDEN") == "1":
        CODES_FILE.write_text(text, encoding="utf-8")
    assert CODES_FILE.read_text(encoding="utf-8") == text, "set PINPOINT_UPDATE_GOLDEN=1 to write it anew"


def test_every_rule_is_fully_described() -> None:
    codes = [rule.code for rule in BUILT_IN]
    assert len(set(codes)) == len(codes)
    for rule in BUILT_IN:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.code)
        assert rule.severity in SEVERITIES
        assert all(text.strip() and "\n" not in text for text in (rule.what, rule.why, rule.remedy))


def test_a_report_counts_everything_and_shows_some(tmp_path: Path) -> None:
    bad = [region((0, 0, 2000 + i, 50), region_id=f"r{i}") for i in range(12)]
    report = validate(toy(tmp_path / "ws", [verdict(), *bad]), codes=["box-outside-page", "box-tiny"])
    assert report.by_code() == {"box-outside-page": 12, "box-tiny": 0}
    assert report.by_severity() == {"error": 12, "warning": 0, "info": 0}
    assert report.looked_at == {"questions": 1, "pages": 1, "boxes": 12, "verdicts": 1}
    text = report.text(shown=3)
    assert text.startswith("looked at 1 questions, 1 pages, 12 boxes, 1 verdicts\n")
    assert text.count("reaches") == 3
    assert "... and 9 more" in text
    assert text.endswith("findings: 12 error, 0 warning, 0 info")
    assert len(report.to_json()["findings"]) == 12


def test_hostile_ids_cannot_break_out_of_their_line(tmp_path: Path) -> None:
    name = "toy/\x1b[31mq\nINFO all good"
    made = toy(tmp_path / "ws", [verdict(name), region((0, 0, 2000, 9), name)], questions=[question(name)])
    text = validate(made, codes=["box-outside-page"]).text()
    assert "\x1b" not in text
    assert [line.startswith("  annotations: ") for line in text.splitlines()].count(True) == 1


@pytest.mark.parametrize(
    ("annotations", "code"),
    [([verdict(), region((1, 1, 50, 50))], 0), ([verdict(), region((1, 1, 50.5, 2))], 1), ([verdict()], 1)],
)
def test_exit_code(tmp_path: Path, annotations: list[dict[str, object]], code: int) -> None:
    assert validate(toy(tmp_path / "ws", annotations)).exit_code == code


def test_misuse_is_named(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    with pytest.raises(UsageError, match="box-outside, tiny; known are box-outside-page"):
        validate(made, codes=["tiny", "box-outside", "box-tiny"])
    with pytest.raises(UsageError, match="no source 'toi'"):
        validate(made, source="toi")


def test_a_damaged_table_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    file = made.part_path("annotations", "toy-train")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match=r"toy-train\.parquet: the table is damaged"):
        validate(made)


def shouted(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for question_id in view.questions["question_id"].to_pylist():
        if question_id.isupper():
            yield Hit(table="questions", message="is shouted", question_id=question_id)


SHOUTED = FunctionRule(
    code="shouted-id", severity="warning", what="an id in capitals", why="Rude.", remedy="lower it", function=shouted
)


def test_rules_of_ones_own_in_python(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", [], questions=[question("TOY/Q"), question("toy/r")])
    report = validate(made, rules=[*BUILT_IN, SHOUTED], codes=["shouted-id"])
    assert [(f.code, f.severity, f.question_id, f.remedy) for f in report.findings] == [
        ("shouted-id", "warning", "TOY/Q", "lower it")
    ]


def install(folder: Path, target: str, source: str) -> None:
    """A package with one entry point of the group, as pip would leave it."""
    info = folder / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[pinpoint.rules]\nplug = {target}\n", encoding="utf-8")
    (folder / "plug_rules_of_a_test.py").write_text(source, encoding="utf-8")


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("plug_rules_of_a_test", None)


def test_another_package_brings_rules(tmp_path: Path, plugged: Path) -> None:
    source = (
        "from pinpoint_data.validation import FunctionRule, Hit\n"
        "def many(view, limits):\n"
        "    yield Hit(table='questions', message=f'{view.questions.num_rows} rows')\n"
        "RULES = [FunctionRule(code=c, severity='info', what='w', why='y', remedy='r', function=many)\n"
        "         for c in ('plug-one', 'plug-two')]\n"
    )
    install(plugged, "plug_rules_of_a_test:RULES", source)
    assert [rule.code for rule in all_rules()[len(BUILT_IN) :]] == ["plug-one", "plug-two"]
    [found] = validate(toy(tmp_path / "ws"), codes=["plug-two"]).findings
    assert (found.code, found.message) == ("plug-two", "1 rows")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("plug_rules_of_a_test:RULES", "cannot be loaded"),
        ("no_such_module_of_a_test:RULES", "cannot be loaded"),
        ("plug_rules_of_a_test:NUMBER", "is no rule: lacks code, severity"),
        ("plug_rules_of_a_test:TAKEN", "code 'box-tiny' is taken"),
        ("plug_rules_of_a_test:LOUD", "is no rule: lacks a known severity"),
    ],
)
def test_a_bad_plugin_is_named(plugged: Path, target: str, message: str) -> None:
    source = (
        "from pinpoint_data.validation.run import BUILT_IN\n"
        "from dataclasses import replace\n"
        "NUMBER = 3\n"
        "TAKEN = next(r for r in BUILT_IN if r.code == 'box-tiny')\n"
        "LOUD = replace(TAKEN, code='loud', severity='fatal')\n"
    )
    install(plugged, target, source)
    with pytest.raises(PinpointError, match=re.escape(message)) as caught:
        all_rules()
    assert target in str(caught.value)


def test_the_command_in_text_and_json(tmp_path: Path) -> None:
    toy(tmp_path / "ws", [verdict(), region((10, 10, 1312, 90)), region((5, 5, 2, 2), region_id="r1")])
    text = pinpoint("validate", tmp_path / "ws")
    assert (text.returncode, text.stderr) == (1, "")
    assert "error  box-outside-page  1: part of the box lies beyond the page" in text.stdout
    machine = pinpoint("validate", tmp_path / "ws", "--json", "--code", "box-outside-page", "--code", "box-tiny")
    assert machine.returncode == 1
    found = json.loads(machine.stdout)
    assert found["codes"] == {"box-outside-page": 1, "box-tiny": 0}
    [finding] = found["findings"]
    assert finding == {
        "code": "box-outside-page",
        "severity": "error",
        "table": "annotations",
        "part": "toy-train",
        "message": "reaches 312 px beyond the right edge (box (10, 10, 1312, 90), page 1000 x 800)",
        "question_id": "toy/q0",
        "annotator": "gold:toy",
        "region_id": "r0",
        "page_index": 0,
        "page_id": None,
        "remedy": "compare the image with the one that was annotated: rescale, or clip slips of the mouse with --fix",
    }
    tolerant = pinpoint("validate", tmp_path / "ws", "--code", "box-outside-page", "--tolerance", "312")
    assert (tolerant.returncode, tolerant.stderr) == (0, "")
    assert "nothing found" in tolerant.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--code", "nope"), ("--source", "nope"), ("--tolerance", "-1"), ("--tolerance", "much"), ("--nope",), ("x", "y")],
)
def test_misuse_of_the_command_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    toy(tmp_path / "ws")
    done = pinpoint("validate", tmp_path / "ws", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_what_is_no_workspace_is_one_line(tmp_path: Path) -> None:
    done = pinpoint("validate", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"pinpoint: \S+: is not a workspace \(.*\)\n", done.stderr)


def test_the_command_lists_its_codes() -> None:
    done = pinpoint("validate", "--list-codes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == codes_table(BUILT_IN)


def test_validation_only_reads(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws")
    before = {p: p.stat().st_mtime_ns for p in made.path.rglob("*")}
    with made.lock("another command"):
        validate(Workspace.open(made.path))
    after = {p: p.stat().st_mtime_ns for p in made.path.rglob("*") if not p.name.startswith(".lock")}
    assert {p: t for p, t in after.items() if p.is_file()} == {p: t for p, t in before.items() if p.is_file()}


def test_free_text_is_not_loaded(tmp_path: Path) -> None:
    """`raw` and `extra` may be gigabytes; a view holds none of it."""
    made = workspace(
        tmp_path / "ws",
        {
            "pages": {"toy-train": [page()]},
            "questions": {"toy-train": [question(extra="x" * 1_000_000)]},
            "annotations": {"toy-train": [verdict(raw="y" * 1_000_000), region((1, 1, 9, 9), raw="z" * 1_000_000)]},
        },
    )
    view = WorkspaceView(made)
    assert view.questions.nbytes < 10_000
