"""Agreement and adjudication of a large campaign: seconds and peak memory, in a workspace made here.

python benchmarks/bench_agreement.py [--questions 5000] [--people 6]
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from annotation.adjudication.overlay import read_overlay
from annotation.adjudication.policy import Policy
from annotation.adjudication.run import adjudicate, write_adjudication
from annotation.agreement import measure_agreement
from annotation.judgements import load_judgements
from pinpoint_data.workspace import Workspace
from tests.annotation.judged import campaign
from tests.loaders.build import page, question, write

LINES, WORDS = 40, 6


def words(page_id: str) -> list[dict[str, Any]]:
    """A page of 120 x 80 pixels full of words."""
    places = [(line, 2.0 + 19.5 * column, 1.9 * line) for line in range(LINES) for column in range(WORDS)]
    return [
        {"page_id": page_id, "line": line, "text": "word", "x0": x, "y0": y, "x1": x + 17, "y1": y + 1.7}
        | {"confidence": None, "engine": "none"}
        for line, x, y in places
    ]


def fill(ws: Workspace, count: int, people: int) -> int:
    """Questions over two pages each, with words and everybody's boxes; returns the number of annotation rows."""
    truth, rows = campaign(count, people, seed=1)
    random.Random(0).shuffle(rows)
    pages = {name: [f"{name}-p0", f"{name}-p1"] for name in truth}
    write(ws, "pages", "bench", [page(p, "p.png") for names in pages.values() for p in names])
    write(ws, "questions", "bench", [question(q, "train", names, doc_id=q) for q, names in pages.items()])
    with ws.writer("words", "bench") as writer:
        for names in pages.values():
            for name in names:
                writer.write_rows(words(name))
    write(ws, "annotations", "bench", rows)
    return len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=5000)
    parser.add_argument("--people", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.create(Path(folder) / "ws")
        rows = fill(ws, arguments.questions, arguments.people)
        started = time.perf_counter()
        judgements = load_judgements(ws)
        loaded = time.perf_counter()
        agreement = measure_agreement(ws, judgements)
        measured = time.perf_counter()
        found = adjudicate(ws, judgements, Policy(), read_overlay(ws))
        write_adjudication(ws, found)
        decided = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.questions:,} questions, {arguments.people} annotators, {rows:,} rows of annotations")
    alpha, f1 = agreement.overall.at(0.5).alpha.value, agreement.overall.f1.value
    print(f"alpha of boxes {alpha:.3f}, F1 {f1:.3f}, {len(found.conflicts):,} conflicts")
    print(
        f"read {loaded - started:.1f} s, agreement {measured - loaded:.1f} s, adjudication {decided - measured:.1f} s"
    )
    print(f"peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
