"""People's decisions over the vote: a JSONL file that a person may read, edit and undo by deleting a line.

WS/files/adjudication/overlay.jsonl, one decision a line; the last line of a question holds:

    {"question_id": "infovqa/98313", "status": "evidence", "boxes": [{"page_index": 0, "xyxy": [1, 2, 30, 20],
     "role": "answer"}], "decided_by": "label-studio:3", "decided_at": "2026-01-31T12:00:00Z", "note": ""}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotation.judgements import DONE, box_fault
from pinpoint_data.atomic import write_bytes
from pinpoint_data.errors import Problem, UsageError, WorkspaceError
from pinpoint_data.schema import ROLES
from pinpoint_data.small_files import read_regular
from pinpoint_data.words.base import number, well_formed
from pinpoint_data.workspace import Workspace

DECIDABLE = (*DONE, "unfinished")
"""Statuses a person may decide; `unfinished` holds a question back, whatever the votes say."""

Box = tuple[float, float, float, float]
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class DecidedBox:
    """One evidence box of a decision: page index inside the question, page pixels, role."""

    page_index: int
    xyxy: Box
    role: str = "answer"


@dataclass(frozen=True)
class Decision:
    """What a person decided about a question.

    Attributes:
        question_id: The question.
        status: One of `DECIDABLE`.
        boxes: The evidence; empty unless the status is `evidence`.
        decided_by: Who.
        decided_at: When, ISO 8601, where known.
        note: Free text.

    Raises:
        UsageError: The values make no decision: see `Decision.fault`.
    """

    question_id: str
    status: str
    boxes: tuple[DecidedBox, ...]
    decided_by: str
    decided_at: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if fault := self.fault():
            raise UsageError(fault, record=self.question_id)

    def fault(self) -> str | None:
        """What is wrong with it, if anything is."""
        if self.status not in DECIDABLE:
            return f"status {self.status!r} is not one of {', '.join(DECIDABLE)}"
        if (self.status == "evidence") != bool(self.boxes):
            return f"status {self.status!r} with {len(self.boxes)} boxes: only evidence has boxes, and at least one"
        for box in self.boxes:
            if fault := box_fault(box.xyxy):
                return f"a box {fault}"
            if box.page_index < 0 or box.role not in ROLES:
                return f"a box is on page {box.page_index} with role {box.role!r}; roles are {', '.join(ROLES)}"
        return None

    def line(self) -> str:
        """The decision as a line of the overlay, without line end."""
        boxes = [{"page_index": b.page_index, "xyxy": list(b.xyxy), "role": b.role} for b in self.boxes]
        value = {
            "question_id": self.question_id,
            "status": self.status,
            "boxes": boxes,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at,
            "note": self.note,
        }
        return well_formed(json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class Overlay:
    """The decisions of a workspace.

    Attributes:
        decisions: Question id -> the decision that holds.
        problems: Lines that are no decision, by number.
    """

    decisions: dict[str, Decision] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def overlay_path(workspace: Workspace) -> Path:
    """Where the overlay is, or would be."""
    return workspace.path / "files" / "adjudication" / "overlay.jsonl"


def read_overlay(workspace: Workspace) -> Overlay:
    """Read the decisions; a line that is none becomes a problem and the others hold.

    Raises:
        WorkspaceError: The file is there but cannot be read.
    """
    path = overlay_path(workspace)
    decisions: dict[str, Decision] = {}
    problems = []
    for place, line in enumerate(_bytes(path).removeprefix(_BOM).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            decision = _decision(line)
        except (ValueError, RecursionError, UsageError) as error:
            fault = error.message if isinstance(error, UsageError) else str(error)
            problems.append(
                Problem("bad-decision", path.name, f"line {place}", fault, f"correct or delete the line in {path}")
            )
        else:
            decisions[decision.question_id] = decision
    return Overlay(decisions, tuple(problems))


def append_decisions(workspace: Workspace, decisions: Iterable[Decision]) -> int:
    """Add decisions at the end of the overlay, all or none; what stands there stays byte for byte.

    A decision that stands in the file already, word for word, is not added again: a second pull adds nothing and
    does not undo what a person changed since. Hold the workspace's lock.

    Returns:
        How many were added.

    Raises:
        WorkspaceError: The file is there but cannot be read.
    """
    path = overlay_path(workspace)
    before = _bytes(path)
    known = {line.rstrip(b"\r") for line in before.removeprefix(_BOM).split(b"\n")}
    lines = dict.fromkeys(decision.line().encode() for decision in decisions)
    added = [line for line in lines if line not in known]
    if added:
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        write_bytes(path, before + gap + b"\n".join(added) + b"\n")
    return len(added)


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise WorkspaceError(
            f"cannot be read: {error.strerror}", file=path, remedy="make it a readable file"
        ) from error


def _decision(line: bytes) -> Decision:
    value = json.loads(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("a decision is a JSON object")
    boxes = value.get("boxes", [])
    if not isinstance(boxes, list):
        raise ValueError(f"boxes must be a list, found {_short(boxes)}")
    decided_at = value.get("decided_at")
    return Decision(
        _text(value, "question_id"),
        _text(value, "status"),
        tuple(_box(box) for box in boxes),
        _text(value, "decided_by"),
        None if decided_at is None else _text(value, "decided_at"),
        _text(value, "note") if value.get("note") else "",
    )


def _box(value: Any) -> DecidedBox:
    if not isinstance(value, dict):
        raise ValueError(f"a box must be an object, found {_short(value)}")
    page, xyxy = value.get("page_index"), value.get("xyxy")
    if isinstance(page, bool) or not isinstance(page, int) or page >= 1 << 31:
        raise ValueError(f"page_index must be a whole number, found {_short(page)}")
    if not isinstance(xyxy, list) or len(xyxy) != 4:
        raise ValueError(f"xyxy must be four numbers, found {_short(xyxy)}")
    x0, y0, x1, y1 = map(number, xyxy)
    return DecidedBox(page, (x0, y0, x1, y1), _text(value, "role"))


def _text(value: dict[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or (not text and key != "note"):
        raise ValueError(f"{key} must be a text that is not empty, found {_short(text)}")
    return well_formed(text)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
