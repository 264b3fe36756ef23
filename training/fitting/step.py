"""The gradients of one step: over ragged pages, in parts, in several processes, and always those of the whole batch.

A contrastive loss needs all scores of a batch at once, yet it depends on the aligner only through them. So the scores
are computed part by part, the loss and its gradient on the whole matrix of scores, and each part is then sent
backwards with its own columns of that gradient. Parts are pages: of one process among several, and within a process
of one pass among `accumulate`. With one pass its graph is kept; with more, each is computed a second time, with a
graph (GradCache, arXiv 2101.06983; open_clip's --accum-freq). Every process encodes all questions, which is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from training.aligner.losses import BatchLoss, PinpointLoss
from training.aligner.model import Aligner
from training.aligner.questions import encode_questions
from training.fitting.batches import Batch, PageWindows
from training.fitting.distributed import World
from training.pages.cache import PageTokens
from training.pages.geometry import Geometries


@dataclass(frozen=True)
class Part:
    """Pages that are computed at once, with their `columns` (w,) in the batch's matrix of scores."""

    pages: tuple[PageWindows, ...]
    columns: Tensor


def split_batch(batch: Batch, geometries: Geometries, world: World, accumulate: int) -> list[Part]:
    """This process's share of a batch's pages, in at most `accumulate` parts; none where it has no page.

    Shares hold about equally many tokens, and are the same whichever process computes them.
    """
    widths = [len(page.windows) for page in batch.pages]
    columns = torch.split(torch.arange(sum(widths)), widths)
    tokens = [geometries.of(*page.size).grid.n_tokens for page in batch.pages]
    mine = balanced_shares(tokens, world.size)[world.rank]
    parts = balanced_shares([tokens[page] for page in mine], accumulate)
    return [
        Part(tuple(batch.pages[mine[i]] for i in part), torch.cat([columns[mine[i]] for i in part]))
        for part in parts
        if part
    ]


def balanced_shares(weights: Sequence[int], shares: int) -> list[list[int]]:
    """Indices of `weights` in shares of about equal sums, each ascending: the heaviest first, to the lightest share."""
    found: list[list[int]] = [[] for _ in range(shares)]
    sums = [0] * shares
    for index in np.argsort([-weight for weight in weights], kind="stable").tolist():
        lightest = sums.index(min(sums))
        found[lightest].append(index)
        sums[lightest] += weights[index]
    return [sorted(share) for share in found]


def score_part(aligner: Aligner, cache: PageTokens, geometries: Geometries, part: Part, questions: Tensor) -> Tensor:
    """Scores (b, w) of the windows of a part's pages; MLP and logits run once over the tokens of all of them."""
    lengths = [geometries.of(*page.size).grid.n_tokens for page in part.pages]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    windows = [
        geometries.of(*page.size).tokens[torch.from_numpy(page.windows)].add(start).to(aligner.device)
        for page, start in zip(part.pages, starts, strict=True)
    ]
    tokens = _joined(cache, part.pages, lengths, aligner.device)
    return aligner.score(aligner.encode_page(tokens), windows, questions)


def _joined(cache: PageTokens, pages: Sequence[PageWindows], lengths: Sequence[int], device: torch.device) -> Tensor:
    """The tokens of all pages in a row, in their own precision, each page copied to its place as it is read."""
    joined: Tensor | None = None
    start = 0
    for page, length in zip(pages, lengths, strict=True):
        tokens = cache.tokens(page.page_id)
        if len(tokens) != length:
            raise TrainingError(f"has {len(tokens)} tokens on a grid of {length}", record=f"page {page.page_id}")
        if joined is None:
            joined = torch.empty(sum(lengths), tokens.shape[1], dtype=tokens.dtype, device=device)
        joined[start : start + length].copy_(tokens, non_blocking=True)
        start += length
    assert joined is not None
    return joined


def loss_backward(
    aligner: Aligner,
    criterion: PinpointLoss,
    batch: Batch,
    cache: PageTokens,
    geometries: Geometries,
    world: World,
    accumulate: int = 1,
) -> BatchLoss:
    """The losses of a batch; the gradients of all that learns are left in `grad`, which must be empty before.

    Args:
        aligner: On this process's device.
        criterion: Likewise.
        batch: The same in every process.
        cache: Visual tokens; only this process's share of the pages is asked for.
        geometries: Grids and windows.
        world: All processes.
        accumulate: Passes over the pages, each with the memory of its own pages only.
    """
    device = aligner.device
    parts = split_batch(batch, geometries, world, accumulate)
    questions = encode_questions(aligner, cache.backbone, [example.question for example in batch.examples])
    text = questions.detach().requires_grad_()
    scores = torch.zeros(batch.positive.shape, device=device)
    graphs: list[Tensor] = []
    for part in parts:
        with torch.set_grad_enabled(len(parts) == 1):
            graphs = [score_part(aligner, cache, geometries, part, text)]
        scores[:, part.columns.to(device)] = graphs[0].detach()
    world.sum_(scores).requires_grad_()
    masks = (side.to(device) for side in (batch.positive, batch.negative, batch.drawn, batch.documents))
    loss: BatchLoss = criterion(scores, *masks)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    for part in parts:
        found = graphs.pop() if len(parts) == 1 else score_part(aligner, cache, geometries, part, text)
        found.backward(scores.grad[:, part.columns.to(device)])  # type: ignore[no-untyped-call]
    if text.grad is not None:
        questions.backward(text.grad)  # type: ignore[no-untyped-call]
    learnt = (parameter for parameter in aligner.parameters() if parameter.requires_grad)
    world.sum_gradients(learnt, criterion.parameters())
    return loss
