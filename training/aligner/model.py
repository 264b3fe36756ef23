"""The aligner: guidance queries shared by both sides, two small MLPs, and the similarity of window and question.

With R (n, d_v) a window's visual tokens, T (m, d_t) the question's tokens and E (K, d) the guidance queries:

    R' = MLP_v(R), T' = MLP_t(T)
    E^v = softmax(E R'^T / sqrt(d)) R',   E^t = softmax(E T'^T / sqrt(d)) T'
    s(window, question) = (1/K) sum_k cos(E^v_k, E^t_k)

after PinPoint (arXiv 2603.22815). `similarity="flattened"`, one cosine over the K*d vector, is the other reading of
the published summary. A token's projection and its K logits are made once for a page; windows differ only in which
tokens their softmax runs over.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from pinpoint_data.errors import TrainingError
from training.aligner.mlp import Mlp, rms_scale
from training.aligner.window_pooling import window_scores
from training.config import Normalise, Similarity


class Aligner(nn.Module):
    """Scores windows of a page against questions.

    Args:
        token_dim: d_v, width of a visual token.
        question_dim: d_t, width of a question token.
        queries: K.
        width: d.
        hidden: Width of the MLPs' inner layer, even; 2d where it is None.
        similarity: Mean over the queries of K cosines, or one cosine of the flattened K*d vectors.
        shared_dim: Leading features that mean the same on both sides. The two MLPs start with equal weights on them
            (and train apart), so that equal words are similar from the first step on.
        query_scale: Standard deviation of the initial queries: how sharply a query picks tokens at the start.
        normalise: "rms" brings each token of both sides to a root mean square of 1 before the MLPs, which start as
            maps for inputs of unit size. A language model's input embeddings are some fifty times smaller.
        seed: Of the initial weights.

    Attributes:
        compute_dtype: What the MLPs compute in, bfloat16 or None for the weights' own type. Logits, softmax and
            cosines are computed in the weights' type either way.

    Each MLP starts as a random linear projection (see `Mlp`). With sharp random queries the similarity of an untrained
    aligner is then a sketch of how much window and question share, as in locality-sensitive hashing: a query that
    picks some word of the question picks the same word in a window that holds it.
    """

    def __init__(
        self,
        token_dim: int,
        question_dim: int,
        *,
        queries: int = 100,
        width: int = 128,
        hidden: int | None = None,
        similarity: Similarity = "mean-cosine",
        shared_dim: int = 0,
        query_scale: float = 1.0,
        normalise: Normalise = "none",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.similarity = similarity
        self.normalise = normalise
        self.compute_dtype: torch.dtype | None = None
        generator = torch.Generator().manual_seed(seed)
        self.visual = Mlp(token_dim, hidden or 2 * width, width, generator)
        self.text = Mlp(question_dim, hidden or 2 * width, width, generator)
        self.queries = nn.Parameter(torch.randn(queries, width, generator=generator) * query_scale)
        if shared_dim:
            self.text.start_like(self.visual, shared_dim)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.queries.device

    def encode_questions(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """E^t, scaled so that its product with a window's unit-length E^v is the similarity.

        Args:
            tokens: (b, m, d_t) question tokens, padded.
            mask: (b, m) bool, true on the real ones; each question has at least one.

        Returns:
            (b, K, d). `mean-cosine`: K rows of length 1/K. `flattened`: one vector of length 1.
        """
        values = self._projected(self.text, tokens)
        logits = self._logits(values).masked_fill(~mask.unsqueeze(-1), -torch.inf)
        pooled = logits.softmax(dim=1).transpose(1, 2) @ values
        if self.similarity == "flattened":
            return functional.normalize(pooled.flatten(1), dim=-1).view_as(pooled)
        return functional.normalize(pooled, dim=-1) / len(self.queries)

    def encode_page(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """R' (n, d) and the logits of every query (n, K), for the tokens (n, d_v) of one page, or of several in a row.

        Tokens may be of any floating-point type.
        """
        values = self._projected(self.visual, tokens)
        return values, self._logits(values)

    def score(self, page: tuple[Tensor, Tensor], windows: Sequence[Tensor], questions: Tensor) -> Tensor:
        """Similarities (b, w) of b encoded questions with all windows of encoded pages.

        Args:
            page: What `encode_page` gave.
            windows: (w_i, t_i) indices of each window's tokens among the encoded ones, from `window_tokens`: one tensor
                a page. Pages whose windows have equally many tokens are scored together.
            questions: (b, K, d), from `encode_questions`.

        Returns:
            Columns in the order of `windows`.
        """
        by_size: dict[int, list[int]] = defaultdict(list)
        for place, same in enumerate(windows):
            by_size[same.shape[1]].append(place)
        groups = [torch.cat([windows[place] for place in places]) for places in by_size.values()]
        scores = window_scores(*page, groups, questions, flattened=self.similarity == "flattened")
        if len(groups) <= 1:
            return scores
        columns = torch.split(torch.arange(scores.shape[1]), [len(same) for same in windows])
        grouped = torch.cat([columns[place] for places in by_size.values() for place in places])
        return scores.index_select(1, grouped.argsort().to(scores.device))

    def _projected(self, mlp: Mlp, tokens: Tensor) -> Tensor:
        scale = rms_scale(tokens) if self.normalise == "rms" else None
        projected: Tensor = mlp(tokens, scale, self.compute_dtype)
        return projected

    def _logits(self, values: Tensor) -> Tensor:
        return values @ (self.queries.t() / math.sqrt(values.shape[-1]))


def window_tokens(rows_cols: npt.NDArray[np.integer], cols: int) -> Tensor:
    """Raster indices (w, t) of the tokens of each window, on a grid with `cols` columns.

    Args:
        rows_cols: (w, 4) windows as [r0, c0, r1, c1), all of one shape, as the windows of one grid are.
        cols: Columns of the grid.

    Raises:
        TrainingError: The windows differ in shape.
    """
    corners = np.asarray(rows_cols, dtype=np.int64).reshape(-1, 4)
    shapes = np.unique(corners[:, 2:] - corners[:, :2], axis=0)
    if len(shapes) > 1:
        raise TrainingError(f"windows of one grid must have one shape, got {shapes.tolist()}")
    height, width = shapes[0] if len(shapes) else (0, 0)
    inside = (np.arange(height)[:, None] * cols + np.arange(width)).reshape(1, -1)
    return torch.from_numpy(corners[:, :1] * cols + corners[:, 1:2] + inside)
