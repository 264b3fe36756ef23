"""Getting tensors ready ahead of time: a thread, a queue and a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor


class Prefetcher:
    """Loads tensors by name in a thread, in the order they were wanted, as far as the budget reaches.

    What the latest call of `want` and the one before named is got ready or kept; older wishes that nobody came for
    give way. Safe to use from several threads.

    Args:
        load: Gets a tensor; called in the thread.
        size: Its bytes, known without loading.
        budget_bytes: For tensors that were loaded and not yet taken.
    """

    def __init__(self, load: Callable[[str], Tensor], size: Callable[[str], int], budget_bytes: int) -> None:
        self._load, self._size, self.budget_bytes = load, size, budget_bytes
        self.used_bytes = 0
        self._calls = 0
        self._queue: OrderedDict[str, int] = OrderedDict()
        self._started: dict[str, tuple[int, Future[Tensor]]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-features")

    def want(self, names: Sequence[str]) -> None:
        """Say what is taken next."""
        with self._lock:
            self._calls += 1
            for name in names:
                if name in self._started:
                    self._started[name] = self._calls, self._started[name][1]
                else:
                    self._queue[name] = self._calls
            for name in [name for name, call in self._queue.items() if call < self._calls - 1]:
                del self._queue[name]
            for name in [name for name, (call, _) in self._started.items() if call < self._calls - 1]:
                self._forget(name).cancel()
            self._fill()

    def take(self, name: str) -> Tensor | None:
        """A tensor that was got ready, waited for if it is being loaded; None for one that nobody has begun with.

        Whatever loading it raised is raised here.
        """
        with self._lock:
            self._queue.pop(name, None)
            future = self._forget(name) if name in self._started else None
            self._fill()
        return None if future is None or future.cancel() else future.result()

    def close(self) -> None:
        """Drop everything and end the thread."""
        with self._lock:
            self._queue.clear()
            for name in list(self._started):
                self._forget(name).cancel()
        self._pool.shutdown()

    def _forget(self, name: str) -> Future[Tensor]:
        self.used_bytes -= self._size(name)
        return self._started.pop(name)[1]

    def _fill(self) -> None:
        while self._queue:
            name = next(iter(self._queue))
            size = self._size(name)
            if self.used_bytes + size > self.budget_bytes:
                return
            self._started[name] = self._queue.pop(name), self._pool.submit(self._load, name)
            self.used_bytes += size
