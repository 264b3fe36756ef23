"""Tables of scores: on a terminal of 100 columns, and as Markdown."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinpoint_data.errors import one_line

WIDTH = 100


@dataclass(frozen=True)
class ScoreTable:
    """One table of a report.

    Attributes:
        title: What it shows.
        columns: Headings; the first column names the row.
        rows: Cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def terminal(lines: Sequence[str], tables: Iterable[ScoreTable]) -> str:
    """Lines, then tables, as plain text of at most 100 columns."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False, highlight=False)
    for line in lines:
        console.print(escape(line))
    for shown in tables:
        table = Table(
            box=box.SIMPLE_HEAD, title=escape(shown.title), title_justify="left", title_style="", pad_edge=False
        )
        for index, column in enumerate(shown.columns):
            table.add_column(escape(column), justify="left" if index == 0 else "right", overflow="fold")
        for row in shown.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def markdown_report(title: str, lines: Sequence[str], tables: Iterable[ScoreTable]) -> str:
    """A Markdown file: a title, lines, and a section a table."""
    text = [f"# {title}", "", *(f"{line}  " for line in lines)]
    for shown in tables:
        text += ["", f"## {_cell(shown.title)}", ""]
        text.append("| " + " | ".join(map(_cell, shown.columns)) + " |")
        text.append("|" + "|".join(["---", *["---:"] * (len(shown.columns) - 1)]) + "|")
        text += ["| " + " | ".join(map(_cell, row)) + " |" for row in shown.rows]
    return "\n".join(text) + "\n"


def score_rows(
    scorers: Mapping[str, Mapping[str, Mapping[str, float | None]]], names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """A row a scorer: its name, then the scores of these names."""
    return tuple((scorer, *(short_score(found.get(name)) for name in names)) for scorer, found in scorers.items())


def short_score(found: Mapping[str, float | None] | None) -> str:
    """`.841 [.80,.88]`; a dash where no question has the score, no interval where one document has all of them."""
    if found is None:
        return "-"
    mean, low, high = found["mean"], found["low"], found["high"]
    assert mean is not None
    if low is None or high is None:
        return f"{short_number(mean, 3)}            "
    return f"{short_number(mean, 3)} [{short_number(low, 2)},{short_number(high, 2)}]"


def short_number(value: float, digits: int) -> str:
    """Without the zero before the point; with a digit less where another one stands there, so that columns align."""
    text = f"{value:.{digits}f}"
    whole, point, decimals = text.partition(".")
    if whole in ("0", "-0"):
        return whole.replace("0", "") + point + decimals
    return f"{value:.{digits - 1}f}"


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table, or be HTML."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
