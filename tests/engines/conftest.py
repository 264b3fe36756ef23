"""A Ray cluster of a head without room and two workers; every test here goes to one pytest-xdist worker."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinpoint_data.engines.ray_quiet import QUIET

REPO = Path(__file__).resolve().parents[2]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Not pytest_collection_modifyitems: pytest-xdist reads the groups in that hook, before this file has its turn."""
    if Path(__file__).parent in item.path.parents:
        item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def ray_is_there() -> None:
    """Skips where it is not."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray (extra `ray`) is not installed")


@pytest.fixture(scope="session")
def cluster(ray_is_there: None) -> Iterator[str]:
    """The address of a cluster of two worker nodes with a CPU and a GPU each, which this process is connected to.

    All tests are one job to it: each job starts worker processes of its own.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO), before]))
    # As a command does before it imports Ray.
    os.environ.update(QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            nodes.add_node(num_cpus=1, num_gpus=1)  # Ray counts GPUs, it does not look for them
        ray.init(address=nodes.address, log_to_driver=False, logging_level="critical")
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()
