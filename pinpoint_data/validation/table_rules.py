"""Rules about whole tables: ids that repeat or point nowhere, values nobody knows, pages without words or size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.schema import ROLES, SPLITS, STATUSES
from pinpoint_data.validation.findings import FunctionRule, Hit, Limits, Rule
from pinpoint_data.validation.layers import BoolArray, IntArray, codes_of
from pinpoint_data.validation.view import WorkspaceView


def _repeats(codes: IntArray) -> Iterator[IntArray]:
    """Rows of every code that stands more than once, in order of the codes."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    counts = np.diff(starts, append=len(codes))
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        yield order[start : start + count]


def _duplicate_id(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    questions = view.questions["question_id"]
    for rows in _repeats(codes_of(questions)):
        parts = ", ".join(dict.fromkeys(view.question_parts.take(pa.array(rows)).to_pylist()))
        text = f"question_id stands {len(rows)} times, in {parts}"
        yield view.question_hit(int(rows[0]), text)
    for rows in _repeats(codes_of(view.pages["page_id"])):
        yield view.page_hit(int(rows[0]), f"page_id stands {len(rows)} times")
    for boxes in (layer.boxes for layer in view.layers):
        regions = codes_of(boxes.region_id)
        for rows in _repeats(boxes.group * (len(regions) + 1) + regions):
            text = f"region id stands {len(rows)} times for one question and annotator"
            yield boxes.hit(int(rows[0]), text)


def _duplicate_verdict(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for verdicts in (layer.verdicts for layer in view.layers):
        for rows in _repeats(verdicts.group):
            statuses = ", ".join(map(str, verdicts.status.take(pa.array(rows)).to_pylist()))
            yield verdicts.hit(int(rows[0]), f"has {len(rows)} verdicts of one annotator: {statuses}")


def _question_without_pages(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for row in np.flatnonzero(view.n_pages_of == 0):
        yield view.question_hit(int(row), "page_ids is empty")


def _unknown_page(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    questions, pages = view.page_of_question
    page_ids = pc.list_flatten(view.questions["page_ids"])
    for place in np.flatnonzero(pages < 0):
        row = int(questions[place])
        index = int(place - np.searchsorted(questions, row))
        page_id = page_ids[int(place)].as_py()
        text = f"names page {page_id!r}, which is not in pages"
        yield view.question_hit(row, text, page_id=page_id, page_index=index)
    for page_id, count in sorted(view.once(_words_by_page)[1].items()):
        yield Hit(table="words", message=f"{count} words of a page that is not in pages", page_id=page_id)


def _unknown_question(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    text = "question_id is not in questions"
    for layer in view.layers:
        for row in np.flatnonzero(layer.boxes.question < 0):
            yield layer.boxes.hit(int(row), text)
        for row in np.flatnonzero(view.question_rows(layer.verdicts.question_id) < 0):
            yield layer.verdicts.hit(int(row), text)


def _strange(values: pa.ChunkedArray, known: Sequence[str], *, null_is_strange: bool) -> BoolArray:
    strange = pc.invert(pc.is_in(values, value_set=pa.array(known)))
    allowed = pc.is_null(values) if not null_is_strange else pa.scalar(False)
    result: BoolArray = pc.and_not(strange, allowed).to_numpy()
    return result


def _unknown_value(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for layer in view.layers:
        boxes, verdicts = layer.boxes, layer.verdicts
        for row in np.flatnonzero(_strange(boxes.role, ROLES, null_is_strange=False)):
            yield boxes.hit(int(row), _value_text("role", boxes.role[int(row)].as_py(), ROLES))
        for row in np.flatnonzero(_strange(verdicts.status, STATUSES, null_is_strange=True)):
            yield verdicts.hit(int(row), _value_text("status", verdicts.status[int(row)].as_py(), STATUSES))
    splits = view.questions["split"]
    for row in np.flatnonzero(_strange(splits, SPLITS, null_is_strange=True)):
        yield view.question_hit(int(row), _value_text("split", splits[int(row)].as_py(), SPLITS))


def _value_text(column: str, value: str | None, known: Sequence[str]) -> str:
    return f"{column} is {value!r}, expected one of {', '.join(known)}"


def _region_without_id(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    for verdicts in (layer.verdicts for layer in view.layers):
        for row in np.flatnonzero(verdicts.has_box):
            yield verdicts.hit(int(row), "a row with coordinates has no region_id")


def _page_without_size(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    width, height = view.pages["width"].to_numpy(), view.pages["height"].to_numpy()
    for row in np.flatnonzero((width < 1) | (height < 1)):
        yield view.page_hit(int(row), f"page is {width[row]} x {height[row]} pixels")


def _words_by_page(view: WorkspaceView) -> tuple[BoolArray, dict[str, int]]:
    """Which pages have words, and the number of words of every page that is not in `pages`."""
    seen = np.zeros(view.pages.num_rows, dtype=np.bool_)
    unknown: Counter[str] = Counter()
    for batch in view.word_batches(["page_id"]):
        counted = pc.value_counts(batch.column("page_id"))
        rows = view.page_rows_of_batch(counted.field("values"))
        seen[rows[rows >= 0]] = True
        strangers = counted.filter(pa.array(rows < 0)).to_pylist()
        unknown.update({entry["values"]: entry["counts"] for entry in strangers})
    return seen, dict(unknown)


def _words_not_taken(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    taken = set(view.word_parts())
    for part, count in view.page_parts.items():
        if count and part not in taken:
            yield Hit(table="words", part=part, message=f"no words were taken for the {count:,} pages of part {part!r}")


def _page_without_words(view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
    seen, _ = view.once(_words_by_page)
    taken = set(view.word_parts())
    start = 0
    for part, count in view.page_parts.items():
        for row in np.flatnonzero(~seen[start : start + count]) + start if part in taken else ():
            yield view.page_hit(int(row), "has no words")
        start += count


RULES: tuple[Rule, ...] = (
    FunctionRule(
        code="duplicate-id",
        severity="error",
        what="an id stands twice: question_id or page_id in all parts together, region_id of one annotator's question",
        why="Rows that refer to it are joined with the wrong one, or counted twice; splits leak into each other.",
        remedy="remove the part that was ingested twice, or ingest one of the two under another --name",
        function=_duplicate_id,
    ),
    FunctionRule(
        code="duplicate-verdict",
        severity="error",
        what="one annotator has several verdicts on one question",
        why="Which of them holds is undefined.",
        remedy="keep the last one",
        function=_duplicate_verdict,
    ),
    FunctionRule(
        code="question-without-pages",
        severity="error",
        what="the question names no page",
        why="There is nothing to select from; the question cannot be used.",
        remedy="give it its pages in the source and ingest again",
        function=_question_without_pages,
    ),
    FunctionRule(
        code="unknown-page",
        severity="error",
        what="a question or a word names a page that is not in the table pages",
        why="The page's pixels, size and words cannot be found.",
        remedy="ingest the source again; take the words again if the page was removed on purpose",
        function=_unknown_page,
    ),
    FunctionRule(
        code="unknown-question",
        severity="error",
        what="an annotation, evidence box or verdict is about a question that is not in the table questions",
        why="The annotator's work is in no published row.",
        remedy="ingest the source it was made for, or remove the part",
        function=_unknown_question,
    ),
    FunctionRule(
        code="unknown-value",
        severity="error",
        what="a role, status or split is none of the known ones",
        why="Every later step decides by these words; an unknown one falls between them.",
        remedy="write one of the allowed values",
        function=_unknown_value,
    ),
    FunctionRule(
        code="region-without-id",
        severity="error",
        what="a row of annotations has coordinates but no region_id",
        why="It is read as a verdict, so the box is lost.",
        remedy="give the region an id",
        function=_region_without_id,
    ),
    FunctionRule(
        code="page-without-size",
        severity="warning",
        what="the page's width or height is not known",
        why="No box on it can be checked, and no token grid can be made.",
        remedy="ingest the source with its images, or give width and height in the records",
        function=_page_without_size,
    ),
    FunctionRule(
        code="words-not-taken",
        severity="info",
        what="no words were taken for a part of pages",
        why="Answers cannot be looked for, and the word-based backbone and selectors see empty pages.",
        remedy="run `pinpoint words`",
        function=_words_not_taken,
    ),
    FunctionRule(
        code="page-without-words",
        severity="info",
        what="the page has no words",
        why="Right for a picture; on a page with text its OCR file is missing or empty.",
        remedy="look at the page; `pinpoint words --from rapidocr` reads it from its pixels",
        function=_page_without_words,
    ),
)
