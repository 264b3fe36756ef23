"""A benchmark as one HTML file: curves, tables, costs, paired differences and examples; nothing is fetched.

Everything but the paired differences is there without its script, which only sorts, filters and switches.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pinpoint_data.atomic import write_text
from pinpoint_data.errors import one_line
from training.benchmark.curves import (
    GREYS,
    LABEL_GAP,
    METRICS,
    PLOT,
    clipped,
    curves_svg,
    key_svg,
    line_styles,
)
from training.benchmark.examples import Example
from training.benchmark.families import FAMILIES, by_recall, family_of, first_shown, headline
from training.benchmark.panels import example_panels
from training.benchmark.rows import (
    NAME,
    axes,
    correlation_rows,
    cost_rows,
    main_row,
    positions,
    readings,
    strata_table,
)
from training.benchmark.scatter import scatter_svg
from training.evaluation.question_scores import share_name
from training.evaluation.report import counts_lines, interval_lines
from training.rendering.template import page_template

Summary = Mapping[str, Any]
COMPARED = ("evidence_recall", "all_hit")


def write_html(file: Path, summary: Summary, examples: Sequence[Example] = ()) -> None:
    """Write a self-contained page that opens from a folder, works without a server and prints.

    Names and questions are strangers' text: they are escaped, invisible characters are made visible, and the file's
    own policy allows its style and its script by their hashes and nothing else, no request among it.

    Args:
        file: Where to.
        summary: From `summarise_benchmark`, with what the run adds (`dataset`, `split`, `plumbing`, ...) where known.
        examples: Questions to show.
    """
    write_text(file, render(summary, examples))


def render(summary: Summary, examples: Sequence[Example] = ()) -> str:
    """The whole file; the same arguments give the same text."""
    style, script = _part("benchmark.css"), _part("benchmark.js")
    first, ranked = first_shown(summary), by_recall(summary)
    views, strata = _views(summary, first), strata_table(summary, ranked)
    return page_template("benchmark.html").render(
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        data=_embedded(_data(summary) | {"columns": strata["places"]}),
        head=_head(summary),
        views=views,
        metrics={view["metric"]: METRICS[view["metric"]] for view in views},
        axes=list(axes(summary)),
        legend=_legend(summary, first),
        budgets=[share_name(budget).removeprefix("0") for budget in summary["budgets"]],
        headline=list(summary["budgets"]).index(headline(summary["budgets"])),
        rows=[main_row(summary, name) for name in ranked],
        controls=list(summary["lift"]),
        readings=readings(summary, ranked),
        positions=positions(summary, ranked),
        strata=strata,
        costs=cost_rows(summary, ranked),
        cost_budget=share_name(summary["cost_budget"]).removeprefix("0"),
        answers=_answers(summary, first),
        names=[clipped(name, NAME) for name in summary["selectors"]],
        pair=_first_pair(summary, ranked),
        examples=[example_panels(example, at, ranked, first) for at, example in enumerate(examples)],
    )


def _part(name: str) -> str:
    return (files("training") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _embedded(value: Any) -> Markup:
    r"""JSON that can stand inside a script element: ASCII, and `<` as `\u003c`, so that nothing in it ends it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _head(summary: Summary) -> dict[str, Any]:
    named, given = {}, {**summary, "model": summary.get("settings", {}).get("model")}
    for key in ("dataset", "split", "backbone", "model", "run", "program"):
        value = given.get(key)
        # A backbone may come as its whole specification.
        value = value.get("name") if isinstance(value, Mapping) else value
        if value:
            named[key] = clipped(str(value), 120)
    clipping = summary["clipping"]
    lost = f"evidence outside the token grid: {clipping['mean_share_lost']:.2%} on average"
    return {
        "facts": named,
        "lines": [one_line(line) for line in (*counts_lines(summary), lost, *interval_lines(summary))],
        "plumbing": bool(summary.get("plumbing")),
        "warnings": [one_line(warning) for warning in summary.get("warnings", ())],
        "unavailable": {
            clipped(name, NAME): one_line(str(why)) for name, why in summary.get("unavailable", {}).items()
        },
    }


def _views(summary: Summary, first: Sequence[str]) -> list[dict[str, Any]]:
    """Every chart there is: a score against a budget; the script shows one at a time."""
    found = []
    drawn = axes(summary)
    for metric in METRICS:
        for axis in drawn if metric != "layer_recall" or len(drawn) > 1 else ():
            if svg := curves_svg(summary, metric, axis, shown=first, whole=True):
                found.append({"metric": metric, "axis": axis, "svg": Markup(svg)})
    return found


def _legend(summary: Summary, first: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    names = list(summary["selectors"])
    styles = line_styles(names, first)
    found: dict[str, list[dict[str, Any]]] = {}
    for family in FAMILIES:
        for index, name in enumerate(names):
            if family_of(name) == family:
                entry = {"index": index, "name": clipped(name, NAME), "on": name in first}
                found.setdefault(family, []).append(entry | {"key": Markup(key_svg(styles[name]))})
    return found


def _first_pair(summary: Summary, ranked: Sequence[str]) -> tuple[int, int]:
    """The two best selectors that are neither oracles nor controls, else the two best."""
    names = list(summary["selectors"])
    methods = sorted(ranked, key=lambda name: family_of(name) in GREYS)
    return names.index(methods[0]), names.index(methods[min(1, len(methods) - 1)])


def _data(summary: Summary) -> dict[str, Any]:
    """What the script switches between: selectors by number, scores as [mean, low, high].

    Six decimals: three or four would be rounded twice, and the script would write other figures than the tables.
    """
    names = list(summary["selectors"])
    budgets = [share_name(budget) for budget in summary["budgets"]]

    def triples(found: Mapping[str, Any], metric: str) -> list[list[float | None] | None]:
        return [_triple(found.get(f"{metric}@{budget}")) for budget in budgets]

    return {
        "names": [clipped(name, NAME) for name in names],
        "budgets": [budget.removeprefix("0") for budget in budgets],
        "plot": {**PLOT, "gap": LABEL_GAP},
        "scores": {
            metric: [triples(summary["scores"][name], metric) for name in names]
            for metric in (*METRICS, *axes(summary))
        },
        "strata": {
            dimension: [
                [triples(found["scores"].get(name, {}), "evidence_recall") for name in names]
                for found in strata.values()
            ]
            for dimension, strata in summary["strata"].items()
        },
        "differences": {
            metric: {
                f"{names.index(a)},{names.index(b)}": triples(found, metric)
                for a, others in summary["differences"].items()
                for b, found in others.items()
            }
            for metric in COMPARED
        },
    }


def _triple(found: Mapping[str, Any] | None) -> list[float | None] | None:
    if found is None or found["mean"] is None:
        return None
    return [None if found[end] is None else round(found[end], 6) for end in ("mean", "low", "high")]


def _answers(summary: Summary, first: Sequence[str]) -> dict[str, Any] | None:
    """What recall says about answers: the points, and how they correlate."""
    found = summary.get("correlation")
    if found is None:
        return None
    svg = scatter_svg(found, list(summary["selectors"]), first, plumbing=bool(summary.get("plumbing")))
    counts = {name: found[name] for name in ("questions", "documents")}
    return counts | {"svg": Markup(svg), "rows": correlation_rows(found)}
