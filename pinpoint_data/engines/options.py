"""`--engine local|ray` and `--ray-address`, the same for every command that works in chunks."""

from __future__ import annotations

import click
from click.core import ParameterSource

from pinpoint_data.console import Function
from pinpoint_data.engines.base import Workers
from pinpoint_data.errors import UsageError

ENGINES = ("local", "ray")


def engine_option(command: Function) -> Function:
    """`--engine`: where the work runs."""
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="local",
        show_default=True,
        help="Where it runs: processes of this machine, or Ray (extra `ray`). Same bytes.",
    )(command)


def ray_address_option(command: Function) -> Function:
    """`--ray-address`: an existing cluster."""
    return click.option(
        "--ray-address",
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        show_envvar=True,
        help="With --engine ray: a running cluster, `auto` or HOST:PORT. Default: processes of this machine.",
    )(command)


def make_workers(ctx: click.Context, engine: str, jobs: int, ray_address: str | None) -> Workers:
    """The workers that a command's options ask for; nothing is started yet.

    Raises:
        UsageError: The options do not go together, or Ray is not installed.
    """
    if engine == "local":
        if ctx.get_parameter_source("ray_address") is ParameterSource.COMMANDLINE:
            raise UsageError("--ray-address belongs to --engine ray")
        from pinpoint_data.engines.local import LocalWorkers

        return LocalWorkers(jobs)
    from pinpoint_data.engines.ray_data import RayWorkers

    # All cores of this machine say nothing about a cluster's.
    all_of_cluster = ray_address and ctx.get_parameter_source("jobs") is ParameterSource.DEFAULT
    return RayWorkers(None if all_of_cluster else jobs, address=ray_address)
