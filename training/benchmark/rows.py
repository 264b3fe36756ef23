"""What the tables of the benchmark's page say, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pinpoint_data.errors import one_line
from training.benchmark.curves import AXES, clipped
from training.benchmark.families import drops_in_layers, family_of, headline
from training.evaluation.question_scores import share_name
from training.evaluation.tables import short_number

Summary = Mapping[str, Any]
Cell = dict[str, Any]

DIMENSIONS = {
    "role": "Role of boxes",
    "box_size": "Box over page",
    "boxes": "Boxes of a question",
    "pages": "Pages",
    "source": "Source",
}
OVER_BOXES = ("box_size", "position")
"""Dimensions whose scores are means over boxes; all others are over questions."""
NAME = 40
"""Letters of a name."""
_READINGS = {
    "layer_budget": "Share of tokens that a layer of the decoder sees, mean over layers",
    "layer_recall": "Evidence recall, mean over layers of the decoder",
    "evidence_recall_merged": "Evidence recall, tokens that were merged into kept ones counted as kept",
    "agreement": "Agreement with the exact method: tokens that both keep over tokens that either keeps",
}


def _cell(found: Mapping[str, Any] | None, *, heated: bool = True) -> Cell:
    """A score as a cell of a table: its text, what to sort it by, and, of a share, how dark it is from 0 to 10."""
    if found is None or found["mean"] is None:
        return {"value": "", "text": "–", "interval": "", "heat": None}
    mean, low, high = found["mean"], found.get("low"), found.get("high")
    ends = "" if low is None or high is None else f"{short_number(low, 2)}{_to(low)}{short_number(high, 2)}"
    # Half a step is rounded up, as the script does.
    heat = math.floor(10 * min(1.0, max(0.0, mean)) + 0.5) if heated else None
    return {"value": f"{mean:.6g}", "text": short_number(mean, 3), "interval": ends, "heat": heat}


def _to(low: float) -> str:
    """What stands between the ends of an interval: a dash, where none of them could be a minus."""
    return "–" if low >= 0 else " to "


def main_row(summary: Summary, name: str) -> dict[str, Any]:
    """A row of the main table: the first score at every budget, and others at the headline budget."""
    scores, at = summary["scores"][name], share_name(headline(summary["budgets"]))
    lifts = [found.get(name, {}).get(f"evidence_recall@{at}") for found in summary["lift"].values()]
    return {
        **_named(summary, name),
        "cells": [_cell(scores.get(f"evidence_recall@{share_name(budget)}")) for budget in summary["budgets"]],
        "more": [
            *(_cell(scores.get(f"{metric}@{at}")) for metric in ("all_hit", "any_hit")),
            _cell(scores.get(f"precision@{at}"), heated=False),
            *(_cell(lift, heated=False) for lift in lifts),
            _cell(scores.get("full_coverage_budget"), heated=False),
            *(_cell(scores.get(f"{axis}@{at}"), heated=False) for axis in axes(summary)),
        ],
    }


def axes(summary: Summary) -> dict[str, str]:
    """What scores are drawn over: the mean over layers only where somebody drops tokens between them."""
    several = any(drops_in_layers(found) for found in summary["scores"].values())
    return {axis: title for axis, title in AXES.items() if several or axis == "budget"}


def readings(summary: Summary, ranked: Sequence[str]) -> list[dict[str, Any]]:
    """Scores that only some selectors have, at every budget: inside the decoder, of merged tokens, of agreement."""
    groups = []
    for score, title in _READINGS.items():
        names = [f"{score}@{share_name(budget)}" for budget in summary["budgets"]]
        rows = []
        for selector in ranked:
            found = summary["scores"][selector]
            own = drops_in_layers(found) if score.startswith("layer_") else any(name in found for name in names)
            if own:
                cells = [_cell(found.get(name), heated=score != "layer_budget") for name in names]
                rows.append({**_named(summary, selector), "cells": cells})
        chance = [_cell({"mean": share / (2 - share)}) for share in summary["budgets"]] if score == "agreement" else []
        if rows:
            groups.append({"title": title, "rows": rows, "chance": chance})
    return groups


def _named(summary: Summary, name: str) -> dict[str, Any]:
    index = list(summary["selectors"]).index(name)
    return {"index": index, "name": clipped(name, NAME), "full": clipped(name, 2000), "family": family_of(name)}


def positions(summary: Summary, ranked: Sequence[str]) -> dict[str, Any]:
    """The boxes in each fifth of the page, from the top, and each selector's recall of them."""
    fifths = summary["strata"].get("position", {})
    score = f"evidence_recall@{share_name(headline(summary['budgets']))}"
    return {
        "boxes": [f"{label}: {found['boxes']:,}" for label, found in fifths.items()],
        "rows": [
            {
                **_named(summary, name),
                "fifths": [_cell(found["scores"].get(name, {}).get(score)) for found in fifths.values()],
            }
            for name in (ranked if fifths else ())
        ],
    }


def strata_table(summary: Summary, ranked: Sequence[str]) -> dict[str, Any]:
    """One table of all strata: a group of columns a dimension that has several, a row a selector."""
    score = f"evidence_recall@{share_name(headline(summary['budgets']))}"
    groups = {dimension: found for dimension in DIMENSIONS if len(found := summary["strata"].get(dimension, {})) > 1}
    strata = [(dimension, label, found) for dimension, group in groups.items() for label, found in group.items()]
    return {
        "groups": [{"title": DIMENSIONS[dimension], "width": len(group)} for dimension, group in groups.items()],
        "columns": [
            {
                "label": clipped(label, 30),
                "over": f"{found['boxes' if dimension in OVER_BOXES else 'questions']:,}",
                "title": f"{found['questions']:,} questions, {found['boxes']:,} boxes",
            }
            for dimension, label, found in strata
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


def cost_rows(summary: Summary, ranked: Sequence[str]) -> list[dict[str, Any]]:
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


def correlation_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How recall and answers correlate, at each budget and over all of them."""
    groups = {f"budget {budget.removeprefix('0')}": group for budget, group in found["by_budget"].items()}
    return [
        {
            "label": label,
            "points": group["points"],
            "reason": one_line(group["reason"] or ""),
            "cells": [
                _cell({**group[kind], "mean": group[kind]["value"]}, heated=False) for kind in ("pearson", "spearman")
            ],
        }
        for label, group in (groups | {"all budgets together": found["over_points"]}).items()
    ]


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
