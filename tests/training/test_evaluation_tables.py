"""Tables of scores with names that try to leave their place."""

from __future__ import annotations

import pytest

from training.evaluation.tables import ScoreTable, markdown_report, short_number, short_score, terminal

HOSTILE = "[b]a[/b]\\ :100: \x1b[31m|\\|<b>&\n"
TABLE = ScoreTable(f"Scores of {HOSTILE}", ("name", HOSTILE), ((HOSTILE, ".5"), ("plain", ".6")))


def test_on_a_terminal_names_are_shown_as_they_are():
    text = terminal([HOSTILE], [TABLE])
    assert not any(character in text for character in "\x1b💯")
    shown = r"[b]a[/b]\ :100: \x1b[31m|\|<b>&"
    assert text.count(shown) == 4


def test_in_markdown_no_name_is_markup_or_ends_its_cell():
    text = markdown_report("Report", [HOSTILE], [TABLE])
    assert text.count("&lt;b>&amp;") == 4
    assert "\x1b" not in text
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rule == "|---|---:|"
    # A pipe that an odd number of backslashes precedes is text.
    for line in (head, *rows):
        ends = [at for at, character in enumerate(line) if character == "|" and not _escaped(line, at)]
        assert len(ends) == 3


def _escaped(line: str, at: int) -> bool:
    before = line[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


@pytest.mark.parametrize(("names", "columns"), [("n" * 64, 6), ("文" * 40, 6), ("short", 12)])
def test_never_wider_than_100_columns(names, columns):
    cells = tuple(f".{column:03} [.00,.99]" for column in range(columns))
    text = terminal(["word " * 50], [ScoreTable("title " * 40, ("name", *cells), ((names, *cells),))])
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1234, ".123"), (-0.1234, "-.123"), (1.0, "1.00"), (0.9996, "1.00"), (-2.5, "-2.50"), (-0.0001, ".000")],
)
def test_numbers(value, shown):
    assert short_number(value, 3) == shown


def test_scores():
    assert short_score(None) == "-"
    assert short_score({"mean": 0.5, "low": None, "high": None}).strip() == ".500"
    assert short_score({"mean": 0.5, "low": -0.25, "high": 1.0}) == ".500 [-.25,1.0]"
