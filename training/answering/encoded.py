"""Pages encoded once for all questions and all answerers, with the seconds that took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.backbones.base import EncodedPage
from training.pages.input import PageInput
from training.pages.memory import PageMemory
from training.vlm import GLOBAL, ImageLayout, VisionLanguageModel, VisualTokens


@dataclass(frozen=True)
class VisiblePage:
    """A page as an answering model sees it.

    Attributes:
        layout: What its tokens are, in the language model's order.
        visual: Their values.
    """

    layout: ImageLayout
    visual: VisualTokens

    def on_grid(self) -> EncodedPage:
        """The tokens of the page's grid alone, as a window scorer takes them."""
        tokens, index = self.visual.tokens, self.layout.on_grid
        # Of Qwen-VL's pages that is all of them, up to 16,384: not worth a copy.
        return EncodedPage(self.layout.grid, tokens if len(index) == len(tokens) else tokens[index.to(tokens.device)])

    def view(self) -> VisualTokens:
        """The tokens of its view of the whole, which not every page has."""
        return self.visual.take(torch.from_numpy(np.flatnonzero(self.layout.role == GLOBAL)))


class PageEncoder:
    """An answering model's encoding of pages, whole or at a glance.

    Args:
        model: The model.
    """

    def __init__(self, model: VisionLanguageModel) -> None:
        self.model = model
        self._whole = PageMemory(lambda pages: self._encode(pages, self.layout), lambda page: len(page.visual))
        self._glances = PageMemory(lambda pages: self._encode(pages, self.glance), lambda page: len(page.visual))

    def layout(self, page: PageInput) -> ImageLayout:
        """The page's tokens to be; needs neither pixels nor weights."""
        return self.model.layout(page.width, page.height)

    def glance(self, page: PageInput) -> ImageLayout:
        """The tokens of the page's view of the whole alone, where it is encoded with one; else its tokens."""
        return self.model.view_layout(page.width, page.height) or self.layout(page)

    def encode(self, pages: Sequence[PageInput]) -> tuple[list[VisiblePage], float]:
        """The pages' visual tokens, and the seconds it took to make them."""
        return self._remembered(self._whole, pages)

    def encode_glances(self, pages: Sequence[PageInput]) -> tuple[list[VisiblePage], float]:
        """The same of the pages at a glance."""
        return self._remembered(self._glances, pages)

    def _remembered(
        self, memory: PageMemory[VisiblePage], pages: Sequence[PageInput]
    ) -> tuple[list[VisiblePage], float]:
        # Loading the weights is no part of encoding a page.
        _ = self.model.weights
        found = memory.get(pages)
        return [page for page, _ in found], sum(seconds for _, seconds in found)

    def _encode(
        self, pages: Sequence[PageInput], layout: Callable[[PageInput], ImageLayout]
    ) -> tuple[list[VisiblePage], float]:
        layouts = [layout(page) for page in pages]
        images = [page.load_image() for page in pages]
        started = self.model.synchronised()
        visual = self.model.encode(images, layouts)
        seconds = self.model.synchronised() - started
        return [VisiblePage(layout, tokens) for layout, tokens in zip(layouts, visual, strict=True)], seconds
