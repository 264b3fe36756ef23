"""`pinpoint benchmark`: how much of the evidence every token-reduction method keeps, at every budget."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import shares

_WIDTH = 100
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("run", type=_FOLDER, required=False)
@click.option("--dataset", type=_FOLDER, help="Published dataset folder.")
@click.option("--workspace", type=_FOLDER, help="Workspace with the dataset's words and pages.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option(
    "--selector",
    "selectors",
    multiple=True,
    metavar="NAME",
    help="Selector to compare: a registered name or package.module:attribute. May be repeated. Default: all that can "
    "run with what is given.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SELECTOR.KEY=VALUE",
    help="Option of a selector, such as fastv.layer=3 or crop.boxes=boxes.jsonl. May be repeated.",
)
@click.option("--list", "listing", is_flag=True, help="List the selectors, with what each needs, and stop.")
@click.option("--model", metavar="FOLDER", help="Vision-language model to select in: a folder or a hub name.")
@click.option("--revision", help="Branch, tag or commit of a --model on the hub.")
@click.option("--dtype", type=click.Choice(["bfloat16", "float16", "float32"]), help="Of the model. Default: bfloat16.")
@click.option("--device", help="Where to compute: cpu, cuda, cuda:1. Default: for a model a GPU if there is one.")
@click.option(
    "--max-pixels", type=click.IntRange(min=1), help="The most pixels the model encodes a page with (Qwen-VL)."
)
@click.option("--clip", type=_FOLDER, help="CLIP model of LLaVA-NeXT's tower, for selectors in CLIP's joint space.")
@click.option("--cache", type=_FOLDER, help="Feature cache (pinpoint features) that visual tokens are read from.")
@click.option(
    "--budgets",
    default="0.05,0.10,0.20,0.25,0.33,0.50,0.60",
    show_default=True,
    callback=shares,
    help="Shares of tokens, comma-separated.",
)
@click.option(
    "--split",
    type=click.Choice(["validation", "test", "train", "all"]),
    help="As in pinpoint evaluate. Default: what RUN held out, or without RUN everything.",
)
@click.option("--source", "sources", multiple=True, help="Source to score; may be repeated. Default: all.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many questions with gold boxes.")
@click.option("--answers", is_flag=True, help="Answer too, from what each selector keeps, and correlate.")
@click.option(
    "--answer-budgets",
    default="0.10,0.25,0.60",
    show_default=True,
    callback=shares,
    help="With --answers: shares of tokens to answer from, among the budgets.",
)
@click.option(
    "--max-new-tokens", type=click.IntRange(min=1), default=32, show_default=True, help="With --answers: the longest."
)
@click.option("--examples", type=click.IntRange(min=0), default=4, show_default=True, help="Questions that are drawn.")
@click.option("--question", "questions", multiple=True, metavar="ID", help="Draw this question. May be repeated.")
@click.option(
    "--example-budget",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.25,
    show_default=True,
    help="Budget that examples are drawn at; the nearest of --budgets.",
)
@click.option("--resamples", type=click.IntRange(min=10), default=1000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of bootstrap and random choice."
)
@json_option
@click.pass_context
def benchmark(
    ctx: click.Context,
    /,
    run: Path | None,
    dataset: Path | None,
    workspace: Path | None,
    out: Path | None,
    listing: bool,
    settings: tuple[str, ...],
    cache: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare token-reduction methods: how much of the evidence is left at a budget of tokens?

    Every selector sees the same pages, tokens and questions, and is scored on the same gold boxes. Without --model
    those that need no language model run, on the embedded backbone; with it all of them (docs/selectors.md lists them).
    RUN is a trained run, for `pinpoint`: everybody then selects on its grid, from documents it has not learnt from.

    Every row is kept in samples.jsonl when it is there, and the same command goes on where it was stopped. Writes
    benchmark.json, .md, .csv and .html, curves.svg, and a picture of each example.

    \b
    Examples:
      pinpoint benchmark --dataset dataset --workspace ws --out benchmark --limit 500
      pinpoint benchmark runs/qwen --model Qwen2-VL-7B-Instruct --dataset dataset --workspace ws --out benchmark
      pinpoint benchmark --selector bm25 --selector my_package.ideas:Corners --dataset dataset --workspace ws --out b
    """
    if listing:
        _list(as_json)
        return
    if dataset is None or workspace is None or out is None:
        raise UsageError("name --dataset, --workspace and --out (or ask for the selectors with --list)")
    from training.benchmark.opening import ModelOptions
    from training.benchmark.run import BenchmarkSettings, run_benchmark
    from training.benchmark.tables import benchmark_terminal

    model = ModelOptions(
        **{name: options.pop(name) for name in ("model", "revision", "dtype", "device", "max_pixels", "clip")}
    )
    sources = options.pop("sources") or None
    wanted = BenchmarkSettings(options=selector_options(settings), sources=sources, **options)
    data, summary = run_benchmark(dataset, workspace, out, wanted, run=run, model=model, cache=cache)
    refused = data.outcome.to_json() if data.outcome.refused else None
    if as_json:  # the text has them on its first lines
        for warning in summary["warnings"]:
            click.echo(f"pinpoint: warning: {warning}", err=True)
    text = f"{benchmark_terminal(summary)}\n\nwritten to {out}, the page is {out / 'benchmark.html'}"
    if refused:
        text += "\n" + data.outcome.text()
    emit(summary | {"refusals": refused, "out": str(out)}, text, as_json=as_json)
    ctx.exit(data.outcome.exit_code)


def selector_options(settings: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Options by selector, of texts such as `fastv.layer=3`.

    Raises:
        UsageError: A text of another form.
    """
    from training.config import parse_value

    found: dict[str, dict[str, Any]] = {}
    for text in settings:
        place, equals, value = text.partition("=")
        selector, point, key = place.strip().rpartition(".")
        if not (equals and point and selector and key):
            raise UsageError(f"--set needs SELECTOR.KEY=VALUE, got {text!r}")
        found.setdefault(selector, {})[key.replace("-", "_")] = parse_value(value.strip())
    return found


def _list(as_json: bool) -> None:
    from training.benchmark.opening import choose_selectors
    from training.selectors import selector_about

    chosen = choose_selectors((), {})
    rows: list[dict[str, Any]] = [
        {
            "selector": name,
            "needs": sorted(made.needs),
            "reads_question": made.reads_question,
            "about": selector_about(name),
        }
        for name, made in chosen.made.items()
    ]
    rows += [{"selector": name, "needs": None, "about": reason} for name, reason in chosen.unavailable.items()]
    needs = ["an option" if row["needs"] is None else ", ".join(row["needs"]) or "-" for row in rows]
    widths = [2 + max(len(text) for text in column) for column in ((row["selector"] for row in rows), needs)]
    text = [f"{'selector':<{widths[0]}}{'needs':<{widths[1]}}what it is"]
    for row, own in zip(rows, needs, strict=True):
        lines = textwrap.wrap(row["about"], _WIDTH - sum(widths))
        text.append(f"{row['selector']:<{widths[0]}}{own:<{widths[1]}}{lines[0]}")
        text += [" " * sum(widths) + line for line in lines[1:]]
    emit({"selectors": rows}, "\n".join(text), as_json=as_json)
