"""Tables of scores: on a terminal of 100 columns, and as Markdown."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from pinpoint_data.errors import one_line

WIDTH = 100

Scores = Mapping[str, Mapping[str, Mapping[str, float | None]]]


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
    written = io.StringIO()
    # Names come from data: neither "[b]" nor ":100:" in them may mean anything, and no escape may reach the terminal.
    console = Console(
        file=written, width=WIDTH, markup=False, emoji=False, highlight=False, color_system=None, legacy_windows=False
    )
    for line in lines:
        console.print(one_line(line))
    for shown in tables:
        title = one_line(shown.title)
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="", pad_edge=False)
        for index, column in enumerate(shown.columns):
            table.add_column(one_line(column), justify="left" if index == 0 else "right", overflow="fold")
        for row in shown.rows:
            table.add_row(*map(one_line, row))
        console.print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def markdown_report(title: str, lines: Sequence[str], tables: Iterable[ScoreTable]) -> str:
    """A Markdown file: a title, lines, and a section a table."""
    text = [f"# {title}", "", *(f"{_text(line)}  " for line in lines)]
    for shown in tables:
        text += ["", f"## {_text(shown.title)}", ""]
        text.append("| " + " | ".join(map(_cell, shown.columns)) + " |")
        text.append("|" + "|".join(["---", *["---:"] * (len(shown.columns) - 1)]) + "|")
        text += ["| " + " | ".join(map(_cell, row)) + " |" for row in shown.rows]
    return "\n".join(text) + "\n"


def score_table(title: str, kind: str, scores: Scores, names: Sequence[str], titles: Sequence[str]) -> ScoreTable:
    """A row a scorer, with the scores of these names.

    Args:
        title: Of the table.
        kind: What a row is, `scorer` or `variant`.
        scores: By scorer, by name.
        names: Of the scores wanted.
        titles: Of their columns.
    """
    return ScoreTable(title, (kind, *titles), score_rows(scores, names))


def score_rows(scores: Scores, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """A row a scorer: its name, then the scores of these names."""
    return tuple((scorer, *(short_score(found.get(name)) for name in names)) for scorer, found in scores.items())


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
    text = f"{value:z.{digits}f}"
    whole, point, decimals = text.partition(".")
    if whole in ("0", "-0"):
        return whole.replace("0", "") + point + decimals
    return f"{value:z.{digits - 1}f}"


def _text(text: str) -> str:
    """Text that is one line of Markdown, and no HTML."""
    return one_line(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table either."""
    return _text(text).replace("|", "\\|")
