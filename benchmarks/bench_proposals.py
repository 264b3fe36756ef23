"""How good are proposals on real pages? Against gold, by source, beside the first exact match.

    python benchmarks/bench_proposals.py DATA [--half report|tune|all] [--json FILE]

DATA holds funsd/, mmlongbench/ (MMDocIR) and sroie/ (receipts: box/*.csv lines, key/*.json fields, img/). The settings
were tuned on one half of the documents (`tune`); figures are of the other (`report`), which is the default.

SROIE has no questions and no boxes, so both are made here: one question a key field, gold where lines say it. A line's
words are cut from it by their share of its letters. The total may stand on a receipt several times; gold is the last
amount on a row that says "total" (and not "sub", "qty", "tax", "item"), with the row's label as support.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from annotation.proposals import Settings, propose
from annotation.proposals.evaluation import Evaluation, evaluate, to_json, to_text
from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.demo import Runner
from pinpoint_data.workspace import Workspace

QUESTIONS = {
    "company": "What is the name of the company?",
    "date": "What is the date of the receipt?",
    "address": "What is the address of the company?",
    "total": "What is the total?",
}
SETTINGS = (Settings(method="first-exact"), Settings(), Settings(group="blocks"))

Box = list[float]


def squashed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def receipt_lines(file: Path) -> list[tuple[str, Box]]:
    found = []
    for row in file.read_text(encoding="utf-8", errors="replace").splitlines():
        *corners, text = row.split(",", 8)
        if len(corners) == 8 and text.strip():
            xs, ys = [float(c) for c in corners[0::2]], [float(c) for c in corners[1::2]]
            found.append((text.strip(), [min(xs), min(ys), max(xs), max(ys)]))
    return found


def line_words(text: str, box: Box) -> list[tuple[str, Box]]:
    """The words of a line, each with its share of the line's width."""
    step = (box[2] - box[0]) / len(text)
    return [
        (m.group(), [box[0] + m.start() * step, box[1], box[0] + m.end() * step, box[3]])
        for m in re.finditer(r"\S+", text)
    ]


def envelope(boxes: list[Box]) -> Box:
    return [*(min(b[i] for b in boxes) for i in (0, 1)), *(max(b[i] for b in boxes) for i in (2, 3))]


def stretch(lines: list[tuple[str, Box]], value: str) -> list[Box]:
    """One box a line for the first run of words that says a value, at most six lines long; none where none does."""
    words = [(n, text, box) for n, line in enumerate(lines) for text, box in line_words(*line)]
    wanted = squashed(value)
    for start in range(len(words)):
        said = ""
        for end in range(start, len(words)):
            said += squashed(words[end][1])
            if not wanted.startswith(said) or words[end][0] - words[start][0] > 5:
                break
            if said == wanted and squashed(words[start][1]):
                run = groupby(words[start : end + 1], key=lambda word: word[0])
                return [envelope([box for *_, box in line]) for _, line in run]
    return []


def totals(lines: list[tuple[str, Box]], amount: str) -> list[tuple[Box, Box]]:
    """(amount, label) of every row that says "total" and the amount, from top to bottom."""
    found = []
    for text, box in lines:
        label = text.lower()
        if "total" not in label or re.search(r"sub|qty|quantity|tax|gst *[:@]|item|disc|save", label):
            continue
        for other, place in lines:
            if min(box[3], place[3]) - max(box[1], place[1]) > 0.5 * min(box[3] - box[1], place[3] - place[1]):
                for word, spot in line_words(other, place):
                    if word.lstrip("$RMrm: ") == amount.lstrip("$RMrm: "):
                        words = [b for w, b in line_words(text, box) if b != spot and re.search("[a-zA-Z]", w)]
                        found.append((spot, envelope(words)))
    return sorted(found, key=lambda pair: pair[0][1])


