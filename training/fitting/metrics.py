"""`metrics.jsonl`: one JSON object a step and one an epoch, appended as they happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from pinpoint_data.atomic import write_text


class MetricsFile:
    """Appends records to a file; a resumed run goes on behind the step it resumes from.

    Args:
        path: The file.
        step: Records of later steps, and a line that a killed process left unfinished, are removed.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept = [record for record in read_metrics(path) if record["step"] <= step]
        write_text(path, "".join(_line(record) for record in kept))
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it has a `step`."""
        self._file.write(_line(record))
        self._file.flush()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a metrics file, up to the first line that is none."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                return
            yield record


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
