"""Workspaces of judged questions, made by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from annotation.judgements import Judgement
from pinpoint_data.workspace import Workspace
from tests.loaders.build import Box, annotation, page, picture, question, write

Marked = tuple[int, Box, str]
"""Page index, box, role."""

PART = "funsd-train"


def marks(*boxes: Box, role: str = "answer", page_index: int = 0) -> list[Marked]:
    return [(page_index, box, role) for box in boxes]


def judgement(
    annotator: str, boxes: Iterable[Marked] = (), status: str = "evidence", question_id: str = "funsd/q"
) -> Judgement:
    """As `load_judgements` would give it."""
    rows = sorted(boxes)
    return Judgement(
        question_id,
        annotator,
        status,
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        tuple(row[2] for row in rows),
        ("new",) * len(rows),
        tuple(f"r{place}" for place in range(len(rows))),
    )


def work(
    question_id: str, annotator: str, boxes: Iterable[Marked] = (), status: str | None = "evidence", **verdict: Any
) -> list[dict[str, Any]]:
    """Rows of one judgement."""
    rows = [
        annotation(
            question_id,
            annotator,
            region_id=f"r{place}",
            page_index=page_index,
            role=role,
            origin="new",
            **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)),
        )
        for place, (page_index, box, role) in enumerate(boxes)
    ]
    return rows if status is None else [*rows, annotation(question_id, annotator, status=status, **verdict)]


def workspace(
    folder: Path, questions: Sequence[str], rows: Iterable[Mapping[str, Any]], *, pages: int = 2
) -> Workspace:
    """Questions `funsd/...`, each over its own document of some pages of 120 x 80 pixels, and judgements."""
    ws = Workspace.create(folder / "ws")
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "p.png").write_bytes(picture(120, 80))
    ws.register_source("funsd", "records", root)
    ids = {q: [f"{q}-p{index}" for index in range(pages)] for q in questions}
    data = (root / "p.png").read_bytes()
    write(ws, "pages", PART, [page(p, "p.png", data, doc_id=f"{q}-doc") for q, names in ids.items() for p in names])
    write(ws, "questions", PART, [question(q, "train", names, doc_id=f"{q}-doc") for q, names in ids.items()])
    write(ws, "annotations", "label-studio.test", [dict(row) for row in rows])
    return ws


def add_words(ws: Workspace, page_id: str, lines: Sequence[Sequence[tuple[str, Box]]], part: str = PART) -> None:
    """Words of one page; the only ones of the part."""
    rows = [
        {"page_id": page_id, "line": number, "text": text, "confidence": None, "engine": "test"}
        | dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
        for number, line in enumerate(lines)
        for text, box in line
    ]
    write(ws, "words", part, rows)


def noisy(truth: Sequence[Marked], rng: random.Random, *, jitter: float, miss: float, extra: float) -> list[Marked]:
    """What an annotator draws who jitters edges (pixels), misses boxes and adds one too many."""
    found = []
    for page_index, box, role in truth:
        if rng.random() >= miss:
            x0, y0, x1, y1 = (value + rng.gauss(0, jitter) for value in box)
            found.append((page_index, (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), role))
    if rng.random() < extra:
        x, y = rng.uniform(0, 90), rng.uniform(0, 60)
        found.append((rng.randrange(2), (x, y, x + rng.uniform(5, 30), y + rng.uniform(5, 15)), "support"))
    return found


def campaign(
    count: int, people: int, seed: int = 0, *, jitter: float = 0.6, miss: float = 0.15, extra: float = 0.2
) -> tuple[dict[str, list[Marked]], list[dict[str, Any]]]:
    """True boxes by question, and the rows of some people's work on all of them."""
    rng = random.Random(seed)
    truth = {
        f"funsd/{number:03}": [
            (
                rng.randrange(2),
                (x, y, x + rng.uniform(10, 30), y + rng.uniform(6, 12)),
                rng.choice(["answer", "support"]),
            )
            for x, y in rng.sample([(5.0, 5.0), (50.0, 5.0), (5.0, 30.0), (50.0, 30.0), (5.0, 60.0)], rng.randint(1, 3))
        ]
        for number in range(count)
    }
    rows = [
        row
        for person in range(people)
        for question_id, boxes in truth.items()
        for row in work(
            question_id,
            f"label-studio:{person}",
            noisy(boxes, rng, jitter=jitter, miss=miss, extra=extra),
            lead_time_s=10.0 + person,
            raw=json.dumps({"deleted": []}),
        )
    ]
    return truth, rows
