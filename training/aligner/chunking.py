"""How much to work on at a time, so that temporaries stay small."""

from __future__ import annotations

import torch

_CACHE_BYTES = 4608 * 2**10
_DEVICE_BYTES = 96 * 2**20


def chunk_length(item_bytes: int, device: torch.device, least: int = 1) -> int:
    """Items at a time.

    Args:
        item_bytes: Temporaries that one item needs.
        device: Where they are made. On a CPU a chunk's temporaries stay in a core's cache; elsewhere a chunk is large
            enough that starting its kernels takes no longer than running them.
        least: Never fewer.
    """
    budget = _CACHE_BYTES if device.type == "cpu" else _DEVICE_BYTES
    return max(least, budget // item_bytes)
