"""What the ranker learns from: for each question some tokens of its pages, and the evidence that lies in them.

All tokens of thousands of questions would fill the memory, and most tell nothing new. Of each question a random part is
kept, and every kept token stands for as many as it was drawn from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, Outcome, PageError, Problem
from training.evaluation.split import with_gold
from training.pages.store import PageStore
from training.ranker.features import token_features
from training.ranker.page import ReadPage
from training.ranker.reading import page_memory
from training.window_scorers.base import stable_generator

EVIDENCE_TOKENS = 150
OTHER_TOKENS = 450
"""The most tokens kept of a question, with and without evidence."""


@dataclass(frozen=True, eq=False)
class Example:
    """A question to learn from, as n tokens drawn from those of all its pages.

    Attributes:
        question_id: Its id.
        source: Its source.
        doc_id: Its document.
        features: (n, f) values of `FEATURES`, in half precision.
        share: (n,) share of the evidence in each token; they sum to one over the tokens kept.
        weight: (n,) how many tokens each stands for.
    """

    question_id: str
    source: str
    doc_id: str
    features: npt.NDArray[np.float16]
    share: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


def collect_examples(
    samples: Iterable[Sample], store: PageStore, left_out: Counter[str], outcome: Outcome
) -> Iterator[Example]:
    """The examples of the questions that have gold boxes on their pages, in order.

    Args:
        samples: The questions.
        store: Their pages.
        left_out: Counts those without gold boxes, by reason.
        outcome: Lists those whose pages cannot be used.
    """
    pages = page_memory()
    for sample in with_gold(samples, left_out):
        try:
            read = [page for page, _ in pages.get([store.input(page.page_id) for page in sample.pages])]
            evidence = np.concatenate([_evidence(sample, index, page) for index, page in enumerate(read)])
        except (PageError, GeometryError) as error:
            record = f"question {sample.question_id}"
            outcome.refuse(Problem.of(error, code="unusable-page", file="", record=record))
            continue
        if not evidence.any():
            left_out["evidence outside the grid"] += 1
            continue
        yield _drawn(sample, np.concatenate(list(token_features(read, sample.question))), evidence)


def _evidence(sample: Sample, index: int, page: ReadPage) -> npt.NDArray[np.float64]:
    """(N,): the area of evidence in each token of a page, in pixels."""
    boxes = [box.xyxy for box in sample.evidence if box.page_index == index]
    return page.grid.evidence_area(np.asarray(boxes, dtype=np.float64).reshape(-1, 4)).ravel()


def _drawn(sample: Sample, features: npt.NDArray[np.float32], evidence: npt.NDArray[np.float64]) -> Example:
    generator = stable_generator("ranker example", sample.question_id)
    parts = []
    weights = []
    for rows, most in ((np.flatnonzero(evidence), EVIDENCE_TOKENS), (np.flatnonzero(evidence == 0), OTHER_TOKENS)):
        kept = rows if len(rows) <= most else np.sort(generator.choice(rows, most, replace=False))
        parts.append(kept)
        weights.append(np.full(len(kept), len(rows) / max(len(kept), 1), dtype=np.float32))
    chosen = np.concatenate(parts)
    share = evidence[chosen] / evidence[chosen].sum()
    return Example(
        sample.question_id,
        sample.source,
        sample.doc_id,
        features[chosen].astype(np.float16),
        share.astype(np.float32),
        np.concatenate(weights),
    )
