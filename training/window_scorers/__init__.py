"""Window scorers: what ranks the windows of a question's pages, from random order to a trained run."""

from training.window_scorers.base import (
    BatchedScorer,
    GridScorer,
    PageView,
    QuestionView,
    WindowScorer,
    make_scorer,
    register_scorer,
    scorer_names,
    stable_generator,
    window_places,
)
from training.window_scorers.bm25 import BM25Scorer
from training.window_scorers.pinpoint import PinpointScorer
from training.window_scorers.ranker import RankerScorer
from training.window_scorers.simple import OracleScorer, RandomScorer, TextDensityScorer

__all__ = [
    "BM25Scorer",
    "BatchedScorer",
    "GridScorer",
    "OracleScorer",
    "PageView",
    "PinpointScorer",
    "QuestionView",
    "RandomScorer",
    "RankerScorer",
    "TextDensityScorer",
    "WindowScorer",
    "make_scorer",
    "register_scorer",
    "scorer_names",
    "stable_generator",
    "window_places",
]
