"""Which selectors belong together in a figure, and which of them a reader sees first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.question_scores import share_name

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "controls": ("random", "uniform", "downsample", "text-density", "bm25"),
    "oracles": ("oracle-token", "oracle-window", "crop-oracle"),
    "trained": ("ranker", "pinpoint", "crop"),
    "features": (
        *("refit", "divprune", "zspaprune", "fsr", "fsr-none", "fsr-text", "cdpruner", "cdpruner-clip"),
        *("trim", "docprune-background", "docprune"),
    ),
    "vision tower": (
        *("visionzip", "holov", "vscan", "fopru", "fopru-row", "vflowopt"),
        *("prumerge", "prumerge-plus", "visiondrop", "ptp"),
    ),
    "decoder": (
        *("fastv", "pyramiddrop", "pyramiddrop-unpruned", "sparsevlm", "sparsevlm-unpruned"),
        *("vicrop", "vicrop-region", "ivc-prune", "btp", "vtw"),
    ),
    "others": (),
}
"""By what a method learns from or looks at. `others` are selectors registered from outside."""
GREY = ("controls", "oracles")
"""Families that are no methods: what a method is held against."""
HEADLINE_BUDGET = 0.25
_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}


def family_of(selector: str) -> str:
    """The family of a selector; `others` for a name that is not one of ours."""
    return _FAMILY_OF.get(selector, "others")


def nearest(budgets: Sequence[float], wanted: float) -> float:
    """The budget nearest to a wanted one, the smaller of two."""
    return min(budgets, key=lambda budget: (abs(budget - wanted), budget))


def headline(budgets: Sequence[float]) -> float:
    """The budget that orders selectors and that their cost is measured at: the one nearest .25."""
    return nearest(budgets, HEADLINE_BUDGET)


def by_recall(summary: Mapping[str, Any]) -> list[str]:
    """The selectors of a summary, best evidence recall at the headline budget first; those without one last."""
    score = f"evidence_recall@{share_name(headline(summary['budgets']))}"
    recall = {name: summary["scores"][name].get(score, {}).get("mean", -1.0) for name in summary["selectors"]}
    return sorted(recall, key=lambda name: -recall[name])


def first_shown(summary: Mapping[str, Any], each: int = 2) -> list[str]:
    """The selectors that a figure shows before anyone chooses: the best `each` of every family, best first.

    `random` and `uniform`, which every method is held against, are always among them.
    """
    ranked = by_recall(summary)
    best = {name for family in FAMILIES for name in [n for n in ranked if family_of(n) == family][:each]}
    return [name for name in ranked if name in best or name in ("random", "uniform")]


def drops_in_layers(scores: Mapping[str, Any]) -> bool:
    """Whether the decoder's layers see, on average, other numbers of a selector's tokens than are left in the end."""
    return any(
        abs(score["mean"] - scores[name.removeprefix("layer_")]["mean"]) > 1e-9
        for name, score in scores.items()
        if name.startswith("layer_budget@")
    )
