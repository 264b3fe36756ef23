"""The model as it comes: every token of every page."""

from __future__ import annotations

from collections.abc import Sequence

from training.answering.base import Answer, check_asked
from training.answering.cost import new_tokens, vanilla_flops
from training.answering.encoded import PageEncoder
from training.answering.shown import show_pages
from training.answering.stages import enough_memory
from training.pages.input import PageInput
from training.vlm import VisionLanguageModel


class VanillaAnswerer:
    """Answers from all tokens of all pages.

    Args:
        model: Opened with its language model.
        max_new_tokens: The longest answer.
        encoder: Shared with other answerers, so that a page is encoded once for all of them.
    """

    name = "vanilla"

    def __init__(
        self, model: VisionLanguageModel, *, max_new_tokens: int = 32, encoder: PageEncoder | None = None
    ) -> None:
        self.model, self.max_new_tokens = model, max_new_tokens
        self.encoder = encoder or PageEncoder(model)

    def answer(self, question: str, pages: Sequence[PageInput], question_id: str = "") -> Answer:
        """The answer of the unchanged model.

        Raises:
            UsageError: The question is empty, or there is no page.
            TrainingError: The GPU's memory is full.
        """
        check_asked(question, pages)
        with enough_memory(question_id):
            seen, seconds = self.encoder.encode(pages)
            layouts = [page.layout for page in seen]
            shown = show_pages(self.model, question, layouts, [page.visual for page in seen])
            made = self.model.generate(shown.sequence, shown.visual, self.max_new_tokens)
        tokens = len(shown.visual)
        new = new_tokens(made, self.max_new_tokens)
        flops = vanilla_flops(self.model, layouts, len(shown.sequence) - tokens, new)
        spent = {"encode": seconds, "prefill": made.seconds_prefill, "decode": made.seconds_decode}
        return Answer(made.text, tokens, tokens, 1.0, flops, flops.total, spent, shown.regions)
