"""The pages of a PDF, opened in a process of their own before they are opened in ours.

A page of 4 KB can unfold to gigabytes, or draw a form that draws ten, nine deep. PDFium knows no limit for either: it
ends the process that runs it, or never ends. So another process opens every page first, with limits, and says how far
it came. It is started when it is needed, kept for the next PDF, and ends with ours. Where the system has no such limits
(Windows), nothing is checked; where it limits no memory (macOS), time alone is.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

MORE_BYTES = 2 * 2**30
"""Address space that opening a page may take."""

PAGE_SECONDS = 10
"""CPU time that opening a page may take."""

MOST_BOMBS = 3
"""Such pages of one PDF that are waited for; those behind them are not tried."""

_END = "end"


class _Guard:
    """The process, and the lock that lets one thread at a time ask it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def bombs(self, path: Path, pages: int) -> frozenset[int]:
        found: set[int] = set()
        with self._lock:
            start, suspect = 0, -1
            while start < pages and len(found) < MOST_BOMBS:
                start, out_of_time = self._opened(path, start)
                if start >= pages:
                    break
                # A process may also be ended by others, or be full of what it opened before: a fresh one decides.
                if out_of_time or start == suspect:
                    found.add(start)
                    start += 1
                else:
                    suspect = start
        return frozenset(found.union(range(start, pages)))

    def _opened(self, path: Path, start: int) -> tuple[int, bool]:
        """Open all pages from `start` on.

        Returns:
            The number of the page whose opening ended the process, beyond the last where none did; and whether it
            ended for lack of time.
        """
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([os.fspath(path.absolute()), start]) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.strip() == _END:
                return sys.maxsize, False
            start = int(line) + 1
        # A signal is PDFium's end, or that of a limit; an exit code is our own trouble, which our own PDFium will meet.
        code = process.wait()
        self.close()
        return start if code < 0 else sys.maxsize, code == -signal.SIGPROF

    def _running(self) -> subprocess.Popen[str]:
        # One that was ended since the last PDF, or that is not ours but that of the process we were forked from.
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            # As a file of its own, which imports nothing of ours, and (-P) nothing of the folder that we stand in;
            # in a session of its own, where no Ctrl-C ends it amid an honest page.
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


_guard = _Guard()
atexit.register(_guard.close)


def page_bombs(path: Path, pages: int) -> frozenset[int]:
    """Numbers (from 0) of the pages of a PDF that cannot be opened within the limits, or stand behind several such."""
    return _guard.bombs(path, pages) if os.name == "posix" else frozenset()


def _serve() -> None:
    """Answer each line (a path, and the page to begin with) with the numbers of the pages that could be opened."""
    import resource

    import pypdfium2 as pdfium

    taken = Path("/proc/self/statm")
    space = int(taken.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if taken.exists() else 0
    # Refused where a lower limit is set already, which does as well, and on macOS.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (space + MORE_BYTES, space + MORE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        path, start = json.loads(line)
        with pdfium.PdfDocument(path) as pdf:
            for number in range(start, len(pdf)):
                # The kernel's own end, also where C code never comes back.
                signal.setitimer(signal.ITIMER_PROF, PAGE_SECONDS)
                with contextlib.suppress(pdfium.PdfiumError):  # damaged, which ours will say
                    pdf[number].close()
                signal.setitimer(signal.ITIMER_PROF, 0)
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()
        sys.stdout.write(f"{_END}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
