"""The questions that wait for a person: WS/files/adjudication/conflicts.json, made anew by every adjudication."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.adjudication.consensus import Candidate
from annotation.adjudication.decide import Ruling
from pinpoint_data.atomic import write_json
from pinpoint_data.errors import WorkspaceError
from pinpoint_data.small_files import read_regular
from pinpoint_data.workspace import Workspace


@dataclass(frozen=True)
class Conflict:
    """A question that votes could not decide.

    Attributes:
        question_id: The question.
        code: Why; a key of `annotation.adjudication.decide.CONFLICTS`.
        voters: Finished judgements: annotator -> status.
        candidates: Every box that anybody means.
    """

    question_id: str
    code: str
    voters: dict[str, str]
    candidates: tuple[Candidate, ...]

    @property
    def likely(self) -> tuple[Candidate, ...]:
        """The candidates that half or more of those mean who say that there is evidence."""
        marking = list(self.voters.values()).count("evidence")
        return tuple(box for box in self.candidates if 2 * len(box.voters) >= marking)


def conflicts_path(workspace: Workspace) -> Path:
    """Where the conflicts are, or would be."""
    return workspace.path / "files" / "adjudication" / "conflicts.json"


def write_conflicts(workspace: Workspace, rulings: Iterable[Ruling]) -> None:
    """Replace the conflicts, atomically."""
    found = [
        {
            "question_id": ruling.question_id,
            "conflict": ruling.conflict,
            "voters": ruling.voters,
            "candidates": [_to_json(box) for box in ruling.candidates],
        }
        for ruling in rulings
    ]
    write_json(conflicts_path(workspace), found)


def read_conflicts(workspace: Workspace) -> dict[str, Conflict]:
    """Question id -> conflict, in the order of the table of questions.

    Raises:
        WorkspaceError: Nothing was adjudicated yet, or the file is damaged.
    """
    path = conflicts_path(workspace)
    try:
        found = json.loads(read_regular(path))
        return {row["question_id"]: _conflict(row) for row in found}
    except FileNotFoundError as error:
        raise WorkspaceError("has no conflicts yet", file=workspace.path, remedy="run `pinpoint adjudicate`") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise WorkspaceError(f"is damaged: {error}", file=path, remedy="run `pinpoint adjudicate` again") from error


def _to_json(box: Candidate) -> dict[str, Any]:
    return {
        "page_index": box.page_index,
        "xyxy": list(box.xyxy),
        "role": box.role,
        "drawn_by": list(box.drawn_by),
        "meant_by": list(box.meant_by),
        "score": box.score,
    }


def _conflict(row: dict[str, Any]) -> Conflict:
    boxes = tuple(_candidate(box) for box in row["candidates"])
    return Conflict(str(row["question_id"]), str(row["conflict"]), dict(row["voters"]), boxes)


def _candidate(box: dict[str, Any]) -> Candidate:
    x0, y0, x1, y1 = map(float, box["xyxy"])
    people = tuple(map(str, box["drawn_by"])), tuple(map(str, box["meant_by"]))
    return Candidate(int(box["page_index"]), (x0, y0, x1, y1), str(box["role"]), *people, float(box["score"]))
