"""Chunks on Ray Data: local processes, or the nodes of a running cluster.

A worker that dies (no memory, a lost node) has its chunk tried again elsewhere; Ray does that without end, so the tries
of a chunk are counted and the last one gives it up. What a chunk itself raises is not tried again: it would fail again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from pinpoint_data.engines.base import Failed, NodeError, Result, Task
from pinpoint_data.engines.ray_quiet import QUIET, last_line, no_stderr, no_warnings, ray_data_log
from pinpoint_data.engines.ray_worker import Answer, Home, Keeper, Tries, run_row
from pinpoint_data.errors import PinpointError, UsageError

_KNOCK_S = 10.0

Arguments = tuple[bytes, Any, Home]
"""Of `run_row` and `Keeper`."""


class RayWorkers:
    """Runs tasks on Ray.

    Ray starts with the first task. A cluster that was there before is left as it was found.

    Args:
        jobs: Tasks at once; None for as many as a running cluster has room for.
        address: A running cluster, `auto` or `host:port`; without it processes are started on this machine.

    Raises:
        UsageError: Ray is not installed, or cannot be used through this address.
    """

    def __init__(self, jobs: int | None = None, *, address: str | None = None) -> None:
        try:
            version("ray")
        except PackageNotFoundError as error:
            raise UsageError("Ray is not installed", remedy="pip install 'pinpoint-data[ray]'") from error
        if address and address.startswith("ray://"):
            raise UsageError(
                f"Ray Data does not work through Ray Client ({address})",
                remedy="run the command on a node of the cluster with --ray-address auto, or name its HOST:6379",
            )
        self.jobs, self.address = jobs, address
        self._stop = ExitStack()

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], needs: Sequence[Path] = ()
    ) -> Iterator[Result | Failed[Task]]:
        """Results as they come, in no fixed order, and the tasks that were given up.

        Raises:
            NodeError: A node does not see the files, or has other versions.
            PinpointError: The cluster cannot be reached.
        """

        def options(arguments: Arguments) -> dict[str, Any]:
            return {"fn": partial(run_row, *arguments), "concurrency": self.jobs}

        return self._run(work, tasks, needs, options)

    def map_with_state(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], needs: Sequence[Path] = (), *, gpus: float = 0
    ) -> Iterator[Result | Failed[Task]]:
        """As `map`, in processes that keep their copy of `work`, and what it has loaded, from task to task.

        Args:
            work: As in `map`.
            tasks: As in `map`.
            needs: As in `map`.
            gpus: GPUs of each process.

        Raises:
            NodeError: A node does not see the files, or has other versions.
            PinpointError: The cluster cannot be reached.
        """

        def options(arguments: Arguments) -> dict[str, Any]:
            from ray.data import ActorPoolStrategy

            size = min(len(tasks), self._room(gpus))
            # One at a time: a second one would wait behind it while another process has nothing to do.
            pool = ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1)
            return {"fn": Keeper, "fn_constructor_args": arguments, "compute": pool, "num_gpus": gpus or None}

        return self._run(work, tasks, needs, options)

    def _room(self, gpus: float) -> int:
        """For how many processes there is room; on a cluster that grows when it is asked to, `jobs`."""
        import ray

        if self.address and self.jobs:
            return self.jobs
        kind, each = ("GPU", gpus) if gpus else ("CPU", 1.0)
        # Node by node: two GPUs of one process must be in one machine.
        room = sum(int(node["Resources"].get(kind, 0) / each) for node in ray.nodes() if node["Alive"])
        if not room:
            where = "no node of the cluster has" if self.address else "this machine does not have"
            other = "name --jobs if it will grow" if self.address else "name a cluster with --ray-address"
            remedy = f"lower --ray-gpus, or {other}" if gpus else other
            raise UsageError(f"{where} {each:g} {kind}s", remedy=remedy)
        return room if self.jobs is None else min(room, self.jobs)

    def gpus(self) -> float:
        """GPUs of the cluster."""
        self._connect()
        import ray

        return float(ray.cluster_resources().get("GPU", 0))

    def _connect(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        with no_warnings(), no_stderr():
            import ray

            if ray.is_initialized():
                return
            if self.address and ":" in self.address:
                _knock(self.address)
            options: dict[str, Any] = {"address": self.address or "local"}
            if not self.address:
                options |= {"num_cpus": self.jobs, "include_dashboard": False}
            handler = signal.getsignal(signal.SIGTERM)
            if handler is signal.SIG_DFL:
                self._stop.callback(_set_sigterm, handler)
            self._stop.callback(ray.shutdown)
            try:
                ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
            except Exception as error:  # Ray raises it bare where its processes do not start in time
                raise _no_cluster(options["address"], last_line(error)) from error
            finally:
                # Ray takes SIGTERM for itself. A command's own handler stays; one without ends in order.
                _set_sigterm(_end if handler is signal.SIG_DFL else handler)

    def _run(
        self,
        work: Callable[[Task], Result],
        tasks: Sequence[Task],
        needs: Sequence[Path],
        options: Callable[[Arguments], dict[str, Any]],
    ) -> Iterator[Result | Failed[Task]]:
        if not tasks:
            return
        self._connect()
        import ray.data
        from ray import cloudpickle
        from ray.exceptions import RayError

        rows = [{"number": number, "task": cloudpickle.dumps(task)} for number, task in enumerate(tasks)]
        waiting = dict(enumerate(tasks))
        with ray_data_log() as log, no_warnings():
            context = ray.data.DataContext.get_current().copy()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            context.max_errored_blocks = -1
            arguments = cloudpickle.dumps(work), _count_tries(), Home.here(tuple(needs))
            try:
                with ray.data.DataContext.current(context):
                    blocks = ray.data.from_items(rows, override_num_blocks=len(rows))
                    answers = blocks.map(**options(arguments)).iter_rows()
                for row in answers:
                    answer: Answer = cloudpickle.loads(row["answer"])
                    if answer.stop:
                        raise NodeError(answer.failure)
                    task = waiting.pop(row["number"])
                    yield Failed(task, answer.failure) if answer.failure else answer.result
            except RayError as error:
                remedy = "run the same command again, it does what is missing"
                raise PinpointError(f"Ray gave up: {last_line(error)}", remedy=remedy) from error
        for task in waiting.values():
            yield Failed(task, log.reason())


def _count_tries() -> Any:
    """A counter beside the command: on another node it could be lost with the worker that it counts."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Without CPUs of its own: it must not take the place of a worker.
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(Tries)
    return actor.remote()


def _knock(address: str) -> None:
    """Ask once whether anybody is there: Ray itself asks for ten minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, why: str) -> PinpointError:
    return PinpointError(
        f"Ray cannot be used at {address}: {why}", remedy="`ray status` on a node of the cluster shows whether it runs"
    )


def _set_sigterm(handler: Any) -> None:
    # None stands for a handler that is not Python's, and cannot be set.
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
