"""`pinpoint ranker`: train the selector that needs no model, or show what one was trained on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError

if TYPE_CHECKING:
    from training.ranker.fit import FitSettings


@click.group()
def ranker() -> None:
    """Train the ranker that `select` uses by default, or show what one was trained on.

    \b
    Examples:
      pinpoint ranker info
      pinpoint ranker train my-ranker --dataset DATASET --workspace WS
      pinpoint select page.png "What was the total?" --ranker my-ranker
    """


@ranker.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--dataset",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Published dataset with gold boxes.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="The workspace it was published from, with words.",
)
@click.option("--source", "sources", multiple=True, help="Source of the dataset; repeat for more. Default: all.")
@click.option(
    "--folds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Deal documents into so many parts and hold the first one out; 1 holds nothing out.",
)
@click.option("--license", "licence", help="What the weights may be used for, for the card.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Setting, such as epochs=12 or seed=3.")
@json_option
def train(
    out: Path,
    dataset: Path,
    workspace: Path,
    sources: tuple[str, ...],
    folds: int,
    licence: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a ranker on the evidence boxes of DATASET, and write it to the new folder OUT.

    Every source counts alike, however many questions it has. Documents that share a page file are held out together.
    Two cores take some minutes for 2,000 questions.
    """
    from training.ranker.train import facts_line, train_ranker

    made, outcome = train_ranker(
        out,
        dataset,
        workspace,
        sources=sources or None,
        folds=folds,
        settings=_settings(settings),
        licence=licence,
        report=lambda line: click.echo(line, err=True),
    )
    facts = dict(made.facts)
    shown = {"out": str(out), "parameters": made.parameters, **{k: v for k, v in facts.items() if k != "pages"}}
    text = [facts_line(facts), f"{made.members} networks, {made.parameters:,} weights", f"written {out}"]
    text += [f"left out: {why}: {count:,}" for why, count in facts["left_out"].items()]
    text += [f"refused: {problem.record}: {problem.message}" for problem in outcome.problems[:10]]
    emit(shown | {"refused": dict(sorted(outcome.refused.items()))}, "\n".join(text), as_json=as_json)
    if outcome.refused:
        raise SystemExit(1)


@ranker.command()
@click.argument("name", required=False)
@json_option
def info(name: str | None, as_json: bool) -> None:
    """Show the card of a ranker: a shipped one by its NAME, or a folder or file. Default: the one `select` uses."""
    from training.ranker.card import card_text
    from training.ranker.model import SHIPPED, Ranker, ranker_names

    found = Ranker.load(SHIPPED if name is None else name)
    facts = {key: value for key, value in found.facts.items() if key != "pages"}
    payload = {"name": found.name, "shipped": ranker_names(), "parameters": found.parameters, **facts}
    emit(payload, card_text(found), as_json=as_json)


def _settings(texts: tuple[str, ...]) -> FitSettings:
    from pydantic import TypeAdapter, ValidationError

    from training.config import parse_value
    from training.ranker.fit import FitSettings

    known = [field.name for field in fields(FitSettings)]
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = map(str.strip, text.partition("="))
        if not equals or key not in known:
            raise UsageError(f"--set {text!r}: settings are {', '.join(known)}, each as key=value")
        values[key] = parse_value(value)
    try:
        return TypeAdapter(FitSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--set {first['loc'][0]}: {first['msg'].lower()}, got {first['input']!r}") from error
