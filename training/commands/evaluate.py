"""`pinpoint evaluate`: run and ranker beside the simple ways to choose, or answers beside the unchanged model's.

Either on documents that have not been learnt from.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import device_option, model_option, refuse_given, shares

if TYPE_CHECKING:
    from pinpoint_data.errors import Outcome
    from training.refinement import Refinement

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_OF_REGIONS = ("budgets", "ranker", "no_ranker", "scorers", "baselines_only", "grid", "cache")
_MODEL_OPTIONS = ("max_pixels", "dtype", "revision")
_OF_ANSWERS = ("modes", "coverages", "refinement", "limit", "max_new_tokens", *_MODEL_OPTIONS)


@click.command()
@click.argument("run", type=_FOLDER, required=False)
@click.option("--dataset", type=_FOLDER, required=True, help="Published dataset folder.")
@click.option("--workspace", type=_FOLDER, required=True, help="Workspace with the dataset's words and pages.")
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train", "all"]),
    help="validation (default): documents the run held out. test: the published test split. all: every document the "
    "run has not learnt from. train: those it has learnt from, with a warning. Without RUN: the same of a --ranker "
    "given as a folder, and published splits (default: all) of another.",
)
@click.option("--source", "sources", multiple=True, help="Source to score; may be repeated. Default: all.")
@click.option(
    "--budgets",
    default="0.10,0.25,0.60",
    show_default=True,
    callback=shares,
    help="Shares of tokens, comma-separated.",
)
@click.option(
    "--ranker",
    metavar="NAME|PATH",
    help="Score another ranker than the shipped one: a name that `pinpoint ranker info` lists, or the folder or file "
    "of one that was trained.",
)
@click.option("--no-ranker", is_flag=True, help="Leave the ranker out.")
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    metavar="NAME",
    help="Score another window scorer too: a registered name or package.module:attribute. May be repeated.",
)
@click.option(
    "--baselines-only", is_flag=True, help="Only random, text density, BM25 and the oracle: neither RUN nor ranker."
)
@click.option("--grid", default="patches", show_default=True, help="Token grid where there is no RUN.")
@click.option("--resamples", type=click.IntRange(min=10), default=1000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of bootstrap and random scorer."
)
@click.option("--answers", is_flag=True, help="Score answers instead: ANLS and accuracy, tokens, operations, seconds.")
@click.option("--modes", default="vanilla,pinpoint", show_default=True, help="With --answers: from what to answer.")
@click.option(
    "--coverages",
    default="0.6,0.25,0.1",
    show_default=True,
    callback=shares,
    help="With --answers: shares of tokens to select.",
)
@click.option(
    "--refinement",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --answers: a setting of stage two, such as refine=false, global_view=true or zoom=2. May be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), help="With --answers: at most so many questions.")
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="With --answers: the longest answer.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="With --answers: the most pixels the answering model encodes a page with (Qwen-VL). Default: its own limit.",
)
@click.option(
    "--dtype",
    type=click.Choice(["bfloat16", "float16", "float32"]),
    help="With --answers: of the answering model. Default: the run's, or bfloat16.",
)
@click.option("--revision", help="With --answers: branch, tag or commit of a --model on the hub.")
@click.option("--cache", type=_FOLDER, help="Feature cache (pinpoint features) that visual tokens are read from.")
@model_option
@device_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Default: RUN/evaluation-SPLIT.")
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    run: Path | None,
    dataset: Path,
    workspace: Path,
    split: str | None,
    sources: tuple[str, ...],
    resamples: int,
    seed: int,
    answers: bool,
    model: str | None,
    device: str | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Score a trained run and the shipped ranker beside random, text density, BM25 and the window oracle.

    Evidence recall at exact budgets, region accuracy, top-1 accuracy and full-coverage budget, with 95 % intervals
    from resampled documents and paired differences, over all questions and by source. The ranker ranks single tokens,
    the others windows. RUN may be left out where the ranker is scored. Writes evaluation.json, evaluation.md and
    questions.jsonl (every score of every question).

    With --answers, a vision-language model (--model, by default the run's own) answers the questions from all tokens
    and from the regions that the run selects. Every answer is kept in answers.jsonl when it is given, and the same
    command goes on where it was stopped. Writes answers-evaluation.json and answers-evaluation.md.

    \b
    Examples:
      pinpoint evaluate runs/first --dataset dataset --workspace ws
      pinpoint evaluate --dataset dataset --workspace ws --ranker my-ranker --out my-ranker/evaluation
      pinpoint evaluate runs/llava --dataset dataset --workspace ws --answers --coverages 0.6,0.25 --limit 500
    """
    if answers:
        refuse_given(ctx, _OF_REGIONS, "with --answers")
    else:
        refuse_given(ctx, _OF_ANSWERS, "without --answers")
    if run is None:
        refuse_given(ctx, ("cache", "model", "device"), "without RUN")
    else:
        refuse_given(ctx, ("grid",), "with RUN, which has its own")
    if options["baselines_only"]:
        refuse_given(ctx, ("cache", "ranker", "no_ranker"), "with --baselines-only")
    if options["no_ranker"]:
        refuse_given(ctx, ("ranker",), "with --no-ranker")
    data = {"dataset": dataset, "workspace": workspace}
    common = data | {"split": split, "sources": sources or None, "resamples": resamples, "seed": seed}
    work = _answers if answers else _regions
    outcome, summary, text, folder = work(run, model, device, out, common, options)
    if as_json:  # the text has them on its first lines
        for warning in summary["warnings"]:
            click.echo(f"pinpoint: warning: {warning}", err=True)
    refused = outcome.to_json() if outcome.refused else None
    text += f"\n\nwritten to {folder}" if folder is not None else ""
    if refused:
        text += "\n" + outcome.text()
    emit(summary | {"refusals": refused, "out": str(folder) if folder is not None else None}, text, as_json=as_json)
    ctx.exit(outcome.exit_code)


