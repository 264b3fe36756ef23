"""Input of any size for `growth.py`: records over small pages, their OCR, and what a Label Studio exports of them.

A page has 20 lines of a label and a value, and ten questions for values. Its picture is one of 200 drawings, with the
page's number in a text chunk: every file has a hash of its own, and is under two kilobytes. Pages of one drawing share
an OCR file. All questions bring gold boxes of the value and its label; a share of them was also annotated by three of
six people, with boxes that are a little off, now and then elsewhere, or with another verdict. The same arguments give
the same bytes.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

QUESTIONS_A_PAGE, PAGES_A_DOCUMENT, DRAWINGS, LINES = 10, 5, 200, 20
WIDTH, HEIGHT = 850, 1100
PEOPLE, RATERS = 6, 3
SOURCE = "scale"
WHEN = "2026-03-{day:02d}T10:00:00.000000Z"
_LABELS = (
    "Weight",
    "Length",
    "Price",
    "Rooms",
    "Seats",
    "Staff",
    "Visitors",
    "Harvest",
    "Depth",
    "Speed",
    "Budget",
    "Rainfall",
    "Exports",
    "Votes",
)
_OF = ("north", "south", "east", "west", "upper", "lower", "first", "second", "third", "old", "new", "main")

Box = tuple[float, float, float, float]
Json = dict[str, Any]


def line_of(drawing: int, line: int) -> tuple[str, str, str]:
    """The two words of a line's label and its value."""
    return (
        _OF[(drawing + line) % len(_OF)],
        _LABELS[(7 * drawing + 3 * line) % len(_LABELS)],
        str(1000 + drawing * LINES + line),
    )


def boxes_of(line: int) -> tuple[Box, Box, Box]:
    """Where the words of a line stand."""
    y = 60.5 + 50 * line
    return (80.25, y, 150.0, y + 22), (160.0, y, 290.75, y + 22), (520.5, y, 600.125, y + 22)


def question_lines(drawing: int) -> list[int]:
    """The lines that the questions of a page ask for."""
    return random.Random(drawing).sample(range(LINES), QUESTIONS_A_PAGE)


def drawing_png(drawing: int) -> bytes:
    """The picture of a page: a bar for each word."""
    image = Image.new("1", (WIDTH, HEIGHT), 1)
    pen = ImageDraw.Draw(image)
    for line in range(LINES):
        for box, word in zip(boxes_of(line), line_of(drawing, line), strict=True):
            pen.rectangle((box[0], box[1] + 3, min(box[2], box[0] + 11 * len(word)), box[3] - 3), fill=0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def numbered(png: bytes, page: int) -> bytes:
    """A PNG with a number in a text chunk before its end."""
    chunk = b"tEXt" + b"Page\0" + str(page).encode()
    end = png.rindex(b"IEND") - 4
    return png[:end] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[end:]


def page_name(page: int) -> str:
    return f"{page // 1000:04d}/{page:07d}"


def write_pages(folder: Path, pages: int) -> None:
    """Pictures under `pages/`, OCR under `ocr/`."""
    drawings = range(min(DRAWINGS, pages))
    pictures = [drawing_png(drawing) for drawing in drawings]
    (folder / "ocr").mkdir(parents=True)
    for drawing in drawings:
        texts = [word for line in range(LINES) for word in line_of(drawing, line)]
        places = [list(box) for line in range(LINES) for box in boxes_of(line)]
        document = {"words": texts, "bounding_boxes": places, "width": WIDTH, "height": HEIGHT}
        (folder / "ocr" / f"{drawing:03d}.json").write_text(json.dumps(document), encoding="ascii")
    for page in range(pages):
        path = folder / "pages" / f"{page_name(page)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(numbered(pictures[page % DRAWINGS], page))


def gold_box(number: int, box: Box) -> Box:
    """The value's box; one in a hundred is on another line, one in 333 leaves the page."""
    x0, y0, x1, y1 = box
    if number % 333 == 332:
        return x0, y0, WIDTH + 2.5, y1
    away = 0 if number % 100 != 99 else -300 if y0 > 300 else 300
    return x0, y0 + away, x1, y1 + away


def records(questions: int) -> Iterator[Json]:
    """The lines of `questions.jsonl`."""
    lines = [question_lines(drawing) for drawing in range(DRAWINGS)]
    for number in range(questions):
        page, place = divmod(number, QUESTIONS_A_PAGE)
        drawing, document = page % DRAWINGS, page // PAGES_A_DOCUMENT
        line = lines[drawing][place]
        of, label, value = line_of(drawing, line)
        _, name, box = boxes_of(line)
        box = gold_box(number, box)
        yield {
            "question_id": f"q{number:07d}",
            "question": f"What is the {label.lower()} of the {of} house on sheet {page}?",
            "pages": [{"path": f"pages/{page_name(page)}.png", "ocr": f"ocr/{drawing:03d}.json"}],
            "doc_id": f"d{document:06d}",
            "split": "validation" if document % 10 == 9 else "train",
            "answers": [value],
            "answer_types": ["number"],
            "answer_page_index": 0,
            "evidence": [{"xyxy": box}, {"xyxy": name, "role": "support"}],
        }


def region(name: str, box: Box, role: str) -> Json:
    """A box drawn by hand, as the raw export has it."""
    x0, y0, x1, y1 = box
    value = {"x": x0 * 100 / WIDTH, "y": y0 * 100 / HEIGHT}
    value |= {"width": (x1 - x0) * 100 / WIDTH, "height": (y1 - y0) * 100 / HEIGHT, "rotation": 0}
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "item_index": 0,
        "value": value | {"rectanglelabels": [role]},
        "id": name,
        "from_name": "evidence",
        "to_name": "pages",
        "type": "rectanglelabels",
        "origin": "manual",
    }


