"""`pinpoint label-studio push` as people run it: what it prints, exit codes, secrets, locks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pinpoint_data.cli import main
from pinpoint_data.workspace import Workspace
from tests.annotation import push_build
from tests.annotation.fake_server import KEY, REFRESH, FakeLabelStudio


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return push_build.workspace(tmp_path)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def pinpoint(ws: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the push with tracebacks on; its output never holds a key."""

    def run(*arguments: str, key: str | None = KEY) -> Done:
        if key is None:
            monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
        else:
            monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
        monkeypatch.setattr("sys.argv", ["pinpoint", "--debug", "label-studio", "push", str(ws.path), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        for secret in (KEY, REFRESH, "access-1"):
            assert secret not in out + err
        return Done(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def push(pinpoint: Run, fake: FakeLabelStudio) -> Run:
    """Push to a project by upload."""

    def run(*arguments: str, url: str = fake.url, key: str | None = KEY) -> Done:
        return pinpoint("--url", url, "--project", "evidence", "--images", "upload", *arguments, key=key)

    return run


def test_a_push_and_its_summary(push: Run, fake: FakeLabelStudio) -> None:
    done = push("--prelabel", "proposal:*", "--overlap", "2", "--jobs", "1", key=REFRESH)
    assert done.returncode == 0, done.stderr
    assert "6 made" in done.stdout and f"open {fake.url}/projects/1/data" in done.stdout
    done = push("--prelabel", "proposal:*", "--json")
    assert json.loads(done.stdout)["counts"] == {"unchanged": 6}
    assert fake.projects[1]["maximum_annotations"] == 2


@pytest.mark.parametrize("key", [KEY, REFRESH])
def test_a_traceback_holds_no_key(push: Run, fake: FakeLabelStudio, key: str) -> None:
    for kind in ("echo-400", "401", "html"):
        fake.fault("GET", "/api/current-user/whoami", kind, times=2)  # a personal token is renewed after a 401
        done = push(key=key)
        assert done.returncode == 1 and "Traceback" in done.stderr
        assert len(done.stderr.splitlines()[-1]) < 600
        fake.faults.clear()


def test_misuse_is_exit_code_2_and_sends_nothing(pinpoint: Run, fake: FakeLabelStudio, tmp_path: Path) -> None:
    readable = tmp_path / "key"
    readable.write_text(KEY, encoding="ascii")
    readable.chmod(0o644)
    secret = fake.url.replace("http://", f"http://me:{KEY}@")
    for arguments, says in (
        (("--url", fake.url, "--project", "ab"), "3 to 50"),
        (("--url", secret, "--project", "evidence"), "name or password"),
        (("--url", fake.url, "--project", "evidence", "--key-file", str(readable)), "chmod 600"),
        (("--url", fake.url, "--project", "evidence", "--source", "nothing"), "no source nothing"),
        (("--url", fake.url, "--project", "evidence", "--images", "url-template"), "--url-template"),
        (("--url", fake.url, "--project", "evidence", "--prelabel", "nobody"), "nobody"),
        (
            ("--url", fake.url, "--project", "evidence", "--images", "url-template", "--url-template", "x"),
            "template 'x'",
        ),
        (("--url", fake.url), "--project"),
    ):
        done = pinpoint(*arguments)
        assert done.returncode == 2 and says in done.stderr, (arguments, done.stderr)
    assert pinpoint("--url", fake.url, "--project", "evidence", key=None).returncode == 2
    assert not fake.projects


def test_two_pushes_at_once_are_refused(push: Run, ws: Workspace, fake: FakeLabelStudio) -> None:
    with ws.lock("another command"):
        done = push()
    assert done.returncode == 1 and "another command" in done.stderr and not fake.requests


def test_a_key_over_plain_http_to_another_machine_is_warned_of(push: Run) -> None:
    done = push(url="http://host.invalid:1")
    assert done.returncode == 1 and "warning: http://host.invalid:1: the key is sent unencrypted" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from annotation.label_studio.commands import push; "
        "print([m for m in ('httpx2', 'pyarrow', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
