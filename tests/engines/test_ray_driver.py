"""What the driver of Ray does before and around the work."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pinpoint_data.engines import NodeError
from pinpoint_data.engines.ray_data import RayWorkers
from pinpoint_data.errors import PinpointError, UsageError
from tests.engines.doomed import Foreign


@pytest.mark.parametrize("method", ["map", "map_with_state"])
def test_work_that_a_node_cannot_load_is_told_once(method: str, cluster: str) -> None:
    with RayWorkers() as workers, pytest.raises(NodeError) as caught:
        list(getattr(workers, method)(Foreign(), [1, 2]))
    assert "on node 1" in str(caught.value) and "No module named 'plugin' (install the same)" in str(caught.value)


def test_more_gpus_than_any_node_has_are_refused(cluster: str) -> None:
    with RayWorkers(address=cluster) as workers:
        assert workers.gpus() == 2
        with pytest.raises(UsageError, match=r"no node of the cluster has 2 GPUs \(lower --ray-gpus, or name --jobs"):
            list(workers.map_with_state(abs, [1, 2], gpus=2))


def own(number: int, frame: FrameType | None) -> None:
    """A command's handler."""


@pytest.fixture
def ray_that_takes_sigterm(ray_is_there: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A Ray that starts nothing, or fails to, and takes SIGTERM as the real one does."""
    import ray

    def prepare(fails: bool) -> None:
        def init(**options: Any) -> None:
            signal.signal(signal.SIGTERM, lambda *_: None)
            if fails:
                raise Exception("The current node timed out during startup.")

        monkeypatch.setattr(ray, "init", init)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "cluster_resources", dict)
    return prepare


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("handler", [signal.SIG_DFL, own])
def test_sigterm_stays_the_commands(handler: Any, fails: bool, ray_that_takes_sigterm: Callable[[bool], None]) -> None:
    ray_that_takes_sigterm(fails)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with RayWorkers(1) as workers:
            if fails:
                with pytest.raises(PinpointError, match="cannot be used at local: The current node timed out"):
                    workers.gpus()
            else:
                workers.gpus()
            if handler is own:
                assert signal.getsignal(signal.SIGTERM) is own
            else:
                with pytest.raises(SystemExit, match="143"):
                    signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
