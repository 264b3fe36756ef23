"""A benchmark's summary as text: on a terminal of 100 columns, as Markdown, and as CSV.

Every table has its selectors in one order: by mean evidence recall at the budget nearest .25, the best first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from training.benchmark.curves import PLUMBING
from training.benchmark.families import by_recall, drops_in_layers, headline, nearest
from training.benchmark.long_form import benchmark_csv
from training.evaluation.question_scores import share_name
from training.evaluation.report import counts_lines, interval_lines, warning_lines
from training.evaluation.tables import ScoreTable, markdown_report, short_number, short_score, terminal

__all__ = ["benchmark_csv", "benchmark_markdown", "benchmark_terminal"]

Summary = Mapping[str, Any]
_SHORT_AT = 0.10
_MOST_COLUMNS = 7

_FAMILIES = {
    "evidence_recall": "Evidence recall",
    "all_hit": "All boxes hit",
    "any_hit": "Any box hit",
    "precision": "Precision: evidence in what is kept, by area",
    "page_recall": "Page recall, questions of several pages",
    "evidence_recall_answer": "Evidence recall, answer boxes",
    "evidence_recall_support": "Evidence recall, support boxes",
    "all_hit_answer": "All answer boxes hit",
    "all_hit_support": "All support boxes hit",
    "evidence_recall_merged": "Evidence recall, tokens merged into kept ones counted as kept",
    "agreement": "Agreement of the unpruned approximation with the exact method: Jaccard index of kept tokens",
    "budget": "Budget as realised",
}
_LAYERED = {
    "layer_budget": "Layer-averaged budget, methods that drop tokens inside the decoder",
    "layer_recall": "Layer-averaged evidence recall, the same methods",
}
_DIMENSIONS = {
    "role": "role of the boxes",
    "box_size": "share of the page that a box takes, over boxes",
    "boxes": "number of boxes",
    "position": "height of a box's centre on the page from the top, over boxes",
    "pages": "number of pages",
    "source": "source",
}


def benchmark_terminal(summary: Summary) -> str:
    """Head, warnings and the main tables, plain text of at most 100 columns."""
    return terminal(_head(summary), _titled(summary, _main_tables(summary)))


def benchmark_markdown(summary: Summary) -> str:
    """The whole report; what it leaves out for its width is in the CSV."""
    lines = _head(summary)
    lines.append("what every figure means: docs/benchmark.md; every stratum, lift and difference: benchmark.csv")
    return markdown_report("Evidence benchmark", lines, _titled(summary, _all_tables(summary)))


def reference_of(summary: Summary) -> str | None:
    """Whose differences to all others are shown: `pinpoint`, or else the best selector that is no oracle."""
    ranked = by_recall(summary)
    return next((name for name in ("pinpoint", *ranked) if name in ranked and "oracle" not in name), None)


def _head(summary: Summary) -> list[str]:
    lines = []
    if summary.get("plumbing"):
        lines.append("PLUMBING: the model is a random tiny one; these figures test the program and are no results")
    if backbone := summary.get("backbone"):
        split = f", split {summary['split']}" if summary.get("split") else ""
        given = {"model": summary["settings"].get("model"), "run": summary.get("run")}
        named = "".join(f", {what} {name}" for what, name in given.items() if name)
        lines.append(f"{summary['dataset']}{split}; backbone {backbone['name']}{named}")
    lines += counts_lines(summary)
    clipping = summary["clipping"]
    lost = f"{clipping['mean_share_lost']:.2%} on average, in {clipping['questions']:,} questions"
    lines.append(f"evidence outside the grid, which none can keep: {lost}")
    if missing := summary.get("unavailable"):
        lines.append(f"cannot run here: {', '.join(missing)}")
    return lines + interval_lines(summary) + warning_lines(summary)


def _titled(summary: Summary, tables: Iterator[ScoreTable]) -> Iterator[ScoreTable]:
    """With a warning in every title where the figures are no results: tables get copied out of their report."""
    for table in tables:
        yield replace(table, title=f"{PLUMBING}: {table.title}") if summary.get("plumbing") else table


def _main_tables(summary: Summary) -> Iterator[ScoreTable]:
    """Curves without intervals but for one budget: eight intervals do not fit on a line."""
    order, budgets = by_recall(summary), _thinned(summary["budgets"])
    at = share_name(headline(summary["budgets"]))
    for family in ("evidence_recall", "all_hit"):
        rows = []
        for selector in order:
            found = summary["scores"][selector]
            curve = (_mean(found.get(f"{family}@{share_name(budget)}")) for budget in budgets)
            rows.append((selector, *curve, _interval(found.get(f"{family}@{at}"))))
        titles = ("selector", *(f"@{share_name(budget)}" for budget in budgets), f"95 % @{at}")
        yield ScoreTable(f"{_FAMILIES[family]} at a budget of tokens", titles, tuple(rows))
    controls = list(summary["lift"])
    rows = []
    for selector in order:
        found = summary["scores"][selector]
        gains = [summary["lift"][control].get(selector, {}).get(f"evidence_recall@{at}") for control in controls]
        lifts = [(_mean if place else _cell)(gain) for place, gain in enumerate(gains)]  # two intervals do not fit
        costs = (_amount(_total(summary, selector, kind), unit) for kind, unit in (("seconds", 1e3), ("flops", 1e-9)))
        layered = _mean(found.get(f"layer_budget@{at}"))
        rows.append((selector, *lifts, layered, _mean(found.get("full_coverage_budget")), *costs))
    titles = ("selector", *(f"over {c}" for c in controls), "layers", "full", "ms", "GFLOPs")
    title = f"Lift, layer-averaged budget and cost a question @{at}; full-coverage budget"
    yield ScoreTable(title, titles, tuple(rows))


def _all_tables(summary: Summary) -> Iterator[ScoreTable]:
    order, scores = by_recall(summary), summary["scores"]
    for family, title in _FAMILIES.items():
        yield from _by_budget(summary, title, scores, family, order)
    layered = [name for name in order if drops_in_layers(scores[name])]
    for family, title in _LAYERED.items():
        yield from _by_budget(summary, title, scores, family, layered)
    if full := [name for name in order if "full_coverage_budget" in scores[name]]:
        rows = tuple((name, _cell(scores[name]["full_coverage_budget"])) for name in full)
        yield ScoreTable("Full-coverage budget (less is better)", ("selector", "budget"), rows)
    for control, found in summary["lift"].items():
        for family in ("evidence_recall", "all_hit"):
            title = f"Lift over {control}: ratio of means, {_FAMILIES[family].lower()}"
            yield from _by_budget(summary, title, found, family, order)
    yield from _differences(summary, order)
    yield from _strata(summary, order)
    yield from _costs(summary, order)
    if correlation := summary.get("correlation"):
        yield from _correlation(correlation)
    if missing := summary.get("unavailable"):
        yield ScoreTable("Selectors that cannot run here", ("selector", "reason"), tuple(missing.items()))


def _by_budget(
    summary: Summary, title: str, scores: Mapping[str, Any], family: str, order: Sequence[str]
) -> Iterator[ScoreTable]:
    """A row for every selector that has a score of the family; no table where none has."""
    names = [f"{family}@{share_name(budget)}" for budget in summary["budgets"]]
    rows = tuple(
        (selector, *(_cell(scores[selector].get(name)) for name in names))
        for selector in order
        if any(name in scores.get(selector, {}) for name in names)
    )
    if rows:
        yield ScoreTable(title, ("selector", *(f"@{share_name(budget)}" for budget in summary["budgets"])), rows)


def _differences(summary: Summary, order: Sequence[str]) -> Iterator[ScoreTable]:
    reference = reference_of(summary)
    if reference is None:
        return
    pairs = summary["differences"]
    minus = {
        other: pairs.get(reference, {}).get(other)
        or {name: _negated(score) for name, score in pairs.get(other, {}).get(reference, {}).items()}
        for other in order
        if other != reference
    }
    for family in ("evidence_recall", "all_hit"):
        title = f"{reference} minus ..., paired: {_FAMILIES[family].lower()}"
        yield from _by_budget(summary, title, minus, family, order)


def _negated(score: Mapping[str, Any]) -> dict[str, Any]:
    ends = {name: None if score[other] is None else -score[other] for name, other in (("low", "high"), ("high", "low"))}
    return {**score, "mean": -score["mean"], **ends}


def _strata(summary: Summary, order: Sequence[str]) -> Iterator[ScoreTable]:
    """At two budgets only; all others are in the CSV."""
    shown = dict.fromkeys((nearest(summary["budgets"], _SHORT_AT), headline(summary["budgets"])))
    for dimension, strata in summary["strata"].items():
        for budget in shown if strata else ():
            name = f"evidence_recall@{share_name(budget)}"
            counted = "boxes" if dimension in ("box_size", "position") else "questions"
            titles = tuple(f"{stratum} ({found[counted]:,})" for stratum, found in strata.items())
            rows = tuple(
                (selector, *(_cell(found["scores"].get(selector, {}).get(name)) for found in strata.values()))
                for selector in order
            )
            title = f"Evidence recall @{share_name(budget)} by {_DIMENSIONS[dimension]}"
            yield ScoreTable(title, ("selector", *titles), rows)


def _costs(summary: Summary, order: Sequence[str]) -> Iterator[ScoreTable]:
    of = "mean where used, and of all together over all questions"
    for kind, unit, named in (("seconds", 1e3, "Milliseconds"), ("flops", 1e-9, "GFLOPs")):
        title = f"{named} a question, to select @{share_name(summary['cost_budget'])}: {of}"
        components = list(dict.fromkeys(name for selector in order for name in summary["costs"][selector][kind]))
        rows = []
        for selector in order:
            found = summary["costs"][selector][kind]
            each = (_amount(found[name]["mean"], unit) if name in found else "-" for name in components)
            rows.append((selector, *each, _amount(_total(summary, selector, kind), unit)))
        if components:
            yield ScoreTable(title, ("selector", *components, "together"), tuple(rows))


def _total(summary: Summary, selector: str, kind: str) -> float:
    """Over all questions: a component that some did not need cost them nothing."""
    total: float = sum(found["mean"] * found["n"] for found in summary["costs"][selector][kind].values())
    questions: int = summary["questions"]["scored"]
    return total / max(questions, 1)


def _correlation(found: Mapping[str, Any]) -> Iterator[ScoreTable]:
    rows = [_correlation_row("all", found["over_points"])]
    rows += [_correlation_row(f"@{budget}", own) for budget, own in found["by_budget"].items()]
    of = f"{found['questions']:,} questions of {found['documents']:,} documents"
    titles = ("points", "number", "Pearson", "Spearman", "why not")
    yield ScoreTable(f"Mean evidence recall against mean ANLS change, over methods; {of}", titles, tuple(rows))
    if found["points"]:
        rows = [
            (
                f"{point['selector']} @{share_name(point['budget'])}",
                *(_plain(point[name]) for name in ("recall", "anls_change")),
                *_coefficients(own),
            )
            for point, own in zip(found["points"], found["by_question"], strict=True)
        ]
        titles = ("point", "recall", "ANLS change", "Pearson over questions", "Spearman over questions")
        yield ScoreTable("Points, and evidence recall against ANLS over the questions of each", titles, tuple(rows))


def _correlation_row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    return name, f"{found['points']:,}", *_coefficients(found), found["reason"] or ""


def _coefficients(found: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("pearson", "spearman"):
        yield _cell({"mean": found[kind]["value"], **found[kind]})


def _thinned(budgets: Sequence[float]) -> list[float]:
    """As many as fit beside each other, spread over all of them."""
    if len(budgets) <= _MOST_COLUMNS:
        return list(budgets)
    last = len(budgets) - 1
    return [budgets[round(place * last / (_MOST_COLUMNS - 1))] for place in range(_MOST_COLUMNS)]


def _cell(score: Mapping[str, Any] | None) -> str:
    """Mean and interval; a dash where there is no mean."""
    return short_score(None if score is None or score["mean"] is None else score).rstrip()


def _mean(score: Mapping[str, Any] | None) -> str:
    return _plain(None if score is None else score["mean"])


def _interval(score: Mapping[str, Any] | None) -> str:
    if score is None or score["low"] is None:
        return "-"
    return f"[{short_number(score['low'], 2)},{short_number(score['high'], 2)}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else short_number(value, 3)


def _amount(value: float, unit: float) -> str:
    scaled = value * unit
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"
