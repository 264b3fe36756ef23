"""`pinpoint words`: the words of every page of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pinpoint_data.console import emit, jobs_option, json_option, workspace_argument
from pinpoint_data.engines.options import ENGINES, make_workers, ray_address_option


@click.command()
@workspace_argument
@click.option(
    "--from",
    "origin",
    metavar="NAME",
    help="auto (OCR file, else PDF text layer; the default), ocr-file, pdf-text, rapidocr, or an installed engine.",
)
@click.option("--fallback", metavar="NAME", help="With auto: the engine for pages that offer no words, e.g. rapidocr.")
@click.option("--source", metavar="NAME", help="Only pages of this source.")
@jobs_option
@click.option(
    "--engine",
    "engines",
    metavar="local|ray",
    multiple=True,
    help="Where it runs: processes of this machine, or Ray (extra `ray`). Same bytes. Another name means --from NAME.",
)
@ray_address_option
@json_option
@click.pass_context
def words(
    ctx: click.Context,
    workspace: Path,
    origin: str | None,
    fallback: str | None,
    source: str | None,
    jobs: int,
    engines: Sequence[str],
    ray_address: str | None,
    as_json: bool,
) -> None:
    """Take the words of every page: OCR files, PDF text layer, or RapidOCR.

    A killed run resumes; parts whose pages and OCR files have not changed are left alone. Without --from and
    --fallback, words that another engine made are kept too; naming an engine replaces them, except in parts where it
    has nothing to read (pdf-text on images).

    Pages that offer no words are counted (no-words); the exit code is 1 only for pages that failed.

    \b
    Examples:
      pinpoint words ws
      pinpoint words ws --fallback rapidocr --jobs 4
      pinpoint words ws --from rapidocr --engine ray --ray-address auto
    """
    from pinpoint_data.words import AutoEngine, make_engine, take_words
    from pinpoint_data.workspace import Workspace

    named, engine = _word_engine(origin, engines)
    if fallback is not None and named not in (None, "auto"):
        raise click.UsageError(f"--fallback belongs to --from auto, not to {named}")
    chosen = AutoEngine(make_engine(fallback)) if fallback is not None else make_engine(named or "auto")
    run = take_words(
        Workspace.open(workspace),
        chosen,
        source=source,
        jobs=jobs,
        keep_others=named is None and fallback is None,
        workers=make_workers(ctx, engine, jobs, ray_address),
    )
    lines = [f"{p.part}: {p.words:,} words {p.state} ({p.engine})" for p in run.parts]
    lines.append(run.outcome.text())
    if (bare := run.outcome.counts["no-words"]) and all(p.engine == "auto" for p in run.parts):
        lines.append(f"{bare:,} pages have neither OCR file nor text layer; --fallback rapidocr reads their pixels")
    emit(run.outcome.to_json() | {"parts": [asdict(p) for p in run.parts]}, "\n".join(lines), as_json=as_json)
    ctx.exit(run.outcome.exit_code)


def _word_engine(origin: str | None, engines: Sequence[str]) -> tuple[str | None, str]:
    """Who reads the words (None where nobody was named), and where; `--engine` once named the first."""
    places = {name for name in engines if name in ENGINES}
    names = {name for name in (origin, *engines) if name is not None} - places
    if len(places) > 1 or len(names) > 1:
        raise click.UsageError(f"only one of them can do it: {', '.join(sorted(places if len(places) > 1 else names))}")
    return next(iter(names), None), next(iter(places), "local")
