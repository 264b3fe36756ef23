"""An evaluation of answers as tables: on a terminal of 100 columns, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from training.evaluation.report import counts_lines, interval_lines, warning_lines
from training.evaluation.tables import ScoreTable, markdown_report, short_score, terminal

Summary = Mapping[str, Any]
_ENDS = ("median", "p90")


def answers_terminal(summary: Summary) -> str:
    """Head, warnings and the main tables, plain text of at most 100 columns."""
    return terminal(_head(summary), _main_tables(summary))


def answers_markdown(summary: Summary) -> str:
    """The whole report: the main tables, then operations by component."""
    return markdown_report("Answers", _head(summary), (*_main_tables(summary), *_component_tables(summary)))


def _head(summary: Summary) -> list[str]:
    lines = counts_lines(summary)
    lines.append("ANLS: similarity to the closest accepted answer, 0 below 0.5; accuracy: GQA's exact match")
    lines.append("share: of the unchanged model's sum over the same questions, with as many new tokens")
    lines += interval_lines(summary)
    if reused := summary["answers"]["reused"]:
        lines.append(f"{reused:,} answers were given in an earlier run")
    return lines + warning_lines(summary)


def _main_tables(summary: Summary) -> Iterator[ScoreTable]:
    scores, costs = summary["scores"], summary["costs"]
    for group in scores:
        if group not in costs:
            continue
        rows = tuple(_answer_row(name, found, costs[group][name]) for name, found in scores[group].items())
        of = "" if group == "all" else f", {group} ({summary['questions']['by_source'][group]:,})"
        title = f"Answers{of}: scores, means of visual tokens and operations, and their shares"
        columns = ("answerer", "ANLS", "accuracy", "tokens", "share", "TFLOPs", "share")
        yield ScoreTable(title, columns, rows)
    for group, others in summary["differences"].items():
        of = "" if group == "all" else f", {group}"
        rows = tuple(
            (name, *(short_score(found.get(score)) for score in ("anls", "gqa_accuracy")))
            for name, found in others.items()
        )
        yield ScoreTable(f"Minus {summary['reference']}, paired{of}", ("answerer", "ANLS", "accuracy"), rows)
    if "all" in costs:
        rows = tuple(_seconds_row(name, cost) for name, cost in costs["all"].items())
        steps = ("prefill", "p90", "first token", "p90", "total", "p90", "stage one")
        title = "Seconds: median and 90th percentile; share of stage one up to the first token"
        yield ScoreTable(title, ("answerer", *steps), rows)


def _component_tables(summary: Summary) -> Iterator[ScoreTable]:
    for group, costs in summary["costs"].items():
        names = tuple(dict.fromkeys(name for cost in costs.values() for name in cost["tflops"]))
        rows = tuple(
            (name, *(f"{cost['tflops'][name]:.4g}" if name in cost["tflops"] else "-" for cost in costs.values()))
            for name in names
        )
        totals = ("total", *(f"{sum(cost['tflops'].values()):.4g}" for cost in costs.values()))
        of = "" if group == "all" else f", {group}"
        yield ScoreTable(f"TFLOPs by component{of}", ("component", *costs), (*rows, totals))


def _answer_row(name: str, scores: Mapping[str, Any], cost: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        short_score(scores["anls"]),
        short_score(scores["gqa_accuracy"]),
        f"{scores['visual_tokens']['mean']:,.0f}",
        _percent(cost["tokens_ratio"]),
        f"{scores['tflops']['mean']:.3g}",
        _percent(cost["flops_ratio"]),
    )


def _seconds_row(name: str, cost: Mapping[str, Any]) -> tuple[str, ...]:
    figures = [f"{cost['seconds'][step][at]:.3f}" for step in ("prefill", "first_token", "total") for at in _ENDS]
    return name, *figures, _percent(cost["stage_one_share"])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
