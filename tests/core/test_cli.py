"""The command `pinpoint` from outside: help without heavy imports, exit codes, one line for every failure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pinpoint_data import __version__
from pinpoint_data.cli import SUMMARIES
from tests.conftest import REPO
from tests.validation.build import toy

HEAVY = {"torch", "transformers", "datasets", "pandas", "numpy", "pyarrow", "PIL", "shapely", "rapidocr", "pypdfium2"}

PLUGIN = '''
import os, signal, sys, time
import click
from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import PinpointError, UsageError

@click.command()
@click.argument("what")
@click.pass_context
def act(ctx, what):
    """Do WHAT a test asks for."""
    if what == "ours":
        raise PinpointError("is broken", file="a.json", record="q7", remedy="mend it")
    if what == "usage":
        raise UsageError("makes no sense")
    if what == "os":
        open("/no/such/file")
    if what == "bug":
        raise AssertionError("two\\nlines \\x1b[31m")
    if what == "noted":
        error = IndexError("out of range")
        error.add_note("selector 'theirs', question q7")
        raise error
    if what == "findings":
        ctx.exit(1)
    if what == "exit3":
        sys.exit(3)
    if what == "sleep":
        print("asleep", flush=True)
        time.sleep(60)
    if what == "flood":
        for _ in range(100_000):
            click.echo("line " * 20)
    if what == "surrogate":
        emit({"a": "\\ud800"}, "a \\ud800 b", as_json=False)

not_a_command = 5
'''


def run(*arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    python_path = os.pathsep.join(str(p) for p in (path, REPO) if p)
    return subprocess.run(
        [sys.executable, "-m", "pinpoint_data", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": python_path, "PINPOINT_DEBUG": "", **environment},
    )


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed package that brings commands, sound and broken ones."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n", encoding="utf-8")
    points = {
        "act": "plug_commands:act",
        "number": "plug_commands:not_a_command",
        "gone": "plug_commands:no_such_name",
        "no-torch": "plug_torch:command",
        "no-rapidocr": "plug_rapidocr:command",
        "no-package": "plug_other:command",
    }
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (info / "entry_points.txt").write_text(f"[pinpoint.commands]\n{lines}", encoding="utf-8")
    (folder / "plug_commands.py").write_text(PLUGIN, encoding="utf-8")
    for name, package in (("torch", "torch"), ("rapidocr", "rapidocr"), ("other", "quite_another")):
        blocked = f"raise ModuleNotFoundError('No module named {package}', name='{package}')\n"
        (folder / f"plug_{name}.py").write_text(blocked, encoding="utf-8")
    return folder


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json\n"
        "from pinpoint_data.cli import main\n"
        "sys.argv = ['pinpoint', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "finally:\n    sys.stderr.write(json.dumps(sorted(sys.modules)))\n"
    )
    for arguments in (["--help"], ["-h"], ["--version"], ["validate", "--help"], ["benchmark", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=REPO
        )
        loaded = {name.split(".")[0] for name in json.loads(done.stderr)}
        assert not loaded & HEAVY, arguments
        assert done.stdout


def test_help_lists_the_commands_in_the_order_of_the_work(plugin: Path) -> None:
    text = run("--help", path=plugin).stdout
    assert re.findall(r"^  (\S+)", text.split("Commands:\n")[1], re.MULTILINE) == [
        *SUMMARIES,
        "act",
        "gone",
        "no-package",
        "no-rapidocr",
        "no-torch",
        "number",
    ]


def test_the_version() -> None:
    assert run("--version").stdout == f"pinpoint, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("nope",), ("--nope",), ("validate",), ("validate", "a", "b"), ("act", "x", "y")]
)
def test_misuse_exits_with_2(plugin: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, path=plugin)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Usage: " in done.stderr


def test_an_unknown_command_is_named() -> None:
    assert "No such command 'nope'" in run("nope").stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-torch", "Install it: pip install 'pinpoint-data[train]'"),
        ("no-rapidocr", "Install it: pip install 'pinpoint-data[ocr]'"),
        ("no-package", "a folder of that name of your own may hide ours"),
        ("gone", "cannot be loaded"),
        ("number", "is not a click command"),
    ],
)
def test_a_command_that_cannot_be_loaded_is_one_line(plugin: Path, command: str, message: str) -> None:
    done = run(command, path=plugin)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("what", "code", "line"),
    [
        ("ours", 1, "pinpoint: a.json: q7: is broken (mend it)"),
        ("usage", 2, "pinpoint: makes no sense"),
        ("os", 1, "pinpoint: /no/such/file: No such file or directory"),
        (
            "bug",
            1,
            "pinpoint: internal error: AssertionError: two lines \\x1b[31m (run with --debug and report it)",
        ),
        (
            "noted",
            1,
            "pinpoint: internal error: selector 'theirs', question q7: IndexError: out of range "
            "(run with --debug and report it)",
        ),
    ],
)
def test_a_failure_is_one_line_and_a_traceback_only_on_request(plugin: Path, what: str, code: int, line: str) -> None:
    done = run("act", what, path=plugin)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line + "\n")
    for debug in (run("--debug", "act", what, path=plugin), run("act", what, path=plugin, PINPOINT_DEBUG="1")):
        assert debug.returncode == code
        assert "Traceback" in debug.stderr
        assert debug.stderr.endswith(line + "\n")


@pytest.mark.parametrize(("what", "code"), [("nothing", 0), ("findings", 1), ("exit3", 3)])
def test_a_command_chooses_its_exit_code(plugin: Path, what: str, code: int) -> None:
    done = run("act", what, path=plugin)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_text_that_no_terminal_can_show_does_not_end_a_command(plugin: Path) -> None:
    done = run("act", "surrogate", path=plugin)
    assert (done.returncode, done.stdout) == (0, "a \\ud800 b\n")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_is_one_line(plugin: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), str(REPO)])}
    command = [sys.executable, "-m", "pinpoint_data", "act", "sleep"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "pinpoint: stopped; finished work is kept, run the same command again to go on"


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_no_failure(plugin: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), str(REPO)])}
    command = [sys.executable, "-m", "pinpoint_data", "act", "flood"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_workspace_argument_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run("validate", str(tmp_path / "file"))
    assert done.returncode == 2
    assert re.search(r"Directory '.*file' is a file", done.stderr)


def test_json_is_ascii_and_nothing_else_is_printed(tmp_path: Path) -> None:
    toy(tmp_path / "wörk")
    done = run("validate", str(tmp_path / "wörk"), "--json")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["workspace"] == str(tmp_path / "wörk")
