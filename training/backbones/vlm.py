"""The backbones `llava-next` and `qwen2-vl`: visual tokens as a vision-language model's decoder would receive them.

Visual tokens are those after the projector or merger; question tokens are the input embeddings of the question alone.
Windows slide over the grid's tokens: LLaVA-NeXT's view of the whole page and its row ends are no part of the grid.
Only the vision tower, the projector and the input embeddings are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.grids import TokenGrid
from training.backbones.base import EncodedPage
from training.pages.input import PageInput
from training.vlm import VisionLanguageModel, open_model

FEATURE_VERSION = 1
"""Goes up whenever the same page would give other tokens; a run made with another version is refused."""


class VlmBackbone:
    """A vision-language model as a backbone.

    Args:
        name: The registered name.
        model: The model; one that was opened with its language model serves as well.
    """

    shared_dim = 0
    reads_words = False
    wants_gpu = True

    def __init__(self, name: str, model: VisionLanguageModel) -> None:
        self.name, self.model = name, model
        self.token_dim = self.question_dim = model.token_dim

    def grid(self, width: int, height: int) -> TokenGrid:
        """The grid of a page; needs no weights.

        Raises:
            GeometryError: The model refuses such a page.
        """
        return self.model.layout(width, height).grid

    def encode_page(self, page: PageInput) -> EncodedPage:
        """Tokens (N, d) in the model's precision, on its device."""
        return self.encode_pages([page])[0]

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        """Tokens of several pages, as many pages at once as the model's memory allows."""
        layouts = [self.model.layout(page.width, page.height) for page in pages]
        visual = self.model.encode([page.load_image() for page in pages], layouts)
        return [
            EncodedPage(layout.grid, tokens.take(layout.on_grid).tokens)
            for layout, tokens in zip(layouts, visual, strict=True)
        ]

    def encode_question(self, question: str) -> Tensor:
        """Input embeddings (m, d) of the question's tokens, on the model's device."""
        return self.model.embed(self.model.question_ids(question))

    def spec(self) -> dict[str, Any]:
        """Name, version, fingerprint of the model, precision and processor settings; not its name or place."""
        options = {
            "family": self.model.family,
            "fingerprint": self.model.source.fingerprint,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "processor": self.model.settings(),
        }
        return {"name": self.name, "version": FEATURE_VERSION, "options": options}


def llava_next(model: str, **options: Any) -> VlmBackbone:
    """The backbone `llava-next`.

    Args:
        model: Folder or hub name.
        options: Of `open_model`: `revision`, `dtype`, `device`, `view`.
    """
    return _opened("llava-next", ("llava-next",), model, options)


def qwen2_vl(model: str, **options: Any) -> VlmBackbone:
    """The backbone `qwen2-vl`: Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

    Args:
        model: Folder or hub name.
        options: Of `open_model`: `revision`, `dtype`, `device`, `max_pixels`.
    """
    return _opened("qwen2-vl", ("qwen2-vl", "qwen2.5-vl", "qwen3-vl"), model, options)


def _opened(name: str, families: tuple[str, ...], model: str, options: dict[str, Any]) -> VlmBackbone:
    opened = open_model(model, **options)
    if opened.family not in families:
        raise UsageError(f"is a {opened.family} model, no backbone {name}", file=model)
    return VlmBackbone(name, opened)
