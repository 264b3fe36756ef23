"""What rules look at: ids, pages and boxes of a workspace as arrays, joined once.

Free text (`extra`, `raw`, the questions) is not read and words stay on disk, so memory is about 250 bytes a box and
a few hundred a question, whatever the annotation tool kept beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinpoint_data.errors import UsageError
from pinpoint_data.tables import iter_part
from pinpoint_data.validation.findings import Hit
from pinpoint_data.validation.layers import XYXY, Boxes, IntArray, Layer, Place, Verdicts, codes_of, coordinates
from pinpoint_data.workspace import Workspace

T = TypeVar("T")


class WorkspaceView:
    """A workspace, or one source of it, as the rules see it.

    Attributes:
        workspace: The workspace itself.
        source: The source that is looked at, None for all.
        page_parts: Name of each part of `pages` -> its number of pages.
        pages: Table of page_id, width, height, sha256, pdf_page.
        questions: Table of question_id, source, split, doc_id, page_ids, answers, answer_types, answer_page_index.
        question_parts: (n,) strings, the part that each question stands in.
        layers: The annotators' layer and the adjudicated one.

    Raises:
        UsageError: The workspace has no source of that name.
    """

    def __init__(self, workspace: Workspace, source: str | None = None) -> None:
        self.workspace = workspace
        self.source = source
        self._shared: dict[Callable[[WorkspaceView], Any], Any] = {}
        self._load_pages()
        self._load_questions()
        if source is not None and source not in workspace.sources and not self.pages.num_rows | self.questions.num_rows:
            known = ", ".join(sorted(workspace.sources)) or "none"
            raise UsageError(f"no source {source!r}; the workspace has {known}", file=workspace.path)
        self.layers = (self._annotated(), self._adjudicated())

    def once(self, compute: Callable[[WorkspaceView], T]) -> T:
        """`compute(self)`, done once however many rules ask for it."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        value: T = self._shared[compute]
        return value

    def question_texts(self) -> pa.ChunkedArray:
        """(questions,) what is asked, read anew at each call."""
        read = self.workspace.read
        tables = [
            self._of_source(read("questions", [p], ["source", "question"])) for p in self.workspace.parts("questions")
        ]
        return pa.concat_tables([self._empty("questions", "source", "question"), *tables])["question"]

    def question_hit(self, row: int, message: str, **more: Any) -> Hit:
        """A hit at one question; `more` are fields of `Hit`."""
        place = {"part": self.question_parts[row].as_py(), "question_id": self.questions["question_id"][row].as_py()}
        return Hit(table="questions", message=message, **(place | more))

    def page_hit(self, row: int, message: str) -> Hit:
        """A hit at one page."""
        part = list(self.page_parts)[int(np.searchsorted(self._page_part_ends, row, side="right"))]
        return Hit(table="pages", part=part, message=message, page_id=self.pages["page_id"][row].as_py())

    @property
    def n_pages_of(self) -> IntArray:
        """(questions,) number of pages of each question."""
        return np.diff(self._page_offsets)

    @property
    def page_of_question(self) -> tuple[IntArray, IntArray]:
        """Two arrays over all (question, page) pairs: row of `questions`, and row of `pages` or -1."""
        return np.repeat(np.arange(self.questions.num_rows), self.n_pages_of), self._page_codes

    def word_batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Record batches of `words`, streamed."""
        for part in self.word_parts():
            yield from iter_part("words", self.workspace.part_path("words", part), columns, batch_rows=16_384)

    def word_parts(self) -> list[str]:
        """Parts of `words` that belong to what is looked at."""
        return [p for p in self.workspace.parts("words") if self.source is None or p in self.page_parts]

    def _load_pages(self) -> None:
        columns, found = ["page_id", "width", "height", "sha256", "pdf_page"], {}
        for part in self.workspace.parts("pages"):
            table = self._of_source(self.workspace.read("pages", [part], [*columns, "source"]))
            if table.num_rows or self.source is None:
                found[part] = table.drop_columns("source")
        self.page_parts = {part: table.num_rows for part, table in found.items()}
        self._page_part_ends = np.cumsum([*self.page_parts.values()])
        self.pages = pa.concat_tables([self._empty("pages", *columns), *found.values()])
        self._page_ids = pc.unique(self.pages["page_id"])
        self._page_rows = _first_rows(self.pages["page_id"], self._page_ids)
        self._sizes = np.column_stack([self.pages[c].to_numpy().astype(np.float64) for c in ("width", "height")])

    def _load_questions(self) -> None:
        columns = ["question_id", "source", "split", "doc_id"]
        columns += ["page_ids", "answers", "answer_types", "answer_page_index"]
        tables, parts = [self._empty("questions", *columns)], []
        for part in self.workspace.parts("questions"):
            table = self._of_source(self.workspace.read("questions", [part], columns))
            tables.append(table)
            parts.append(pa.repeat(part, table.num_rows))
        # One chunk: a value out of thousands of them costs a search each.
        self.questions = pa.concat_tables(tables).combine_chunks()
        self.question_parts = pa.chunked_array(parts, pa.string())
        self._question_ids = pc.unique(self.questions["question_id"])
        self._question_rows = _first_rows(self.questions["question_id"], self._question_ids)
        lengths = pc.list_value_length(self.questions["page_ids"]).to_numpy()
        self._page_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._page_codes = self.page_rows(pc.list_flatten(self.questions["page_ids"]))

    def _of_source(self, table: pa.Table) -> pa.Table:
        return table if self.source is None else table.filter(pc.equal(table["source"], self.source))

    def _empty(self, table: str, *columns: str) -> pa.Table:
        return self.workspace.read(table, [], columns)

    def page_rows(self, page_ids: pa.ChunkedArray) -> IntArray:
        """Rows of `pages` with these ids, -1 where there is none."""
        return _look_up(page_ids, self._page_ids, self._page_rows)

    def page_rows_of_batch(self, page_ids: pa.Array) -> IntArray:
        """`page_rows` for one of very many batches: that one takes up all the pages anew at each call."""
        found = page_ids.dictionary_encode()
        rows = [self._row_of_page.get(page_id, -1) for page_id in found.dictionary.to_pylist()]
        chosen: IntArray = np.array(rows, np.int64)[found.indices.to_numpy()]
        return chosen

    @cached_property
    def _row_of_page(self) -> dict[str, int]:
        return dict(zip(self._page_ids.to_pylist(), self._page_rows.tolist(), strict=True))

    def question_rows(self, question_ids: pa.ChunkedArray) -> IntArray:
        """Rows of `questions` with these ids, -1 where there is none."""
        return _look_up(question_ids, self._question_ids, self._question_rows)

    def _read(self, table: str, columns: list[str]) -> tuple[pa.Table, Place]:
        """Rows about this view's questions; a row about an unknown one belongs to the source that its id names."""
        parts = tuple(self.workspace.parts(table))
        tables = [self.workspace.read(table, [part], columns) for part in parts]
        lengths = [found.num_rows for found in tables]
        rows = np.concatenate([np.arange(n) for n in [0, *lengths]]).astype(np.int64)
        place = Place(parts, np.repeat(np.arange(len(parts)), lengths).astype(np.int64), rows)
        found = pa.concat_tables([self._empty(table, *columns), *tables])
        if self.source is None:
            return found, place
        ids = found["question_id"]
        ours = pc.or_(pc.is_in(ids, value_set=self._question_ids), pc.starts_with(ids, f"{self.source}/"))
        return found.filter(ours), place.chosen(ours.to_numpy())

    def _annotated(self) -> Layer:
        columns = ["question_id", "annotator", "region_id", "page_index", *XYXY, "quad", "role", "status", "origin"]
        rows, place = self._read("annotations", [*columns, "lead_time_s"])
        group = codes_of(rows["question_id"]) * (len(pc.unique(rows["annotator"])) + 1) + codes_of(rows["annotator"])
        is_region = pc.is_valid(rows["region_id"]).to_numpy()
        verdicts = rows.drop_columns(["region_id", "page_index", "quad", "role", "origin"]).filter(pa.array(~is_region))
        boxes = rows.drop_columns(["status", "lead_time_s"]).filter(pa.array(is_region))
        del rows  # hundreds of megabytes of a million questions, held while as much again is made of them
        return Layer(
            self._boxes("annotations", boxes, group[is_region], place.chosen(is_region)),
            Verdicts(
                "annotations",
                verdicts["question_id"],
                verdicts["annotator"],
                verdicts["status"],
                group[~is_region],
                np.asarray(np.isfinite(coordinates(verdicts)).any(axis=1)),
                verdicts["lead_time_s"].to_numpy().astype(np.float64),
                place.chosen(~is_region),
            ),
        )

    def _adjudicated(self) -> Layer:
        boxes, place = self._read("evidence", ["question_id", "evidence_id", "page_index", *XYXY, "role"])
        verdicts, verdict_place = self._read("verdicts", ["question_id", "status"])
        boxes = boxes.rename_columns({"evidence_id": "region_id"})
        for column in ("annotator", "origin", "quad"):
            boxes = boxes.append_column(column, pa.nulls(boxes.num_rows, pa.string()))
        group = codes_of(pa.chunked_array([*boxes["question_id"].chunks, *verdicts["question_id"].chunks], pa.string()))
        nobody = pa.chunked_array([pa.nulls(verdicts.num_rows, pa.string())])
        no_box, no_time = np.zeros(verdicts.num_rows, dtype=np.bool_), np.full(verdicts.num_rows, np.nan)
        ids, statuses, groups = verdicts["question_id"], verdicts["status"], group[boxes.num_rows :]
        return Layer(
            self._boxes("evidence", boxes, group[: boxes.num_rows], place),
            Verdicts("verdicts", ids, nobody, statuses, groups, no_box, no_time, verdict_place),
        )

    def _boxes(self, table: str, rows: pa.Table, group: IntArray, place: Place) -> Boxes:
        question = self.question_rows(rows["question_id"])
        page_index = pc.fill_null(rows["page_index"], -1).to_numpy().astype(np.int64)
        page = np.full(len(question), -1, dtype=np.int64)
        inside = (question >= 0) & (page_index >= 0)
        inside[inside] = page_index[inside] < self.n_pages_of[question[inside]]
        page[inside] = self._page_codes[self._page_offsets[question[inside]] + page_index[inside]]
        size = np.full((len(question), 2), np.nan)
        size[page >= 0] = self._sizes[page[page >= 0]]
        # A page whose size nobody knows is stored as 0 x 0: its boxes cannot be judged against it.
        size[(size < 1).any(axis=1)] = np.nan
        names = (rows["question_id"], rows["annotator"], rows["region_id"], rows["role"])
        rotated = pc.is_valid(rows["quad"]).to_numpy()
        xyxy = coordinates(rows)
        return Boxes(table, *names, group, question, page_index, page, xyxy, size, rows["origin"], rotated, place)


def _first_rows(column: pa.ChunkedArray, unique: pa.Array) -> IntArray:
    """For every value of `unique` the first row of `column` that holds it."""
    _, first = np.unique(pc.index_in(column, value_set=unique).to_numpy(), return_index=True)
    return first.astype(np.int64)


def _look_up(values: pa.ChunkedArray, unique: pa.Array, rows: IntArray) -> IntArray:
    codes = pc.fill_null(pc.index_in(values, value_set=unique), -1).to_numpy()
    found = np.full(len(codes), -1, dtype=np.int64)
    found[codes >= 0] = rows[codes[codes >= 0]]
    return found
