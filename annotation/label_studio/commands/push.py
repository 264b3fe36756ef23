"""`pinpoint label-studio push`: tasks to a project of a Label Studio server."""

from __future__ import annotations

from pathlib import Path

import click

from annotation.label_studio.commands.options import question_options
from annotation.label_studio.connect import connect, server_options
from pinpoint_data.console import emit, jobs_option, json_option, workspace_argument

_IMAGES = ("auto", "local-files", "upload", "url-template", "data-uri")


@click.command()
@workspace_argument
@server_options
@question_options
@click.option("--conflicts", is_flag=True, help="Make review tasks of what `pinpoint adjudicate` could not decide.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N questions.")
@click.option(
    "--overlap",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Annotators a task; by default 1, or as it is.",
)
@click.option("--images", type=click.Choice(_IMAGES), default="auto", show_default=True, help="How pages are shown.")
@click.option("--url-template", metavar="URL", help="With --images url-template: https://HOST/{path}, {page_id}, ...")
@click.option(
    "--pages-folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where page files go: below the server's document root, or for {name} of a template.",
)
@click.option(
    "--document-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="The server's document root as this machine sees it, if it runs in a container.",
)
@click.option(
    "--chunk", type=click.IntRange(1, 500), default=500, show_default=True, metavar="N", help="Tasks in one request."
)
@click.option(
    "--check-images",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Fetch so many page images before anything is sent.",
)
@jobs_option
@json_option
@click.pass_context
def push(
    ctx: click.Context,
    workspace: Path,
    url: str,
    project: str,
    key_file: Path | None,
    prelabel: str | None,
    review: tuple[str, ...],
    conflicts: bool,
    sources: tuple[str, ...],
    splits: tuple[str, ...],
    questions: tuple[str, ...],
    undone: bool,
    limit: int | None,
    overlap: int | None,
    images: str,
    url_template: str | None,
    pages_folder: Path | None,
    document_root: Path | None,
    chunk: int,
    check_images: int,
    jobs: int,
    as_json: bool,
) -> None:
    """Make a project's tasks what WORKSPACE says: new questions are added, changed ones updated.

    Run it as often as you like, also after it was stopped: nothing is made twice. Annotations stay what they are, and
    no task is ever deleted; tasks whose question is gone, or that stand there twice, are reported.

    The key comes from LABEL_STUDIO_API_KEY or --key-file; a personal access token or a legacy token, found under
    Account & Settings.

    Page images: auto tries local files of the server (it needs LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED and
    LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), then uploads.

    Exit code 0, 1 when something was refused or reported, 2 on misuse.

    \b
    Examples:
      pinpoint label-studio push ws --url http://localhost:8080 --project "evidence 1" --prelabel 'proposal:*'
      pinpoint label-studio push ws --url https://ls.example.com --project 12 --overlap 3 --images upload
      pinpoint label-studio push ws --url http://localhost:8080 --project conflicts --conflicts
    """
    from annotation.adjudication.review import build_review_tasks, review_options
    from annotation.label_studio.images_choice import ImageOptions
    from annotation.label_studio.push import PushOptions
    from annotation.label_studio.push import push as push_tasks
    from annotation.label_studio.tasks import TaskOptions, build_tasks
    from pinpoint_data.workspace import Workspace

    if conflicts and (prelabel or review):
        raise click.UsageError("--conflicts shows everybody's boxes and draws the likely ones: no --prelabel, --review")
    ws = Workspace.open(workspace)
    tasks = TaskOptions(
        prelabel=prelabel,
        sources=sources,
        splits=splits,
        questions=questions,
        undone=undone,
        review=review,
        jobs=jobs,
    )
    if conflicts:
        chosen = review_options(ws, tasks)
        if chosen is None:
            emit({"conflicts": 0}, "no conflicts: nothing to review", as_json=as_json)
            return
        tasks = chosen
    options = PushOptions(
        tasks=tasks,
        images=ImageOptions(images, url_template, pages_folder, document_root),
        overlap=overlap,
        limit=limit,
        chunk_tasks=chunk,
        images_checked=check_images,
    )
    options.images.check()
    with ws.lock("label-studio push"), connect(url, key_file) as server:
        result = push_tasks(
            ws,
            server,
            project,
            options,
            say=lambda line: click.echo(line, err=True),
            make_tasks=build_review_tasks if conflicts else build_tasks,
        )
    emit(result.to_json(), result.text(), as_json=as_json)
    ctx.exit(result.outcome.exit_code)
