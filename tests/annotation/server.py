"""A real Label Studio for the tests: one a test run, with an empty data folder, gone when the run ends.

It is found at PINPOINT_LABEL_STUDIO or in `.venv-label-studio` beside the checkout (`make label-studio`); where there
is none, the tests that need it are skipped. Starting it takes most of a minute (Django's migrations), so under
pytest-xdist all tests that use the fixture `label_studio` go to one worker: `pytest -n auto --dist loadgroup`.

    def test_it(label_studio):
        httpx2.get(f"{label_studio.url}/api/projects", headers=label_studio.headers(label_studio.token))
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

REPO = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 300.0
PASSWORD = "correct-horse-battery"
# A test run that is killed outright takes its server with it: PR_SET_PDEATHSIG (1) with SIGKILL, kept across execv.
_DIE_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class LabelStudio:
    """A running server.

    Attributes:
        url: Its address, without a slash at the end.
        token: The administrator's legacy token.
        email: The administrator; the password of everybody is `PASSWORD`.
        document_root: The folder below which it serves local files.
        log: What it writes.
    """

    url: str
    token: str
    email: str
    document_root: Path
    log: Path

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """What a request with a legacy token carries."""
        return {"Authorization": f"Token {token}"}

    def make_user(self, email: str) -> str:
        """Sign a person up as people do, by the form; their legacy token."""
        with self._browser() as client:
            client.get("/user/signup/")
            form = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            answer = client.post("/user/signup/", data=form, headers={"Referer": self.url})
            assert answer.status_code == 302, f"{email} could not sign up: {answer.status_code}"
            token: str = client.get("/api/current-user/token").raise_for_status().json()["token"]
            return token

    def personal_token(self, email: str | None = None) -> str:
        """A personal access token (a refresh JWT), as one makes it on the account page."""
        with self._browser() as client:
            client.get("/user/login/")
            form = {
                "email": email or self.email,
                "password": PASSWORD,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            }
            assert client.post("/user/login/", data=form, headers={"Referer": self.url}).status_code == 302
            headers = {"X-CSRFToken": client.cookies["csrftoken"], "Referer": self.url}
            token: str = client.post("/api/token/", headers=headers).raise_for_status().json()["token"]
            return token

    def _browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60, trust_env=False)


def find_label_studio() -> Path | None:
    """The program, if it is installed."""
    named = os.environ.get("PINPOINT_LABEL_STUDIO")
    program = Path(named) if named else REPO / ".venv-label-studio" / "bin" / "label-studio"
    return program if program.is_file() else None


@contextmanager
def running_label_studio(folder: Path) -> Iterator[LabelStudio]:
    """Start a server on a free port with `folder` for its data and files; it is killed at the end.

    Raises:
        FileNotFoundError: Label Studio is not installed.
        RuntimeError: It did not come up; the message holds the end of its log.
    """
    server, process = start_label_studio(folder)
    try:
        yield server
    finally:
        kill_label_studio(process)


def start_label_studio(folder: Path, again: LabelStudio | None = None) -> tuple[LabelStudio, subprocess.Popen[bytes]]:
    """Start a server, or `again` the one that was killed, with the data it had and at its old address.

    Raises:
        FileNotFoundError: Label Studio is not installed.
        RuntimeError: It did not come up; the message holds the end of its log.
    """
    program = find_label_studio()
    if program is None:
        raise FileNotFoundError("no label-studio: run `make label-studio`, or set PINPOINT_LABEL_STUDIO")
    folder = folder.resolve()
    data, root = folder / "data", folder / "files"
    data.mkdir(parents=True, exist_ok=again is not None)
    root.mkdir(exist_ok=again is not None)
    if again is None:
        url, token, email = f"http://127.0.0.1:{_free_port()}", secrets.token_hex(20), "admin@example.com"
        again = LabelStudio(url, token, email, root, folder / "label-studio.log")
    port = again.url.rpartition(":")[2]
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", port]
    command += ["--username", again.email, "--password", PASSWORD, "--user-token", again.token]
    command += ["--enable-legacy-api-token"]
    if sys.platform == "linux":
        command = [sys.executable, "-c", _DIE_WITH_PARENT, *command]
    with again.log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(data, root),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(again, process)
    except BaseException:
        kill_label_studio(process)
        raise
    return again, process


def kill_label_studio(process: subprocess.Popen[bytes]) -> None:
    """End a server as a power cut would."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(data: Path, root: Path) -> dict[str, str]:
    """Nothing of the test run's own Django or Python settings, and nothing that asks the network."""
    kept = {
        name: value for name, value in os.environ.items() if not re.match("DJANGO|PYTHON|LABEL_STUDIO|SENTRY", name)
    }
    return kept | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "FEATURE_FLAGS_OFFLINE": "true",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: LabelStudio, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx2.Client(timeout=10, trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx2.TransportError):
                if client.get(f"{server.url}/health").status_code == 200:
                    # The port may have been taken by another server in between: only ours knows the token.
                    client.get(f"{server.url}/api/projects", headers=server.headers(server.token)).raise_for_status()
                    return
            time.sleep(0.25)
    end = server.log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"label-studio did not come up (exit code {process.poll()}):\n{end}")


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """The one Label Studio of this test run."""
    if find_label_studio() is None:
        pytest.skip("no label-studio: run `make label-studio`, or set PINPOINT_LABEL_STUDIO")
    with running_label_studio(tmp_path_factory.mktemp("label-studio")) as server:
        yield server
