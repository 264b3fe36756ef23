"""`pinpoint label-studio push` as people run it: what it prints, exit codes, secrets, locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinpoint_data.workspace import Workspace
from tests.annotation import push_build
from tests.annotation.fake_server import KEY, REFRESH, FakeLabelStudio, fake_label_studio


@pytest.fixture
def fake() -> Iterator[FakeLabelStudio]:
    with fake_label_studio() as running:
        yield running


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return push_build.workspace(tmp_path)


def pinpoint(ws: Workspace, *arguments: str, key: str | None = KEY, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; its output never holds the key."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO")} | more
    if key is not None:
        environment["LABEL_STUDIO_API_KEY"] = key
    command = [sys.executable, "-P", "-m", "pinpoint_data", *arguments[:1], "label-studio", "push", str(ws.path)]
    done = subprocess.run(
        [*command, *arguments[1:]], capture_output=True, text=True, encoding="utf-8", env=environment, timeout=60
    )
    for secret in (KEY, REFRESH, "access-1"):
        assert secret not in done.stdout + done.stderr
    return done


def push(ws: Workspace, url: str, *arguments: str, key: str | None = KEY) -> subprocess.CompletedProcess[str]:
    return pinpoint(ws, "--debug", "--url", url, "--project", "evidence", "--images", "upload", *arguments, key=key)


def test_a_push_and_its_summary(ws: Workspace, fake: FakeLabelStudio) -> None:
    done = push(ws, fake.url, "--prelabel", "proposal:*", "--overlap", "2", "--jobs", "1", key=REFRESH)
    assert done.returncode == 0, done.stderr
    assert "6 made" in done.stdout and f"open {fake.url}/projects/1/data" in done.stdout
    done = push(ws, fake.url, "--prelabel", "proposal:*", "--json")
    assert json.loads(done.stdout)["counts"] == {"unchanged": 6}
    assert fake.projects[1]["maximum_annotations"] == 2


@pytest.mark.parametrize("key", [KEY, REFRESH])
def test_a_traceback_holds_no_key(ws: Workspace, fake: FakeLabelStudio, key: str) -> None:
    for kind in ("echo-400", "401", "html"):
        fake.fault("GET", "/api/current-user/whoami", kind, times=2)  # a personal token is renewed after a 401
        done = push(ws, fake.url, key=key)
        assert done.returncode == 1 and "Traceback" in done.stderr
        assert len(done.stderr.splitlines()[-1]) < 600
        fake.faults.clear()


def test_misuse_is_exit_code_2_and_sends_nothing(ws: Workspace, fake: FakeLabelStudio, tmp_path: Path) -> None:
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
        (("--url", fake.url), "--project"),
    ):
        done = pinpoint(ws, "--debug", *arguments)
        assert done.returncode == 2 and says in done.stderr, (arguments, done.stderr)
    assert pinpoint(ws, "--debug", "--url", fake.url, "--project", "evidence", key=None).returncode == 2
    assert not fake.tasks


def test_two_pushes_at_once_are_refused(ws: Workspace, fake: FakeLabelStudio) -> None:
    with ws.lock("another command"):
        done = push(ws, fake.url)
    assert done.returncode == 1 and "another command" in done.stderr and not fake.requests


def test_a_key_over_plain_http_to_another_machine_is_warned_of(ws: Workspace) -> None:
    done = push(ws, "http://host.invalid:1")
    assert done.returncode == 1 and "warning: http://host.invalid:1: the key is sent unencrypted" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from annotation.label_studio.commands import push; "
        "print([m for m in ('httpx2', 'pyarrow', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
