"""Runs `pinpoint` and counts what it does to files, or ends it by SIGKILL right before one of those operations.

    python -m tests.campaigns.crash.launch count LOG pinpoint-arguments...
    python -m tests.campaigns.crash.launch kill N pinpoint-arguments...

An operation is what Python's audit events tell: a file opened for writing, renamed, removed or linked, a folder made or
removed, below the current folder. LOG gets a line an operation: the seconds since the start, and what it was.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}


def _operation(event: str, arguments: tuple[Any, ...], below: str) -> str | None:
    """What an audit event does to a file below a folder, None if nothing."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & _WRITES:
            return None
    elif event in _EVENTS:
        path = arguments[0]
    else:
        return None
    if not isinstance(path, str | bytes | os.PathLike):  # an open file's descriptor
        return None
    name = os.fsdecode(path)
    return f"{event} {name}" if Path(below, name).is_relative_to(below) else None


def watch(then: Callable[[str], None]) -> None:
    """Call `then` before every operation of this process."""
    below = str(Path.cwd())
    busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            if (operation := _operation(event, arguments, below)) is not None:
                then(operation)
        finally:
            busy = False

    sys.addaudithook(hook)


def main() -> None:
    """Set the hook, then be `pinpoint`."""
    mode, value, *arguments = sys.argv[1:]
    started, done = time.monotonic(), list[str]()

    def note(operation: str) -> None:
        done.append(f"{time.monotonic() - started:.4f} {operation}\n")
        if mode == "kill" and len(done) == int(value):
            os.kill(os.getpid(), signal.SIGKILL)

    watch(note)
    sys.argv = ["pinpoint", *arguments]
    from pinpoint_data.cli import main as pinpoint

    try:
        pinpoint()
    finally:
        if mode == "count":
            Path(value).write_text("".join(done), encoding="utf-8")


if __name__ == "__main__":
    main()
