"""What the network sees of every token: the features of its page, and its relations to the question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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


def token_features(pages: Sequence[ReadPage], question: str) -> list[npt.NDArray[np.float32]]:
    """The values of `FEATURES`, (N, f) a page, within `LIMIT` of zero."""
    related = relate(pages, read_question(question))
    return [
        np.clip(np.concatenate([relations, page.features], axis=1), -LIMIT, LIMIT)
        for relations, page in zip(related, pages, strict=True)
    ]
