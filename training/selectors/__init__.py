"""Window scorers: what ranks the windows of a question's pages, from random order to a trained run."""

from training.selectors.base import (
    BatchedScorer,
    PageView,
    QuestionView,
    WindowScorer,
    make_scorer,
    register_scorer,
    scorer_names,
    stable_generator,
    window_places,
)
from training.selectors.bm25 import BM25Scorer
from training.selectors.pinpoint import PinpointScorer
from training.selectors.simple import OracleScorer, RandomScorer, TextDensityScorer

__all__ = [
    "BM25Scorer",
    "BatchedScorer",
    "OracleScorer",
    "PageView",
    "PinpointScorer",
    "QuestionView",
    "RandomScorer",
    "TextDensityScorer",
    "WindowScorer",
    "make_scorer",
    "register_scorer",
    "scorer_names",
    "stable_generator",
    "window_places",
]
