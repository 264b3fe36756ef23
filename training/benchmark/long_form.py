"""A benchmark's summary in long form: one figure a line, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from pinpoint_data.errors import one_line
from training.evaluation.question_scores import share_name

CORRELATIONS = ("pearson", "spearman")
COLUMNS = ("group", "stratum", "selector", "score", "budget", "mean", "low", "high", "n")


def benchmark_csv(summary: Mapping[str, Any]) -> str:
    """Every mean, lift, difference, stratum, cost and correlation, as CSV with a header.

    `group` is `all`; a dimension of strata; `lift`, with the control as `stratum`; `difference`, with the selector that
    is subtracted as `stratum`; `seconds`, `seconds_median` or `flops`, with the component as `stratum` and the budget
    that was selected at; where answers were given, `answers`, with their change of ANLS, `correlation`, over selectors
    (`n` is their number, and those of all budgets together have none), and `correlation_over_questions`. `budget` is
    empty where a score has none, `low` and `high` where there is no interval.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group, stratum, selector, name, found in _figures(summary):
        score, _, budget = name.partition("@")
        numbers = (found.get(column) for column in ("mean", "low", "high", "n"))
        writer.writerow([*map(_text, (group, stratum, selector, score)), budget, *numbers])
    return written.getvalue()


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    yield from _scores("all", "", summary["scores"])
    for dimension, strata in summary["strata"].items():
        for stratum, found in strata.items():
            yield from _scores(dimension, stratum, found["scores"])
    for control, scores in summary["lift"].items():
        yield from _scores("lift", control, scores)
    for selector, others in summary["differences"].items():
        for other, found in others.items():
            yield from _scores("difference", other, {selector: found})
    at = share_name(summary["cost_budget"])
    for selector, costs in summary["costs"].items():
        for component, found in costs["seconds"].items():
            yield "seconds", component, selector, f"seconds@{at}", found
            yield "seconds_median", component, selector, f"seconds@{at}", {**found, "mean": found["median"]}
        for component, found in costs["flops"].items():
            yield "flops", component, selector, f"flops@{at}", found
    if summary.get("correlation"):
        yield from _answered(summary["correlation"])


def _scores(
    group: str, stratum: str, scores: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    for selector, found in scores.items():
        for name, score in found.items():
            yield group, stratum, selector, name, score


def _answered(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    n = found["questions"]
    for point, own in zip(found["points"], found["by_question"], strict=True):
        selector, at = point["selector"], share_name(point["budget"])
        yield "answers", "", selector, f"anls_change@{at}", {"mean": point["anls_change"], "n": n}
        for kind in CORRELATIONS:
            yield (
                "correlation_over_questions",
                "",
                selector,
                f"{kind}@{at}",
                {**own[kind], "mean": own[kind]["value"], "n": n},
            )
    groups = {"": found["over_points"]} | {f"@{budget}": own for budget, own in found["by_budget"].items()}
    for at, own in groups.items():
        for kind in CORRELATIONS:
            yield "correlation", "", "", f"{kind}{at}", {**own[kind], "mean": own[kind]["value"], "n": own["points"]}


def _text(value: str) -> str:
    """One line that no spreadsheet takes for a formula: behind an apostrophe where it begins like one."""
    text = one_line(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text
