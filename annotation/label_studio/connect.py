"""Options of the commands that speak with a server, and the connection they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from annotation.label_studio.api_key import VARIABLE, clean_url, load_api_key, plain_http_warning

if TYPE_CHECKING:
    from annotation.label_studio.server import Server

Function = TypeVar("Function", bound=Callable[..., Any])


def server_options(command: Function) -> Function:
    """`--url`, `--project` and `--key-file`."""
    for option in (
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"File with the key, readable by you alone (chmod 600). By default ${VARIABLE}.",
        ),
        click.option("--project", required=True, metavar="ID|TITLE", help="The project, by id or exact title."),
        click.option("--url", envvar="LABEL_STUDIO_URL", required=True, help="Address of the server."),
    ):
        command = option(command)
    return command


def connect(url: str, key_file: Path | None) -> Server:
    """A connection to a server whose key is known to be good.

    Raises:
        UsageError: No usable address or key.
        ServerError: No server there, no Label Studio, or it does not take the key.
    """
    from annotation.label_studio.server import Server

    url = clean_url(url)
    key = load_api_key(key_file)
    if warning := plain_http_warning(url):
        click.echo(f"warning: {warning}", err=True)
    server = Server(url, key)
    try:
        server.me()
    except BaseException:
        server.close()
        raise
    return server
