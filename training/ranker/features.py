"""What the network sees of every token: the features of its page, and its relations to the question."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from training.ranker.page import PAGE_FEATURES, ReadPage
from training.ranker.question import read_question
from training.ranker.relations import RELATIONS, relate

FEATURES = (*RELATIONS, *PAGE_FEATURES)
FEATURE_VERSION = 1
"""Goes up whenever the same page and question would give other values; a ranker of another version is refused."""

LIMIT = 50.0
"""Offsets and counts beyond it tell nothing more."""


def features_digest() -> str:
    """A short hash of the version and the names, in order."""
    return hashlib.sha256("\n".join((str(FEATURE_VERSION), *FEATURES)).encode()).hexdigest()[:16]


def token_features(pages: Sequence[ReadPage], question: str) -> Iterator[npt.NDArray[np.float32]]:
    """The values of `FEATURES`, (N, f) a page, within `LIMIT` of zero; made as they are asked for (see `relate`)."""
    related = relate(pages, read_question(question))
    for page, relations in zip(pages, related, strict=True):
        features = np.concatenate([relations, page.features], axis=1)
        yield np.clip(features, -LIMIT, LIMIT, out=features)
