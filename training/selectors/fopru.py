"""FoPru: the tokens, or the rows of tokens, that the vision tower attends to most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.selectors.base import Kept, Need, Selector

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

Attention = Literal["softmax", "logits"]


class FoPruSelector(Selector):
    """FoPru (Focal Pruning, arXiv 2411.14164), rank strategy; a re-implementation, no code of the authors is known.

    With the attention A between patches, averaged over heads, in the block whose output the projector reads, a token's
    significance is what it receives, the column mean c_j = mean_i A_ij, or what it gives, the row mean b_i: whichever
    varies more. The most significant tokens are kept. Family: the vision tower alone. It never reads the question; its
    sets nest.

    The rule for the axis is that of third-party code (hydrainfer), where A is the scaled product of queries and keys
    before softmax: `attention="logits"`. After softmax a row sums to 1 but for the class token's share, b hardly
    varies, and c is taken: `softmax`, the default.

    Ours: one budget, and one axis, for the tokens of all pages and tiles, which in other code have their own; attention
    is compared in even shares (`VisionSignals`). The class token takes part in softmax alone. Qwen-VL: the last block,
    averages over the patches merged into a token.

    Args:
        attention: `softmax` or `logits`.
    """

    name = "fopru"
    needs: frozenset[Need] = frozenset({"vision"})
    reads_question: bool = False

    def __init__(self, attention: Attention = "softmax") -> None:
        if attention not in get_args(Attention):
            raise UsageError(
                f"{self.name}: attention must be one of {', '.join(get_args(Attention))}, got {attention!r}"
            )
        self.attention = attention

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The most significant tokens, exactly as many as allowed."""
        return sample.keep_top(self.significance(sample), budgets)

    def significance(self, sample: EncodedSample) -> Tensor:
        """(N,) of each token."""
        signals = sample.vision()
        if self.attention == "softmax":
            return signals.received
        received, given = signals.logits_received, signals.logits_given
        return received if received.var(correction=0) > given.var(correction=0) else given


class FoPruRowSelector(FoPruSelector):
    """FoPru, row strategy: whole rows of tokens, those with the largest sums of significance.

    floor(B / columns) rows are kept, and no part of another: less than the budget, as realised. Its sets nest.

    Ours: rows of a page's grid (of LLaVA-NeXT's mosaic, where a row of a tile is but a part of a text line). Rows of
    all pages are ranked together, by their mean where pages differ in width; the first that does not fit ends it. Of a
    budget smaller than the first row that row's most significant tokens are kept.

    Args:
        attention: As of `FoPruSelector`.
    """

    name = "fopru-row"

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best rows that fit the budget."""
        order = sample.order(self.significance(sample))
        place = np.empty(sample.n_tokens, dtype=np.int64)
        place[order] = np.arange(sample.n_tokens)
        widths = np.concatenate([np.full(page.grid.rows, page.grid.cols) for page in sample.pages])
        row = np.repeat(np.arange(len(widths)), widths)
        means = np.bincount(row, self.significance(sample).double().cpu().numpy()) / widths
        best = np.lexsort((sample.generator("rows", of_question=False).permutation(len(widths)), -means))
        rank = np.empty_like(best)
        rank[best] = np.arange(len(best))
        # Row after row, each by its tokens' own significance: every kept set is the beginning of this.
        by_row = np.lexsort((place, rank[row]))
        ends = np.cumsum(widths[best])
        counts = [int(ends[ends <= budget].max(initial=0)) or budget for budget in budgets]
        return sample.keep_first(by_row, counts)
