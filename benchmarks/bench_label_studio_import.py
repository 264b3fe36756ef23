"""Import of a large raw export, beside Label Studio's own converter on the same file.

    python benchmarks/bench_label_studio_import.py [--megabytes 200] [--sdk-python .venv-label-studio/bin/python]

The export is synthetic: questions of three pages each, three annotators, pre-annotations that are accepted, moved,
deleted or joined by new ones, in the shapes a server gives. Our side is the whole import: decode, place every box on
its page, compare it with the pre-annotation, write the Parquet part with every region's JSON. The other side is
`label_studio_sdk.converter.Converter.convert_to_json_min`, which flattens results to JSON rows and places nothing.
Each run is a process of its own; time is processor time from the first byte read to the last one written, memory the
peak of resident memory, both the least of the repeats.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ratios import Ratio, hand_over

PAGES, BOXES, ANNOTATORS, WIDTH, HEIGHT = 3, 5, 3, 1700, 2200
WHEN = "2026-03-01T10:00:00.000000Z"

OURS = """
import json, resource, sys, time
from pathlib import Path
from annotation.label_studio.exports import iter_tasks
from annotation.label_studio.importing import import_tasks
from pinpoint_data.workspace import Workspace
ws = Workspace.open(sys.argv[1])
began = time.process_time()
outcome = import_tasks(ws, iter_tasks(Path(sys.argv[2])), sys.argv[3])
seconds = time.process_time() - began
assert not outcome.refused, outcome.text()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "mib": peak, "regions": outcome.counts["regions"]}))
"""

THEIRS = """
import json, resource, sys, time
from label_studio_sdk.converter import Converter
converter = Converter(open(sys.argv[3]).read(), None, download_resources=False)
began = time.process_time()
converter.convert_to_json_min(sys.argv[1], sys.argv[2], is_dir=False)
seconds = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "mib": peak}))
"""


def region(chance: random.Random, name: str, item: int, box: list[float]) -> dict[str, Any]:
    """A region of a box in page pixels."""
    x0, y0, x1, y1 = box
    value = {
        "x": x0 * 100 / WIDTH,
        "y": y0 * 100 / HEIGHT,
        "width": (x1 - x0) * 100 / WIDTH,
        "height": (y1 - y0) * 100 / HEIGHT,
    }
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "item_index": item,
        "value": value | {"rotation": 0.0, "rectanglelabels": [chance.choice(["answer", "support"])]},
        "id": name,
        "from_name": "evidence",
        "to_name": "pages",
        "type": "rectanglelabels",
        "origin": "prediction",
    }


def some_box(chance: random.Random) -> list[float]:
    """A line of text somewhere on a page."""
    x, y = chance.uniform(0, 0.6) * WIDTH, chance.uniform(0, 0.9) * HEIGHT
    return [x, y, x + chance.uniform(0.01, 0.3) * WIDTH, y + 42.0]


def prelabel(regions: list[dict[str, Any]], boxes: list[list[float]]) -> dict[str, Any]:
    """What the task remembers of its regions."""
    entries = {}
    for one, box in zip(regions, boxes, strict=True):
        entries[one["id"]] = {
            "region_id": f"lexical-{one['id']}",
            "item_index": one["item_index"],
            "page_index": one["item_index"],
            "xyxy": box,
            "rotation": None,
            "quad": None,
            "role": one["value"]["rectanglelabels"][0],
        }
    return {"annotator": "proposal:lexical@1", "regions": entries}


def annotation(chance: random.Random, number: int, user: int, task: int, sent: list[dict[str, Any]]) -> dict[str, Any]:
    """One annotator's work: most regions stay, some move or go, one is new."""
    result = []
    for one in sent:
        fate = chance.random()
        if fate < 0.7:
            result.append(one)
        elif fate < 0.9:
            value = one["value"] | {"x": one["value"]["x"] + 0.37}
            result.append(one | {"value": value, "origin": "prediction-changed"})
    result.append(region(chance, f"n{number:09d}", chance.randrange(PAGES), some_box(chance)) | {"origin": "manual"})
    choice = {"value": {"choices": ["evidence"]}, "id": f"s{number:09d}", "from_name": "status", "to_name": "pages"}
    result.append(choice | {"type": "choices", "origin": "manual"})
    return {
        "id": number,
        "completed_by": user,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": WHEN,
        "updated_at": WHEN,
        "draft_created_at": None,
        "lead_time": 31.25,
        "prediction": {"id": task, "model_version": "proposal:lexical@1", "result": sent, "score": 0.8, "task": task},
        "result_count": len(result),
        "unique_id": f"00000000-0000-4000-8000-{number:012}",
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "task": task,
        "project": 1,
        "updated_by": user,
        "parent_prediction": task,
        "parent_annotation": None,
        "last_created_by": None,
    }


