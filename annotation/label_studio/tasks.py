"""Tasks for Label Studio from a workspace: questions, the pages as items, and boxes that are already drawn."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from annotation.judgements import load_judgements
from annotation.label_studio.geometry import Cutting
from annotation.label_studio.interface import INTERFACE_VERSION, PAGES, TASK_SCHEMA_VERSION
from annotation.label_studio.page_images import PageImages
from annotation.label_studio.prelabels import (
    Placed,
    Prelabels,
    Region,
    regions_of,
    results,
    shown_results,
    task_regions,
)
from annotation.label_studio.shelf import Shelf, ShownPage
from pinpoint_data.errors import PageError, Problem, UsageError
from pinpoint_data.words.base import well_formed
from pinpoint_data.workspace import Workspace

__all__ = ["Task", "TaskOptions", "build_tasks", "chosen_questions", "shown_annotators", "task_regions"]

_BATCH = 64
"""Questions whose pages are made together: pages are kept for one batch only."""

REVIEW = "review"
NO_ANSWER, NO_QUESTION = "(no answer given)", "(no question text)"


@dataclass(frozen=True)
class TaskOptions:
    """What tasks are made of.

    Attributes:
        prelabel: Annotator, or pattern of annotators, whose boxes are already drawn. Where several fit a question,
            the last in natural order (`proposal:lexical@2` over `@1`).
        sources: Only questions of these sources; empty is all.
        splits: Only questions of these splits; empty is all.
        questions: Only these questions; empty is all.
        undone: Only questions that nobody (proposals and gold are nobody) has finished.
        review: Annotators, or patterns, whose boxes are shown beside: makes review tasks.
        cutting: How tall pages are shown in parts.
        jobs: Threads that make page images.
    """

    prelabel: str | None = None
    sources: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    undone: bool = False
    review: tuple[str, ...] = ()
    cutting: Cutting = field(default_factory=Cutting)
    jobs: int = 1


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        pinpoint_id: The same for the same question, always; `review:` in front for a review.
        data: `task["data"]`; its `fingerprint` changes when an annotator would see something else.
        predictions: One prediction, or none.
    """

    pinpoint_id: str
    data: dict[str, Any]
    predictions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """Hash of all that an annotator sees; not of the addresses of the pages."""
        found: str = self.data["fingerprint"]
        return found

    def payload(self) -> dict[str, Any]:
        """What Label Studio's import takes."""
        predictions = {"predictions": self.predictions} if self.predictions else {}
        return {"data": self.data, **predictions}


def build_tasks(workspace: Workspace, options: TaskOptions, images: PageImages) -> Iterator[Task | Problem]:
    """The tasks of a workspace, in the order of its questions, with what could not be used in between.

    Page images are made on the way, for a batch of questions at a time.

    Raises:
        UsageError: A source, split, question or annotator that is asked for does not exist.
        WorkspaceError: The workspace or a source's folder cannot be used.
    """
    builder = _Builder(workspace, options, images)
    stream = iter(chosen_questions(workspace, options))
    with ThreadPoolExecutor(options.jobs) as threads:
        while batch := list(islice(stream, _BATCH)):
            builder.shelf.fetch({page for row in batch for page in row["page_ids"]}, threads)
            for row in batch:
                yield from builder.task(row)


def chosen_questions(workspace: Workspace, options: TaskOptions) -> list[dict[str, Any]]:
    """Rows of the questions that the options ask for.

    Raises:
        UsageError: A source, split or question that is asked for does not exist.
    """
    columns = ["question_id", "source", "split", "doc_id", "page_ids", "question", "answers"]
    rows = workspace.read("questions", columns=columns).to_pylist()
    for name, wanted in (("source", options.sources), ("split", options.splits), ("question_id", options.questions)):
        known = {row[name] for row in rows}
        if missing := [value for value in wanted if value not in known]:
            what = "question" if name == "question_id" else name
            listed = f"it has: {', '.join(sorted(known)[:20]) or 'none'}"
            raise UsageError(f"has no {what} {', '.join(missing[:5])}", file=workspace.path, remedy=listed)
    done = _finished(workspace) if options.undone else set()
    named = set(options.questions)
    return [
        row
        for row in rows
        if (not options.sources or row["source"] in options.sources)
        and (not options.splits or row["split"] in options.splits)
        and (not named or row["question_id"] in named)
        and row["question_id"] not in done
    ]