def result_of(chance: random.Random, number: int, boxes: tuple[Box, Box]) -> list[Json]:
    """What one person submits."""
    fate = chance.random()
    status = "no_evidence" if fate < 0.03 else "unanswerable" if fate < 0.04 else "evidence"
    choice = {"value": {"choices": [status]}, "id": f"s{number}", "from_name": "status", "to_name": "pages"}
    result = [choice | {"type": "choices", "origin": "manual"}]
    if status == "evidence":
        # One in twenty marks another line.
        away = 0.0 if fate <= 0.95 else -200.0 if boxes[0][1] > 500 else 200.0
        for place, (box, role) in enumerate(zip(boxes, ("answer", "support"), strict=True)):
            if role == "answer" or chance.random() < 0.8:
                x0, y0, x1, y1 = (side + chance.uniform(-3, 3) for side in box)
                result.append(region(f"r{number}{place}", (x0, y0 + away, min(x1, WIDTH), y1 + away), role))
    return result


def annotation(chance: random.Random, number: int, user: int, task: int, boxes: tuple[Box, Box]) -> Json:
    """One person's work on one task; every fiftieth is skipped."""
    skipped = chance.random() < 0.02
    when = WHEN.format(day=1 + number % 28)
    return {
        "id": number,
        "completed_by": user,
        "result": [] if skipped else result_of(chance, number, boxes),
        "was_cancelled": skipped,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "draft_created_at": None,
        "lead_time": round(chance.lognormvariate(3.2, 0.5), 3),
        "prediction": {},
        "unique_id": f"00000000-0000-4000-8000-{number:012}",
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "task": task,
        "project": 1,
        "updated_by": user,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    }


def tasks(questions: int, every: int) -> Iterator[Json]:
    """The tasks of a raw export: every so manieth question, annotated by three people."""
    item = {"page_index": 0, "x0": 0, "y0": 0, "width": WIDTH, "height": HEIGHT}
    item |= {"page_width": WIDTH, "page_height": HEIGHT}
    for task, record in enumerate(records(questions)):
        if task % every:
            continue
        chance = random.Random(task)
        name = f"{SOURCE}/{record['question_id']}"
        page = f"{SOURCE}/{record['pages'][0]['path'].removesuffix('.png')}"
        value, label = (one["xyxy"] for one in record["evidence"])
        people = sorted(chance.sample(range(1, PEOPLE + 1), RATERS))
        data = {
            "pinpoint_id": name,
            "kind": "annotation",
            "schema_version": 1,
            "question_id": name,
            "question": record["question"],
            "answers": record["answers"][0],
            "pages": [f"/data/local-files/?d={page}.png"],
            "items": [{"page_id": page} | item],
            "prelabel": None,
            "fingerprint": f"{task:064x}",
        }
        works = [annotation(chance, task * RATERS + at, who, task + 1, (value, label)) for at, who in enumerate(people)]
        head = {"id": task + 1, "annotations": works, "drafts": [], "predictions": [], "data": data, "meta": {}}
        yield head | {"created_at": WHEN.format(day=1), "updated_at": WHEN.format(day=28), "project": 1}


def make_input(folder: Path, questions: int, every: int) -> None:
    """Write `questions.jsonl`, `pages/`, `ocr/` and `export.json` into a new folder."""
    write_pages(folder, -(-questions // QUESTIONS_A_PAGE))
    with (folder / "questions.jsonl").open("w", encoding="ascii") as handle:
        handle.writelines(json.dumps(record) + "\n" for record in records(questions))
    with (folder / "export.json").open("w", encoding="ascii") as handle:
        handle.write("[")
        for place, task in enumerate(tasks(questions, every)):
            handle.write((",\n" if place else "") + json.dumps(task))
        handle.write("]")
