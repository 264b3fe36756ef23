"""What every engine offers: tasks go in, results come out in no fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from pinpoint_data.errors import PinpointError

Task = TypeVar("Task")
Result = TypeVar("Result")


class NodeError(PinpointError):
    """The machine that runs a task is not set up like the others; no task can succeed there."""


@dataclass(frozen=True)
class Failed(Generic[Task]):
    """A task that was given up; the others went on."""

    task: Task
    reason: str


class Workers(Protocol):
    """Runs tasks, many at once. A context: leaving it stops whatever it started."""

    def __enter__(self) -> Workers: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], needs: Sequence[Path] = ()
    ) -> Iterator[Result | Failed[Task]]:
        """Results as they come, in no fixed order.

        Args:
            work: Picklable. What many tasks share belongs in it (`functools.partial`): a process builds it once.
            tasks: Picklable, small.
            needs: Files that every machine must see.

        Raises:
            PinpointError: No further task can succeed.
        """
