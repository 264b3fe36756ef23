"""Operations of one answer, from the numbers of patches and tokens that were really encoded and read.

Stages have the names of `Answer.seconds`: `encode`, `select`, `refine`, `prefill`, `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence

from training.flops.count import FlopCount
from training.flops.parts import Patches, decode_flops, prefill_flops, vision_flops
from training.flops.shape import ModelShape


def vanilla(shape: ModelShape, patches: Sequence[Patches], tokens: int, new_tokens: int = 1) -> FlopCount:
    """All pages are encoded and all their tokens read.

    Args:
        shape: The model.
        patches: Of each separately attended sequence of the pages; see `vision_flops`.
        tokens: Of the whole prompt, visual and text.
        new_tokens: Of the answer, the end-of-text token included. The first comes with the prefill; with 1 there are
            no components of a stage `decode`.
    """
    return vision_flops(shape, patches).under("encode") + _read(shape, tokens, new_tokens)


def refined(
    shape: ModelShape,
    patches: Sequence[Patches],
    tokens: int,
    aligner: FlopCount,
    crops: Sequence[Patches] = (),
    new_tokens: int = 1,
) -> FlopCount:
    """All pages are encoded, their windows scored, crops encoded anew, and only what was chosen read.

    Args:
        shape: The model.
        patches: Of the pages (stage one).
        tokens: Of the whole prompt as it is read, visual and text.
        aligner: From `aligner_flops`.
        crops: Patches of the crops (stage two). Without any, tokens of stage one are read again and no component of
            a stage `refine` appears.
        new_tokens: Of the answer; see `vanilla`.
    """
    count = vision_flops(shape, patches).under("encode") + aligner.under("select")
    if crops:
        count += vision_flops(shape, crops).under("refine")
    return count + _read(shape, tokens, new_tokens)


def _read(shape: ModelShape, tokens: int, new_tokens: int) -> FlopCount:
    count = prefill_flops(shape, tokens).under("prefill")
    return count + decode_flops(shape, tokens, new_tokens).under("decode") if new_tokens > 1 else count
