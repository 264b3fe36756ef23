"""Commands in forked children of a process that has imported everything: milliseconds a command instead of a second.

A child runs some dozen commands, one after another, each with limits and with its output in files; then it is replaced
by a fresh one. A command that kills its child is known by that.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import os
import pkgutil
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

CPU_SECONDS = 20
WALL_SECONDS = 90
MORE_MEMORY = 3 * 2**30
"""Address space that a command may take beyond what the imports take: what wants more meets a MemoryError."""

_COMMANDS_A_CHILD = 60


@dataclass(frozen=True)
class Done:
    """How one command ended.

    Attributes:
        arguments: Of `pinpoint`.
        code: Exit code; None where a signal ended it.
        signal: The signal, or 0.
        stdout: What it printed.
        stderr: What it said.
        seconds: CPU time; wall time where a signal ended it.
        bytes: Memory at its peak beyond what was taken before it began.
    """

    arguments: tuple[str, ...]
    code: int | None
    signal: int
    stdout: bytes
    stderr: bytes
    seconds: float
    bytes: int


def warm_up(packages: Sequence[str]) -> None:
    """Import everything that a command might, and what libraries put off to their first use."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    # Reading the metadata of all installed packages is most of a small command's time.
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
    for package in packages:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    import pyarrow as pa
    from PIL import Image

    Image.init()
    # A child may use threads; the process that is forked must have none.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def in_children(work: Callable[[], None], count: int = 1) -> None:
    """Do something in so many children at once, which may leave threads and caches behind.

    Raises:
        RuntimeError: It failed in one.
    """
    children = [_fork(work) for _ in range(count)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise RuntimeError("what was done in a child failed; see above")


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the child's last word, whatever it is
        traceback.print_exc()
    finally:
        os._exit(code)


class Server:
    """Runs commands in children, a new child every `_COMMANDS_A_CHILD` commands and after one that was killed."""

    def __init__(self) -> None:
        self._child = 0
        self._left = 0
        self._pipe: socket.socket | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def fresh(self) -> None:
        """Let the next command begin in a new child."""
        self._left = 0

    def run(self, folder: Path, arguments: Sequence[str]) -> Done:
        """Run `pinpoint ARGUMENTS` in `folder`; its output goes beside the folder while it runs."""
        if not self._left:
            self._end()
            self._begin()
        self._left -= 1
        out, err = folder.with_name("stdout"), folder.with_name("stderr")
        began, pipe = time.perf_counter(), self._pipe
        assert pipe is not None
        pipe.sendall(json.dumps([str(folder), list(arguments)]).encode() + b"\n")
        answer = pipe.recv(1000)
        if answer:
            code, seconds, peak = json.loads(answer)
            return Done(tuple(arguments), code, 0, out.read_bytes(), err.read_bytes(), seconds, peak)
        _, status = os.waitpid(self._child, 0)
        self._child = self._left = 0
        seconds = time.perf_counter() - began
        died = -os.waitstatus_to_exitcode(status)
        return Done(tuple(arguments), None, died, out.read_bytes(), err.read_bytes(), seconds, 0)

    def _begin(self) -> None:
        self._pipe, far = socket.socketpair()
        near = self._pipe

        def serve() -> None:
            near.close()
            _serve(far)

        self._child = _fork(serve)
        self._left = _COMMANDS_A_CHILD
        far.close()

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._child:
            os.waitpid(self._child, 0)
            self._child = 0


def _serve(pipe: socket.socket) -> None:
    """Run what comes through the pipe, a JSON line a command, until it is closed."""
    os.umask(0o022)
    # The disk's durability is the crash campaign's; syncing would be most of a command's time.
    os.fsync = lambda descriptor: None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    space = _pages(0) + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    for line in pipe.makefile("rb"):
        folder, arguments = json.loads(line)
        pipe.sendall(json.dumps(_run(Path(folder), arguments)).encode())


def _run(folder: Path, arguments: list[str]) -> tuple[int, float, int]:
    os.chdir(folder)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        opened = os.open(folder.with_name(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    Path("/proc/self/clear_refs").write_text("5")
    began, before = time.process_time(), _pages(1)
    resource.setrlimit(resource.RLIMIT_CPU, (int(began) + CPU_SECONDS, resource.RLIM_INFINITY))
    signal.alarm(WALL_SECONDS)
    code = _main(arguments)
    signal.alarm(0)
    sys.stdout.flush()
    sys.stderr.flush()
    return code, time.process_time() - began, max(0, _peak() - before)


def _main(arguments: list[str]) -> int:
    from pinpoint_data.cli import main

    sys.argv = ["pinpoint", *arguments]
    try:
        main()
    except SystemExit as done:
        code: Any = done.code
        return code if isinstance(code, int) else 70
    except BaseException:  # noqa: BLE001 - what the command line lets through
        traceback.print_exc()
    return 70


def _pages(column: int) -> int:
    """Address space (0) or resident memory (1) of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
