"""Where the tokens and signals of samples come from: any backbone, a feature cache, or a whole model."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from pinpoint_data.errors import PageError, TrainingError
from training.backbones.base import Backbone, encode_pages
from training.evaluation.intervals import FloatArray
from training.ledger import Cost, Ledger
from training.pages.input import PageInput
from training.pages.memory import PageMemory
from training.selectors.base import Need
from training.selectors.sample import EncodedSample
from training.window_scorers.base import PageView, QuestionView

if TYPE_CHECKING:
    from training.backbones.vlm import VlmBackbone
    from training.checkpoint import Run
    from training.pages.cache import PageTokens
    from training.vlm import ImageLayout, VisualTokens
    from training.vlm.clip_space import ClipSignals, ClipSpace
    from training.vlm.decoder import Decoder
    from training.vlm.vision_pass import VisionSignals


class SignalSource:
    """Tokens of any backbone, or of a feature cache, remembered for the next questions over a page.

    Args:
        backbone: Whose tokens selectors choose from.
        cache: Where visual tokens are read from instead.
        run: A trained run on the same backbone.
        seed: Of whatever is random.

    Attributes:
        device: Where its tensors are.
        shared_dim: Leading features that mean the same in visual tokens and question tokens.
        offers: What selectors may need.
    """

    def __init__(
        self, backbone: Backbone, *, cache: PageTokens | None = None, run: Run | None = None, seed: int = 0
    ) -> None:
        self.backbone, self.cache, self.run, self.seed = backbone, cache, run, seed
        self.device = torch.device("cpu")
        self.shared_dim = backbone.shared_dim
        self._pages: PageMemory[Tensor] = PageMemory(self._encode, len)
        self._of_pages: dict[str, PageMemory[FloatArray]] = {}

    @property
    def offers(self) -> frozenset[Need]:
        """What selectors may need; words are for the caller to know."""
        found: set[Need] = {"pixels", "evidence"}
        if self.shared_dim:
            found.add("shared")
        if self.run is not None:
            found.add("run")
        return frozenset(found)

    def clock(self) -> float:
        """Seconds, read once the device has done what it was given."""
        return time.perf_counter()

    def sample(self, view: QuestionView) -> EncodedSample:
        """A question, ready for selectors."""
        return EncodedSample(view, self)

    def prefetch(self, page_ids: Sequence[str]) -> None:
        """Say which pages come next."""
        if self.cache is not None:
            self.cache.prefetch(page_ids)

    def tokens(self, pages: Sequence[PageView]) -> Tensor:
        """(N, d_v) float32: the visual tokens of some pages, end to end."""
        found = self._pages.get([page.page_input for page in pages])
        return torch.cat([tokens.float() for tokens, _ in found])

    def encoding_cost(self, pages: Sequence[PageView]) -> Cost:
        """What encoding these pages took, whenever that was."""
        return Cost(sum(seconds for _, seconds in self._pages.get([page.page_input for page in pages])))

    def question_tokens(self, question: str) -> Tensor:
        """(m, d_t) float32."""
        return torch.as_tensor(self.backbone.encode_question(question)).float().to(self.device)

    def of_pages(
        self, name: str, pages: Sequence[PageInput], make: Callable[[PageInput], FloatArray]
    ) -> list[tuple[FloatArray, float]]:
        """Values of a page's tokens, made once a page for all questions and all who know them by name.

        Args:
            name: What they are.
            pages: Of a question.
            make: Makes those of one page, (n,).

        Returns:
            Those of each page, and the seconds they took when they were made.
        """

        def made(missing: Sequence[PageInput]) -> tuple[list[FloatArray], float]:
            started = self.clock()
            return [make(page) for page in missing], self.clock() - started

        return self._of_pages.setdefault(name, PageMemory(made, len)).get(pages)

    def vision(self, pages: Sequence[PageView]) -> VisionSignals:
        """Attention and keys of the vision tower."""
        self._lacking("a vision tower")

    def clip_signals(self, pages: Sequence[PageView], question: str) -> ClipSignals:
        """Patches and question in CLIP's joint space."""
        self._lacking("CLIP's joint space")

    def decoder(self, pages: Sequence[PageView], question: str, ledger: Ledger) -> Decoder:
        """The language model over these pages."""
        self._lacking("a language model")

    def _lacking(self, what: str) -> NoReturn:
        raise TrainingError(f"backbone {self.backbone.name!r} has not got {what}, which this selector needs")

    def _encode(self, pages: Sequence[PageInput]) -> tuple[list[Tensor], float]:
        started = self.clock()
        if self.cache is not None:
            made = [self.cache.tokens(page.page_id) for page in pages]
        else:
            made = [page.tensor() for page in encode_pages(self.backbone, pages)]
        made = [tokens.to(self.device) for tokens in made]
        seconds = self.clock() - started
        _check_finite(self.backbone, pages, made)
        return made, seconds


