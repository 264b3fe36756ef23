"""Chunks on Ray Data: local processes, or the nodes of a running cluster.

A worker that dies (no memory, a lost node) has its chunk tried again elsewhere; Ray does that without end, so the tries
of a chunk are counted and the last one gives it up. What a chunk itself raises is not tried again: it would fail again.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from pinpoint_data import __version__
from pinpoint_data.engines.base import Failed, NodeError, Result, Task
from pinpoint_data.errors import PinpointError, UsageError, one_line

TRIES = 3
"""How often a chunk may lose its worker."""

_KNOCK_S = 10.0

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray prints the deaths of workers on standard output, whatever log_to_driver says; we tell them ourselves.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class _Home:
    """What a worker must find as it is where the command runs."""

    folder: str
    versions: Mapping[str, str]
    needs: tuple[Path, ...]


@dataclass(frozen=True)
class _Answer:
    """Of one task; `stop` where no other task could succeed either."""

    result: Any = None
    failure: str = ""
    stop: bool = False


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
        self._started = False

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            import ray

            ray.shutdown()

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], needs: Sequence[Path] = ()
    ) -> Iterator[Result | Failed[Task]]:
        """Results as they come, in no fixed order, and the tasks that were given up.

        Raises:
            NodeError: A node does not see the files, or has other versions.
            PinpointError: The cluster cannot be reached.
        """

        def options(tries: Any, home: _Home) -> dict[str, Any]:
            from ray import cloudpickle

            return {"fn": partial(_run_row, cloudpickle.dumps(work), tries, home), "concurrency": self.jobs}

        return self._run(tasks, needs, options)

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

        def options(tries: Any, home: _Home) -> dict[str, Any]:
            from ray.data import ActorPoolStrategy

            size = min(len(tasks), self._room(gpus))
            # One at a time: a second one would wait behind it while another process has nothing to do.
            pool = ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1)
            arguments = (work, tries, home)
            return {"fn": _Keeper, "fn_constructor_args": arguments, "compute": pool, "num_gpus": gpus or None}

        return self._run(tasks, needs, options)

    def _room(self, gpus: float) -> int:
        """For how many processes there is room; on a cluster that grows when it is asked to, `jobs`."""
        import ray

        if self.address and self.jobs:
            return self.jobs
        room = int(ray.cluster_resources().get("GPU", 0) / gpus if gpus else ray.cluster_resources().get("CPU", 0))
        if not room and not self.address:
            raise UsageError(f"this machine does not have {gpus:g} GPUs", remedy="lower --ray-gpus, or --ray-address")
        return max(1, room if self.jobs is None else min(room, self.jobs))

    def gpus(self) -> float:
        """GPUs of the cluster."""
        self._connect()
        import ray

        return float(ray.cluster_resources().get("GPU", 0))

    def _connect(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        with _no_warnings(), _no_stderr():
            import ray

            if ray.is_initialized():
                return
            if self.address and ":" in self.address:
                _knock(self.address)
            options: dict[str, Any] = {"address": self.address or "local"}
            if not self.address:
                options |= {"num_cpus": self.jobs, "include_dashboard": False}
            self._started = True
            try:
                with _own_sigterm():
                    ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
            except Exception as error:  # Ray raises it bare where its processes do not start in time
                raise _no_cluster(options["address"], _last_line(error)) from error

    def _run(
        self, tasks: Sequence[Task], needs: Sequence[Path], options: Callable[[Any, _Home], dict[str, Any]]
    ) -> Iterator[Any]:
        if not tasks:
            return
        self._connect()
        import ray
        import ray.data
        from ray import cloudpickle

        home = _Home(str(Path.cwd()), _versions(), tuple(needs))
        # Without CPUs of its own: it must not take the place of a worker.
        tries = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Tries).remote()
        rows = [{"number": number, "task": cloudpickle.dumps(task)} for number, task in enumerate(tasks)]
        waiting = dict(enumerate(tasks))
        with _ray_data_log() as log, _no_warnings():
            context = ray.data.DataContext.get_current().copy()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            context.max_errored_blocks = -1
            with ray.data.DataContext.current(context):
                blocks = ray.data.from_items(rows, override_num_blocks=len(rows))
                answers = blocks.map(**options(tries, home)).iter_rows()
            for row in answers:
                answer: _Answer = cloudpickle.loads(row["answer"])
                if answer.stop:
                    raise NodeError(answer.failure)
                task = waiting.pop(row["number"])
                yield Failed(task, answer.failure) if answer.failure else answer.result
        for task in waiting.values():
            yield Failed(task, log.reason())


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


class _Keeper:
    """An actor that keeps the work."""

    def __init__(self, work: Callable[[Any], Any], tries: Any, home: _Home) -> None:
        self.work, self.tries, self.home = work, tries, home

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return _answer_row(self.work, self.tries, self.home, row)


class _Tries:
    """An actor that counts how often a task was begun."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        self.begun[number] += 1
        return self.begun[number]


def _run_row(packed: bytes, tries: Any, home: _Home, row: Mapping[str, Any]) -> dict[str, Any]:
    return _answer_row(_unpack(packed), tries, home, row)


@lru_cache(maxsize=1)
def _unpack(packed: bytes) -> Any:
    """What all tasks share can be large; a worker builds it once."""
    from ray import cloudpickle

    return cloudpickle.loads(packed)


def _answer_row(work: Callable[[Any], Any], tries: Any, home: _Home, row: Mapping[str, Any]) -> dict[str, Any]:
    from ray import cloudpickle

    answer = _answer(work, tries, home, row)
    return {"number": row["number"], "answer": cloudpickle.dumps(answer)}


def _answer(work: Callable[[Any], Any], tries: Any, home: _Home, row: Mapping[str, Any]) -> _Answer:
    import ray
    from ray import cloudpickle

    if ray.get(tries.begin.remote(int(row["number"]))) > TRIES:
        return _Answer(failure=f"{TRIES} workers were killed over it, perhaps for lack of memory")
    try:
        _settle(home)
        return _Answer(result=work(cloudpickle.loads(row["task"])))
    except NodeError as error:
        return _Answer(failure=f"on node {ray.util.get_node_ip_address()}: {error}", stop=True)
    except PinpointError as error:
        return _Answer(failure=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the chunk, and the others go on
        return _Answer(failure=one_line(f"{type(error).__name__}: {error}"))


def _settle(home: _Home) -> None:
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


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Ray deprecates parts of itself while it is imported and started."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray takes SIGTERM for itself, to end in order; a command that has its own handler keeps it."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if handler is not signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _no_stderr() -> Iterator[None]:
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


class _Log(logging.Handler):
    """Takes what Ray Data would print, and remembers why a block was lost."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.error = record.exc_info[1]

    def reason(self) -> str:
        return _last_line(self.error) if self.error else "Ray lost it"


@contextmanager
def _ray_data_log() -> Iterator[_Log]:
    """Nothing of Ray Data reaches the terminal; its log in Ray's session folder has all."""
    logger, log = logging.getLogger("ray.data"), _Log()
    before = list(logger.handlers)
    logger.handlers = [log, *(handler for handler in before if not isinstance(handler, logging.StreamHandler))]
    try:
        yield log
    finally:
        logger.handlers = before


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else type(error).__name__)