def _regions(
    run: Path | None, model: str | None, device: str | None, out: Path | None, common: dict[str, Any], options: Any
) -> tuple[Outcome, dict[str, Any], str, Path | None]:
    baselines_only: bool = options["baselines_only"]
    if run is None and options["no_ranker"]:
        raise UsageError("name the RUN to score, or score the baselines alone with --baselines-only")
    from training.evaluation.report import terminal_text
    from training.evaluation.run import evaluate_dataset, write_evaluation
    from training.opening import open_run
    from training.ranker import SHIPPED

    loaded = open_run(run, model, device) if run is not None else None
    ranker = SHIPPED if options["ranker"] is None else options["ranker"]
    ranker = None if baselines_only or options["no_ranker"] else ranker
    own = {name: options[name] for name in ("scorers", "grid", "budgets", "cache")}
    evaluation, summary = evaluate_dataset(run=loaded, ranker=ranker, with_run=not baselines_only, **own, **common)
    folder = out or (run / f"evaluation-{summary['split']}" if run is not None else None)
    if folder is not None:
        write_evaluation(folder, evaluation, summary)
    return evaluation.outcome, summary, terminal_text(summary), folder


def _answers(
    run: Path | None, model: str | None, device: str | None, out: Path | None, common: dict[str, Any], options: Any
) -> tuple[Outcome, dict[str, Any], str, Path | None]:
    if run is None:
        raise UsageError("name the RUN that selects regions")
    from training.answer_evaluation import answers_terminal, evaluate_answers
    from training.answering import answering_model, load_run_for

    refinement = _refinement(options["refinement"])
    own = {name: options[name] for name in _MODEL_OPTIONS}
    loaded = load_run_for(run, model, device)
    folder = out or run / f"evaluation-{common['split'] or 'validation'}"
    evaluation, summary = evaluate_answers(
        run=loaded,
        model=answering_model(loaded, model, device=device, **own),
        out=folder,
        modes=[mode.strip() for mode in options["modes"].split(",")],
        coverages=options["coverages"],
        refinement=refinement,
        max_new_tokens=options["max_new_tokens"],
        limit=options["limit"],
        **common,
    )
    return evaluation.outcome, summary, answers_terminal(summary), folder


def _refinement(texts: tuple[str, ...]) -> Refinement:
    """Settings from `key=value`, of the right types: a text such as "False" would otherwise count as true."""
    from pydantic import TypeAdapter, ValidationError

    from training.config import parse_value
    from training.refinement import Refinement

    known = [field.name for field in fields(Refinement)]
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = map(str.strip, text.partition("="))
        if not equals:
            raise UsageError(f"--refinement needs key=value, got {text!r}")
        if key not in known:
            raise UsageError(f"--refinement has no such setting: {key!r}; it has {', '.join(known)}")
        settings[key] = parse_value(value)
    try:
        return TypeAdapter(Refinement).validate_python(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--refinement {first['loc'][0]}: {first['msg'].lower()}, got {first['input']!r}") from error
