"""A benchmark as one HTML file: curves, tables, costs, paired differences and examples; nothing is fetched.

Everything but the paired differences is there without its script, which only sorts, filters and switches.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pinpoint_data.atomic import write_text
from pinpoint_data.errors import one_line
from training.benchmark.curves import (
    AXES,
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
from training.benchmark.scatter import scatter_svg
from training.evaluation.question_scores import share_name
from training.evaluation.report import counts_lines, interval_lines
from training.evaluation.tables import short_number

Summary = Mapping[str, Any]
Cell = dict[str, Any]

COMPARED = {"evidence_recall": "Evidence recall", "all_hit": "All boxes hit"}
DIMENSIONS = {
    "role": "Role of boxes",
    "box_size": "Box over page",
    "boxes": "Boxes of a question",
    "pages": "Pages",
    "source": "Source",
}
_NAME = 40


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
    views, strata = _views(summary, first), _strata(summary, ranked)
    return _template().render(
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        data=_embedded(_data(summary) | {"columns": strata["places"]}),
        head=_head(summary),
        views=views,
        metrics={view["metric"]: METRICS[view["metric"]] for view in views},
        axes={view["axis"]: AXES[view["axis"]] for view in views},
        legend=_legend(summary, first),
        budgets=[share_name(budget).removeprefix("0") for budget in summary["budgets"]],
        headline=list(summary["budgets"]).index(headline(summary["budgets"])),
        rows=[_row(summary, name) for name in ranked],
        positions=_positions(summary, ranked),
        strata=strata,
        costs=_costs(summary, ranked),
        cost_budget=share_name(summary["cost_budget"]).removeprefix("0"),
        answers=_answers(summary, first),
        compared=COMPARED,
        names=[clipped(name, _NAME) for name in summary["selectors"]],
        pair=_first_pair(summary, ranked),
        examples=[example_panels(example, at, ranked, first) for at, example in enumerate(examples)],
        grey=GREYS,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("benchmark.html")


def _part(name: str) -> str:
    return (files("training") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _embedded(value: Any) -> Markup:
    r"""JSON that can stand inside a script element: ASCII, and `<` as `\u003c`, so that nothing in it ends it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _head(summary: Summary) -> dict[str, Any]:
    named = {}
    for key in ("dataset", "split", "backbone", "run", "program"):
        value = summary.get(key)
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
            clipped(name, _NAME): one_line(str(why)) for name, why in summary.get("unavailable", {}).items()
        },
    }


def _views(summary: Summary, first: Sequence[str]) -> list[dict[str, Any]]:
    """Every chart there is: a score against a budget; the script shows one at a time."""
    found = []
    for metric in METRICS:
        for axis in AXES:
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
                entry = {"index": index, "name": clipped(name, _NAME), "on": name in first}
                found.setdefault(family, []).append(entry | {"key": Markup(key_svg(styles[name]))})
    return found


def _cell(found: Mapping[str, Any] | None, most: float | None = 1.0) -> Cell:
    """A score as a cell of a table: its text, what to sort it by, and how dark it is from 0 to 10."""
    if found is None or found["mean"] is None:
        return {"value": "", "text": "–", "interval": "", "heat": None}
    mean, low, high = found["mean"], found.get("low"), found.get("high")
    return {
        "value": f"{mean:.6g}",
        "text": short_number(mean, 3),
        "interval": "" if low is None or high is None else f"{short_number(low, 2)}–{short_number(high, 2)}",
        "heat": None if most is None else round(10 * min(1.0, max(0.0, mean / most))),
    }


def _row(summary: Summary, name: str) -> dict[str, Any]:
    """A row of the main table: the first score at every budget, and others at the headline budget."""
    scores, at = summary["scores"][name], share_name(headline(summary["budgets"]))
    lifted = summary.get("lift", {}).get("random", {}).get(name, {})
    return {
        **_named(summary, name),
        "cells": [_cell(scores.get(f"evidence_recall@{share_name(budget)}")) for budget in summary["budgets"]],
        "more": [
            *(_cell(scores.get(f"{metric}@{at}")) for metric in ("all_hit", "any_hit")),
            _cell(scores.get(f"precision@{at}"), None),
            _cell(lifted.get(f"evidence_recall@{at}"), None),
            _cell(scores.get("full_coverage_budget"), None),
            *(_cell(scores.get(f"{axis}@{at}"), None) for axis in AXES),
        ],
    }


def _named(summary: Summary, name: str) -> dict[str, Any]:
    index = list(summary["selectors"]).index(name)
    return {"index": index, "name": clipped(name, _NAME), "full": clipped(name, 2000), "family": family_of(name)}


