"""A word engine that ends its worker; workers import it by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinpoint_data.words.base import PageWords
from tests.words.build import CountingEngine


@dataclass(frozen=True)
class Deadly(CountingEngine):
    """Kills its worker on page `always` every time, and on page `once` the first time; page `broken` is a fault."""

    always: str = ""
    once: str = ""
    broken: str = ""

    def read(self, root: Path, row: Mapping[str, Any]) -> PageWords:
        page = row["page_id"]
        if page == self.broken:
            raise OSError("the disk is full")
        first = page == self.once and f"{page} " not in (self.log.read_text() if self.log.exists() else "")
        words = super().read(root, row)
        if page == self.always or first:
            os.kill(os.getpid(), signal.SIGKILL)
        return words


class Foreign:
    """Work that no other process can load."""

    def __call__(self, number: int) -> int:
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_elsewhere, ()


def _load_elsewhere() -> Any:
    raise ModuleNotFoundError("No module named 'plugin'")
