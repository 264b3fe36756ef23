"""VFlowOpt: one importance map of the vision tower, for every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import IntArray
from training.evaluation.intervals import FloatArray
from training.selectors.base import DecoderLayers, Kept, Need, Selector
from training.selectors.schedule import mask_of, scaled_layers, stage_counts

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.window_scorers.base import PageView

Hubs = Literal["threshold", "share"]
LAYERS, PUBLISHED_DEPTH = (9, 18), 28


class Released(NamedTuple):
    """What the authors tuned for LLaVA-OneVision-7B at one share of tokens.

    Attributes:
        hubs: Column of `VisionSignals.context`: hubs receive more than this many times the mean.
        cell: Side of a cell of recycled tokens, in tokens.
        keeps: The shares of its tokens that each stage keeps: before the decoder, and before its layers 9 and 18.
    """

    hubs: int
    cell: float
    keeps: tuple[float, float, float]


SETTINGS = {
    "50%": Released(0, 11.76, (0.7233, 0.7487, 0.487)),
    "25%": Released(1, 15.58, (0.2651, 0.9833, 0.8773)),
    "10%": Released(2, 17.39, (0.1166, 1.0, 0.6011)),
}


class VFlowOptSelector(Selector):
    """VFlowOpt (ICCV 2025, arXiv 2508.05211), a re-implementation: its code is CC BY-NC.

    A token's importance is c_j + alpha_v softmax(e)_j: c_j is the mean attention that hubs give it, patches that
    receive more than t times the mean, in the block that the projector reads (softmax, mean over heads); e_j is the
    entropy of its pixels' grey histogram, 256 bins, in bits. The most important tokens are kept. Family: the vision
    tower, and pixels where alpha_v is not 0. It never reads the question; its sets nest unless it recycles.

    t, the cell of recycling and the shares of the stages are those of one of the three released settings, whose alpha_v
    is 0. Where no patch is a hub, which leaves the code without a number, the 1 % that receives most are. Entropy is
    that of the page's own pixels; the code's 8-bit cast wraps around.

    In the decoder (`decoder=True`) the same map drops tokens again before layers 9 and 18 of 28, at the same relative
    depth of other decoders. The budget is what is left in the end, and the stages before keep more as
    `schedule.stage_counts` says. So the mask is the same with and without.

    `recycle=True`: the dropped tokens of each cell of a page are averaged into one, at its most important member's
    place. As many tokens are kept as leave room for these in the budget (the code plans N / cell^2 of them); they are
    `merged`. A budget that has no room for them and one token more is kept as without.

    Ours: one budget for the tokens of all pages and tiles; softmax over the tokens of a page, not of a tile. Both terms
    are in even shares, times the patches of the attention and the tokens of the page, so that they weigh as in the code
    wherever pages or tiles differ in size. Hubs are found in each tile. The view of the whole page takes no part.
    Qwen-VL: patches of the last block, averaged over those merged into a token.

    Args:
        setting: `50%`, `25%` or `10%`.
        hubs: `threshold`, or `share`: always the 1 % that receives most.
        alpha_v: Weight of the entropy.
        decoder: Drop tokens in the decoder too.
        recycle: Keep averages of dropped tokens.
    """

    name = "vflowopt"
    reads_question: bool = False

    def __init__(
        self,
        setting: str = "25%",
        hubs: Hubs = "threshold",
        alpha_v: float = 0.0,
        decoder: bool = False,
        recycle: bool = False,
    ) -> None:
        if setting not in SETTINGS:
            raise UsageError(f"vflowopt: setting must be one of {', '.join(SETTINGS)}, got {setting!r}")
        if hubs not in get_args(Hubs):
            raise UsageError(f"vflowopt: hubs must be one of {', '.join(get_args(Hubs))}, got {hubs!r}")
        if not np.isfinite(alpha_v):
            raise UsageError(f"vflowopt: alpha_v must be a finite number, got {alpha_v}")
        self.setting, self.alpha_v, self.decoder, self.recycle = SETTINGS[setting], alpha_v, decoder, recycle
        self.column = -1 if hubs == "share" else self.setting.hubs
        needs: set[Need] = {"vision"}
        if alpha_v:
            needs.add("pixels")
        if decoder:
            needs.add("decoder")
        self.needs = frozenset(needs)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The most important tokens."""
        importance = sample.vision().context[:, self.column]
        if self.alpha_v:
            importance = importance + self.alpha_v * self._ink(sample).to(importance)
        order = sample.order(importance)
        kept = self._recycled(sample, order, budgets) if self.recycle else sample.keep_top(importance, budgets)
        return [self._in_decoder(sample, order, own) for own in kept] if self.decoder else kept

    def _recycled(self, sample: EncodedSample, order: IntArray, budgets: Sequence[int]) -> list[Kept]:
        cells = cell_of_each(sample, self.setting.cell)
        found = [recycled(order, cells, budget) for budget in budgets]
        return [Kept(mask_of(kept, len(order)), merged=mask_of(merged, len(order))) for kept, merged in found]

    def _in_decoder(self, sample: EncodedSample, order: IntArray, kept: Kept) -> Kept:
        n_layers = sample.decoder().n_layers
        shares = np.cumprod(self.setting.keeps).tolist()
        counts = stage_counts(len(order), int(kept.mask.sum()), shares)
        starts = (0, *scaled_layers(LAYERS, PUBLISHED_DEPTH, n_layers, first=1))
        masks = (*(mask_of(order[:count], len(order)) for count in counts[:-1]), kept.mask)
        # In a decoder of fewer layers than stages, the last one at a layer counts.
        stages = dict(zip(starts, masks, strict=True))
        return replace(kept, layers=DecoderLayers(tuple(stages), tuple(stages.values()), n_layers))

    @staticmethod
    def _ink(sample: EncodedSample) -> Tensor:
        """(N,) softmax over each page of its tokens' entropy, in even shares."""
        parts = [torch.from_numpy(grey_entropy(page)) for page in sample.pages]
        return torch.cat([len(entropy) * entropy.softmax(dim=0) for entropy in parts])


