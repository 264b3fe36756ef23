"""Options that several of these commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_QUESTIONS = (
    click.option("--prelabel", metavar="ANNOTATOR", help="Draw these boxes already, e.g. 'proposal:*' or gold:funsd."),
    click.option("--review", metavar="ANNOTATOR", multiple=True, help="Make review tasks that show these boxes."),
    click.option("--source", "sources", metavar="NAME", multiple=True, help="Only this source; may be repeated."),
    click.option("--split", "splits", metavar="NAME", multiple=True, help="Only this split; may be repeated."),
    click.option("--question", "questions", metavar="ID", multiple=True, help="Only this question; may be repeated."),
    click.option("--undone", is_flag=True, help="Only questions that nobody has finished."),
)


def question_options(command: Function) -> Function:
    """Which questions become tasks, and with whose boxes: the fields of `TaskOptions`."""
    for option in reversed(_QUESTIONS):
        command = option(command)
    return command


def names_option(command: Function) -> Function:
    """`--names FILE`: what annotators are called."""
    return click.option(
        "--names",
        "names_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="What annotators are called: CSV with id, email and name, or JSON by id or e-mail address.",
    )(command)
