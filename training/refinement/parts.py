"""From a selection to encoded crops: the parts of pages that a refined prompt is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from pinpoint_data.token_grid import TokenGrid
from training.refinement.crops import Box, Crop, make_crops, page_rectangles
from training.refinement.places import project_mask
from training.refinement.sequence import Part, with_global_view
from training.refinement.settings import Refinement
from training.selection.select import SelectedPage
from training.vlm import ImageLayout, VisionLanguageModel, VisualTokens


def crop_pages(pages: Sequence[SelectedPage], grids: Sequence[TokenGrid], settings: Refinement) -> list[Crop]:
    """The crops of a selection: page by page, in reading order.

    Args:
        pages: What was selected.
        grids: The pages' grids in the model that crops are encoded with.
        settings: Regions, zoom and limits.
    """
    rectangles = [
        page_rectangles(page, grid, settings.regions, settings.max_waste)
        for page, grid in zip(pages, grids, strict=True)
    ]
    masks = [project_mask(page.mask, page.view.grid, grid) for page, grid in zip(pages, grids, strict=True)]
    selected = sum(int(mask.sum()) for mask in masks)
    return make_crops(rectangles, grids, selected, zoom=settings.zoom, max_tokens_region=settings.max_tokens_region)


def encode_crops(
    model: VisionLanguageModel,
    images: Mapping[int, Image.Image],
    crops: Sequence[Crop],
    thumbnails: Mapping[int, int] | None = None,
) -> list[Part]:
    """Every crop encoded alone, in order.

    Args:
        model: Encodes them.
        images: The pages that have crops, by page index.
        crops: Page by page.
        thumbnails: Page indices of which the whole, shrunk, comes before the first crop; with how many tokens at most.
    """
    boxes: list[tuple[int, Box, int]] = []
    for crop in crops:
        own = crop.page_index
        if thumbnails and own in thumbnails and all(own != page_index for page_index, _, _ in boxes):
            boxes.append((own, (0, 0, *images[own].size), thumbnails[own]))
        boxes.append((own, crop.xyxy, crop.tokens))
    cut = [images[page_index].crop(box) for page_index, box, _ in boxes]
    layouts = [model.crop_layout(*image.size, tokens) for image, (_, _, tokens) in zip(cut, boxes, strict=True)]
    visual = model.encode(cut, layouts)
    return [
        Part(page_index, box[:2], layout, tokens)
        for (page_index, box, _), layout, tokens in zip(boxes, layouts, visual, strict=True)
    ]


def lead_with_global_views(
    parts: Sequence[Part], layouts: Sequence[ImageLayout], views: Mapping[int, VisualTokens]
) -> list[Part]:
    """The parts, the first of each page joined to the page's view of the whole.

    Args:
        parts: Page by page.
        layouts: Of the pages.
        views: Tokens of the view of the whole, by page index, of pages that are encoded with one.
    """
    found: list[Part] = []
    for part in parts:
        own = part.page_index
        first = not found or found[-1].page_index != own
        found.append(with_global_view(part, layouts[own], views[own]) if first and own in views else part)
    return found
