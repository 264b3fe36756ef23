"""What the language model is shown: a prompt with its visual tokens, from all tokens, kept tokens or crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.answering.base import Region
from training.refinement import (
    Part,
    Positions,
    copied_sequence,
    kept_tokens,
    original_sequence,
    packed_sequence,
)
from training.refinement.crops import pixel_box
from training.selection.regions import Mask, connected_components, cover_rectangles
from training.vlm import GLOBAL, ImageLayout, PromptSequence, VisionLanguageModel, VisualTokens


@dataclass(frozen=True, eq=False)
class Shown:
    """A prompt ready for the language model.

    Attributes:
        sequence: Ids and positions.
        visual: The tokens of its images, in order.
        regions: Where on the pages they look.
    """

    sequence: PromptSequence
    visual: VisualTokens
    regions: tuple[Region, ...]


def show_pages(
    model: VisionLanguageModel, question: str, layouts: Sequence[ImageLayout], visual: Sequence[VisualTokens]
) -> Shown:
    """All tokens of all pages: vanilla."""
    sequence = model.assemble(model.prompt(question, len(layouts)), layouts)
    regions = tuple(
        Region(index, (0.0, 0.0, float(layout.width), float(layout.height)), layout.n_tokens)
        for index, layout in enumerate(layouts)
    )
    return Shown(sequence, VisualTokens.cat(list(visual)), regions)


def show_kept(
    model: VisionLanguageModel,
    question: str,
    layouts: Sequence[ImageLayout],
    visual: Sequence[VisualTokens],
    masks: Sequence[Mask],
    *,
    global_view: bool,
) -> Shown:
    """The tokens inside masks (rows, cols) of the pages' grids, as they are."""
    chosen = [kept_tokens(layout, mask, global_view=global_view) for layout, mask in zip(layouts, masks, strict=True)]
    kept = [page.take(torch.from_numpy(index)) for page, index in zip(visual, chosen, strict=True) if len(index)]
    regions = [
        region
        for index, (layout, own) in enumerate(zip(layouts, chosen, strict=True))
        for region in (*_view_region(index, layout, layout.role[own]), *_mask_regions(index, layout, masks[index]))
    ]
    return Shown(copied_sequence(model, question, layouts, chosen), VisualTokens.cat(kept), tuple(regions))


def show_parts(
    model: VisionLanguageModel,
    question: str,
    layouts: Sequence[ImageLayout],
    parts: Sequence[Part],
    positions: Positions,
) -> Shown:
    """Parts of pages that were encoded anew."""
    if positions == "packed":
        sequence = packed_sequence(model, question, parts)
    else:
        sequence = original_sequence(model, question, layouts, parts)
    regions = [
        region
        for part in parts
        for region in (*_view_region(part.page_index, layouts[part.page_index], part.layout.role), _part_region(part))
    ]
    return Shown(sequence, VisualTokens.cat([part.visual for part in parts]), tuple(regions))


def _mask_regions(page_index: int, layout: ImageLayout, mask: Mask) -> list[Region]:
    """The selected tokens of a page as disjoint rectangles that hold nothing else."""
    rectangles = [r for component in connected_components(mask) for r in cover_rectangles(component, 0).tolist()]
    return [
        Region(page_index, _floats(pixel_box(r, layout.grid)), int((r[2] - r[0]) * (r[3] - r[1]))) for r in rectangles
    ]


def _view_region(page_index: int, page: ImageLayout, shown: npt.NDArray[np.int8]) -> list[Region]:
    """The whole page, where tokens of its view of the whole are among those shown (n,), given by their roles."""
    tokens = int(np.count_nonzero(shown == GLOBAL))
    return [Region(page_index, (0.0, 0.0, float(page.width), float(page.height)), tokens)] if tokens else []


def _part_region(part: Part) -> Region:
    x, y = part.corner
    tokens = int(np.count_nonzero(part.layout.role != GLOBAL))
    return Region(
        part.page_index, (float(x), float(y), float(x + part.layout.width), float(y + part.layout.height)), tokens
    )


def _floats(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return float(x0), float(y0), float(x1), float(y1)
