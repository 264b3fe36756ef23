"""Small workspaces made by hand, row by row, without any reader."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from pinpoint_data.cli import main
from pinpoint_data.workspace import Workspace

Row = dict[str, Any]
GOLD = "gold:toy"


def page(page_id: str = "toy/p0", width: int = 1000, height: int = 800, **more: Any) -> Row:
    row = {
        "page_id": page_id,
        "doc_id": "toy/d",
        "source": "toy",
        "path": f"{page_id}.png",
        "pdf_page": None,
        "dpi": None,
        "width": width,
        "height": height,
        "sha256": None,
        "ocr_path": None,
    }
    return row | more


def question(question_id: str = "toy/q0", pages: Iterable[str] = ("toy/p0",), **more: Any) -> Row:
    row = {
        "question_id": question_id,
        "source": "toy",
        "split": "train",
        "doc_id": "toy/d",
        "page_ids": list(pages),
        "question": "How much?",
        "answers": [],
        "answer_types": [],
        "evidence_types": [],
        "answer_page_index": None,
        "extra": "{}",
    }
    return row | more


def verdict(question_id: str = "toy/q0", status: str | None = "evidence", annotator: str = GOLD, **more: Any) -> Row:
    names = ("region_id", "page_index", "x0", "y0", "x1", "y1", "rotation", "quad", "role", "lead_time_s", "created_at")
    row = dict.fromkeys(names) | {"question_id": question_id, "annotator": annotator, "status": status}
    return row | {"origin": "test", "raw": ""} | more


def region(xyxy: Iterable[float | None], question_id: str = "toy/q0", region_id: str = "r0", **more: Any) -> Row:
    corners = dict(zip(("x0", "y0", "x1", "y1"), xyxy, strict=True))
    row = verdict(question_id, None) | {"region_id": region_id, "page_index": 0, "role": "answer"}
    return row | corners | more


def evidence(xyxy: Iterable[float], question_id: str = "toy/q0", evidence_id: str = "e0", **more: Any) -> Row:
    row = {
        "question_id": question_id,
        "evidence_id": evidence_id,
        "page_index": 0,
        **dict(zip(("x0", "y0", "x1", "y1"), xyxy, strict=True)),
        "role": "answer",
        "text": None,
        "votes": 2,
        "annotators": ["a", "b"],
        "score": None,
        "policy": "majority",
    }
    return row | more


def decided(question_id: str = "toy/q0", status: str = "evidence") -> Row:
    return {"question_id": question_id, "status": status, "agreement": None, "policy": "majority", "decided_by": "test"}


def word(text: str, xyxy: Iterable[float], page_id: str = "toy/p0") -> Row:
    corners = dict(zip(("x0", "y0", "x1", "y1"), xyxy, strict=True))
    return {"page_id": page_id, "line": 0, "text": text, **corners, "confidence": None, "engine": "test"}


def workspace(path: Path, tables: Mapping[str, Mapping[str, list[Row]]]) -> Workspace:
    """A workspace with these rows: `{"pages": {"toy-train": [page()]}, ...}`."""
    made = Workspace.create(path)
    for table, parts in tables.items():
        for part, rows in parts.items():
            with made.writer(table, part) as writer:
                writer.write_rows(rows)
    return made


def toy(path: Path, annotations: list[Row] | None = None, **tables: list[Row]) -> Workspace:
    """One part of each table; by default one sound page, question, box, verdict and word."""
    rows = {
        "pages": [page()],
        "questions": [question()],
        "annotations": [verdict(), region((100, 100, 200, 150))] if annotations is None else annotations,
        "words": [word("total", (100, 100, 150, 120))],
    }
    return workspace(path, {table: {"toy-train": found} for table, found in (rows | tables).items()})


def viscot(path: Path, files: Iterable[Path]) -> Workspace:
    """Visual-CoT's box files (one JSON object a line, no images) as a workspace, one source a file."""
    tables: dict[str, dict[str, list[Row]]] = {"pages": {}, "questions": {}, "annotations": {}}
    for file in files:
        name = file.name.split(".")[0]
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        sizes = {r["img_path"]: (r["width"], r["height"]) for r in records}
        part = f"{name}-validation"
        tables["pages"][part] = [page(f"{name}/{i}", *wh, source=name) for i, wh in sizes.items()]
        rows, boxes = [], []
        for record in records:
            question_id = f"{name}/{record['question_id']}"
            image = f"{name}/{record['img_path']}"
            rows.append(question(question_id, [image], source=name, split="validation"))
            boxes += [region(record["bbox"], question_id), verdict(question_id)]
        tables["questions"][part], tables["annotations"][f"{part}.gold"] = rows, boxes
    return workspace(path, tables)


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def pinpoint(*arguments: object) -> Done:
    """Run `pinpoint ...` in this process: what a user sees, without the second that starting Python takes."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["pinpoint", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit_:
            return Done(int(exit_.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main always exits")
