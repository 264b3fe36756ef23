"""Page sizes to patches and tokens: what would be encoded and read, before anything is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pinpoint_data.grids import qwen2_vl_grid
from pinpoint_data.llava_next import llava_next_mosaic
from training.flops.answers import refined, vanilla
from training.flops.count import FlopCount
from training.flops.parts import AlignerShape, Patches, aligner_flops
from training.flops.shape import ModelShape

TEMPLATE_TOKENS = 40
"""Tokens of the prompt around question and images. LLaVA-NeXT's Vicuna prompt has about 45, Qwen2-VL's about 25; the
difference is a thousandth of what a page takes."""


@dataclass(frozen=True)
class PageShape:
    """A page as a model encodes it.

    Attributes:
        width: In pixels.
        height: In pixels.
        patches: Rows and columns of patches of each sequence that the tower attends over separately.
        rows: Of the grid that windows slide over.
        cols: Likewise.
        view_tokens: Of a view of the whole page, which are not on the grid.
        newlines: Tokens at row ends.
    """

    width: int
    height: int
    patches: tuple[tuple[int, int], ...]
    rows: int
    cols: int
    view_tokens: int = 0
    newlines: int = 0

    @property
    def grid_tokens(self) -> int:
        """Tokens that selection chooses from."""
        return self.rows * self.cols

    @property
    def tokens(self) -> int:
        """All tokens that the language model reads of it."""
        return self.grid_tokens + self.view_tokens + self.newlines


def page_shape(shape: ModelShape, width: int, height: int, pixels: tuple[int, int] | None = None) -> PageShape:
    """What a page of this size becomes.

    Args:
        shape: The model.
        width: In pixels.
        height: In pixels.
        pixels: Smallest and largest area that Qwen's processor resizes it to; not used for LLaVA-NeXT.

    Raises:
        GeometryError: The model refuses such a page.
    """
    vision = shape.vision
    if shape.tile:
        side, view = shape.tile // vision.patch, canvas_patches(shape, shape.tile, shape.tile)
        mosaic = llava_next_mosaic(width, height, pinpoints=shape.canvases, patch=vision.patch)
        if not mosaic.rows * mosaic.cols:
            return PageShape(width, height, view, side, side, newlines=mosaic.rows)
        patches = view + canvas_patches(shape, *mosaic.canvas)
        return PageShape(width, height, patches, mosaic.rows, mosaic.cols, side * side, mosaic.rows)
    limits = {} if pixels is None else {"min_pixels": pixels[0], "max_pixels": pixels[1]}
    grid = qwen2_vl_grid(width, height, patch=vision.patch, merge=vision.merge, **limits)
    cell = vision.patch * vision.merge
    patches = canvas_patches(shape, grid.rows * cell, grid.cols * cell)
    return PageShape(width, height, patches, grid.rows, grid.cols)


def canvas_patches(shape: ModelShape, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of patches of each sequence of an image encoded at this size in pixels, padding included.

    One sequence a tile where there are tiles, else one. LLaVA-NeXT's view of the whole page is not in it.
    """
    if shape.tile:
        side = shape.tile // shape.vision.patch
        return ((side, side),) * ((height // shape.tile) * (width // shape.tile))
    return ((height // shape.vision.patch, width // shape.vision.patch),)


@dataclass(frozen=True)
class Reading:
    """How a question is answered.

    Attributes:
        question_tokens: Of the question alone.
        new_tokens: Of the answer; the first comes with the prefill.
        refine: Encode the selected regions anew; else their tokens of stage one are read.
        regions: Separate rectangles that the selection of a page comes to, each encoded alone.
        global_view: Put a view of the whole page in front of its regions: LLaVA-NeXT's own, which stage one encodes
            anyway; for Qwen-VL, where regions are refined, a thumbnail that is encoded with them.
        thumbnail_tokens: Of such a thumbnail; what `training.refinement` takes by default.
    """

    question_tokens: int = 16
    new_tokens: int = 1
    refine: bool = True
    regions: int = 1
    global_view: bool = False
    thumbnail_tokens: int = 144

    @property
    def text_tokens(self) -> int:
        """Of the prompt, without images."""
        return TEMPLATE_TOKENS + self.question_tokens


@dataclass(frozen=True)
class Answered:
    """What one way of answering takes.

    Attributes:
        coverage: Share of grid tokens that is selected; None without selection.
        visual_tokens: That the language model reads.
        flops: By component.
    """

    coverage: float | None
    visual_tokens: int
    flops: FlopCount


def answer_whole(shape: ModelShape, pages: Sequence[PageShape], reading: Reading) -> Answered:
    """All tokens of all pages are read."""
    visual = sum(page.tokens for page in pages)
    count = vanilla(shape, _patches(pages), visual + reading.text_tokens, reading.new_tokens)
    return Answered(None, visual, count)


def answer_regions(
    shape: ModelShape,
    pages: Sequence[PageShape],
    reading: Reading,
    aligner: AlignerShape,
    coverage: float,
    looked: Sequence[PageShape] | None = None,
) -> Answered:
    """Exactly the share `coverage` of every page's grid tokens is selected, in rectangles of the page's own shape.

    Of a real selection the number of tokens is a little larger (whole windows until the share is reached) and that of
    their crops a little smaller (whole rows and columns within it); here both are the share itself.

    Args:
        shape: The model.
        pages: As they would be read whole; the share is of their tokens.
        reading: Settings; with `looked`, regions are encoded anew.
        aligner: Sizes.
        coverage: The share.
        looked: The same pages as stage one sees them, where it looks with fewer pixels.
    """
    seen = pages if looked is None else looked
    visual = 0
    crops: list[Patches] = []
    for page in pages:
        taken = max(1, round(coverage * page.grid_tokens))
        for region in _split(taken, reading.regions):
            rows = min(region, max(1, round(math.sqrt(region * page.rows / page.cols))))
            crops += _crop(shape, region, rows)
            visual += region + (rows if page.newlines else 0)
        if reading.global_view and page.view_tokens:
            visual += page.view_tokens
        elif reading.global_view and reading.refine:
            visual += reading.thumbnail_tokens
            crops.append(reading.thumbnail_tokens * shape.vision.merge**2)
    scoring = aligner_flops(aligner, [(page.rows, page.cols) for page in seen], reading.question_tokens)
    tokens, again = visual + reading.text_tokens, crops if reading.refine else []
    return Answered(coverage, visual, refined(shape, _patches(seen), tokens, scoring, again, reading.new_tokens))


def _patches(pages: Sequence[PageShape]) -> list[Patches]:
    return [sequence for page in pages for sequence in page.patches]


def _split(number: int, parts: int) -> list[int]:
    """A number in nearly equal parts, none of them empty."""
    parts = min(parts, number)
    return [number // parts + (index < number % parts) for index in range(parts)]


def _crop(shape: ModelShape, tokens: int, rows: int) -> list[Patches]:
    """Sequences of a crop that is encoded with so many tokens: one piece, or the tiles that it reaches into."""
    if not shape.tile:
        return [tokens * shape.vision.merge**2]
    side = shape.tile // shape.vision.patch
    return [(side, side)] * (math.ceil(rows / side) * math.ceil(math.ceil(tokens / rows) / side))
