"""`pinpoint report`: one HTML page about a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from pinpoint_data.console import emit, json_option, workspace_argument


def _count_or_all(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"expected a number of at least 1, or all; got {value!r}")
    return int(value)


@click.command()
@workspace_argument
@click.argument("out", metavar="OUT.html", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--annotator",
    "annotators",
    metavar="PATTERN",
    multiple=True,
    help="Compare these annotators only (`label-studio:*`); may be repeated. Default: all but gold and proposals.",
)
@click.option(
    "--questions",
    metavar="N|all",
    default="5000",
    show_default=True,
    callback=_count_or_all,
    help="List the N most disputed questions, or all. Figures are over all in any case.",
)
@click.option(
    "--thumbnails",
    type=click.IntRange(min=0),
    metavar="N",
    default=50,
    show_default=True,
    help="Put page pictures of the N most disputed questions into the file (about 0.1 MB each); 0 for none.",
)
@json_option
@click.pass_context
def report(
    ctx: click.Context,
    workspace: Path,
    out: Path,
    annotators: tuple[str, ...],
    questions: int | None,
    thumbnails: int,
    as_json: bool,
) -> None:
    """Write one HTML page about the campaign in WORKSPACE: progress, agreement, disputed questions, findings.

    The file holds everything it shows, works without a network, and is replaced only when the new one is whole. Page
    pictures in it stay under the licences of their sources: use --thumbnails 0 for a file to pass on.

    Exit code 0 when all is in it, 1 when regions or pictures had to be left out, 2 on misuse.

    \b
    Examples:
      pinpoint report ws report.html
      pinpoint report ws report.html --annotator 'label-studio:*' --questions 500 --thumbnails 100
    """
    from annotation.report import ReportOptions, write_report
    from pinpoint_data.workspace import Workspace

    result = write_report(Workspace.open(workspace), out, ReportOptions(annotators, questions, thumbnails))
    emit(result.to_json(), result.text(), as_json=as_json)
    ctx.exit(result.exit_code)
