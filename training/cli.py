"""Where the entry points of the group `pinpoint.commands` lead for this package.

Each command is imported when it is asked for: one that cannot be imported does not take the others along.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# Read once, when torch loads its OpenMP. By default a thread that waits for another spins; where anything else runs on
# the machine it spins for the core that the other one needs (measured: 13 s for a step that takes 0.4 s on two free
# cores, and 0.6 s with this setting).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_COMMANDS = ("ablate", "answer", "benchmark", "evaluate", "features", "flops", "ranker", "select", "train")


def __getattr__(name: str) -> click.Command:
    if name not in _COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    command: click.Command = getattr(import_module(f"training.commands.{name}"), name)
    return command
