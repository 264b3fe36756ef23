"""FLOPs of an answer, from what was really encoded and read; the formulas are in `training.flops`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.flops import FlopCount, ModelShape, Patches, refined, vanilla, vision_flops
from training.flops.pages import canvas_patches
from training.vlm import GLOBAL, Generated, ImageLayout, VisionLanguageModel


def patches_of(shape: ModelShape, layouts: Iterable[ImageLayout]) -> list[Patches]:
    """Patches of every sequence that the vision tower attends over separately when it encodes these images."""
    patches: list[Patches] = []
    for layout in layouts:
        patches += canvas_patches(shape, *layout.canvas)
        if (layout.role == GLOBAL).any():
            patches += canvas_patches(shape, shape.tile, shape.tile)
    return patches


def new_tokens(made: Generated, most: int) -> int:
    """How many tokens were generated, the one that ends the text included."""
    return min(len(made.ids) + 1, most)


def look_flops(model: VisionLanguageModel, pages: Sequence[ImageLayout]) -> FlopCount:
    """Of encoding pages whole, once."""
    shape = ModelShape.of(model.config)
    return vision_flops(shape, patches_of(shape, pages))


def vanilla_flops(model: VisionLanguageModel, layouts: Sequence[ImageLayout], text: int, new: int) -> FlopCount:
    """Of an answer of `new` tokens from all tokens of some pages and `text` tokens of prompt around them."""
    shape = ModelShape.of(model.config)
    return vanilla(shape, patches_of(shape, layouts), text + sum(layout.n_tokens for layout in layouts), new)


def pinpoint_flops(
    model: VisionLanguageModel,
    pages: Sequence[ImageLayout],
    crops: Sequence[ImageLayout],
    aligner: FlopCount,
    tokens: int,
    new: int,
) -> FlopCount:
    """Of an answer of `new` tokens from a prompt of `tokens`, with these pages encoded whole and these crops anew."""
    shape = ModelShape.of(model.config)
    return refined(shape, patches_of(shape, pages), tokens, aligner, patches_of(shape, crops), new)
