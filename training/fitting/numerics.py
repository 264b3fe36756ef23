"""Torch's process-wide settings while a run is trained."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def available_threads() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def numerics(threads: int, device: torch.device, precision: str = "fp32") -> Iterator[None]:
    """Threads, deterministic algorithms and the precision of float32 products; all are put back afterwards.

    Algorithms are deterministic on a CPU only. On CUDA the sums over overlapping windows add atomically, in no fixed
    order; the deterministic kind sorts them first and cuBLAS needs a setting in the environment before the process
    starts, all for equal last bits that two kinds of GPU would not share anyway.

    Args:
        threads: CPU threads.
        device: Where the aligner is.
        precision: With "bf16", float32 products on CUDA (logits and pooling) may round their factors to TF32.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    products = torch.get_float32_matmul_precision()
    # Filling fresh memory guards against reading it uninitialised; it costs time and our code never does.
    # The module is an object with properties, which its type does not show.
    switches: Any = torch.utils.deterministic
    filling = switches.fill_uninitialized_memory
    torch.set_num_threads(threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        switches.fill_uninitialized_memory = False
    elif precision == "bf16":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.set_float32_matmul_precision(products)
        switches.fill_uninitialized_memory = filling
