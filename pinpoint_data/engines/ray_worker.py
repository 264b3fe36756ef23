"""What runs on the nodes of a Ray cluster: one task, and what is told of it."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pinpoint_data import __version__
from pinpoint_data.engines.base import NodeError
from pinpoint_data.errors import PinpointError, one_line

TRIES = 3
"""How often a chunk may lose its worker."""


@dataclass(frozen=True)
class Home:
    """What a worker must find as it is where the command runs."""

    folder: str
    versions: Mapping[str, str]
    needs: tuple[Path, ...]

    @classmethod
    def here(cls, needs: tuple[Path, ...]) -> Home:
        """Of this process."""
        return cls(str(Path.cwd()), _versions(), needs)


@dataclass(frozen=True)
class Answer:
    """Of one task; `stop` where no other task could succeed either."""

    result: Any = None
    failure: str = ""
    stop: bool = False


class Tries:
    """An actor that counts how often a task was begun."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        """How often it was, with this time."""
        self.begun[number] += 1
        return self.begun[number]


class Keeper:
    """An actor that runs tasks in one process, which keeps what their work has loaded."""

    def __init__(self, packed: bytes, tries: Any, home: Home) -> None:
        self.packed, self.tries, self.home = packed, tries, home

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """As `run_row`."""
        return run_row(self.packed, self.tries, self.home, row)


def run_row(packed: bytes, tries: Any, home: Home, row: Mapping[str, Any]) -> dict[str, Any]:
    """Run the task of a row of Ray Data.

    Args:
        packed: The work, pickled.
        tries: Handle of the `Tries` of all workers.
        home: Where the command runs.
        row: `number` and `task` (pickled).

    Returns:
        `number` and `answer` (an `Answer`, pickled).
    """
    from ray import cloudpickle

    answer = _answer(packed, tries, home, row)
    return {"number": row["number"], "answer": cloudpickle.dumps(answer)}


def _answer(packed: bytes, tries: Any, home: Home, row: Mapping[str, Any]) -> Answer:
    import ray
    from ray import cloudpickle

    if ray.get(tries.begin.remote(int(row["number"]))) > TRIES:
        return Answer(failure=f"{TRIES} workers were killed over it, perhaps for lack of memory")
    try:
        _settle(home)
        return Answer(result=_work(packed)(cloudpickle.loads(row["task"])))
    except NodeError as error:
        return Answer(failure=f"on node {ray.util.get_node_ip_address()}: {error}", stop=True)
    except PinpointError as error:
        return Answer(failure=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the chunk, and the others go on
        return Answer(failure=one_line(f"{type(error).__name__}: {error}"))


def _settle(home: Home) -> None:
    """Work from the same folder, and make sure that the same files and versions are here."""
    with suppress(OSError):  # only relative paths need it, and those are looked for below
        os.chdir(home.folder)
    if missing := [path for path in home.needs if not path.exists()]:
        raise NodeError(
            "is not there", file=Path(home.folder) / missing[0], remedy="put it on a file system that all nodes share"
        )
    for name, here in _versions().items():
        if here != home.versions[name]:
            raise NodeError(
                f"{name} is {here}, where the command runs {home.versions[name]}", remedy="install the same"
            )


def _versions() -> dict[str, str]:
    return {"pinpoint-data": __version__, "Python": platform.python_version()}


@lru_cache(maxsize=1)
def _work(packed: bytes) -> Any:
    """What all tasks share can be large, and may load a model: a worker builds it once."""
    from ray import cloudpickle

    try:
        return cloudpickle.loads(packed)
    except (ImportError, AttributeError) as error:
        raise NodeError(f"the work cannot be loaded: {error}", remedy="install the same") from error
