"""`pinpoint label-studio export`: task files to import by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from annotation.label_studio.commands.options import question_options
from pinpoint_data.console import emit, jobs_option, json_option, workspace_argument

if TYPE_CHECKING:
    from annotation.label_studio.page_images import PageImages

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@workspace_argument
@click.argument("out", type=_FOLDER)
@question_options
@click.option(
    "--images",
    type=click.Choice(["local-files", "url-template", "data-uri"]),
    default="local-files",
    show_default=True,
    help="Files that the server serves, addresses of your own host, or inside the tasks (a few small pages).",
)
@click.option("--url-template", metavar="URL", help="With url-template: https://HOST/{path}, {page_id}, {name}, ...")
@click.option("--pages-folder", type=_FOLDER, help="Where page files go. Default with local-files: OUT/pages.")
@click.option("--document-root", type=_FOLDER, help="The server's document root. Default with local-files: OUT.")
@jobs_option
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    workspace: Path,
    out: Path,
    prelabel: str | None,
    review: tuple[str, ...],
    sources: tuple[str, ...],
    splits: tuple[str, ...],
    questions: tuple[str, ...],
    undone: bool,
    images: str,
    url_template: str | None,
    pages_folder: Path | None,
    document_root: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Write the questions of WORKSPACE as task files into OUT, with the interface and how to import them.

    Very tall pages are shown as parts that overlap; boxes come back in pixels of the whole page. Page files that are
    there already are kept, so a stopped run goes on where it was. Questions whose pages cannot be shown are named, the
    others are written; the exit code is then 1.

    \b
    Examples:
      pinpoint label-studio export ws tasks --prelabel 'proposal:*'
      pinpoint label-studio export ws tasks --document-root /srv/ls --pages-folder /srv/ls/pages
      pinpoint label-studio export ws tasks --images url-template --url-template 'https://host/{path}'
    """
    from annotation.label_studio.interface import config_xml
    from annotation.label_studio.task_files import check_folder, write_task_files
    from annotation.label_studio.tasks import TaskOptions, build_tasks, chosen_questions, shown_annotators
    from pinpoint_data.progress import track
    from pinpoint_data.workspace import Workspace

    ws = Workspace.open(workspace)
    check_folder(out)
    options = TaskOptions(
        prelabel=prelabel,
        review=review,
        sources=sources,
        splits=splits,
        questions=questions,
        undone=undone,
        jobs=jobs,
    )
    chosen, place, how = _images(images, url_template, pages_folder, document_root, out)
    with ws.lock("pinpoint label-studio export"):
        total = len(chosen_questions(ws, options))
        tasks = track(build_tasks(ws, options, chosen), "tasks", total)
        config = config_xml(shown_annotators(ws, review))
        written = write_task_files(out, tasks, config=config, images={"mode": images, **place}, how_images=how)
    payload = {**written.outcome.to_json(), "out": str(out), "files": written.files, "images": images}
    names = f"{len(written.files)} task files, config.xml and README.txt in {out}"
    emit(payload, f"{written.outcome.text()}\n{names}", as_json=as_json)
    ctx.exit(written.outcome.exit_code)


def _images(
    mode: str, template: str | None, pages_folder: Path | None, document_root: Path | None, out: Path
) -> tuple[PageImages, dict[str, str], str]:
    """The way images are shown, what the manifest says of it, and the step of the README that belongs to it."""
    from annotation.label_studio.page_images import DataUris, LocalFiles, UrlTemplate

    if (mode == "url-template") != (template is not None):
        raise click.UsageError("--images url-template and --url-template belong together")
    if mode != "local-files" and document_root is not None:
        raise click.UsageError(f"--document-root belongs to --images local-files, not to {mode}")
    if template is not None:
        copied = f" Copy the files of {pages_folder} to that host." if pages_folder else ""
        address = {"url_template": template}
        return UrlTemplate(template, pages_folder), address, f"See that annotators' browsers reach {template}.{copied}"
    if mode == "data-uri":
        if pages_folder is not None:
            raise click.UsageError("--pages-folder belongs to --images local-files or url-template, not to data-uri")
        return DataUris(), {}, "The page images are inside the tasks; there is nothing to set."
    root = document_root or (pages_folder.parent if pages_folder else out)
    local = LocalFiles(pages_folder or out / "pages", root)
    return local, {"document_root": str(local.document_root)}, local.setup