def _positions(summary: Summary, ranked: Sequence[str]) -> list[dict[str, Any]]:
    """For each selector, recall of boxes by the fifth of the page that they lie in, from the top."""
    fifths = summary["strata"].get("position", {})
    score = f"evidence_recall@{share_name(headline(summary['budgets']))}"
    return [
        {
            **_named(summary, name),
            "fifths": [
                {"label": label, **_cell(found["scores"].get(name, {}).get(score))} for label, found in fifths.items()
            ],
        }
        for name in (ranked if fifths else ())
    ]


def _strata(summary: Summary, ranked: Sequence[str]) -> dict[str, Any]:
    """One table of all strata: a group of columns a dimension that has several, a row a selector."""
    score = f"evidence_recall@{share_name(headline(summary['budgets']))}"
    groups = {dimension: found for dimension in DIMENSIONS if len(found := summary["strata"].get(dimension, {})) > 1}
    strata = [(dimension, label, found) for dimension, group in groups.items() for label, found in group.items()]
    return {
        "groups": [{"title": DIMENSIONS[dimension], "width": len(group)} for dimension, group in groups.items()],
        "columns": [
            {"label": clipped(label, 30), "questions": found["questions"], "boxes": found["boxes"]}
            for _, label, found in strata
        ],
        "rows": [
            {
                **_named(summary, name),
                "cells": [_cell(found["scores"].get(name, {}).get(score)) for _, _, found in strata],
            }
            for name in ranked
        ],
        "places": [(dimension, list(groups[dimension]).index(label)) for dimension, label, _ in strata],
    }


def _costs(summary: Summary, ranked: Sequence[str]) -> list[dict[str, Any]]:
    """What a question costs each selector, the choice and the signals it chooses by; means over questions."""
    found = []
    for name in ranked:
        own: dict[str, Any] = _named(summary, name)
        for kind, unit in (("seconds", "s"), ("flops", "FLOP")):
            means = {part: value["mean"] for part, value in summary["costs"].get(name, {}).get(kind, {}).items()}
            signals = {part: value for part, value in means.items() if part != "choice"}
            own[kind] = {
                "choice": _amount(means.get("choice"), unit),
                "signals": _amount(sum(signals.values()) if signals else None, unit),
                "parts": " · ".join(
                    f"{clipped(part, 20)} {_amount(value, unit)['text']}" for part, value in signals.items()
                ),
                "values": (means.get("choice", 0.0), sum(means.values())),
            }
        found.append(own)
    for kind in ("seconds", "flops"):
        values = [value for own in found for value in own[kind]["values"] if value > 0]
        for own in found:
            own[kind]["places"] = [_place(value, values) for value in own[kind]["values"]]
    return found


def _answers(summary: Summary, first: Sequence[str]) -> dict[str, Any] | None:
    """What recall says about answers: the points, and how they correlate over all budgets and at each."""
    found = summary.get("correlation")
    if found is None:
        return None
    groups = {"all points": found["over_points"]} | {
        f"budget {budget}": group for budget, group in found["by_budget"].items()
    }
    return {
        "questions": found["questions"],
        "documents": found["documents"],
        "svg": Markup(scatter_svg(found, list(summary["selectors"]), first)),
        "rows": [
            {
                "label": label,
                "points": group["points"],
                "reason": one_line(group["reason"] or ""),
                "cells": [
                    _cell({**group[kind], "mean": group[kind]["value"]}, None) for kind in ("pearson", "spearman")
                ],
            }
            for label, group in groups.items()
        ],
    }


def _place(value: float, values: Sequence[float]) -> float | None:
    """Where a positive amount stands on a logarithmic scale of all of them, 0 to 100."""
    if value <= 0:
        return None
    low, high = math.log(min(values)), math.log(max(values))
    return round(100 * (math.log(value) - low) / max(high - low, 1e-9), 1)


def _amount(value: float | None, unit: str) -> Cell:
    """An amount with the prefix that leaves one to three digits before the point."""
    plain = {"interval": "", "heat": None}
    if value is None:
        return {"value": "", "text": "–"} | plain
    if value <= 0:
        return {"value": "0", "text": "0"} | plain
    power = min(5, max(-2, math.floor(math.log10(value) / 3 + 1e-9)))
    prefix = ("µ", "m", "", "k", "M", "G", "T", "P")[power + 2]
    return {"value": f"{value:.6g}", "text": f"{value / 1000.0**power:.3g} {prefix}{unit}"} | plain


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
        "names": [clipped(name, _NAME) for name in names],
        "budgets": [budget.removeprefix("0") for budget in budgets],
        "plot": {**PLOT, "gap": LABEL_GAP},
        "scores": {
            metric: [triples(summary["scores"][name], metric) for name in names] for metric in (*METRICS, *AXES)
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
