"""Workspaces made by hand for the tests of `loaders`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pinpoint_data.workspace import Workspace

Box = tuple[float, float, float, float]


def picture(width: int, height: int, shade: int = 200, *, orientation: int | None = None, kind: str = "PNG") -> bytes:
    """An image file; with an EXIF orientation its bytes say width x height before turning."""
    image = Image.new("RGB", (width, height), (shade, 10, 255 - shade))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format=kind, exif=exif)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def page(page_id: str, path: str, data: bytes | None = None, **changes: Any) -> dict[str, Any]:
    source, name = page_id.split("/", 1)
    return {
        "page_id": page_id,
        "doc_id": f"{source}/doc-{name}",
        "source": source,
        "path": path,
        "pdf_page": None,
        "dpi": None,
        "width": 120,
        "height": 80,
        "sha256": None if data is None else sha256(data),
        "ocr_path": None,
    } | changes


def question(question_id: str, split: str, page_ids: Sequence[str], **changes: Any) -> dict[str, Any]:
    source = question_id.split("/", 1)[0]
    return {
        "question_id": question_id,
        "source": source,
        "split": split,
        "doc_id": f"{source}/doc",
        "page_ids": list(page_ids),
        "question": f"What is {question_id}?",
        "answers": ["42", "forty-two"],
        "answer_types": ["single span"],
        "evidence_types": [],
        "answer_page_index": 0,
        "extra": json.dumps({"data_split": split}),
    } | changes


def annotation(question_id: str, annotator: str, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "annotator": annotator,
        "region_id": None,
        "page_index": None,
        "x0": None,
        "y0": None,
        "x1": None,
        "y1": None,
        "rotation": None,
        "quad": None,
        "role": None,
        "status": None,
        "origin": "import",
        "lead_time_s": None,
        "created_at": None,
        "raw": "{}",
    } | changes


def regions(
    question_id: str,
    boxes: Sequence[Box],
    *,
    annotator: str | None = None,
    role: str | None = "answer",
    page_index: int = 0,
    status: str | None = "evidence",
) -> list[dict[str, Any]]:
    """One row a box, then the verdict (left out with status None)."""
    name = annotator or f"gold:{question_id.split('/', 1)[0]}"
    rows = [
        annotation(
            question_id,
            name,
            region_id=f"r{index}",
            page_index=page_index,
            role=role,
            **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
        )
        for index, box in enumerate(boxes)
    ]
    return rows if status is None else [*rows, annotation(question_id, name, status=status)]


def write(ws: Workspace, table: str, part: str, rows: Sequence[dict[str, Any]]) -> None:
    with ws.writer(table, part) as writer:
        writer.write_rows(rows)


def write_part(
    ws: Workspace,
    part: str,
    pages: Sequence[dict[str, Any]],
    questions: Sequence[dict[str, Any]],
    gold: Sequence[dict[str, Any]],
    words: Sequence[dict[str, Any]] = (),
) -> None:
    """The tables of a part of a source; that of words only where there are any."""
    write(ws, "pages", part, pages)
    write(ws, "questions", part, questions)
    write(ws, "annotations", f"{part}.gold", gold)
    if words:
        write(ws, "words", part, words)


def add_source(ws: Workspace, name: str, root: Path, *, splits: Sequence[str] = ("train",), questions: int = 3) -> None:
    """A single-page source: per split a page with `questions` questions, each with two gold boxes."""
    ws.register_source(name, "records", root)
    (root / "images").mkdir(parents=True, exist_ok=True)
    for place, split in enumerate(splits):
        data = picture(120, 80, 10 + place)
        (root / "images" / f"{split}.png").write_bytes(data)
        ids = [f"{name}/{split}-{index}" for index in range(questions)]
        part = f"{name}-{split}"
        write(ws, "pages", part, [page(f"{name}/{split}", f"images/{split}.png", data)])
        write(ws, "questions", part, [question(id_, split, [f"{name}/{split}"]) for id_ in ids])
        boxes = [(1.0, 2.0, 30.5, 20.25), (40.0, 50.0, 90.0, 60.0)]
        write(ws, "annotations", f"{part}.gold", [row for id_ in ids for row in regions(id_, boxes)])


def add_documents(ws: Workspace, name: str, root: Path, *, split: str = "train", pages: int = 3) -> None:
    """A source whose questions have several pages; gold boxes on the second page."""
    ws.register_source(name, "mpdocvqa", root)
    (root / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(pages):
        data = picture(120, 80, 50 + index, kind="JPEG")
        (root / "images" / f"p{index}.jpg").write_bytes(data)
        rows.append(page(f"{name}/p{index}", f"images/p{index}.jpg", data))
    write(ws, "pages", f"{name}-{split}", rows)
    ids = [row["page_id"] for row in rows]
    asked = [question(f"{name}/{split}-{index}", split, ids, answer_page_index=1) for index in range(2)]
    write(ws, "questions", f"{name}-{split}", asked)
    gold = [row for q in asked for row in regions(q["question_id"], [(3.0, 4.0, 50.0, 44.0)], page_index=1)]
    write(ws, "annotations", f"{name}-{split}.gold", gold)