@dataclass(frozen=True, eq=False)
class SeenPage:
    """A page as a whole model sees it.

    Attributes:
        layout: What its tokens are, in the language model's order.
        visual: Their values.
        vision: Signals of its grid tokens, where the vision tower was watched.
    """

    layout: ImageLayout
    visual: VisualTokens
    vision: VisionSignals | None


class ModelSource(SignalSource):
    """Tokens and signals of a vision-language model; its pages are encoded whole, never read from a cache.

    Args:
        backbone: On a model; opened with its language model where selectors need the decoder.
        run: A trained run on the same backbone.
        clip: CLIP's towers, beside LLaVA-NeXT.
        seed: Of whatever is random.
        needs: What the selectors need: the vision tower is watched only where one of them asks for it.
    """

    def __init__(
        self,
        backbone: VlmBackbone,
        *,
        run: Run | None = None,
        clip: ClipSpace | None = None,
        seed: int = 0,
        needs: Collection[Need] = (),
    ) -> None:
        super().__init__(backbone, run=run, seed=seed)
        self.model, self.clip = backbone.model, clip
        self.device = self.model.device
        self.shared_dim = backbone.token_dim
        self._watched = bool({"vision", "clip"} & set(needs))
        self._seen: PageMemory[SeenPage] = PageMemory(self._see, lambda page: len(page.visual))

    @property
    def offers(self) -> frozenset[Need]:
        """Everything but what is not there: a language model, CLIP, a run."""
        found: set[Need] = {"vision"}
        if self.model.language:
            found.add("decoder")
        if self.clip is not None:
            found.add("clip")
        return super().offers | found

    def clock(self) -> float:
        """Seconds, read once the device has done what it was given."""
        return self.model.synchronised()

    def tokens(self, pages: Sequence[PageView]) -> Tensor:
        """(N, d) float32: the grid tokens of some pages, end to end."""
        return torch.cat([page.visual.tokens[page.layout.on_grid.to(self.device)] for page in self._of(pages)]).float()

    def encoding_cost(self, pages: Sequence[PageView]) -> Cost:
        """What encoding these pages took; the seconds, not the operations, hold watching the vision tower too."""
        from training.answering.cost import look_flops

        found = self._seen.get([page.page_input for page in pages])
        flops = look_flops(self.model, [page.layout for page, _ in found]).total
        return Cost(sum(seconds for _, seconds in found), flops)

    def vision(self, pages: Sequence[PageView]) -> VisionSignals:
        """Attention and keys of the vision tower, of the grid tokens of all pages."""
        from training.vlm.vision_pass import VisionSignals

        found = [page.vision for page in self._of(pages)]
        signals = [own for own in found if own is not None]
        if len(signals) < len(found):
            raise TrainingError(
                f"backbone {self.backbone.name!r} was not watched as it encoded the pages",
                remedy="name `vision` among what the selector needs",
            )
        return VisionSignals.cat(signals)

    def clip_signals(self, pages: Sequence[PageView], question: str) -> ClipSignals:
        """Patches and question in CLIP's joint space."""
        if self.clip is None:
            self._lacking("CLIP's towers")
        return self.clip.signals(self.vision(pages), question)

    def decoder(self, pages: Sequence[PageView], question: str, ledger: Ledger) -> Decoder:
        """The language model over these pages and a question."""
        from training.vlm.decoder import Decoder

        seen = self._of(pages)
        return Decoder(self.model, question, [p.layout for p in seen], [p.visual for p in seen], ledger=ledger)

    def shown(self, pages: Sequence[PageView]) -> list[SeenPage]:
        """The pages as the language model reads them, to answer from."""
        return self._of(pages)

    def _of(self, pages: Sequence[PageView]) -> list[SeenPage]:
        _ = self.model.weights  # loading them is no part of encoding a page
        return [page for page, _ in self._seen.get([page.page_input for page in pages])]

    def _see(self, pages: Sequence[PageInput]) -> tuple[list[SeenPage], float]:
        layouts = [self.model.layout(page.width, page.height) for page in pages]
        images = [page.load_image() for page in pages]
        started = self.clock()
        if self._watched:
            from training.vlm.vision_pass import encode_with_signals

            both = encode_with_signals(self.model, images, layouts)
            seen = [SeenPage(layout, visual, own) for layout, (visual, own) in zip(layouts, both, strict=True)]
        else:
            plain = self.model.encode(images, layouts)
            seen = [SeenPage(layout, visual, None) for layout, visual in zip(layouts, plain, strict=True)]
        seconds = self.clock() - started
        _check_finite(self.backbone, pages, [page.visual.tokens for page in seen])
        return seen, seconds


def _check_finite(backbone: Backbone, pages: Sequence[PageInput], tokens: Sequence[Tensor]) -> None:
    """Refuse what would be ranked, silently, by numbers that are none."""
    for page, own in zip(pages, tokens, strict=True):
        if not own.isfinite().all():
            raise PageError(
                "tokens-not-finite",
                f"backbone {backbone.name!r} gave visual tokens that are not finite",
                record=f"page {page.page_id}",
                remedy="take a dtype of a wider range, such as bfloat16 or float32",
            )
