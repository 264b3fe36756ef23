"""PinPoint: select regions, look at them again, answer from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.answering.base import Answer, check_asked
from training.answering.cost import new_tokens, pinpoint_flops, vanilla_flops
from training.answering.encoded import PageEncoder, VisiblePage
from training.answering.scoring import StageOne
from training.answering.shown import show_kept, show_parts
from training.answering.stages import Stages, enough_memory
from training.checkpoint import Run
from training.evaluation.question_scores import share_name
from training.flops import FlopCount
from training.pages.input import PageInput
from training.refinement import Part, Refinement, crop_pages, encode_crops, lead_with_global_views, project_mask
from training.selection.select import Selection, TokenLimit, select_regions
from training.vlm import GLOBAL, ImageLayout, VisionLanguageModel, VisualTokens

DEFAULT_COVERAGE = 0.6


class PinpointAnswerer:
    """Answers from the regions that a trained run selects.

    Where the run's backbone is the answering model itself, pages are encoded once, for selection and for what is shown
    of them. A run on another backbone, or on the same one with fewer pixels, selects on that one's grid; a token of the
    answering model is then selected if and only if its centre lies in a selected cell (see `project_mask`).

    Args:
        run: Selects.
        model: Answers; opened with its language model.
        coverage: Take windows until this share of all tokens is covered; 0.6 where no budget is given either.
        budget: Instead: take whole windows, best first, within this share.
        refinement: How selected tokens become what the language model reads.
        max_new_tokens: The longest answer.
        stage_one: Shared with other answerers of the same run and model, so that a page is encoded once for them all.

    Raises:
        UsageError: Both a coverage and a budget, or a share outside (0, 1].
    """

    def __init__(
        self,
        run: Run,
        model: VisionLanguageModel,
        *,
        coverage: float | None = None,
        budget: float | None = None,
        refinement: Refinement | None = None,
        max_new_tokens: int = 32,
        stage_one: StageOne | None = None,
    ) -> None:
        if budget is None and coverage is None:
            coverage = DEFAULT_COVERAGE
        self.limit = TokenLimit(budget, coverage)
        self.name = f"pinpoint@{share_name(coverage or budget or 0.0)}"
        self.model, self.max_new_tokens = model, max_new_tokens
        self.refinement = refinement or Refinement()
        self.stage_one = stage_one or StageOne(run, PageEncoder(model))
        self.encoder = self.stage_one.encoder

    def answer(self, question: str, pages: Sequence[PageInput], question_id: str = "") -> Answer:
        """The answer from the selected regions.

        Raises:
            UsageError: The question is empty, or there is no page.
            TrainingError: The GPU's memory is full.
        """
        return self.answer_selected(question, pages, question_id=question_id)[0]

    def answer_selected(
        self,
        question: str,
        pages: Sequence[PageInput],
        *,
        question_id: str = "",
        numbers: Sequence[int] | None = None,
    ) -> tuple[Answer, Selection]:
        """The answer, and the selection it rests on; `numbers` are the page numbers to show people.

        Raises:
            UsageError: The question is empty, or there is no page.
            TrainingError: The GPU's memory is full.
        """
        check_asked(question, pages)
        with enough_memory(question_id):
            return self._answer(question, pages, numbers)

    def _answer(
        self, question: str, pages: Sequence[PageInput], numbers: Sequence[int] | None
    ) -> tuple[Answer, Selection]:
        stages = Stages(self.model)
        layouts = [self.encoder.layout(page) for page in pages]
        seen = self._encode(pages, layouts, stages)
        with stages.stage("select"):
            selection = self._select(question, pages, numbers)
        masks = [
            project_mask(page.mask, page.view.grid, layout.grid)
            for page, layout in zip(selection.pages, layouts, strict=True)
        ]
        if self.refinement.refine:
            crops = self._refine(pages, selection, layouts, stages)
            parts = lead_with_global_views(crops, layouts, seen.views)
            shown = show_parts(self.model, question, layouts, parts, self.refinement.positions_for(self.model.family))
        else:
            crops = []
            visual, view = [page.visual for page in seen.whole], self.refinement.global_view
            shown = show_kept(self.model, question, layouts, visual, masks, global_view=view)
        made = self.model.generate(shown.sequence, shown.visual, self.max_new_tokens)
        stages.add("prefill", made.seconds_prefill)
        stages.add("decode", made.seconds_decode)
        new = new_tokens(made, self.max_new_tokens)
        flops = pinpoint_flops(
            self.model,
            seen.encoded,
            [crop.layout for crop in crops],
            FlopCount((name, int(flops)) for name, flops in selection.cost.flops.items()),
            len(shown.sequence),
            new,
        )
        flops = self.stage_one.flops(pages).under("encode") + flops
        text = sum(map(len, self.model.prompt(question, len(pages))))
        answer = Answer(
            text=made.text,
            visual_tokens=len(shown.visual),
            vanilla_tokens=sum(layout.n_tokens for layout in layouts),
            budget_used=sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks),
            flops=flops,
            vanilla_flops=vanilla_flops(self.model, layouts, text, new).total,
            seconds=stages.seconds,
            regions=shown.regions,
        )
        return answer, selection

    def _encode(self, pages: Sequence[PageInput], layouts: Sequence[ImageLayout], stages: Stages) -> _Seen:
        """What stage one and the prompt need of the pages, and no more."""
        look, shows_view = self.stage_one.look, self.refinement.global_view
        with_view = [index for index, layout in enumerate(layouts) if shows_view and _has_view(layout)]
        needs_whole = look == "page" or not self.refinement.refine
        glanced = range(len(pages)) if look == "glance" else [] if needs_whole else with_view
        whole, seconds = self.encoder.encode(pages if needs_whole else [])
        glances, more = self.encoder.encode_glances([pages[index] for index in glanced])
        stages.add("encode", seconds + more + self.stage_one.encode(pages))
        at = dict(zip(glanced, glances, strict=True))
        views = {index: whole[index].view() if needs_whole else at[index].visual for index in with_view}
        return _Seen(whole, views, [page.layout for page in (*whole, *glances)])

    def _select(self, question: str, pages: Sequence[PageInput], numbers: Sequence[int] | None) -> Selection:
        return select_regions(
            self.stage_one.scorer,
            pages,
            question,
            self.limit.budget,
            coverage=self.limit.coverage,
            max_waste=self.refinement.max_waste,
            numbers=numbers,
        )

    def _refine(
        self, pages: Sequence[PageInput], selection: Selection, layouts: Sequence[ImageLayout], stages: Stages
    ) -> list[Part]:
        """The selected regions, encoded from the pages' own pixels."""
        settings = self.refinement
        images = {index: pages[index].load_image() for index, page in enumerate(selection.pages) if page.mask.any()}
        thumbnails = {
            index: min(settings.global_tokens, layout.grid.n_tokens)
            for index, layout in enumerate(layouts)
            if settings.global_view and not _has_view(layout)
        }
        with stages.stage("refine"):
            crops = crop_pages(selection.pages, [layout.grid for layout in layouts], settings)
            return encode_crops(self.model, images, crops, thumbnails)


@dataclass(frozen=True)
class _Seen:
    """Pages as the answering model sees them.

    Attributes:
        whole: All tokens; empty where nobody needs them.
        views: Tokens of the view of the whole to show, by page index.
        encoded: Layout of everything that was encoded.
    """

    whole: list[VisiblePage]
    views: dict[int, VisualTokens]
    encoded: list[ImageLayout]


def _has_view(layout: ImageLayout) -> bool:
    """Whether a page is encoded with a view of the whole besides its grid."""
    return bool((layout.role == GLOBAL).any())
