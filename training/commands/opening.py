"""Options that several commands share: where a run's model lies here, its device, shares, and which make sense."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from pinpoint_data.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(command: Function) -> Function:
    """`--model`: the folder of the run's vision-language model."""
    return click.option(
        "--model", metavar="FOLDER", help="Where the run's vision-language model lies on this machine, or its hub name."
    )(command)


def model_setting(model: str | None) -> list[str]:
    """What `--model` means to a command that makes a backbone of settings, as `--set` would say it."""
    return [] if model is None else [f"backbone.options.model={json.dumps(model, ensure_ascii=False)}"]


def device_option(command: Function) -> Function:
    """`--device`: cpu, cuda, cuda:1."""
    return click.option(
        "--device",
        help="Where to compute: cpu, cuda, cuda:1. Default: for a vision-language model a GPU if there is one.",
    )(command)


def refuse_given(ctx: click.Context, names: Collection[str], where: str) -> None:
    """Refuse options that were given and would have no effect.

    Raises:
        UsageError: One of them was given.
    """
    for parameter in ctx.command.params:
        given = parameter.name and ctx.get_parameter_source(parameter.name) is not click.core.ParameterSource.DEFAULT
        if given and parameter.name in names:
            raise UsageError(f"{'/'.join((*parameter.opts, *parameter.secondary_opts))} has no meaning {where}")


def shares(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Callback of an option that takes shares such as 0.10,0.25,0.60.

    Raises:
        BadParameter: It is no such list.
    """
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list like 0.10,0.25,0.60") from error
