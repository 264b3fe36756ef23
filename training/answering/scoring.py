"""Stage one of an answer: a run's window scorer, on the answering model's own encoding of a page where it can be.

Where it cannot, because the run looks at pages with fewer pixels than the model that answers, that is the cheaper way:
a first look at low resolution costs little, and the regions it selects are then encoded from the page's own pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from training.answering.cost import look_flops
from training.answering.encoded import PageEncoder, PageMemory
from training.backbones.base import Backbone, EncodedPage, PageInput, Tokens, encode_pages
from training.backbones.vlm import VlmBackbone
from training.checkpoint import Run
from training.flops import FlopCount
from training.selectors import PinpointScorer
from training.vlm import VisionLanguageModel


class StageOne:
    """Selects for an answering model.

    Args:
        run: Scores windows. If its backbone gives the very tokens that the answering model gives (same weights,
            precision and processor settings), a page is encoded once, for both; else the run's backbone encodes it too,
            with the same weights in memory where they are the same ones.
        encoder: Of the answering model.

    Attributes:
        scorer: To select with, the run's aligner moved to the model's device. It projects a page anew for every
            question, so that selecting takes as long for the next question over a page as for the first.
        shared: Whether a page is encoded once.
    """

    def __init__(self, run: Run, encoder: PageEncoder) -> None:
        self.encoder = encoder
        own = VlmBackbone(run.backbone.name, encoder.model) if isinstance(run.backbone, VlmBackbone) else None
        self.shared = own is not None and own.spec() == run.backbone.spec()
        self._backbone: Backbone = own if own is not None and self.shared else run.backbone
        self._looks: VisionLanguageModel | None = None
        if isinstance(run.backbone, VlmBackbone) and not self.shared:
            self._looks = run.backbone.model
            self._looks.borrow_weights(encoder.model)
        self._memory = PageMemory(self._encode, lambda page: page.grid.n_tokens)
        moved = replace(run, backbone=_Remembered(self._backbone, self._pages)).to(encoder.model.device)
        self.scorer = PinpointScorer(moved, kept_bytes=0)

    def encode(self, pages: Sequence[PageInput]) -> float:
        """Encode pages ahead of selecting, where that is not the answering model's work; returns the seconds."""
        return 0.0 if self.shared else sum(seconds for _, seconds in self._memory.get(pages))

    def _encode(self, pages: Sequence[PageInput]) -> tuple[list[EncodedPage], float]:
        started = self.encoder.model.synchronised()
        found = encode_pages(self._backbone, pages)
        return found, self.encoder.model.synchronised() - started

    def flops(self, pages: Sequence[PageInput]) -> FlopCount:
        """Of encoding pages for the selection alone, by a vision-language model; else nothing."""
        if self._looks is None:
            return FlopCount()
        return look_flops(self._looks, [self._looks.layout(page.width, page.height) for page in pages])

    def _pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        if self.shared:
            return [page.on_grid() for page in self.encoder.encode(pages)[0]]
        return [EncodedPage(page.grid, page.tokens) for page, _ in self._memory.get(pages)]


class _Remembered:
    """A backbone whose pages are taken from elsewhere."""

    def __init__(self, backbone: Backbone, pages: Callable[[Sequence[PageInput]], list[EncodedPage]]) -> None:
        self._backbone, self.encode_pages = backbone, pages
        self.name, self.reads_words = backbone.name, backbone.reads_words
        self.token_dim, self.question_dim = backbone.token_dim, backbone.question_dim
        self.shared_dim = backbone.shared_dim
        self.grid, self.spec = backbone.grid, backbone.spec

    def encode_page(self, page: PageInput) -> EncodedPage:
        return self.encode_pages([page])[0]

    def encode_question(self, question: str) -> Tokens:
        return self._backbone.encode_question(question)
