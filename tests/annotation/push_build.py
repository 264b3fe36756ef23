"""Workspaces for the tests of `push`: questions on pages, with boxes of `proposal:test@1`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinpoint_data.workspace import Workspace
from tests.loaders import build

PRELABEL = "proposal:test@1"


def questions(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Question rows on two pages in turn."""
    return [build.question(f"hand/q{i:03d}", "train", [f"hand/p{i % 2}"], **changes) for i in range(count)]


def boxes(rows: Sequence[dict[str, Any]], annotator: str = PRELABEL, shift: float = 0.0) -> list[dict[str, Any]]:
    """One answer box a question."""
    box = (1.5 + shift, 2.25, 30.125 + shift, 20.0)
    return [row for asked in rows for row in build.regions(asked["question_id"], [box], annotator=annotator)]


def workspace(place: Path, count: int = 6) -> Workspace:
    """A workspace with `count` questions on two pages."""
    ws, root = Workspace.create(place / "ws"), place / "raw"
    ws.register_source("hand", "records", root)
    (root / "images").mkdir(parents=True)
    pages = []
    for index in range(2):
        data = build.picture(120, 80, 40 + 90 * index)
        (root / "images" / f"p{index}.png").write_bytes(data)
        pages.append(build.page(f"hand/p{index}", f"images/p{index}.png", data))
    build.write(ws, "pages", "hand-train", pages)
    asked = questions(count)
    build.write(ws, "questions", "hand-train", asked)
    build.write(ws, "annotations", "hand-train.proposal-test", boxes(asked))
    return ws
