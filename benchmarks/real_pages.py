"""The main job on real pages: every count checked, then an aligner trained and scored on documents it never saw.

    python benchmarks/real_pages.py DATA OUT [--documents 150] [--set fit.epochs=5]...

DATA holds infovqa/, mpdocvqa/, spdocvqa/ in their official layouts, mmlongbench/ (MMDocIR) and funsd/. OUT must not
exist. The aligner is trained on mmdocir + funsd + generated pages; its validation documents are disjoint from its
training documents.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from datasets import load_dataset

from benchmarks.ratios import hand_over_recalls
from pinpoint_data.demo import Runner
from pinpoint_data.workspace import Workspace

# source: (reader, folder, pages or None where the folder's README gives none, questions or None, gold boxes or None)
SOURCES = {
    "infovqa": ("infovqa", "infovqa", 60, 69, None),
    "mpdocvqa": ("mpdocvqa", "mpdocvqa", 136, 61, None),
    "spdocvqa": ("spdocvqa", "spdocvqa", 59, 843, None),  # a 60th image has no question
    "mmdocir": ("mmdocir", "mmlongbench", None, 216, 498),
    "funsd": ("funsd", "funsd", 149, None, None),
}


def check(what: str, found: int, expected: int | None) -> None:
    verdict = "" if expected is None else f"  (expected {expected:,}: {'ok' if found == expected else 'DIFFERS'})"
    print(f"  {what}: {found:,}{verdict}")
    if expected is not None and found != expected:
        sys.exit(1)


def ingest(runner: Runner, data: Path, workspace: Path) -> None:
    for name, (reader, folder, pages, questions, boxes) in SOURCES.items():
        gold = data / folder / "gold_evidence.jsonl"
        evidence = ("--evidence", gold) if gold.exists() else ()
        runner.pinpoint(
            f"Read {name}", "ingest", reader, data / folder, "--workspace", workspace, "--name", name, *evidence
        )
        ws = Workspace.open(workspace)
        parts = [part for part in ws.parts("questions") if part.startswith(f"{name}-")]
        check("pages", ws.count("pages", parts), pages)
        check("questions", ws.count("questions", parts), questions)
        gold_parts = [part for part in ws.parts("annotations") if part.startswith(f"{name}-")]
        regions = sum(row["region_id"] is not None for row in ws.iter_rows("annotations", gold_parts))
        check("gold boxes", regions, boxes)


def largest_box_error(workspace: Path, dataset: Path) -> tuple[float, int]:
    """Largest difference in pixels between gold boxes in the workspace and in the loaded dataset, and their number."""
    ws = Workspace.open(workspace)
    gold: dict[str, list[list[float]]] = {}
    for row in ws.iter_rows("annotations"):
        if row["region_id"] is not None:
            box = [row["page_index"], row["x0"], row["y0"], row["x1"], row["y1"]]
            gold.setdefault(row["question_id"], []).append(box)
    worst, compared = 0.0, 0
    for source in ws.sources:
        for rows in load_dataset(str(dataset.resolve()), source, streaming=True).values():
            for row in rows:
                loaded = [[box["page_index"], *box["xyxy"]] for box in row["evidence"]]
                ours, theirs = (np.array(sorted(b)) for b in (gold.get(row["question_id"], []), loaded))
                if ours.shape != theirs.shape:
                    sys.exit(f"{row['question_id']}: {len(ours)} gold boxes, {len(theirs)} loaded")
                compared += len(ours)
                worst = max(worst, float(np.abs(ours - theirs).max(initial=0.0)))
    return worst, compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=150, help="generated documents a layout")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="training setting, key=value")
    arguments = parser.parse_args()
    if arguments.out.exists():
        sys.exit(f"{arguments.out} exists; name a new folder")
    arguments.out.mkdir(parents=True)
    workspace, dataset, run = (arguments.out / name for name in ("workspace", "dataset", "run"))
    started, runner = time.monotonic(), Runner()

    ingest(runner, arguments.data, workspace)
    drawn = arguments.out / "generated"
    runner.pinpoint("Draw pages", "generate", drawn, "--layout", "all", "--documents", arguments.documents, "--seed", 1)
    generated = [f"generated-{layout}" for layout in ("infovqa", "spdocvqa", "mpdocvqa")]
    for name in generated:
        layout = name.removeprefix("generated-")
        gold = drawn / layout / "gold_evidence.jsonl"
        runner.pinpoint(
            f"Read {name}",
            "ingest",
            layout,
            drawn / layout,
            "--workspace",
            workspace,
            "--name",
            name,
            "--evidence",
            gold,
        )
    runner.pinpoint("Words", "words", workspace)
    runner.pinpoint("Check", "validate", workspace, findings_ok=True)
    runner.pinpoint("Publish", "publish", workspace, dataset)
    error, compared = largest_box_error(workspace, dataset)
    print(f"  {compared:,} gold boxes, ingest -> publish -> load_dataset: largest difference {error:.3g} px")
    runner.pinpoint("Window labels", "windows", dataset, "--grid", "qwen2-vl")

    sources = [word for name in ("mmdocir", "funsd", *generated) for word in ("--source", name)]
    settings = [word for setting in arguments.settings for word in ("--set", setting)]
    common = ("--dataset", dataset, "--workspace", workspace)
    runner.pinpoint("Train", "train", run, *common, *sources, *settings)
    runner.pinpoint("Evaluate", "evaluate", run, *common, "--out", arguments.out / "evaluation")
    scores = json.loads((arguments.out / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))["scores"]
    hand_over_recalls("held-out documents", scores, ["pinpoint"], ["bm25", "random"])
    print(f"\nwhole job: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
