"""Worker processes that are started when needed, stop with their parent, and tell when they were killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any

from pinpoint_data.engines.base import Result, Task
from pinpoint_data.errors import PinpointError


class LocalWorkers:
    """Runs tasks in `jobs` processes, or in this one where there is only one job or one task.

    Processes are spawned, not forked: OCR runtimes and PDFium hold threads and locks that a fork would break.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], needs: Sequence[Path] = ()
    ) -> Iterator[Result]:
        """Results as they come, in no fixed order; one that fails ends the run.

        Raises:
            PinpointError: A worker was killed.
        """
        if self.jobs == 1 or len(tasks) < 2:
            yield from map(work, tasks)
            return
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_start_worker)
        packed = pickle.dumps(work)
        try:
            for done in as_completed([self._pool.submit(_call, packed, task) for task in tasks]):
                yield done.result()
        except BrokenProcessPool as error:
            raise PinpointError(
                "a worker process was killed, perhaps for lack of memory",
                remedy="run the same command again with fewer --jobs; finished pages are kept",
            ) from error


def _call(packed: bytes, task: Any) -> Any:
    return _unpack(packed)(task)


@lru_cache(maxsize=1)
def _unpack(packed: bytes) -> Any:
    """What all tasks share can be large; it is built once."""
    return pickle.loads(packed)  # noqa: S301 - it comes from our own parent


def _start_worker() -> None:
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the command line does
    # Ctrl-C reaches the whole group: the parent says what happened, the workers just end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot stop its workers: they would finish all that is queued."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
