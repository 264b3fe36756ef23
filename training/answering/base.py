"""What an answerer is: a question and its pages in, an answer with everything it cost out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pinpoint_data.errors import UsageError
from training.pages.input import PageInput


@dataclass(frozen=True)
class Region:
    """A stretch of a page that the language model was shown.

    Attributes:
        page_index: Among the question's pages, from 0.
        xyxy: Pixels of the page.
        tokens: Visual tokens it was shown with.
    """

    page_index: int
    xyxy: tuple[float, float, float, float]
    tokens: int


@dataclass(frozen=True)
class Answer:
    """An answer and what it cost.

    Attributes:
        text: What the model wrote.
        visual_tokens: Visual tokens that the language model read.
        vanilla_tokens: Those it would have read without selection.
        budget_used: Share of the pages' grid tokens that was selected, as realised.
        flops: By component, `encode.attention` and so on; the sum is the total. `encode` holds every look at the whole
            pages: the answering model's, and that of a run on another vision-language model or with fewer pixels. What
            a run that needs no such model takes (hashed words and edges) is not counted.
        vanilla_flops: Total for the same question without selection, and as many new tokens.
        seconds: `encode` (pages), `select`, `refine` (crops), `prefill`, `decode`, as far as they happened. Decoding
            image files for the answering model and writing the prompt are left out; a page that was encoded for an
            earlier question counts with what that took.
        regions: What was shown, in the order it was read, a view of the whole page included. Their tokens add up to
            `visual_tokens`, but for LLaVA-NeXT's row ends between tokens that were not encoded anew.
    """

    text: str
    visual_tokens: int
    vanilla_tokens: int
    budget_used: float
    flops: Mapping[str, float]
    vanilla_flops: float
    seconds: Mapping[str, float]
    regions: tuple[Region, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready account."""
        return {
            "text": self.text,
            "visual_tokens": self.visual_tokens,
            "vanilla_tokens": self.vanilla_tokens,
            "budget_used": self.budget_used,
            "flops": dict(self.flops),
            "flops_total": sum(self.flops.values()),
            "vanilla_flops": self.vanilla_flops,
            "seconds": dict(self.seconds),
            "seconds_total": sum(self.seconds.values()),
            "regions": [
                {"page_index": region.page_index, "xyxy": list(region.xyxy), "tokens": region.tokens}
                for region in self.regions
            ],
        }


@runtime_checkable
class Answerer(Protocol):
    """Answers questions over pages.

    Attributes:
        name: How reports call it, `vanilla` or `pinpoint@0.60`.
    """

    name: str

    def answer(self, question: str, pages: Sequence[PageInput], question_id: str = "") -> Answer:
        """The answer to a question over one or more pages; `question_id` names it in messages."""
        ...


def check_asked(question: str, pages: Sequence[PageInput]) -> None:
    """Refuse what cannot be answered, before anything is loaded.

    Raises:
        UsageError: The question is empty, or there is no page.
    """
    if not question.strip():
        raise UsageError("the question is empty")
    if not pages:
        raise UsageError("there is no page to answer from")
