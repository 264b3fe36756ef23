"""The key of a Label Studio server: in no file, no output, no log and no process list, whatever the server answers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from annotation.label_studio.server import Server
from tests.annotation import push_build
from tests.annotation.fake_server import KEY, REFRESH, FakeLabelStudio, fake_label_studio
from tests.validation.build import pinpoint

ACCESS = "access-1"
SECRETS = (KEY, REFRESH, ACCESS)


@pytest.fixture
def fake() -> Iterator[FakeLabelStudio]:
    with fake_label_studio() as running:
        yield running


class ProcessList:
    """Command lines of all processes of this machine that hold a secret, as any user can see them."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.looks = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> ProcessList:
        self._thread.start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.looks += 1
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = file.read_bytes().decode("utf-8", "replace")
                except OSError:  # it ended meanwhile
                    continue
                if any(secret in line for secret in SECRETS):
                    self.seen.add(line)


@pytest.mark.parametrize("key", [KEY, REFRESH], ids=["legacy", "personal"])
def test_a_campaign_leaves_no_key_behind(
    tmp_path: Path, fake: FakeLabelStudio, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = push_build.workspace(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
    monkeypatch.setattr(Server.__init__, "__kwdefaults__", {"sleep": lambda seconds: None})
    place = ("--url", fake.url, "--project", "evidence")
    push = ("--debug", "label-studio", "push", ws.path, *place, "--images", "upload", "--jobs", "1")
    done = [pinpoint(*push)]
    # A server that repeats the request's headers in its errors, in JSON and in our logs.
    for kind in ("echo", "echo-400", "401", "html"):
        for method, path in (("GET", "/api/projects/"), ("POST", "/import"), ("GET", "/api/tasks")):
            fake.fault(method, path, kind, times=3)
        done.append(pinpoint(*push, "--json"))
        done.append(pinpoint("--debug", "label-studio", "pull", ws.path, *place, "--json"))
        fake.faults.clear()
    assert done[0].returncode == 0 and any("Traceback" in one.stderr for one in done)
    assert not any(secret in one.stdout + one.stderr for one in done for secret in SECRETS)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.jsonl" for path in files)
    for path in files:
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS), path


needs_processes = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no process list in files")


@needs_processes
def test_no_process_shows_the_key(tmp_path: Path, fake: FakeLabelStudio) -> None:
    ws = push_build.workspace(tmp_path)
    command = [sys.executable, "-m", "pinpoint_data", "label-studio", "push", str(ws.path), "--url", fake.url]
    command += ["--project", "evidence", "--images", "upload", "--jobs", "2"]
    with ProcessList() as processes:
        environment = os.environ | {"LABEL_STUDIO_API_KEY": KEY}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert processes.looks > 3 and processes.seen == set()


@needs_processes
def test_the_look_at_processes_finds_a_key() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", KEY]
    with ProcessList() as processes, subprocess.Popen(command) as child:
        end = time.monotonic() + 30
        while not processes.seen and time.monotonic() < end:
            time.sleep(0.02)
        child.kill()
    assert processes.seen


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for child in group.list_commands(context):
            found = group.get_command(context, child)
            assert found is not None
            yield from commands(found, f"{name} {child}")


def test_no_option_takes_a_secret() -> None:
    """What stands in a command line is seen by every user of the machine."""
    found = {
        (name, option)
        for point in entry_points(group="pinpoint.commands")
        for name, command in commands(point.load(), point.name)
        for parameter in command.params
        for option in parameter.opts
        if any(word in option for word in ("key", "secret", "password", "credential", "auth"))
    }
    assert {option for _, option in found} == {"--key-file"}
    assert {name for name, _ in found} == {f"label-studio {verb}" for verb in ("push", "pull", "preflight")}
