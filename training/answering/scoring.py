"""Stage one of an answer: a run's window scorer, on the answering model's own encoding of a page where it can be.

Where it cannot, because the run looks at pages with fewer pixels than the model that answers, that is the cheaper way:
a first look at low resolution costs little, and the regions it selects are then encoded from the page's own pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from training.answering.cost import look_flops
from training.answering.encoded import PageEncoder
from training.backbones.base import Backbone, EncodedPage, Tokens, encode_pages
from training.backbones.vlm import VlmBackbone
from training.checkpoint import Run
from training.flops import FlopCount
from training.pages.input import PageInput
from training.pages.memory import PageMemory
from training.vlm import VisionLanguageModel
from training.window_scorers import PinpointScorer

Look = Literal["page", "glance", "own"]


class StageOne:
    """Selects for an answering model.

    Args:
        run: Scores windows. Weights that are those of the answering model are in memory once.
        encoder: Of the answering model.

    Attributes:
        look: What windows are scored on. `page`: tokens of the page as the answering model encodes it, for both.
            `glance`: tokens of the answering model's view of the whole (a run on LLaVA-NeXT's base view), which can
            then be shown as well. `own`: whatever the run's backbone makes of the page.
        scorer: To select with, the run's aligner moved to the model's device. It projects a page anew for every
            question, so that selecting takes as long for the next question over a page as for the first.
    """

    def __init__(self, run: Run, encoder: PageEncoder) -> None:
        self.encoder, self._backbone = encoder, run.backbone
        self.look: Look = _look(run.backbone, encoder.model)
        if isinstance(run.backbone, VlmBackbone):
            run.backbone.model.borrow_weights(encoder.model)
        self._memory = PageMemory(self._encode, lambda page: page.grid.n_tokens)
        moved = replace(run, backbone=_Remembered(run.backbone, self._pages)).to(encoder.model.device)
        self.scorer = PinpointScorer(moved, kept_bytes=0)

    def encode(self, pages: Sequence[PageInput]) -> float:
        """Encode pages ahead of selecting, where that is not the answering model's work; returns the seconds."""
        return sum(seconds for _, seconds in self._memory.get(pages)) if self.look == "own" else 0.0

    def flops(self, pages: Sequence[PageInput]) -> FlopCount:
        """Of that, where it is a vision-language model's work; what other backbones take is small and not counted."""
        if self.look != "own" or not isinstance(self._backbone, VlmBackbone):
            return FlopCount()
        model = self._backbone.model
        return look_flops(model, [model.layout(page.width, page.height) for page in pages])

    def _encode(self, pages: Sequence[PageInput]) -> tuple[list[EncodedPage], float]:
        started = self.encoder.model.synchronised()
        found = encode_pages(self._backbone, pages)
        return found, self.encoder.model.synchronised() - started

    def _pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        """Pages met for the first time, as the scorer takes them."""
        if self.look == "own":
            return [EncodedPage(page.grid, page.tokens) for page, _ in self._memory.get(pages)]
        encode = self.encoder.encode if self.look == "page" else self.encoder.encode_glances
        return [page.on_grid() for page in encode(pages)[0]]


def _look(backbone: Backbone, model: VisionLanguageModel) -> Look:
    """The cheapest way to the tokens that a run expects: equal specs mean equal tokens."""
    if not isinstance(backbone, VlmBackbone):
        return "own"
    expected, given = backbone.spec(), VlmBackbone(backbone.name, model).spec()
    if given == expected:
        return "page"
    given["options"]["processor"]["view"] = "base"
    return "glance" if given == expected else "own"


class _Remembered:
    """A backbone whose pages are taken from elsewhere, and that knows the last question."""

    def __init__(self, backbone: Backbone, pages: Callable[[Sequence[PageInput]], list[EncodedPage]]) -> None:
        self._backbone, self._pages = backbone, pages
        self._question: tuple[str, Tokens] | None = None
        self.name, self.reads_words = backbone.name, backbone.reads_words
        self.token_dim, self.question_dim = backbone.token_dim, backbone.question_dim
        self.shared_dim = backbone.shared_dim
        self.grid, self.spec = backbone.grid, backbone.spec

    def encode_page(self, page: PageInput) -> EncodedPage:
        return self.encode_pages([page])[0]

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        self._question = None  # every selection begins with its pages, and none is to be cheaper than the one before
        return self._pages(pages)

    def encode_question(self, question: str) -> Tokens:
        # Asked for twice: to score windows, and to count what that took.
        if self._question is None or self._question[0] != question:
            self._question = question, self._backbone.encode_question(question)
        return self._question[1]
