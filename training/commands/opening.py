"""Options of the commands that open a run: where its model lies here, and on what device it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(command: Function) -> Function:
    """`--model`: the folder of the run's vision-language model."""
    return click.option(
        "--model", metavar="FOLDER", help="Where the run's vision-language model lies on this machine, or its hub name."
    )(command)


def device_option(command: Function) -> Function:
    """`--device`: cpu, cuda, cuda:1."""
    return click.option(
        "--device",
        help="Where to compute: cpu, cuda, cuda:1. Default: for a vision-language model a GPU if there is one.",
    )(command)
