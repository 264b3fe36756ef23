"""`pinpoint label-studio import`: the annotators' work out of an exported file."""

from __future__ import annotations

from pathlib import Path

import click

from annotation.label_studio.commands.options import names_option
from pinpoint_data.console import emit, json_option, workspace_argument


@click.command("import")
@workspace_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--project", metavar="TITLE", help="Name of the project; by default that of the file's first task.")
@names_option
@json_option
@click.pass_context
def import_file(
    ctx: click.Context, workspace: Path, file: Path, project: str | None, names_file: Path | None, as_json: bool
) -> None:
    """Import FILE, a project's raw JSON export, into the annotations of WORKSPACE.

    In Label Studio: Export, format JSON (not JSON-MIN, CSV or COCO). A snapshot with whole drafts and predictions is
    read too. Importing a file again, or an older one, takes nothing back.

    \b
    Examples:
      pinpoint label-studio import ws project-1-at-2026-01-31.json
      pinpoint label-studio import ws export.json --project "evidence 1" --names people.csv
    """
    from annotation.label_studio.exports import iter_tasks
    from annotation.label_studio.importing import import_tasks
    from annotation.label_studio.names import Names, read_names
    from annotation.label_studio.project_slug import slug_of_tasks
    from pinpoint_data.progress import progress
    from pinpoint_data.workspace import Workspace

    ws = Workspace.open(workspace)
    names = Names(read_names(names_file)) if names_file else Names()
    size = file.stat().st_size if file.exists() else None
    with ws.lock("label-studio import"), progress(f"{file.name} (bytes)", size) as advance:
        slug, tasks = slug_of_tasks(ws, iter_tasks(file, advance), project)
        outcome = import_tasks(ws, tasks, slug, names=names, file=file.name)
    part = f"annotations part label-studio.{slug}"
    emit({"part": f"label-studio.{slug}"} | outcome.to_json(), f"{part}\n{outcome.text()}", as_json=as_json)
    ctx.exit(outcome.exit_code)
