"""`pinpoint label-studio preflight`: task files looked at before they are imported."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import click

from annotation.label_studio.api_key import VARIABLE
from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="FILES|FOLDER...")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The project's interface; by default config.xml of the folder, else the one of `config`.",
)
@click.option("--title", help="The project's title.")
@click.option(
    "--document-root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The server's document root on this machine: page files are looked up there.",
)
@click.option("--url", help=f"Address of the server: it is asked for page images, with the key of ${VARIABLE}.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key, readable by you alone (chmod 600).",
)
@click.option("--sample", type=click.IntRange(min=0), default=20, show_default=True, help="Images to look at.")
@click.option("--list-codes", is_flag=True, help="Print all codes as a table.")
@json_option
@click.pass_context
def preflight(
    ctx: click.Context,
    paths: tuple[Path, ...],
    config_file: Path | None,
    title: str | None,
    document_root: Path | None,
    url: str | None,
    key_file: Path | None,
    sample: int,
    list_codes: bool,
    as_json: bool,
) -> None:
    """Look at task files, or at the folder of an export, before Label Studio gets them.

    It takes nearly everything without a word: boxes in pixels, unknown labels, pages that nobody can open. Each
    problem here has a stable code and a remedy. Nothing is sent; the server, if one is named, is asked for images only.

    Exit code 0, 1 with errors or warnings, 2 on misuse.

    \b
    Examples:
      pinpoint label-studio preflight tasks
      pinpoint label-studio preflight tasks-0001.json --config config.xml --url http://localhost:8080
    """
    from annotation.label_studio.preflight import ImageSample, Preflight, codes_table, title_finding
    from annotation.label_studio.preflight.files import file_findings, inputs_of
    from annotation.label_studio.preflight.report import Report
    from pinpoint_data.small_files import read_small_text

    if list_codes:
        click.echo(codes_table(), nl=False)
        return
    if not paths:
        raise click.UsageError("name task files, or the folder of an export")
    inputs = inputs_of(paths)
    config = read_small_text(config_file, "replace") if config_file else inputs.config
    images = ImageSample(sample, document_root or inputs.document_root)
    try:
        check = Preflight(config, images)
    except UsageError as error:
        raise UsageError(error.message, file=config_file or paths[0], remedy=error.remedy) from error
    report = Report()
    with ExitStack() as stack:
        if url is not None:
            from annotation.label_studio.connect import connect

            images.fetch = stack.enter_context(connect(url, key_file)).fetch
        titles = [] if title is None else [title_finding(title)]
        of_files = chain.from_iterable(file_findings(path, check) for path in inputs.files)
        for finding in chain(inputs.findings, filter(None, titles), of_files, check.finish()):
            report.add(finding)
    report.tasks = check.tasks
    emit(report.to_json(), report.text(), as_json=as_json)
    ctx.exit(report.exit_code)
