"""What a selection took: seconds, and the aligner's FLOPs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.selectors.base import QuestionView, WindowScorer
from training.selectors.pinpoint import PinpointScorer


@dataclass(frozen=True)
class SelectionCost:
    """The cost of one selection.

    Attributes:
        seconds: `encode` (visual tokens, where they were not at hand), `score`, `select`; of a batch its equal share.
        flops: Of the aligner, by component; empty where the scorer is no trained run. Visual tokens are not in it:
            a language model that answers needs them anyway.
    """

    seconds: Mapping[str, float]
    flops: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready account."""
        return {
            "seconds": dict(self.seconds),
            "seconds_total": sum(self.seconds.values()),
            "flops": dict(self.flops),
            "flops_total": sum(self.flops.values()),
        }

    def line(self) -> str:
        """One line of text."""
        parts = ", ".join(f"{name} {seconds * 1e3:,.0f} ms" for name, seconds in self.seconds.items())
        flops = f"; stage one {sum(self.flops.values()) / 1e9:,.2f} GFLOPs" if self.flops else ""
        return f"{parts}{flops}"


def selection_cost(scorer: WindowScorer, view: QuestionView, seconds: Mapping[str, float]) -> SelectionCost:
    """The cost of a selection whose seconds are known."""
    if not isinstance(scorer, PinpointScorer):
        return SelectionCost(seconds, {})
    from training.flops import AlignerShape, aligner_flops

    run = scorer.run
    shape = AlignerShape.of(run.config, run.backbone.token_dim, run.backbone.question_dim)
    grids = [(page.grid.rows, page.grid.cols) for page in view.pages]
    return SelectionCost(seconds, aligner_flops(shape, grids, len(run.backbone.encode_question(view.question))))
