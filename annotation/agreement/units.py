"""The units that alpha is computed over: groups of boxes, and questions with their statuses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.alpha import Tally
from annotation.agreement.frame import ANSWER, NONE, SUPPORT, Frame
from annotation.judgements import DONE

IntArray = NDArray[np.int64]


def box_tally(frame: Frame, group: IntArray) -> Tally:
    """Groups as units: a judgement of the question gives the role of its box in the group, or none."""
    counts, question = _group_counts(frame, group, frame.question >= 0)
    return Tally.of(counts, question, len(frame.question_ids))


def status_tally(frame: Frame) -> Tally:
    """Questions as units with their statuses."""
    return _status_tally(frame, frame.question >= 0)


def box_tally_without(frame: Frame, group: IntArray, annotator: int) -> Tally:
    """`box_tally` without an annotator: the groups stay, those that nobody else has a box in drop out."""
    others = frame.annotator != annotator
    counts, question = _group_counts(frame, group, others)
    marked = counts[:, SUPPORT] + counts[:, ANSWER] > 0
    return Tally.of(counts[marked], question[marked], len(frame.question_ids))


def status_tally_without(frame: Frame, annotator: int) -> Tally:
    """`status_tally` without an annotator."""
    return _status_tally(frame, frame.annotator != annotator)


def _group_counts(frame: Frame, group: IntArray, wanted: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """(n, 3) values that the wanted (J,) judgements give each group, and (n,) its question."""
    groups = int(group.max(initial=-1)) + 1
    counts = np.zeros((groups, ANSWER + 1), np.int64)
    mine = wanted[frame.owner]
    np.add.at(counts, (group[mine], frame.value[mine]), 1)
    question = np.zeros(groups, np.int64)
    question[group] = frame.question[frame.owner]
    raters = np.bincount(frame.question[wanted], minlength=len(frame.question_ids))
    counts[:, NONE] = raters[question] - counts.sum(1)
    return counts, question


def _status_tally(frame: Frame, wanted: NDArray[np.bool_]) -> Tally:
    questions = len(frame.question_ids)
    counts = np.zeros((questions, len(DONE)), np.int64)
    np.add.at(counts, (frame.question[wanted], frame.status[wanted]), 1)
    return Tally.of(counts, np.arange(questions), questions)