def task(chance: random.Random, number: int) -> dict[str, Any]:
    """One task of the export."""
    boxes = [some_box(chance) for _ in range(BOXES)]
    sent = [region(chance, f"p{place}", place % PAGES, box) for place, box in enumerate(boxes)]
    ids = [f"bench/{number}-{page}" for page in range(PAGES)]
    item = {"x0": 0, "y0": 0, "width": WIDTH, "height": HEIGHT, "page_width": WIDTH, "page_height": HEIGHT}
    data = {
        "pinpoint_id": f"bench/{number}",
        "kind": "annotation",
        "schema_version": 1,
        "question_id": f"bench/{number}",
        "question": f"What is the total of the year 1997 in column {number}?",
        "answers": "42 | forty-two",
        "pages": [f"/data/upload/1/{name}.png" for name in ids],
        "items": [{"page_index": place, "page_id": name} | item for place, name in enumerate(ids)],
        "prelabel": prelabel(sent, boxes),
        "fingerprint": f"{number:064x}",
    }
    done = [annotation(chance, number * ANNOTATORS + user, user + 1, number, sent) for user in range(ANNOTATORS)]
    head = {"id": number, "annotations": done, "drafts": [], "predictions": [number], "data": data, "meta": {}}
    return head | {
        "created_at": WHEN,
        "updated_at": WHEN,
        "inner_id": number,
        "total_annotations": len(done),
        "project": 1,
    }


def make_export(path: Path, size: int) -> int:
    """Write an export of `size` bytes; how many tasks it has."""
    chance, number = random.Random(7), 0
    with path.open("w", encoding="ascii") as handle:
        handle.write("[")
        while handle.tell() < size:
            number += 1
            handle.write(("," if number > 1 else "") + json.dumps(task(chance, number)))
        handle.write("]")
    return number


def make_workspace(path: Path, tasks: int) -> None:
    """A workspace with the questions and pages of the export."""
    from pinpoint_data.workspace import Workspace

    ws = Workspace.create(path)
    page = {"doc_id": "bench", "source": "bench", "pdf_page": None, "dpi": None, "sha256": None, "ocr_path": None}
    question = {
        "source": "bench",
        "split": "train",
        "doc_id": "bench",
        "question": "?",
        "answers": ["42"],
        "extra": "{}",
    }
    question |= {"answer_types": [], "evidence_types": [], "answer_page_index": None}
    numbers = range(1, tasks + 1)
    with ws.writer("pages", "bench") as writer:
        names = (f"bench/{number}-{place}" for number in numbers for place in range(PAGES))
        writer.write_rows([page | {"page_id": n, "path": n, "width": WIDTH, "height": HEIGHT} for n in names])
    with ws.writer("questions", "bench") as writer:
        ids = {number: [f"bench/{number}-{place}" for place in range(PAGES)] for number in numbers}
        writer.write_rows([question | {"question_id": f"bench/{n}", "page_ids": pages} for n, pages in ids.items()])


def measure(command: list[str]) -> dict[str, float]:
    """Run one side once."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def least(runs: list[dict[str, float]]) -> dict[str, float]:
    """The best of several runs, each figure for itself."""
    return {name: min(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Run both sides and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sdk-python", type=Path, help="python of an environment with label-studio-sdk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export, config = folder / "export.json", folder / "config.xml"
        tasks = make_export(export, arguments.megabytes * 1_000_000)
        make_workspace(folder / "ws", tasks)
        from annotation.label_studio.interface import config_xml

        config.write_text(config_xml(), encoding="utf-8")
        size = export.stat().st_size / 1e6
        ours = [sys.executable, "-c", OURS, str(folder / "ws"), str(export)]
        runs, others = [], []
        for turn in range(arguments.repeats):
            runs.append(measure([*ours, f"turn-{turn}"]))
            if arguments.sdk_python:
                theirs = [
                    str(arguments.sdk_python),
                    "-c",
                    THEIRS,
                    str(export),
                    str(folder / f"out-{turn}"),
                    str(config),
                ]
                others.append(measure(theirs))
        we = least(runs)
        print(f"{size:.0f} MB, {tasks:,} tasks, {tasks * ANNOTATORS:,} annotations, {we['regions']:,.0f} regions")
        print(f"ours       {we['seconds']:7.1f} s  {size / we['seconds']:6.1f} MB/s  {we['mib']:7.0f} MiB peak")
        if others:
            they = least(others)
            print(
                f"converter  {they['seconds']:7.1f} s  {size / they['seconds']:6.1f} MB/s  {they['mib']:7.0f} MiB peak"
            )
            what, who = f"import of a {size:.0f} MB export", "the SDK's converter to JSON_MIN"
            hand_over(Ratio(what, name, we[name], who, they[name]) for name in ("seconds", "mib"))
            print(
                f"ratio      {they['seconds'] / we['seconds']:7.2f} x faster   {they['mib'] / we['mib']:7.2f} x leaner"
            )


if __name__ == "__main__":
    main()
