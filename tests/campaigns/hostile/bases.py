"""The files that cases start from: small, sound, and of every layout that is read.

Each function fills an empty folder, in which the commands of its kinds then run. Paths are relative to it. `link` and
`loop` in a source's folder are what a stranger's archive may hold: a way out, and a circle.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from pinpoint_data.workspace import Workspace
from tests.annotation import export_build, report_build
from tests.loaders.build import regions, write
from tests.sources.build import info_record, infovqa, mp_record, mpdocvqa, png, put, put_lines, sp_record
from tests.words.build import pdf, textract_word


def _traps(root: Path) -> None:
    (root / "link").symlink_to("../../outside")
    (root / "loop").symlink_to("loop")


def infographics(folder: Path) -> None:
    """InfographicVQA with an evidence file beside it."""
    root = infovqa(folder / "root", [info_record(1), info_record(2, "30002.png"), info_record(3)])
    box = {"page": 0, "xyxy": [1, 2, 30, 20], "role": "answer"}
    lines = [{"questionId": 1, "evidence": [box]}, {"questionId": 2, "evidence": [box, box | {"role": "support"}]}]
    put_lines(folder / "gold.jsonl", lines)
    _traps(root)


def letters(folder: Path) -> None:
    """SP-DocVQA."""
    root = folder / "root"
    put(root / "train_v1.0_withQT.json", {"dataset_name": "d", "data": [sp_record(n) for n in range(3)]})
    put(root / "documents" / "abc_1.png", png())
    put(root / "ocr_results" / "abc_1.json", {"recognitionResults": []})
    _traps(root)


def documents(folder: Path) -> None:
    """MP-DocVQA."""
    root = mpdocvqa(folder / "root", [mp_record(1), mp_record(2), mp_record(3, pages=1, answer_page_idx=0)])
    _traps(root)


def reports(folder: Path) -> None:
    """MMDocIR: annotations of a PDF, and MMLongBench-Doc's list beside it."""
    root = folder / "root"
    layout = {"page": 0, "page_size": [400, 300], "bbox": [10, 20, 100, 60]}
    asked = {"Q": "How many?", "A": "3", "type": "['Chart']", "page_id": [0], "layout_mapping": [layout]}
    record = {"doc_name": "report.pdf", "domain": "News", "page_indices": [0, 1], "questions": [asked, asked]}
    put_lines(root / "annotations.jsonl", [record, record | {"doc_name": "other.pdf"}])
    (root / "documents").mkdir()
    for name in ("report.pdf", "other.pdf"):
        pdf(root / "documents" / name, [(20, 250, "Net income 42")])
    sample = {"doc_id": "report.pdf", "question": "What?", "answer": "Not answerable", "evidence_pages": "[]"}
    put(root / "samples.json", [sample, sample | {"answer": "42"}])
    _traps(root)


def forms(folder: Path) -> None:
    """FUNSD."""
    root = folder / "root"
    word = {"text": "Name:", "box": [5, 5, 30, 15]}
    label = {"id": 0, "text": "Name:", "label": "question", "box": [5, 5, 30, 15], "linking": [[0, 1]], "words": [word]}
    answer = {"id": 1, "text": "Ann", "label": "answer", "box": [32, 5, 50, 15], "linking": [[0, 1]]}
    answer["words"] = [{"text": "Ann", "box": [32, 5, 50, 15]}]
    for name in ("a", "b"):
        put(root / "training_data" / "annotations" / f"{name}.json", {"form": [label, answer]})
        put(root / "training_data" / "images" / f"{name}.png", png())
    _traps(root)


def records(folder: Path) -> None:
    """Our own JSONL over images and a PDF."""
    root = folder / "root"
    first = {"question_id": "q1", "question": "?", "image": "pages/a.png", "answers": ["42"], "ocr": "pages/a.json"}
    first |= {"width": 60, "height": 40, "evidence": [{"page": 0, "xyxy": [1, 2, 30, 20], "role": "answer"}]}
    pages = ["pages/a.png", {"path": "report.pdf", "page": 0, "page_id": "r/0"}]
    second = {"questionId": 2, "question": "??", "pages": pages, "doc_id": "d", "split": "test"}
    second |= {"answer_page_index": 1, "status": "evidence", "answer_types": ["span"]}
    second["evidence"] = [{"page": 1, "xywh_percent": [1, 2, 3, 4]}, {"page": 0, "quad": [1, 1, 9, 1, 9, 9, 1, 9]}]
    third = {"question_id": "q3", "question": "???", "image": "pages/a.png", "status": "unanswerable"}
    put_lines(root / "questions.jsonl", [first, second, third])
    put(root / "pages" / "a.png", png())
    put(root / "pages" / "a.json", {"words": ["Hi"], "bounding_boxes": [[5, 5, 20, 12]]})
    pdf(root / "report.pdf", [(20, 250, "Net income 42")])
    _traps(root)


