"""What a selection took: seconds, and the operations of stage one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from training.window_scorers.base import QuestionView, WindowScorer
from training.window_scorers.pinpoint import PinpointScorer

if TYPE_CHECKING:
    from training.checkpoint import Run


@dataclass(frozen=True)
class SelectionCost:
    """The cost of one selection.

    Attributes:
        seconds: `encode` (visual tokens, where they were not at hand), `score`, `select`; of a batch its equal share.
        flops: Of the aligner, by component; empty where the scorer is no trained run.
        encode_flops: Of the vision tower that made the pages' tokens, by component; empty without one, and where the
            tokens were read from elsewhere. A language model that answers over the same tokens needs them anyway.
    """

    seconds: Mapping[str, float]
    flops: Mapping[str, int] = field(default_factory=dict)
    encode_flops: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready account."""
        return {
            "seconds": dict(self.seconds),
            "seconds_total": sum(self.seconds.values()),
            "flops": dict(self.flops),
            "flops_total": sum(self.flops.values()),
            "encode_flops": dict(self.encode_flops),
            "encode_flops_total": sum(self.encode_flops.values()),
        }

    def line(self) -> str:
        """One line of text."""
        text = ", ".join(f"{name} {seconds * 1e3:,.0f} ms" for name, seconds in self.seconds.items())
        if self.flops:
            text += f"; aligner {sum(self.flops.values()) / 1e9:,.2f} GFLOPs"
        if self.encode_flops:
            text += f", vision tower {sum(self.encode_flops.values()) / 1e9:,.2f} GFLOPs"
        return text


def selection_cost(scorer: WindowScorer, view: QuestionView, seconds: Mapping[str, float]) -> SelectionCost:
    """The cost of a selection whose seconds are known."""
    if not isinstance(scorer, PinpointScorer):
        return SelectionCost(seconds)
    from training.flops import AlignerShape, aligner_flops

    run = scorer.run
    shape = AlignerShape.of(run.config, run.backbone.token_dim, run.backbone.question_dim)
    grids = [(page.grid.rows, page.grid.cols) for page in view.pages]
    aligner = aligner_flops(shape, grids, len(run.backbone.encode_question(view.question)))
    return SelectionCost(seconds, aligner, _vision_flops(run, view) if scorer.tokens is None else {})


def _vision_flops(run: Run, view: QuestionView) -> Mapping[str, int]:
    if run.backbone.reads_words:
        return {}  # transformers, which takes seconds to import, is not needed to know that
    from training.answering.cost import look_flops
    from training.backbones.vlm import VlmBackbone

    if not isinstance(run.backbone, VlmBackbone):
        return {}
    model = run.backbone.model
    return look_flops(model, [model.layout(page.page_input.width, page.page_input.height) for page in view.pages])
