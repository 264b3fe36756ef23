"""Ray without its own voice: what it says on the terminal is not for the user of a command."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pinpoint_data.errors import one_line

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray prints the deaths of workers on standard output, whatever log_to_driver says; we tell them ourselves.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Environment that must stand before Ray is imported."""


@contextmanager
def no_warnings() -> Iterator[None]:
    """Ray deprecates parts of itself while it is imported and started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def no_stderr() -> Iterator[None]:
    """Ray's native part says on standard error that it was asked to be quiet."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Log(logging.Handler):
    """Takes what Ray Data would print, and remembers why a block was lost."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Remember its error."""
        if record.exc_info:
            self.error = record.exc_info[1]

    def reason(self) -> str:
        """Why the last block was lost."""
        return last_line(self.error) if self.error else "Ray lost it"


@contextmanager
def ray_data_log() -> Iterator[Log]:
    """Nothing of Ray Data reaches the terminal; its log in Ray's session folder has all."""
    logger, log = logging.getLogger("ray.data"), Log()
    before = list(logger.handlers)
    logger.handlers = [log, *(handler for handler in before if not isinstance(handler, logging.StreamHandler))]
    try:
        yield log
    finally:
        logger.handlers = before


def last_line(error: BaseException) -> str:
    """What an error of Ray comes to: before it stands the traceback of the worker."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else type(error).__name__)