def grey_entropy(page: PageView) -> FloatArray:
    """(n,) entropy in bits of the 256-bin grey histogram of each token's pixels; 0 where it has none.

    A pixel belongs to the token that its centre is in; those outside the grid to none.
    """
    grey = np.asarray(page.page_input.load_image().convert("L"))
    grid = page.grid
    across = np.searchsorted(grid.x_edges, np.arange(grey.shape[1]) + 0.5, side="right") - 1
    down = np.searchsorted(grid.y_edges, np.arange(grey.shape[0]) + 0.5, side="right") - 1
    inside = np.ix_((down >= 0) & (down < grid.rows), (across >= 0) & (across < grid.cols))
    token = (down[:, None] * grid.cols + across)[inside]
    counts = np.bincount(token.ravel() * 256 + grey[inside].ravel(), minlength=grid.n_tokens * 256)
    histogram = counts.reshape(-1, 256).astype(np.float64)
    share = histogram / np.maximum(histogram.sum(axis=1, keepdims=True), 1)
    entropy: FloatArray = -(share * np.log2(share, where=share > 0, out=np.zeros_like(share))).sum(axis=1)
    return entropy


def cell_of_each(sample: EncodedSample, side: float) -> IntArray:
    """(N,) the cell that each token is in, numbered through all pages; a cell's side need not be whole."""
    found, first = [], 0
    for page in sample.pages:
        rows, cols = np.divmod(np.arange(page.grid.n_tokens), page.grid.cols)
        cell = np.floor(rows / side) * np.ceil(page.grid.cols / side) + np.floor(cols / side)
        found.append(first + cell.astype(np.int64))
        first = int(found[-1].max()) + 1
    return np.concatenate(found)


def recycled(order: IntArray, cells: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """As many of the best tokens as leave room for one of each cell that the others are in, and those."""
    kept = budget if budget == len(order) else budget - 1
    while 0 < kept < budget:
        dropped = order[kept:]
        _, best = np.unique(cells[dropped], return_index=True)
        if kept + len(best) <= budget:
            return order[:kept], dropped[best]
        # Fewer kept tokens leave no fewer cells to stand for.
        kept = budget - len(best)
    return order[:budget], order[:0]
