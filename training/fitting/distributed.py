"""Several processes as one: `torchrun --nproc-per-node 2 -m pinpoint_data train ...`.

A `World` is all that training knows of other processes. Where there is only one, every method is trivial. Otherwise
the processes talk through torch.distributed: gloo for what is on a CPU, nccl for what is on a GPU. All that is ever
exchanged is a sum or a maximum, and both come out the same, bit for bit, in every process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pinpoint_data.errors import TrainingError, UsageError
from training.devices import find_device

_TIMEOUT = timedelta(hours=1)
"""One process may encode pages for long while the others wait; one that dies is noticed at once by torchrun."""


class World:
    """One process, alone.

    Attributes:
        rank: Number of this process among all, from 0.
        size: Processes in all.
        local_rank: Number of this process on its machine.
        local_size: Processes on its machine.
    """

    rank, size, local_rank, local_size = 0, 1, 0, 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device that this process trains on.

        Args:
            name: See `find_device`; plain "cuda" is this process's own GPU.

        Raises:
            UsageError: There is no such device.
        """
        device = find_device(name, self.local_rank)
        if device.type == "cuda":
            # What asks for plain "cuda" later, as a backbone does, gets the same one.
            torch.cuda.set_device(device)
        return device

    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        return tensor

    def agree_to_stop(self, signal: int | None) -> int | None:
        """A signal that some process got, the same in all; none goes on before every one has asked."""
        return signal

    def sum_gradients(self, summed: Iterable[nn.Parameter], equal: Iterable[nn.Parameter]) -> None:
        """Make the gradients of every process those of the whole batch.

        Args:
            summed: Parameters whose gradients each process knows a part of.
            equal: Parameters whose gradients every process knows whole; the first one's are taken.
        """


class _Processes(World):
    """Several processes that torchrun started."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank, self.local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])

    def device(self, name: str) -> torch.device:
        if name == "mps" or name.startswith("cuda:"):
            raise UsageError(
                f"fit.device is {name}, and {self.size} processes need one each", remedy="--set device=cuda, or cpu"
            )
        return super().device(name)

    def sum_(self, tensor: Tensor) -> Tensor:
        return _reduce(tensor, dist.ReduceOp.SUM)

    def agree_to_stop(self, signal: int | None) -> int | None:
        return int(_reduce(torch.tensor(signal or 0), dist.ReduceOp.MAX)) or None

    def sum_gradients(self, summed: Iterable[nn.Parameter], equal: Iterable[nn.Parameter]) -> None:
        parts, equal = list(summed), list(equal)
        if not self.is_main:
            for parameter in equal:
                parameter.grad = None
        both = [*parts, *equal]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in both]
        flat = self.sum_(torch.cat([gradient.flatten() for gradient in gradients]))
        for parameter, whole in zip(both, torch.split(flat, [p.numel() for p in both]), strict=True):
            parameter.grad = whole.view_as(parameter)


def _reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    try:
        if tensor.device.type != "cpu":
            # nccl would wait for a process that has ended; gloo notices. So all say first that they are here.
            dist.all_reduce(torch.zeros(1))
        dist.all_reduce(tensor, operation)
    except RuntimeError as error:
        raise TrainingError(
            f"another process of this run has ended: {error}",
            remedy="see what that process says; go on with --resume",
        ) from error
    return tensor


@contextmanager
def open_world() -> Iterator[World]:
    """The processes that torchrun started, or this one alone.

    They leave together: an exception in one ends it at once, and the others where they next wait for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "LOCAL_RANK" not in os.environ:
        yield World()
        return
    cuda = torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_TIMEOUT)
    try:
        world = _Processes()
        yield world
        # One that left earlier would be taken for one that failed.
        world.agree_to_stop(None)
    except BaseException:
        if cuda and dist.group.WORLD is not None:
            # Destroying nccl's part waits for all processes; aborting does not.
            dist.group.WORLD.abort()
        else:
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
