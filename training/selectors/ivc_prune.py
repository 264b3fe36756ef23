"""IVC-Prune: positions that rotary embeddings make landmarks, and tokens whose values resemble the question's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import IntArray
from training.aligner.chunking import chunk_length
from training.evaluation.intervals import FloatArray
from training.selectors.base import Kept, Need, Selector
from training.selectors.schedule import layers_after

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample
    from training.vlm.decoder import Decoder

SEEDS = 0.01
"""Share of the visual tokens that the first look at values takes as further queries."""
_DECIMALS = 9


class IvcPruneSelector(Selector):
    """IVC-Prune (ICLR 2026, arXiv 2602.03060): implicit visual coordinates and foreground, chosen once in mid-decoder.

    Coordinates need no model run. Of a token at rotary position m, V(m) = sum_k cos(m theta_k) and
    U(m) = sum_k sin(m theta_k) say how near its rotation is to none and to a right angle; the k_c N tokens largest in
    V, and as many in U, are kept. Foreground compares values, which carry no position, at one layer:
    s = mean over queries and heads of softmax(Val_q Val_img^T / sqrt(D)) over the visual tokens; queries are the text,
    then the text and the best 1 % of the visual tokens (seeds). The k_f N largest are kept, and the seeds.
    Defaults as published: k_c = 10 %, k_f = 40 %. Family: one decoder layer. It reads the question.
    A re-implementation.

    As the released code has it, where the paper leaves it open: V and U take k_c each; a model with three rotary axes
    (Qwen) averages V and U over the axes, each with all frequencies; softmaxes are averaged over heads, not logits.
    Ours:
    - Budgets. The four lists (seeds, V, U, foreground) are cut at lengths that stay in proportion, 1 : 10 : 10 : 40, so
      that their union, in which a token counts once, has exactly B tokens. One ranking thus serves all budgets: a
      token's place is where the growing lists first reach it, the least of its rank / published length over lists. At
      the number of tokens that the published lengths keep together, it is the published set.
    - The text is what follows the last page in the prompt. (The released code skips its first two tokens.)
    - The middle layer of any decoder: 15 of 32 as published for LLaVA-1.5-7B; 13 of 28, where the authors took 15 for
      Qwen2.5-VL-7B. Layers after it see the kept tokens alone; the authors drop the rest from the caches of all layers,
      too, which matters once an answer is written.
    - V and U are compared to nine decimals, so that a page's tokens (i, j) and (j, i) tie on three axes whatever order
      sums were taken in; ties are broken at random. Positions run on over all pages, which share one ranking.

    Args:
        layer: Whose values are compared, from 0; the last of the first half by default. The next one sees the choice.
        coordinates: k_c, a share of the tokens, for V and for U.
        foreground: k_f, a share of the tokens.
        foreground_only: Rank by the foreground's score alone, which no position enters.
    """

    name = "ivc-prune"
    needs: frozenset[Need] = frozenset({"decoder"})

    def __init__(
        self,
        layer: int | None = None,
        coordinates: float = 0.1,
        foreground: float = 0.4,
        foreground_only: bool = False,
    ) -> None:
        for name, share in (("coordinates", coordinates), ("foreground", foreground)):
            if not 0 < share <= 1:
                raise UsageError(f"{name} must lie in (0, 1], got {share}")
        if layer is not None and layer < 0:
            raise UsageError(f"layer must be at least 0, got {layer}")
        self.layer, self.coordinates, self.foreground = layer, coordinates, foreground
        self.foreground_only = foreground_only

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The best tokens of the joint ranking, exactly as many as allowed; the sets are nested.

        Raises:
            UsageError: The decoder has no such layer.
        """
        decoder = sample.decoder()
        layer = max(0, decoder.n_layers // 2 - 1) if self.layer is None else self.layer
        if layer >= decoder.n_layers:
            raise UsageError(
                f"layer must be below {decoder.n_layers}, the layers of this decoder, got {layer}",
                remedy=f"--set {self.name}.layer=LAYER names another",
            )
        values = decoder.values(layer).float()
        image = values[:, decoder.visual_places.to(values.device)]
        by_text = value_similarity(values[:, decoder.text_places.to(values.device)], image)
        seeds = sample.order(by_text.mean(dim=0))[: count(SEEDS, sample.n_tokens)]
        by_seeds = value_similarity(image[:, torch.as_tensor(seeds, device=image.device)], image)
        both = torch.cat([by_text, by_seeds])
        best = sample.order(both.mean(dim=0))
        if not self.foreground_only:
            shares = [(seeds, SEEDS), (best, self.foreground)]
            shares += [(sample.order(axis), self.coordinates) for axis in coordinates(decoder)]
            best = joint_order([(tokens, count(share, sample.n_tokens)) for tokens, share in shares], best)
        heads, length, width = values.shape
        flops = 2.0 * heads * width * (length * decoder.layers.shape.decoder.width + both.numel())
        return [
            replace(kept, layers=layers_after({layer + 1: kept.mask}, sample.n_tokens, decoder.n_layers))
            for kept in sample.keep_first(best, budgets, flops)
        ]


def count(share: float, n_tokens: int) -> int:
    """A share of the tokens, at least one."""
    return max(1, round(share * n_tokens))


def coordinates(decoder: Decoder) -> tuple[FloatArray, FloatArray]:
    """V and U (N,) of the visual tokens, means over frequencies and rotary axes, rounded."""
    positions = decoder.sequence.positions[:, decoder.visual_places.cpu()]
    like = torch.zeros(0, device=decoder.visual_places.device)
    # Along all axes at once: every frequency then turns by the one position.
    turns = [decoder.layers.angles(axis.expand_as(positions), like) for axis in positions]
    cosine, sine = (torch.cat(part).double().mean(dim=(0, 2)).cpu().numpy() for part in zip(*turns, strict=True))
    return np.round(cosine, _DECIMALS), np.round(sine, _DECIMALS)


def value_similarity(queries: Tensor, image: Tensor) -> Tensor:
    """softmax(queries image^T / sqrt(D)) over the image's tokens, averaged over heads.

    Args:
        queries: (heads, q, D) values of some tokens.
        image: (heads, N, D) values of the visual tokens.

    Returns:
        (q, N); each row sums to 1.
    """
    heads, n_tokens, width = image.shape
    some = chunk_length(2 * image.itemsize * heads * n_tokens, image.device)
    parts = [
        (part @ image.transpose(1, 2) / width**0.5).softmax(dim=-1).mean(dim=0)
        for part in torch.split(queries, some, dim=1)
    ]
    return torch.cat(parts)


def joint_order(lists: Sequence[tuple[IntArray, int]], tied: IntArray) -> IntArray:
    """Tokens in the order in which lists take them that are cut at lengths which stay in proportion.

    Args:
        lists: Tokens, best first, and the length to which the others' are in proportion; one holds all N tokens.
        tied: All N tokens, in the order that decides between those reached at once.
    """
    reached = np.full(len(tied), np.inf)
    for tokens, length in lists:
        reached[tokens] = np.minimum(reached[tokens], np.arange(1, len(tokens) + 1) / length)
    places = np.empty(len(tied), np.int64)
    places[tied] = np.arange(len(tied))
    return np.lexsort((places, reached)).astype(np.int64)
