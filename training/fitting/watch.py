"""Scores on the validation part, at the end of every epoch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from pinpoint_data.scores import rank_windows, windows_to_coverage
from pinpoint_data.windows import NEGATIVE, POSITIVE
from training.aligner.model import Aligner
from training.aligner.questions import encode_questions
from training.fitting.data import Example
from training.fitting.distributed import World
from training.pages.cache import PageTokens
from training.pages.geometry import Geometries, PageGeometry

WATCH_BUDGET = 0.25
_NAMES = ("auc", "recall", "top1")
PageScores = list[npt.NDArray[np.float64]]


@torch.inference_mode()
def validate(
    aligner: Aligner,
    cache: PageTokens,
    geometries: Geometries,
    examples: Sequence[Example],
    world: World | None = None,
) -> dict[str, float]:
    """Means over the questions; each process takes some of the pages, and all get the same means.

    Returns:
        `recall`: evidence recall when whole windows are taken in rank order until coverage reaches 0.25.
        `top1`: the best-ranked window is positive.
        `auc`: share of (positive, negative) pairs ranked rightly; over questions that have both.
        Empty without questions.
    """
    world = world or World()
    if not examples:
        return {}
    by_pages: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_pages[example.pages].append(index)
    mine = list(by_pages.values())[world.rank :: world.size]
    # One row a question; what another process fills is 0 here, what a question does not have is NaN there.
    found = torch.zeros(len(examples), len(_NAMES), dtype=torch.float64)
    for place, same in enumerate(mine):
        if place + 1 < len(mine):
            cache.prefetch(examples[mine[place + 1][0]].pages)
        for index, scores in zip(same, _score(aligner, cache, geometries, [examples[i] for i in same]), strict=True):
            found[index] = torch.tensor([scores.get(name, math.nan) for name in _NAMES], dtype=torch.float64)
    columns = zip(_NAMES, world.sum_(found).numpy().T, strict=True)
    return {name: float(np.nanmean(column)) for name, column in columns if not np.isnan(column).all()}


def _score(
    aligner: Aligner, cache: PageTokens, geometries: Geometries, same: Sequence[Example]
) -> Iterator[dict[str, float]]:
    """`question_scores` of questions over the same pages."""
    pages = [geometries.of(*size) for size in same[0].sizes]
    questions = encode_questions(aligner, cache.backbone, [example.question for example in same])
    scores = []
    for page_id, geometry in zip(same[0].pages, pages, strict=True):
        encoded = aligner.encode_page(cache.tokens(page_id).to(aligner.device, non_blocking=True))
        found = aligner.score(encoded, [geometry.tokens.to(aligner.device)], questions)
        scores.append(found.cpu().double().numpy())
    for row, example in enumerate(same):
        yield question_scores(example, pages, [page[row] for page in scores])


def question_scores(example: Example, pages: Sequence[PageGeometry], scores: PageScores) -> dict[str, float]:
    """`recall`, `top1` and, where the question has negative windows, `auc` of one question."""
    order = rank_windows(scores)
    labels = np.concatenate(example.labels)
    masks = windows_to_coverage(order, [page.windows for page in pages], WATCH_BUDGET)
    evidence = [page.grid.evidence_area(boxes) for page, boxes in zip(pages, example.boxes, strict=True)]
    covered = sum(float(area[mask].sum()) for area, mask in zip(evidence, masks, strict=True))
    result = {
        "recall": covered / sum(float(area.sum()) for area in evidence),
        "top1": float(labels[order[0]] == POSITIVE),
    }
    if example.has_negative:
        flat = np.concatenate(scores)
        result["auc"] = _auc(flat[labels == POSITIVE], flat[labels == NEGATIVE])
    return result


def _auc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float:
    """Share of pairs with the positive above; a tie counts half."""
    difference = np.sign(positive[:, None] - negative[None, :])
    return float((difference.mean() + 1) / 2)
