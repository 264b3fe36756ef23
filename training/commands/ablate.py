"""`pinpoint ablate`: train variants of a recipe and compare them on the same held-out documents."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click
import filelock

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dataset", type=_FOLDER, required=True, help="Published dataset folder.")
@click.option("--workspace", type=_FOLDER, required=True, help="Workspace with the dataset's words and pages.")
@click.option("--config", metavar="FILE|RECIPE", help="The recipe that is ablated.  [default: ocr-grid]")
@click.option(
    "--variants",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="TOML file of variants; the paper's ablations by default.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this variant, also in the table; may be repeated.")
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Trainings of each variant.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting of the recipe; may be repeated."
)
@click.option("--source", "sources", multiple=True, help="Source of the dataset; may be repeated. Default: all.")
@click.option("--cache", type=_FOLDER, help="Feature cache (pinpoint features) that visual tokens are read from.")
@click.option("--resamples", type=click.IntRange(min=10), default=1000, show_default=True, help="Of the bootstrap.")
@json_option
@click.pass_context
def ablate(
    ctx: click.Context,
    out: Path,
    dataset: Path,
    workspace: Path,
    config: str | None,
    variants: Path | None,
    only: tuple[str, ...],
    seeds: int,
    settings: tuple[str, ...],
    sources: tuple[str, ...],
    cache: Path | None,
    resamples: int,
    as_json: bool,
) -> None:
    """Train variants of a recipe into OUT and print how each differs from the base.

    Without --variants those of the paper: without either loss, K = 25, 50 and 200 queries, windows of 6 and 14 tokens,
    and with only the queries or only the MLPs learning.
    Every variant is a run of its own in OUT/NAME, scored on the documents that it held out. The same command again
    takes finished runs as they are and resumes an unfinished one. Writes OUT/ablation.json and OUT/ablation.md.

    \b
    Examples:
      pinpoint ablate ablations/first --dataset dataset --workspace ws
      pinpoint ablate ablations/qwen --config qwen2-vl --cache features --seeds 3 --dataset dataset --workspace ws
    """
    from training.ablation.run import TABLE_FILES, Places, load_variants, run_ablation

    wanted = load_variants(variants, only)
    places = Places(out, dataset, workspace, cache, sources or None)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".ablation.lock", timeout=0):
            found = run_ablation(
                wanted, places, config=config, settings=settings, seeds=seeds, say=_say, report=_report
            )
    except filelock.Timeout as error:
        raise UsageError("is being written by another ablation", file=out, remedy="wait for it to end") from error
    if found.stopped_by is not None:
        _say(f"{signal.Signals(found.stopped_by).name}: stopped; the same command again goes on from here")
        raise SystemExit(128 + found.stopped_by)
    from pinpoint_data.atomic import write_json, write_text
    from training.ablation.table import ablation_markdown, ablation_terminal, summarise_ablation

    summary = summarise_ablation(found, resamples=resamples)
    as_data, as_page = TABLE_FILES
    write_text(out / as_page, ablation_markdown(summary))
    write_json(out / as_data, summary)
    emit(summary, f"{ablation_terminal(summary)}\n\nwritten to {out}", as_json=as_json)
    ctx.exit(found.outcome.exit_code)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _report(record: dict[str, Any]) -> None:
    """A line an epoch; the steps are in the run's metrics."""
    if record["kind"] == "epoch":
        scores = "  ".join(f"{name} {value:.4f}" for name, value in record["validation"].items())
        _say(f"  epoch {record['epoch']}  {scores or 'no validation part'}")
