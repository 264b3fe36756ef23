"""Which questions form a batch, and which of their windows it looks at.

All randomness is a function of (seed, epoch) or (seed, step): a resumed run needs no saved generator to draw what an
uninterrupted one would have drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data.windows import NEGATIVE, POSITIVE
from training.config import LossConfig
from training.fitting.data import Example

_ORDER, _DRAW = 0, 1


@dataclass(frozen=True)
class PageWindows:
    """The windows of one page that a batch looks at: ascending indices (w,)."""

    page_id: str
    size: tuple[int, int]
    windows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """b questions and the W windows of all their pages; a page that several ask about is there once.

    Attributes:
        examples: The questions.
        pages: Pages with their windows; columns follow them in order.
        positive: (b, W) bool, each question's own positive windows.
        negative: (b, W) bool, each question's own negative windows.
        drawn: (b,) column of the positive window drawn for L_inter; 0 where there is none.
        documents: (b,) document numbers.
    """

    examples: tuple[Example, ...]
    pages: tuple[PageWindows, ...]
    positive: Tensor
    negative: Tensor
    drawn: Tensor
    documents: Tensor


def epoch_batches(
    examples: Sequence[Example], batch: int, page_group: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Indices of every batch of an epoch: each question once, in a seeded order.

    Up to `page_group` questions over the same pages stay together, so that a page is encoded once for them; pairs of
    one document are no negatives of L_inter anyway.
    """
    rng = np.random.default_rng([seed, _ORDER, epoch])
    by_pages: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index in rng.permutation(len(examples)):
        by_pages[examples[index].pages].append(int(index))
    groups = [same[i : i + page_group] for same in by_pages.values() for i in range(0, len(same), page_group)]
    order = [index for group in rng.permutation(len(groups)) for index in groups[group]]
    return [np.array(order[i : i + batch]) for i in range(0, len(order), batch)]


def draw_batch(examples: Sequence[Example], config: LossConfig, seed: int, step: int) -> Batch:
    """Choose the windows of a batch.

    A question brings all its positive windows. It looks at the pages with evidence and, up to `max_pages`, at others
    drawn at random; of the negative windows there at most `max_negatives`, drawn at random, afresh every step.
    Questions over the same pages draw in the same order of pages, so that they encode few.
    """
    rng = np.random.default_rng([seed, _DRAW, step])
    order = {pages: rng.permutation(len(pages)) for pages in dict.fromkeys(e.pages for e in examples)}
    chosen = [_choose(example, order[example.pages], config, rng) for example in examples]
    needed: dict[str, list[npt.NDArray[np.int64]]] = defaultdict(list)
    sizes: dict[str, tuple[int, int]] = {}
    for example, sides in zip(examples, chosen, strict=True):
        for page, windows in (pair for side in sides for pair in side):
            needed[example.pages[page]].append(windows)
            sizes[example.pages[page]] = example.sizes[page]
    pages = [PageWindows(page_id, sizes[page_id], np.unique(np.concatenate(w))) for page_id, w in needed.items()]
    first = dict(zip(needed, np.cumsum([0, *(len(p.windows) for p in pages)]).tolist(), strict=False))
    known = {page.page_id: page.windows for page in pages}

    masks = torch.zeros(2, len(examples), sum(len(p.windows) for p in pages), dtype=torch.bool)
    drawn = torch.zeros(len(examples), dtype=torch.int64)
    for row, (example, sides) in enumerate(zip(examples, chosen, strict=True)):
        for mask, side in zip(masks, sides, strict=True):
            for page, windows in side:
                page_id = example.pages[page]
                mask[row, first[page_id] + np.searchsorted(known[page_id], windows)] = True
        columns = masks[0, row].nonzero().squeeze(1)
        if len(columns):
            drawn[row] = columns[int(rng.integers(len(columns)))]
    numbers = {doc: number for number, doc in enumerate(dict.fromkeys(e.doc_id for e in examples))}
    documents = torch.tensor([numbers[e.doc_id] for e in examples])
    return Batch(tuple(examples), tuple(pages), masks[0], masks[1], drawn, documents)


Side = list[tuple[int, npt.NDArray[np.int64]]]


def _choose(
    example: Example, order: npt.NDArray[np.int64], config: LossConfig, rng: np.random.Generator
) -> tuple[Side, Side]:
    """Positive and negative windows by page index; pages without evidence are taken in `order`."""
    positive = [(page, np.flatnonzero(labels == POSITIVE)) for page, labels in enumerate(example.labels)]
    positive = [(page, windows) for page, windows in positive if len(windows)]
    pages = [page for page, _ in positive]
    others = [page for page in order.tolist() if page not in pages]
    pages = sorted([*pages, *others[: max(0, config.max_pages - len(pages))]])
    negative = [(page, np.flatnonzero(example.labels[page] == NEGATIVE)) for page in pages]
    total = sum(len(windows) for _, windows in negative)
    if total > config.max_negatives:
        kept = np.zeros(total, dtype=bool)
        kept[rng.choice(total, config.max_negatives, replace=False)] = True
        parts = np.split(kept, np.cumsum([len(windows) for _, windows in negative])[:-1])
        negative = [(page, windows[part]) for (page, windows), part in zip(negative, parts, strict=True)]
    return positive, [(page, windows) for page, windows in negative if len(windows)]