def sroie_records(data: Path, out: Path) -> int:
    """Write questions and OCR as records; returns how many fields no line says."""
    (out / "ocr").mkdir(parents=True)
    shutil.copytree(data / "img", out / "img")
    records: list[dict[str, Any]] = []
    left_out = 0
    for key in sorted((data / "key").glob("*.json")):
        lines = receipt_lines(data / "box" / f"{key.stem}.csv")
        words = [word for line in lines for word in line_words(*line)]
        ocr = {"words": [text for text, _ in words], "bounding_boxes": [box for _, box in words]}
        (out / "ocr" / f"{key.stem}.json").write_text(json.dumps(ocr))
        for field, value in json.loads(key.read_text(encoding="utf-8")).items():
            pairs = totals(lines, value) if field == "total" else []
            evidence: list[dict[str, Any]] = [
                {"xyxy": box} for box in ([pairs[-1][0]] if pairs else stretch(lines, value))
            ]
            if field not in QUESTIONS or not evidence or (field == "total" and not pairs):
                left_out += 1
                continue
            if pairs:
                evidence.append({"xyxy": pairs[-1][1], "role": "support"})
            page = {"path": f"img/{key.stem}.jpg", "ocr": f"ocr/{key.stem}.json"}
            records.append(
                {
                    "question_id": f"{key.stem}-{field}",
                    "question": QUESTIONS[field],
                    "answers": [value],
                    "pages": [page],
                    "doc_id": key.stem,
                    "evidence": evidence,
                    "evidence_types": [field],
                }
            )
    (out / "questions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return left_out


def in_half(doc: str, half: str) -> bool:
    even = hashlib.sha256(doc.encode()).digest()[0] % 2 == 0
    return half == "all" or even == (half == "tune")


def evaluations(workspace: Workspace, half: str) -> Iterator[Evaluation]:
    documents = {row["doc_id"] for row in workspace.iter_rows("questions", columns=["doc_id"])}
    chosen = {doc for doc in documents if in_half(doc, half)}
    for settings in SETTINGS:
        found, _ = evaluate(workspace, [settings.annotator], documents=chosen)
        yield found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=["report", "tune", "all"], default="report")
    parser.add_argument("--json", type=Path, help="also write everything here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, runner = Path(folder) / "workspace", Runner()
        left_out = sroie_records(arguments.data / "sroie", Path(folder) / "sroie")
        sources = {
            "sroie": ("records", Path(folder) / "sroie"),
            "funsd": ("funsd", arguments.data / "funsd"),
            "mmdocir": ("mmdocir", arguments.data / "mmlongbench"),
        }
        for name, (reader, root) in sources.items():
            runner.pinpoint(f"Read {name}", "ingest", reader, root, "--workspace", path, "--name", name)
        runner.pinpoint("Words", "words", path)
        workspace = Workspace.open(path)
        print(f"sroie: {left_out} fields left out, as no line says them")
        for settings in SETTINGS:
            started = time.perf_counter()
            run = propose(workspace, settings)
            seconds = time.perf_counter() - started
            asked = run.outcome.counts["questions"]
            print(f"{settings.name}: {asked:,} questions in {seconds:.1f} s on one core ({asked / seconds:,.0f}/s)")
        found = list(evaluations(workspace, arguments.half))
        print(f"\n{arguments.half} half of the documents\n")
        print("\n\n".join(map(to_text, found)))
        hand_over_scores(*found[:2])
        if arguments.json:
            arguments.json.write_text(json.dumps([to_json(evaluation) for evaluation in found], indent=2))


def hand_over_scores(baseline: Evaluation, ours: Evaluation) -> None:
    """The default proposals beside the first place that says the answer, by source, where both have a score."""
    for name, summary in ours.summaries.items():
        if not name.startswith("source"):
            continue
        other = baseline.summaries[name]
        for quantity, own, theirs in (
            ("F1 at IoU .5", summary.f1, other.f1),
            ("evidence recall", summary.evidence_recall, other.evidence_recall),
        ):
            if own is not None and theirs is not None:
                what = name.removeprefix("source ")
                hand_over([Ratio(what, quantity, own.mean, "first exact match", theirs.mean, less_is_better=False)])


if __name__ == "__main__":
    main()
