"""`pinpoint propose`: evidence boxes from the words of the pages, for people to check."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pinpoint_data.console import emit, jobs_option, json_option, workspace_argument
from pinpoint_data.engines import engine_option, make_workers, ray_address_option


@click.command()
@workspace_argument
@click.option("--source", metavar="NAME", help="Only questions of this source.")
@click.option(
    "--method",
    type=click.Choice(["lexical", "first-exact"]),
    default="lexical",
    show_default=True,
    help="first-exact is the baseline: the first place that says an answer word for word.",
)
@click.option(
    "--group",
    type=click.Choice(["lines", "blocks"]),
    default="lines",
    show_default=True,
    help="A box a line, or the whole paragraphs, tables and charts.",
)
@click.option(
    "--keep", type=click.IntRange(1, 50), default=1, show_default=True, help="Places of a repeated answer, best first."
)
@click.option(
    "--support", type=click.IntRange(0, 20), default=4, show_default=True, help="Most labels, headers and titles."
)
@click.option("--fuzzy/--no-fuzzy", default=True, show_default=True, help="Nearly equal words where nothing is equal.")
@click.option("--force", is_flag=True, help="Make parts anew that nothing has changed in.")
@jobs_option
@engine_option
@ray_address_option
@json_option
@click.pass_context
def propose(
    ctx: click.Context,
    workspace: Path,
    source: str | None,
    method: str,
    group: str,
    keep: int,
    support: int,
    fuzzy: bool,
    force: bool,
    jobs: int,
    engine: str,
    ray_address: str | None,
    as_json: bool,
) -> None:
    """Propose evidence boxes from the words of the pages of WORKSPACE.

    Every place that says an answer (exactly, but for writing, by value, or nearly) competes over all pages of its
    question; the one that the question's rare words stand closest to is proposed, with the labels, headers and titles
    that repeat the question as support. The rows are annotations by proposal:METHOD@VERSION, each with a score and
    the reason. A killed run resumes; parts that nothing has changed in are left alone.

    \b
    Examples:
      pinpoint propose ws
      pinpoint propose ws --source mmdocir --group blocks
    """
    from annotation.proposals import Settings
    from annotation.proposals import propose as run_proposals
    from pinpoint_data.errors import UsageError
    from pinpoint_data.workspace import Workspace

    if method == "first-exact" and group == "blocks":
        raise UsageError("--group blocks belongs to --method lexical, not to first-exact")
    settings = Settings(method, group, keep, support, fuzzy)  # type: ignore[arg-type]  # click checked the choices
    workers = make_workers(ctx, engine, jobs, ray_address)
    run = run_proposals(Workspace.open(workspace), settings, source=source, force=force, workers=workers)
    lines = [f"{p.part}: {p.boxes:,} boxes for {p.questions:,} questions {p.state}" for p in run.parts]
    lines.append(run.outcome.text())
    if run.outcome.counts["questions-without-words"]:
        lines.append("pages without words give no proposals; `pinpoint words --fallback rapidocr` reads their pixels")
    payload = run.outcome.to_json() | {"annotator": settings.annotator, "parts": [asdict(p) for p in run.parts]}
    emit(payload, "\n".join(lines), as_json=as_json)
    ctx.exit(run.outcome.exit_code)