def shown_annotators(workspace: Workspace, review: Sequence[str]) -> tuple[str, ...]:
    """The annotators that the patterns of a review mean: the labels of its interface.

    Raises:
        UsageError: A pattern fits nobody.
    """
    return Prelabels(workspace, review).annotators


class _Builder:
    def __init__(self, workspace: Workspace, options: TaskOptions, images: PageImages) -> None:
        self.shelf = Shelf(workspace, options.cutting, images)
        self.review = bool(options.review)
        self.prelabels = Prelabels(workspace, [options.prelabel] if options.prelabel else [])
        self.shown = Prelabels(workspace, options.review)
        self.seen: set[str] = set()

    def task(self, row: Mapping[str, Any]) -> Iterator[Task | Problem]:
        """The task of a question, after the problems of its boxes; or the one problem that leaves no task."""
        question_id = row["question_id"]
        if question_id in self.seen:
            yield Problem("duplicate-id", "questions", question_id, "stands twice", "run `pinpoint validate`")
            return
        self.seen.add(question_id)
        if not row["page_ids"]:
            yield Problem("no-pages", "questions", question_id, "has no pages", "ingest its source again")
            return
        try:
            pages = [self.shelf.page(page_id) for page_id in row["page_ids"]]
        except PageError as error:
            yield Problem.of(error, code="bad-page", file="pages", record=question_id)
            return
        problems: list[Problem] = []
        sizes = [page.size for page in pages]
        newest = list(self.prelabels.of(question_id).items())[-1:]
        prelabel = {who: regions_of(rows, sizes, problems) for who, rows in newest}
        shown = {who: regions_of(rows, sizes, problems) for who, rows in self.shown.of(question_id).items()}
        yield from problems
        yield _task(row, pages, prelabel, shown, review=self.review)


def _task(
    row: Mapping[str, Any],
    pages: Sequence[ShownPage],
    prelabel: Mapping[str, Sequence[Region]],
    shown: Mapping[str, Sequence[Region]],
    *,
    review: bool,
) -> Task:
    question_id = row["question_id"]
    items = [
        item
        for place, (page, page_id) in enumerate(zip(pages, row["page_ids"], strict=True))
        for item in page.items(place, page_id)
    ]
    version, regions = next(iter(prelabel.items()), (None, ()))
    placed = task_regions(regions, items)
    result = [*results(placed, items), *shown_results(shown, items)]
    data: dict[str, Any] = {
        "pinpoint_id": f"{REVIEW}:{question_id}" if review else question_id,
        "kind": REVIEW if review else "annotation",
        "schema_version": TASK_SCHEMA_VERSION,
        **{name: row[name] for name in ("question_id", "source", "split", "doc_id")},
        "question": clean(row["question"]) or NO_QUESTION,
        "answers": " | ".join(filter(None, map(clean, row["answers"]))) or NO_ANSWER,
        PAGES: [url for page in pages for url in page.urls],
        "items": [item.to_json() for item in items],
        "prelabel": _remembered(version, placed),
    }
    data["fingerprint"] = _fingerprint(data, [page.sha256 for page in pages], result)
    scores = [region.score for region in regions if region.score is not None]
    prediction = {
        "model_version": version or REVIEW,
        **({"score": sum(scores) / len(scores)} if scores else {}),
        "result": result,
    }
    return Task(data["pinpoint_id"], data, [prediction] if result else [])


def _remembered(version: str | None, placed: Sequence[Placed]) -> dict[str, Any] | None:
    return {"annotator": version, "regions": {one.name: one.entry() for one in placed}} if placed else None


def _fingerprint(data: Mapping[str, Any], hashes: Sequence[str | None], result: Sequence[Mapping[str, Any]]) -> str:
    seen = {name: data[name] for name in ("pinpoint_id", "question", "answers", "items", "prelabel")}
    text = json.dumps([INTERFACE_VERSION, seen, hashes, result], sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def clean(text: str) -> str:
    """Text that every server and browser takes: lone surrogates and control characters become U+FFFD."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c
        for c in well_formed(text).replace("\r\n", "\n")
    ).strip()


def _finished(workspace: Workspace) -> set[str]:
    found = load_judgements(workspace).by_question
    return {question for question, judged in found.items() if any(one.done for one in judged)}
