"""Which tokens of a prompt the language model reads, and at which positions, once parts of its pages are chosen.

Both ways to keep the positions of the full page come down to one index into the vanilla sequence (the prompt with all
tokens of all pages): a token that stays is copied with its position, and a crop's token copies the position of the page
token that its centre lies in. Such an index may have gaps, repeats and steps back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from training.refinement.places import Index, cells_at, centres
from training.selection.regions import Mask
from training.vlm import GLOBAL, GRID, NEWLINE, ImageLayout, PromptSequence, VisionLanguageModel, VisualTokens

Pieces = Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class Part:
    """Tokens of a stretch of a page, as they stand in the prompt.

    Attributes:
        page_index: Among the question's pages, from 0.
        corner: Where the stretch's top-left pixel lies on the page, (x, y).
        layout: Its tokens; tokens that show the whole page (`GLOBAL`) are those of the page's own layout.
        visual: Their values, in the order of the layout.
    """

    page_index: int
    corner: tuple[int, int]
    layout: ImageLayout
    visual: VisualTokens


def kept_tokens(layout: ImageLayout, mask: Mask, *, global_view: bool) -> Index:
    """The tokens of a page that stay when those of its grid outside a mask (rows, cols) are left out.

    The row-end token of a row stays with any token of that row, one that closes the whole page with any token of the
    page; the view of the whole page stays if it is wanted and anything else does.
    """
    if not mask.any():
        return np.zeros(0, np.int64)
    rows, cols = mask.shape
    keep = np.full(layout.n_tokens, global_view)
    keep[layout.role == GRID] = mask.ravel()
    newline = np.flatnonzero(layout.role == NEWLINE)
    row = np.minimum(layout.place[newline], rows - 1)
    before = newline - 1
    closes_row = (layout.role[before] == GRID) & (layout.place[before] == (row + 1) * cols - 1)
    in_row = np.logical_or.reduce(mask, axis=1)
    keep[newline] = ~closes_row | in_row[row]
    return np.flatnonzero(keep)


def page_tokens(part: Part, page: ImageLayout) -> Index:
    """For each token of a part, the token of its page that stands where it looks.

    A grid token's is the one its centre lies in. A row end's is the end of the row that the middle of its row lies in;
    on a page whose rows have no ends, the last one (or, of none at all, that of the row's last token).
    """
    layout, (x, y) = part.layout, part.corner
    rows = cells_at(page.grid.y_edges, y + centres(layout.grid.y_edges))
    cols = cells_at(page.grid.x_edges, x + centres(layout.grid.x_edges))
    on_grid = np.flatnonzero(page.role == GRID)[rows[:, None] * page.grid.cols + cols]
    ends = np.flatnonzero(page.role == NEWLINE)
    row_ends = ends[np.minimum(rows, len(ends) - 1)] if len(ends) else on_grid[:, -1]
    view = np.flatnonzero(page.role == GLOBAL)
    found = np.empty(layout.n_tokens, np.int64)
    for role, tokens in ((GRID, on_grid.ravel()), (NEWLINE, row_ends), (GLOBAL, view)):
        found[layout.role == role] = tokens[layout.place[layout.role == role]]
    return found


def copied_sequence(
    model: VisionLanguageModel, question: str, layouts: Sequence[ImageLayout], chosen: Sequence[Index]
) -> PromptSequence:
    """The prompt in which each page shows chosen tokens only, everything at its position in the vanilla sequence.

    Args:
        model: Writes the prompt.
        question: The question.
        layouts: Of the pages.
        chosen: For each page the tokens of its layout that stand in its place, in that order; repeats are allowed. A
            page without any leaves the prompt, with the text that opens and closes it.
    """
    pieces = model.prompt(question, len(layouts))
    stays = [len(tokens) > 0 for tokens in chosen]
    index, at = [], 0
    for number, keep in enumerate(_text_kept(pieces, stays)):
        index.append(at + np.flatnonzero(keep))
        at += len(keep)
        if number < len(layouts):
            index.append(at + chosen[number])
            at += layouts[number].n_tokens
    return model.assemble(pieces, layouts).take(torch.from_numpy(np.concatenate(index)))


def packed_sequence(model: VisionLanguageModel, question: str, parts: Sequence[Part]) -> PromptSequence:
    """The prompt in which every part is an image of its own, at the positions that the model gives such a prompt."""
    return model.assemble(model.prompt(question, len(parts)), [part.layout for part in parts])


def original_sequence(
    model: VisionLanguageModel, question: str, layouts: Sequence[ImageLayout], parts: Sequence[Part]
) -> PromptSequence:
    """The prompt in which a page's parts stand behind each other in its place, at the positions of the full page.

    Args:
        model: Writes the prompt.
        question: The question.
        layouts: Of the pages.
        parts: In the order of their pages.
    """
    chosen: list[list[Index]] = [[np.zeros(0, np.int64)] for _ in layouts]
    for part in parts:
        chosen[part.page_index].append(page_tokens(part, layouts[part.page_index]))
    return copied_sequence(model, question, layouts, [np.concatenate(own) for own in chosen])


def with_global_view(crop: Part, page: ImageLayout, view: VisualTokens) -> Part:
    """The crop behind the page's view of the whole, as one image: what the model was taught an image looks like."""
    seen = np.flatnonzero(page.role == GLOBAL)
    own = crop.layout
    layout = replace(own, role=np.r_[page.role[seen], own.role], place=np.r_[page.place[seen], own.place])
    return replace(crop, layout=layout, visual=VisualTokens.cat([view, crop.visual]))


def _text_kept(pieces: Pieces, stays: Sequence[bool]) -> list[npt.NDArray[np.bool_]]:
    """Which tokens of each piece of text stay when some of the images between them go.

    The text between two images is what closes the one and opens the other (`<|vision_end|><|vision_start|>`, a line
    break). What of it closes an image is what the text behind the last image begins with, what opens one is what the
    text before the first image ends with.
    """
    head, tail = pieces[0], pieces[-1]
    between = pieces[1] if len(stays) > 1 else []
    closing = _common(between, tail)
    opening = _common(between[closing:][::-1], head[::-1])
    kept = []
    for number, piece in enumerate(pieces):
        before, after = stays[:number], stays[number:]
        inner = not before or not after or (before[-1] and any(after))
        keep = np.full(len(piece), inner)
        if before:
            keep[:closing] = before[-1]
        if after:
            keep[len(piece) - opening :] = after[0]
        kept.append(keep)
    return kept


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
