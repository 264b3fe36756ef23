"""What is known of the questions that were judged."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from pinpoint_data.workspace import Workspace

_COLUMNS = ("question_id", "source", "split", "doc_id", "page_ids")


class Asked(NamedTuple):
    """A question's place: its part of the table, source, split, document and pages."""

    part: str
    source: str
    split: str
    doc_id: str
    page_ids: tuple[str, ...]


def load_asked(workspace: Workspace, question_ids: Container[str]) -> dict[str, Asked]:
    """The questions of a workspace that are in `question_ids`, in the order of the table."""
    found = {}
    for part in workspace.parts("questions"):
        for row in workspace.iter_rows("questions", [part], _COLUMNS):
            if row["question_id"] in question_ids:
                pages = tuple(row["page_ids"])
                found[row["question_id"]] = Asked(part, row["source"], row["split"], row["doc_id"], pages)
    return found