def mirror(folder: Path) -> None:
    """A Hugging Face mirror: images and OCR in the rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"questionId": "1", "question": "?", "question_types": ["form"], "docId": 7, "answers": ["x"]}
    row |= {"ucsf_document_id": "abc", "ucsf_document_page_no": "1", "data_split": "val"}
    row |= {"image": {"bytes": png(), "path": "a.png"}, "ocr": json.dumps({"WORD": [], "PAGE": []})}
    row |= {"words": ["Hi"], "bounding_boxes": [[1, 2, 30, 20]]}
    rows = [row | {"questionId": str(number)} for number in range(3)]
    (folder / "root").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "root" / "validation-00000-of-00001.parquet")


def saved_dataset(folder: Path) -> None:
    """A dataset as `save_to_disk` leaves it."""
    import datasets

    row = {"questionId": "1", "question": "?", "answers": ["x"], "image": {"bytes": png(), "path": None}}
    found = datasets.Dataset.from_list([row, row | {"questionId": "2"}])
    found.cast_column("image", datasets.Image(decode=False)).save_to_disk(folder / "root")


def scans(folder: Path) -> None:
    """A page of every image format, asked for by one question each."""
    root = folder / "root"
    picture = Image.open(io.BytesIO(png(64, 48)))
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, dict[str, Any]] = {
        "png": {},
        "jpg": {"exif": exif, "quality": 90},
        "tif": {"compression": "tiff_lzw"},
        "webp": {},
        "bmp": {},
        "gif": {},
    }
    asked = []
    (root / "pages").mkdir(parents=True)
    for suffix, more in options.items():
        picture.save(root / "pages" / f"{suffix}.{suffix}", **more)
        asked.append({"question_id": suffix, "question": "?", "image": f"pages/{suffix}.{suffix}"})
    put_lines(root / "questions.jsonl", asked)


def papers(folder: Path) -> None:
    """Two PDFs with a text layer, their pages asked for."""
    root = folder / "root"
    root.mkdir()
    pdf(root / "a.pdf", [(20, 250, "Net income 42"), (20, 200, "Total 17")])
    pdf(root / "b.pdf", [(20, 250, "Other")], rotate=90, crop="10 10 300 200")
    names = ("a", "b")
    put_lines(root / "questions.jsonl", [{"question_id": n, "question": "?", "pages": [f"{n}.pdf"]} for n in names])


def ocr(folder: Path) -> None:
    """A workspace whose pages have OCR of every format that is read, and no words yet."""
    root = folder / "root"
    boxes = [textract_word("Hi", 0.1, 0.1, 0.3, 0.2, Id="1"), textract_word("there", 0.4, 0.1, 0.6, 0.2, Id="2")]
    line = {"BlockType": "LINE", "Text": "Hi there", "Geometry": boxes[0]["Geometry"], "Id": "0"}
    line["Relationships"] = [{"Type": "CHILD", "Ids": ["1", "2"]}]
    word = {"boundingBox": [5, 5, 20, 5, 20, 12, 5, 12], "text": "Hi", "confidence": "Low"}
    page = {"page": 1, "width": 60, "height": 40, "unit": "pixel", "clockwiseOrientation": 0.5}
    azure = page | {"lines": [{"boundingBox": word["boundingBox"], "text": "Hi", "words": [word]}]}
    form = {"id": 0, "text": "Hi", "box": [1, 2, 30, 12], "words": [{"text": "Hi", "box": [1, 2, 30, 12]}]}
    files = {
        "grouped": {"PAGE": [], "LINE": [line], "WORD": boxes},
        "raw": {"DocumentMetadata": {"Pages": 1}, "Blocks": [{"BlockType": "PAGE"}, line, *boxes]},
        "azure": {"status": "Succeeded", "recognitionResults": [azure]},
        "analyze": {"analyzeResult": {"version": "3.2", "readResults": [azure]}},
        "list": {"words": ["Hi", "there"], "bounding_boxes": [[1, 2, 30, 12], [31, 2, 50, 12]], "width": 60},
        "form": {"form": [form | {"label": "other", "linking": []}]},
    }
    files["list"]["height"] = 40
    asked = []
    for name, value in files.items():
        put(root / "ocr" / f"{name}.json", value)
        put(root / f"{name}.png", png())
        asked.append({"question_id": name, "question": "Hi?", "image": f"{name}.png", "ocr": f"ocr/{name}.json"})
    put_lines(root / "questions.jsonl", asked)
    run_pinpoint(folder, "ingest", "records", "root", "--workspace", "ws")


def campaign(folder: Path) -> None:
    """A workspace half way through: words, gold, three annotators, proposals, evidence, decisions."""
    ws = report_build.campaign(folder)
    rows = []
    for page in ws.iter_rows("pages"):
        box = {"x0": 40.0, "y0": 30.0, "x1": 80.0, "y1": 50.0}
        for place, text in enumerate(("Total", "42")):
            row = {"page_id": page["page_id"], "line": 0, "text": text, "confidence": 0.5, "engine": "test"}
            rows.append(row | box | {"x0": 40.0 + 50 * place, "x1": 80.0 + 50 * place})
    write(ws, "words", "toy-train", rows)
    decision = {"question_id": "toy/status", "status": "evidence", "decided_by": "label-studio:3", "note": "seen"}
    decision |= {"boxes": [{"page_index": 0, "xyxy": [1, 2, 30, 20], "role": "answer"}], "decided_at": None}
    held = {"question_id": "toy/open", "status": "unfinished", "boxes": [], "decided_by": "anna"}
    put_lines(ws.path / "files" / "adjudication" / "overlay.jsonl", [decision, held])
    run_pinpoint(folder, "propose", "ws", "--jobs", "1")
    for table in ("verdicts", "evidence"):
        ws.remove(table, "toy-train")  # made by hand, which adjudication does not write over
    run_pinpoint(folder, "adjudicate", "ws")


def revised(folder: Path) -> None:
    """A workspace with a revision that `validate --undo-fix` takes back."""
    campaign(folder)
    ws = Workspace.open(folder / "ws")
    twice = regions("toy/single", [(5.0, 5.0, 50.0, 50.0)] * 2, annotator="twice")
    write(ws, "annotations", "toy-train.twice", twice)
    run_pinpoint(folder, "validate", "ws", "--fix")
    if not (ws.path / "files" / "revisions").is_dir():
        raise RuntimeError("nothing was fixed")


def published(folder: Path) -> None:
    """A published dataset with window labels, and its workspace."""
    campaign(folder)
    run_pinpoint(folder, "publish", "ws", "dataset")
    run_pinpoint(folder, "windows", "dataset", "--grid", "patches")


def exported(folder: Path) -> None:
    """A workspace and the export of the Label Studio project that was made of it, with names for its users."""
    build = export_build
    ws = build.workspace(folder)
    tasks = build.tasks(ws)
    items = []
    for number, task in enumerate(tasks.values(), 1):
        box = build.drawn(task, 0, f"new-{number}", (10, 10, 30, 20))
        note = build.note("looks odd")
        result = [*build.prefill(task), box, build.status(), note]
        done = [build.submitted(10 * number, result), build.submitted(10 * number + 1, [build.status()], user=5)]
        items.append(build.exported(task, number, done, [build.draft(10 * number + 2, result)]))
    put(folder / "export.json", items)
    put(folder / "names.json", {"4": "anna", "5": "berta"})
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("id", "email", "name"), (4, "a@example.org", "anna"), (5, "", "berta")])
    put(folder / "names.csv", buffer.getvalue())
    put(folder / "tasks.json", [asdict(task) for task in tasks.values()])


def task_folder(folder: Path) -> None:
    """What `label-studio export` writes, before Label Studio gets it."""
    export_build.workspace(folder)
    run_pinpoint(folder, "label-studio", "export", "ws", "tasks", "--prelabel", "proposal:*", "--jobs", "1")


def run_pinpoint(folder: Path, *arguments: str) -> None:
    """Run a command in this process, in `folder`; findings (exit code 1) are part of a base."""
    from tests.validation.build import pinpoint

    with contextlib.chdir(folder):
        done = pinpoint(*arguments)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"a base cannot be made: {done.stderr}")
