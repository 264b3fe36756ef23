"""`pinpoint evaluate`: a trained run beside the simple ways to choose, on documents it has not learnt from."""

from __future__ import annotations

from pathlib import Path

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import device_option, model_option, open_run

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


def _shares(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list like 0.10,0.25,0.60") from error


@click.command()
@click.argument("run", type=_FOLDER, required=False)
@click.option("--dataset", type=_FOLDER, required=True, help="Published dataset folder.")
@click.option("--workspace", type=_FOLDER, required=True, help="Workspace with the dataset's words and pages.")
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train", "all"]),
    help="validation (default): documents the run held out. test: the published test split. all: every document the "
    "run has not learnt from. train: those it has learnt from, with a warning. Without RUN: published splits.",
)
@click.option("--source", "sources", multiple=True, help="Source to score; may be repeated. Default: all.")
@click.option(
    "--budgets",
    default="0.10,0.25,0.60",
    show_default=True,
    callback=_shares,
    help="Shares of tokens, comma-separated.",
)
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    metavar="NAME",
    help="Score another window scorer too: a registered name or package.module:attribute. May be repeated.",
)
@click.option(
    "--baselines-only", is_flag=True, help="Only random, text density, BM25 and the oracle; RUN may be left out."
)
@click.option("--grid", default="patches", show_default=True, help="Token grid where there is no RUN.")
@click.option("--resamples", type=click.IntRange(min=10), default=1000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of bootstrap and random scorer."
)
@click.option("--cache", type=_FOLDER, help="Feature cache (pinpoint features) that visual tokens are read from.")
@model_option
@device_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Default: RUN/evaluation-SPLIT.")
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    run: Path | None,
    dataset: Path,
    workspace: Path,
    split: str | None,
    sources: tuple[str, ...],
    budgets: tuple[float, ...],
    scorers: tuple[str, ...],
    baselines_only: bool,
    grid: str,
    resamples: int,
    seed: int,
    cache: Path | None,
    model: str | None,
    device: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score a trained run beside random, text density, BM25 and the window oracle.

    Evidence recall at exact budgets, region accuracy, top-1 accuracy and full-coverage budget, with 95 % intervals
    from resampled documents and paired differences, over all questions and by source. Writes evaluation.json,
    evaluation.md and questions.jsonl (every score of every question).

    \b
    Examples:
      pinpoint evaluate runs/first --dataset dataset --workspace ws
      pinpoint evaluate --baselines-only --dataset dataset --workspace ws --out baselines
    """
    if run is None and not baselines_only:
        raise UsageError("name the RUN to score, or score the baselines alone with --baselines-only")
    from training.evaluation_report import terminal_text
    from training.evaluation_run import evaluate_dataset, write_evaluation

    loaded = open_run(run, model, device) if run is not None else None
    evaluation, summary = evaluate_dataset(
        dataset,
        workspace,
        loaded,
        split=split,
        sources=sources or None,
        scorers=scorers,
        with_run=not baselines_only,
        grid=grid,
        budgets=budgets,
        cache=cache,
        resamples=resamples,
        seed=seed,
    )
    folder = out or (run / f"evaluation-{summary['split']}" if run is not None else None)
    if folder is not None:
        write_evaluation(folder, evaluation, summary)
    if as_json:  # the text has them on its first lines
        for warning in summary["warnings"]:
            click.echo(f"pinpoint: warning: {warning}", err=True)
    refused = evaluation.outcome.to_json() if evaluation.outcome.refused else None
    text = terminal_text(summary) + (f"\n\nwritten to {folder}" if folder is not None else "")
    if refused:
        text += "\n" + evaluation.outcome.text()
    emit(summary | {"refusals": refused, "out": str(folder) if folder is not None else None}, text, as_json=as_json)
    ctx.exit(evaluation.outcome.exit_code)
