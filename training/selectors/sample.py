"""A question with its pages' visual tokens and every signal that a selector may ask for, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from pinpoint_data.ranking import IntArray
from training.evaluation.intervals import FloatArray
from training.ledger import Ledger
from training.selectors.base import Kept
from training.window_scorers.base import PageView, QuestionView, stable_generator

if TYPE_CHECKING:
    from training.checkpoint import Run
    from training.selectors.source import SignalSource
    from training.vlm.clip_space import ClipSignals
    from training.vlm.decoder import Decoder
    from training.vlm.vision_pass import VisionSignals


class EncodedSample:
    """A question over its pages, as selectors see it. All arrays run over the N grid tokens of all pages, end to end.

    What a page looks like to the decoder beside its grid (LLaVA-NeXT's view of the whole and its row ends) is no
    candidate: it is neither kept nor dropped, and no part of any budget.

    Args:
        view: The question, its pages with grids and windows, and its gold boxes.
        source: Where tokens and signals come from.

    Attributes:
        view: As given.
        source: As given.
        ledger: The signals made so far and what they cost.
    """

    def __init__(self, view: QuestionView, source: SignalSource) -> None:
        self.view, self.source = view, source
        self.ledger = Ledger(source.clock)

    @property
    def question_id(self) -> str:
        """Its id."""
        return self.view.question_id

    @property
    def question(self) -> str:
        """The question alone, without a template around it."""
        return self.view.question

    @property
    def pages(self) -> tuple[PageView, ...]:
        """Its pages: grid, windows, words, and pixels on demand."""
        return self.view.pages

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each page's tokens are among the N."""
        ends = np.cumsum([page.grid.n_tokens for page in self.pages]).tolist()
        return tuple(slice(start, end) for start, end in zip([0, *ends], ends, strict=False))

    @property
    def n_tokens(self) -> int:
        """N."""
        return sum(page.grid.n_tokens for page in self.pages)

    @property
    def device(self) -> torch.device:
        """Where tensors of this sample are."""
        return self.source.device

    @property
    def tokens(self) -> Tensor:
        """(N, d_v) float32: visual tokens as the language model, or the embedded aligner, receives them."""
        return self.ledger.once(
            "encode", lambda: self.source.tokens(self.pages), lambda: self.source.encoding_cost(self.pages)
        )

    @property
    def question_tokens(self) -> Tensor:
        """(m, d_t) float32: input embeddings of the question alone."""
        return self.ledger.once("question", lambda: self.source.question_tokens(self.question))

    def shared(self) -> tuple[Tensor, Tensor]:
        """Visual tokens (N, d) and question tokens (m, d), float32, in one space; need `shared`.

        Of a vision-language model all features; of the embedded backbone those that mean the same on both sides.
        """
        width = self.source.shared_dim
        return self.tokens[:, :width], self.question_tokens[:, :width]

    def vision(self) -> VisionSignals:
        """Attention and keys of the vision tower; needs `vision`."""
        _ = self.tokens  # made in the pass that makes these, and charged with it
        return self.ledger.once("vision", lambda: self.source.vision(self.pages))

    def clip(self) -> ClipSignals:
        """Patches and question in CLIP's joint space; needs `clip`."""
        _ = self.vision()  # whose patches these are made of
        return self.ledger.once(
            "clip", lambda: self.source.clip_signals(self.pages, self.question), flops=lambda made: made.flops
        )

    def decoder(self, question: str | None = None) -> Decoder:
        """The language model over these pages and the question, or another text in its place; needs `decoder`."""
        text = self.question if question is None else question
        _ = self.tokens
        return self.ledger.once(f"prompt.{text}", lambda: self.source.decoder(self.pages, text, self.ledger))

    @property
    def run(self) -> Run:
        """A trained run on the same grid; needs `run`."""
        if self.source.run is None:
            raise TrainingError("this selector needs a trained run", record=f"question {self.question_id}")
        return self.source.run

    def evidence_area(self) -> FloatArray:
        """(N,): area of the gold evidence in each token, in squared pixels of its page; needs `evidence`."""
        found = [page.grid.evidence_area(self.view.evidence_on(index)) for index, page in enumerate(self.pages)]
        return np.concatenate(found)

    def generator(self, *key: object, of_question: bool = True) -> np.random.Generator:
        """A random generator that depends on the seed, `key` and the question, or its pages alone."""
        whose = [self.question_id] if of_question else [page.page_input.page_id for page in self.pages]
        return stable_generator(self.source.seed, *key, *whose)

    def order(self, scores: FloatArray | Tensor) -> IntArray:
        """(N,) indices of the tokens, best score first.

        Equal scores stand in a random order that depends on the pages alone: raster order would hand a selector that
        knows nothing the top of the first page, where titles and answers gather.

        Raises:
            TrainingError: A score is not finite, or there is not one a token.
        """
        # NumPy has no bfloat16, and some devices no float64.
        values = scores.detach().cpu().double().numpy() if isinstance(scores, Tensor) else np.asarray(scores, float)
        if values.shape != (self.n_tokens,) or not np.isfinite(values).all():
            raise TrainingError(
                f"scores must be {self.n_tokens} finite numbers, one a token, got {values.shape} "
                f"with {int((~np.isfinite(values)).sum())} that are not",
                record=f"question {self.question_id}",
            )
        ties = self.generator("ties", of_question=False).permutation(self.n_tokens)
        return np.lexsort((ties, -values)).astype(np.int64)

    def keep_top(self, scores: FloatArray | Tensor, budgets: Sequence[int], flops: float = 0.0) -> list[Kept]:
        """The best tokens by score, exactly as many as each budget allows; the sets are nested.

        Args:
            scores: (N,), higher is better.
            budgets: Numbers of tokens.
            flops: What the scores took, signals apart.
        """
        # The places, not the scores: what was a tie has been decided.
        return self.keep_first(self.order(scores), budgets, flops)

    def keep_first(self, order: IntArray, budgets: Sequence[int], flops: float = 0.0) -> list[Kept]:
        """The first tokens of an order, exactly as many as each budget allows; the sets are nested.

        Args:
            order: (N,) indices of all tokens, best first.
            budgets: Numbers of tokens.
            flops: What the order took, signals apart.
        """
        places = np.empty(self.n_tokens)
        places[order] = -np.arange(self.n_tokens, dtype=np.float64)
        return [Kept(places > -budget, places, flops=flops) for budget in budgets]
