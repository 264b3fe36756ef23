"""Agreement on the words inside the boxes. A word is inside a box that holds its centre."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation.agreement.alpha import Tally
from annotation.agreement.frame import ANSWER, NONE, Frame
from pinpoint_data.words.base import PageWords
from pinpoint_data.words.index import WordIndex
from pinpoint_data.workspace import Workspace

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WordAgreement:
    """What the words say.

    Attributes:
        jaccard: (P,) shared words over all words inside the boxes of either; NaN where no box holds a word.
        tally: Words as units, with the values none, support, answer.
        silent_lines: (Q,) text lines of the question's pages of which no box of anybody holds a word.
    """

    jaccard: FloatArray
    tally: Tally
    silent_lines: IntArray


def measure_words(workspace: Workspace, frame: Frame) -> WordAgreement | None:
    """Compare the words inside the boxes; None where the workspace has no words of these questions' pages."""
    sizes = _sizes(workspace, {page_id for asked in frame.asked for page_id in asked.page_ids})
    if not sizes:
        return None
    questions, raters = len(frame.question_ids), frame.raters
    starts = np.cumsum(raters) - raters
    held, shared = np.zeros(len(frame.question)), np.zeros(len(frame.first))
    silent = np.array(
        [np.sum([sizes[page] for page in asked.page_ids if page in sizes] or [(0, 0)], 0) for asked in frame.asked]
    ).reshape(-1, 2)
    counts, owners = [np.empty((0, ANSWER + 1), np.int64)], [np.empty(0, np.int64)]
    for question, boxes, page in _marked_pages(workspace, frame, sizes):
        start, count = int(starts[question]), int(raters[question])
        values = _values(frame, boxes, start, count, page.xyxy)
        marked = values > 0
        held[start : start + count] += marked.sum(1)
        pairs = slice(frame.pair_start[question], frame.pair_start[question] + count * (count - 1) // 2)
        shared[pairs] += (marked.astype(np.int64) @ marked.T)[np.triu_indices(count, 1)]
        touched = marked.any(0)
        silent[question] -= touched.sum(), len(np.unique(page.lines[touched]))
        counts.append(np.stack([(values[:, touched] == value).sum(0) for value in range(ANSWER + 1)], 1))
        owners.append(np.full(int(touched.sum()), question))
    tally = Tally.of(np.concatenate(counts), np.concatenate(owners), questions)
    with np.errstate(invalid="ignore"):
        jaccard = shared / (held[frame.first] + held[frame.second] - shared)
    return WordAgreement(jaccard, tally.with_silent(silent[:, 0], raters, NONE), silent[:, 1])


def _sizes(workspace: Workspace, page_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Numbers of words and lines of the wanted pages that have words, in the order of the table."""
    wanted = pa.array(sorted(page_ids), pa.string())
    sizes: dict[str, tuple[int, int]] = {}
    for part in workspace.parts("words"):
        rows = workspace.read("words", [part], ["page_id", "line"])
        rows = rows.filter(pc.is_in(rows["page_id"], value_set=wanted))
        found = rows.group_by("page_id", use_threads=False).aggregate([("line", "count"), ("line", "count_distinct")])
        for row in found.to_pylist():
            # A page of two parts has the same words in both.
            sizes.setdefault(row["page_id"], (row["line_count"], row["line_count_distinct"]))
    return sizes


def _marked_pages(
    workspace: Workspace, frame: Frame, sizes: dict[str, tuple[int, int]]
) -> Iterator[tuple[int, IntArray, PageWords]]:
    """(question, boxes, words) of every page that has both, in the order of the table of words."""
    index = WordIndex(workspace)
    order = np.argsort(frame.page, kind="stable")
    boxes = np.split(order, np.searchsorted(frame.page[order], np.arange(1, len(frame.pages))))
    by_id: dict[str, list[int]] = {}
    for place, (question, page_index) in enumerate(frame.pages):
        by_id.setdefault(frame.asked[question].page_ids[page_index], []).append(place)
    for page_id in sizes:
        if places := by_id.get(page_id):
            words = index.get(page_id)
            for place in places:
                yield frame.pages[place][0], boxes[place], words


def _values(frame: Frame, boxes: IntArray, start: int, count: int, words: FloatArray) -> IntArray:
    """(count, w) value that each judgement gives each word; the answer where a word is in boxes of both roles."""
    centre = (words[:, :2] + words[:, 2:]) / 2
    low, high = frame.xyxy[boxes, None, :2], frame.xyxy[boxes, None, 2:]
    inside = ((centre >= low) & (centre < high)).all(-1)
    values = np.full((count, len(words)), NONE, np.int64)
    np.maximum.at(values, frame.owner[boxes] - start, inside * frame.value[boxes, None])
    return values
