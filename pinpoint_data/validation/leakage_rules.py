"""Rules about splits: what is trained on must not be what is tested on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.schema import SPLITS
from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import IntArray, codes_of, runs
from pinpoint_data.validation.page_words import normalised
from pinpoint_data.validation.view import WorkspaceView


@dataclass(frozen=True)
class _Uses:
    """Pages that questions of two splits are asked over: one row a question and page, by content, then by split.

    Attributes:
        content: Number of the page's content: its file's sha256 and PDF page, or the page itself without a hash.
        split: Place of the question's split in SPLITS.
        page: Row of the view's pages.
        question: Row of the view's questions.
    """

    content: IntArray
    split: IntArray
    page: IntArray
    question: IntArray


def _splits(view: WorkspaceView) -> IntArray:
    """(questions,) place of each question's split in SPLITS, -1 for one that nobody knows."""
    codes = pc.fill_null(pc.index_in(view.questions["split"], value_set=pa.array(SPLITS)), -1)
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def _contents(view: WorkspaceView) -> IntArray:
    """(pages,) equal numbers for pages of equal pixels."""
    hashes = view.pages["sha256"]
    known = pc.is_valid(hashes).to_numpy()
    page = pc.fill_null(view.pages["pdf_page"], -1).to_numpy().astype(np.int64)
    rows = np.arange(len(known))
    keys = np.column_stack([codes_of(hashes), np.where(known, page, -1), np.where(known, -1, rows)])
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1), dtype=np.int64)


def _in_two(keys: IntArray, split: IntArray) -> IntArray:
    """Rows whose key stands in more than one split, sorted by key, split and row; -1 is no split."""
    rows = np.flatnonzero(split >= 0)
    rows = rows[np.lexsort((rows, split[rows], keys[rows]))]
    _, start, number = np.unique(keys[rows], return_index=True, return_inverse=True)
    last = np.append(start[1:], len(rows))[: len(start)] - 1
    two = split[rows[start]] != split[rows[last]]
    return np.asarray(rows[two[number]], dtype=np.int64)


def _leaks(view: WorkspaceView) -> _Uses:
    questions, pages = view.page_of_question
    known = pages >= 0
    questions, pages = questions[known], pages[known]
    content, split = _contents(view)[pages], _splits(view)[questions]
    rows = _in_two(content, split)
    return _Uses(content[rows], split[rows], pages[rows], questions[rows])


def _page_in_two_splits(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    uses = view.once(_leaks)
    for run in runs(uses.content[:, None]):
        splits, first, counts = np.unique(uses.split[run], return_index=True, return_counts=True)
        where = [
            f"{SPLITS[split]} ({count} question{'s' if count > 1 else ''}, as {_page_id(view, uses.page[run][place])})"
            for split, place, count in zip(splits, first, counts, strict=True)
        ]
        # The page to take away is rather the one that is trained on, but the score that is wrong is the other one's.
        yield view.page_hit(int(uses.page[run][first[-1]]), f"the same page is in {' and '.join(where)}")


def _page_id(view: WorkspaceView, row: np.int64) -> str:
    page_id: str = view.pages["page_id"][int(row)].as_py()
    return page_id


def _question_in_two_splits(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    uses = view.once(_leaks)
    if not len(uses.question):
        return
    texts = normalised(view.question_texts().combine_chunks()).take(pa.array(uses.question))
    asked = codes_of(pa.chunked_array([texts])) + uses.content * (len(texts) + 1)
    # Numbers and names in other scripts survive normalising; a question of marks alone says nothing.
    rows = _in_two(asked, np.where(pc.equal(texts, "").to_numpy(zero_copy_only=False), -1, uses.split))
    told: set[tuple[int, int]] = set()
    for run in runs(asked[rows][:, None]):
        first, last = rows[run][0], rows[run][-1]
        pair = (int(uses.question[first]), int(uses.question[last]))
        if pair in told:
            continue
        told.add(pair)
        other = view.questions["question_id"][pair[0]].as_py()
        text = f"asks of the same page what {other} asks in {SPLITS[uses.split[first]]}"
        yield view.question_hit(pair[1], f"{text}; this one is in {SPLITS[uses.split[last]]}")


def _document_in_two_splits(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    documents, split = codes_of(view.questions["doc_id"]), _splits(view)
    rows = _in_two(documents, split)
    for run in runs(documents[rows][:, None]):
        splits, counts = np.unique(split[rows[run]], return_counts=True)
        where = " and ".join(
            f"{SPLITS[s]} ({n} question{'s' if n > 1 else ''})" for s, n in zip(splits, counts, strict=True)
        )
        last = int(rows[run][-1])
        yield view.question_hit(last, f"document {view.questions['doc_id'][last].as_py()} is in {where}")


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="page-in-two-splits",
        severity="error",
        what="questions of two splits are asked over the same page (equal file hash and PDF page)",
        why="The test is seen in training: scores on it say nothing about new pages.",
        remedy="give all questions over the page one split, or leave one source out",
        function=_page_in_two_splits,
    ),
    FunctionRule(
        code="question-in-two-splits",
        severity="error",
        what="the same question is asked of the same page in two splits",
        why="Its boxes are trained on and tested on.",
        remedy="remove one of the two",
        function=_question_in_two_splits,
    ),
    FunctionRule(
        code="document-in-two-splits",
        severity="warning",
        what="pages of one document are in two splits",
        why="Pages of a document look alike, and so do their boxes: scores are better than on new documents.",
        remedy="split by document, or say so where the scores are reported",
        function=_document_in_two_splits,
    ),
)
