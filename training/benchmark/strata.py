"""Kinds of questions and of gold boxes that methods do well or badly on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.schema import ROLES
from training.benchmark.data import BoxTable
from training.evaluation.intervals import BoolArray

Strata = dict[str, dict[str, BoolArray]]
"""Who is in each stratum of each dimension; a stratum that nobody is in is left out."""

# About a word, a line, a few lines, a paragraph, a figure; 0.1 % is one token of a page of 1,000.
_SIZES = ("<0.1 %", "0.1-0.3 %", "0.3-1 %", "1-5 %", ">=5 %")
_SIZE_EDGES = (0.001, 0.003, 0.01, 0.05)
_COUNTS = ("1", "2", "3 to 5", "6 or more")
_COUNT_EDGES = (2, 3, 6)
_FIFTHS = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")
_FIFTH_EDGES = (0.2, 0.4, 0.6, 0.8)


def question_strata(samples: Sequence[Sample], boxes: BoxTable) -> Strata:
    """Which questions are in each stratum.

    Args:
        samples: n questions.
        boxes: Their gold boxes.

    Returns:
        Masks (n,): `boxes`, the number of a question's boxes; `pages`, single or several; `source`.
    """
    counts = np.bincount(boxes.question, minlength=len(samples))
    several = np.array([len(sample.pages) > 1 for sample in samples], dtype=np.bool_)
    sources = np.array([sample.source for sample in samples], dtype=np.str_)
    return {
        "boxes": _binned(counts, _COUNT_EDGES, _COUNTS),
        "pages": _binned(several, (1,), ("single", "several")),
        "source": {str(name): sources == name for name in np.unique(sources)},
    }


def role_strata(boxes: BoxTable) -> dict[str, BoolArray]:
    """Which boxes (n_boxes,) have each role."""
    return {role: boxes.role == role for role in ROLES if (boxes.role == role).any()}


def box_strata(boxes: BoxTable) -> Strata:
    """Which boxes are in each stratum.

    Returns:
        Masks (n_boxes,): `box_size`, by the share of its page that a box takes; `position`, the fifth of its page's
        height that its centre lies in, from the top.
    """
    return {
        "box_size": _binned(boxes.page_share, _SIZE_EDGES, _SIZES),
        "position": _binned(boxes.y_centre, _FIFTH_EDGES, _FIFTHS),
    }


def _binned(values: npt.ArrayLike, edges: Sequence[float], names: Sequence[str]) -> dict[str, BoolArray]:
    """Masks of the bins between the edges; a value on an edge is in the upper bin."""
    places = np.digitize(np.asarray(values, dtype=np.float64), edges)
    return {name: places == place for place, name in enumerate(names) if (places == place).any()}
