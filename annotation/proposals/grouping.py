"""Whole paragraphs, tables and charts instead of lines, for sources whose evidence is layout blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from annotation.proposals.layout import FloatArray, closeness
from annotation.proposals.pagetext import PageText
from annotation.proposals.ranking import AskedPage
from annotation.proposals.settings import Proposal

_WORDS_ALONE = 0.5
_DATA = 1.5  # a chart or table is asked about rather than the heading that repeats the question
_HEADING = 0.6  # a single line
_NEXT, _MOST = 0.6, 3
_FAR = 0.7


def to_blocks(proposals: Sequence[Proposal], pages: Sequence[PageText]) -> list[Proposal]:
    """Each box's block, once a block: with the role and score of the best box in it, an answer before support."""
    best: dict[tuple[int, int], Proposal] = {}
    for proposal in proposals:
        page = pages[proposal.page]
        block = _block_of(page, np.array(proposal.xyxy))
        known = best.get((proposal.page, block))
        if known is None or (known.role, -known.score) > (proposal.role, -proposal.score):
            best[proposal.page, block] = proposal
    return [
        replace(p, xyxy=box, reason=f"the block that holds: {p.reason}")
        for (page, block), p in best.items()
        if (box := _on_page(pages[page], block)) is not None
    ]


def by_question_words(pages: Sequence[AskedPage]) -> list[Proposal]:
    """Blocks that the question's words are in or close to, for an answer that no page says."""
    weights = pages[0].anchors.weights
    total = float((weights * np.max([page.anchors.present for page in pages], 0)).sum())
    scored = [(score, page, block) for page in pages for block, score in enumerate(_scores(page, total))]
    scored = sorted(scored, key=lambda item: (-item[0], item[1].index, item[2]))[:_MOST]
    return [
        Proposal(
            *(page.index, box, "answer", min(1.0, _WORDS_ALONE * score), "question-words", ""),
            "no page says the answer; this block is closest to the question's words",
        )
        for score, page, block in scored
        if score >= _NEXT * scored[0][0] and (box := _on_page(page.text, block)) is not None
    ]


def _scores(page: AskedPage, total: float) -> list[float]:
    blocks, anchors = page.text.blocks, page.anchors
    if not len(anchors) or not len(blocks.xyxy):
        return []
    # Inside a block counts fully; a title above it nearly.
    near = _FAR * closeness(anchors.xyxy, blocks.xyxy, page.text.unit)
    inside = blocks.of_word[[first for first, _ in anchors.words]][:, None] == np.arange(len(blocks.xyxy))
    by_term = anchors.best_by_term(np.where(inside, 1.0, near))
    lines = (blocks.xyxy[:, 3] - blocks.xyxy[:, 1]) / page.text.unit
    kind = np.where(blocks.scattered, _DATA, 1.0) * np.where(lines < 2, _HEADING, 1.0)
    found: list[float] = (by_term @ anchors.weights / total * kind).tolist()
    return found


def _block_of(page: PageText, box: FloatArray) -> int:
    centres = (page.words.xyxy[:, :2] + page.words.xyxy[:, 2:]) / 2
    inside = ((centres >= box[:2]) & (centres <= box[2:])).all(1)
    return int(page.blocks.of_word[int(np.argmax(inside))])


def _on_page(page: PageText, block: int) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = np.clip(page.blocks.xyxy[block], 0, [page.width, page.height, page.width, page.height]).tolist()
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
