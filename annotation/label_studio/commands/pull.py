"""`pinpoint label-studio pull`: the annotators' work from a server."""

from __future__ import annotations

from pathlib import Path

import click

from annotation.label_studio.commands.options import names_option
from annotation.label_studio.connect import connect, server_options
from pinpoint_data.console import emit, json_option, workspace_argument


@click.command()
@workspace_argument
@server_options
@click.option("--full", is_flag=True, help="Take every task again, and report those deleted on the server.")
@names_option
@json_option
@click.pass_context
def pull(
    ctx: click.Context,
    workspace: Path,
    url: str,
    project: str,
    key_file: Path | None,
    full: bool,
    names_file: Path | None,
    as_json: bool,
) -> None:
    """Take annotations, drafts and skips of a project into WORKSPACE: all at first, then what changed.

    Rows are never lost: what was deleted on the server stays and is reported. Without --names annotators are called
    label-studio:ID; e-mail addresses are not stored. Decisions of review tasks go to the overlay of `pinpoint
    adjudicate`.

    The key comes from LABEL_STUDIO_API_KEY or --key-file.

    Exit code 0, 1 when something was refused or reported, 2 on misuse.

    \b
    Examples:
      pinpoint label-studio pull ws --url http://localhost:8080 --project "evidence 1"
      pinpoint label-studio pull ws --url https://ls.example.com --project 12 --full --names people.csv
    """
    from annotation.label_studio.names import read_names
    from annotation.label_studio.pull import pull as pull_tasks
    from pinpoint_data.workspace import Workspace

    ws = Workspace.open(workspace)
    names = read_names(names_file) if names_file else None
    with ws.lock("label-studio pull"), connect(url, key_file) as server:
        result = pull_tasks(ws, server, project, names=names, full=full)
    emit(result.to_json(), result.text(), as_json=as_json)
    ctx.exit(result.outcome.exit_code)
