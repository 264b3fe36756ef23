"""How time and memory of each command grow with a workspace: the whole job over generated questions.

    PYTHONPATH=. python benchmarks/growth.py OUT [--sizes 10000 100000 1000000] [--commands validate report]

For each size `growth_input` writes records, pages, OCR and a Label Studio export; then every command runs in a process
of its own, in the order of a user. Wall and processor time (of the process and its children) and the peak of resident
memory (all processes of the command together, sampled, and never less than the largest process by the kernel's count)
go to OUT/<size>/results.json after each command, and a rerun goes on behind the last one that is there.
`load_dataset` is plain `datasets`, none of our code: every split of the questions is loaded and read once.

The table at the end has a row a command and a column a size, with the factor between neighbouring sizes below.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.growth_input import SOURCE

SIZES = (10_000, 100_000, 1_000_000)
EVERY = 10
LOAD = """
import sys
from datasets import load_dataset
rows = 0
for split in load_dataset(sys.argv[1], sys.argv[2], cache_dir=sys.argv[3]).values():
    for batch in split.with_format("arrow").iter(1000):
        rows += batch.num_rows
print(f"{rows:,} rows")
"""
MAKE = """
import sys
from pathlib import Path
from benchmarks.growth_input import make_input
make_input(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""


@dataclass(frozen=True)
class Measure:
    """What one command took.

    Attributes:
        wall: Seconds on the clock.
        cpu: Seconds of processor time, children included.
        mib: Peak of resident memory in MiB.
        code: Exit code.
        said: The last line it printed.
    """

    wall: float
    cpu: float
    mib: float
    code: int
    said: str


def commands(folder: Path, questions: int, every: int) -> dict[str, list[str]]:
    """Name -> command line, in the order of a user, over the files of `folder`."""
    data, ws, ds = str(folder / "data"), str(folder / "ws"), str(folder / "dataset")
    pinpoint, python = [sys.executable, "-m", "pinpoint_data"], [sys.executable, "-c"]
    return {
        "(input)": [*python, MAKE, data, str(questions), str(every)],
        "ingest": [*pinpoint, "ingest", "records", data, "--workspace", ws, "--name", SOURCE],
        "words": [*pinpoint, "words", ws],
        "label-studio import": [*pinpoint, "label-studio", "import", ws, str(folder / "data" / "export.json")],
        "validate": [*pinpoint, "validate", ws],
        "agreement": [*pinpoint, "agreement", ws],
        "adjudicate": [*pinpoint, "adjudicate", ws],
        "publish": [*pinpoint, "publish", ws, ds, "--license", "cc0-1.0"],
        "load_dataset": [*python, LOAD, ds, SOURCE, str(folder / "cache")],
        "windows": [*pinpoint, "windows", ds, "--grid", "qwen2-vl"],
        "report": [*pinpoint, "report", ws, str(folder / "report.html")],
    }


ACCEPTED = {"validate": (0, 1)}
"""Exit codes that are no failure: the input has faults for validation to find."""


def tree_rss(root: int) -> float:
    """MiB of resident memory of a process and all that descend from it; Linux only."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # gone meanwhile
                continue
            parents[int(entry.name)], resident[int(entry.name)] = int(fields[1]), int(fields[21])
    ours = {root}
    # A child's number may be lower than its parent's, so look until nothing is new.
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(resident.get(pid, 0) for pid in ours) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(command: Sequence[str], log: Path) -> Measure:
    """Run a command to its end and see what it took; its output goes to `log`."""
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, tree_rss(process.pid))

    with log.open("w") as handle:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT)
        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
    lines = log.read_text(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "")
    cpu = usage.ru_utime + usage.ru_stime
    return Measure(wall, cpu, max(peak, usage.ru_maxrss / 1024), process.returncode, said)


def folder_of(out: Path, questions: int, every: int) -> Path:
    """Where the files and results of a size are."""
    return out / (str(questions) if every == EVERY else f"{questions}-every-{every}")


def run_size(out: Path, questions: int, every: int, chosen: Sequence[str] = ()) -> dict[str, Measure]:
    """Run what is missing of one size; all results it has then.

    Args:
        out: Where the folders of all sizes are.
        questions: Questions of the workspace.
        every: Every so manieth question is annotated by people.
        chosen: Commands to measure, again where they were; by default all that have no result yet.

    Raises:
        SystemExit: A command failed; its output is in the folder's `logs`.
    """
    folder = folder_of(out, questions, every)
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    found = {name: Measure(**row) for name, row in json.loads(results.read_text()).items()} if results.exists() else {}
    if not chosen and not (folder / "data").exists() and len(found) < len(commands(folder, questions, every)):
        found = {}  # the files are gone, and what is missing needs them
    for name, command in commands(folder, questions, every).items():
        if name not in chosen and (chosen or name in found):
            continue
        if name == "(input)":
            shutil.rmtree(folder / "data", ignore_errors=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        print(f"{questions:,} {name} ...", flush=True)
        took = measure(command, folder / "logs" / f"{name.strip('()').replace(' ', '-')}.txt")
        if took.code not in ACCEPTED.get(name, (0,)):
            raise SystemExit(f"{name} ended with {took.code}: {took.said}")
        print(f"  {took.wall:,.1f} s, {took.cpu:,.1f} s of processor time, {took.mib:,.0f} MiB", flush=True)
        found[name] = took
        results.write_text(json.dumps({key: asdict(value) for key, value in found.items()}, indent=1) + "\n")
    return found


def table(sizes: Sequence[int], results: Sequence[dict[str, Measure]]) -> str:
    """A Markdown table: processor seconds, wall seconds and MiB of each command at each size, and their growth."""
    columns = [f"{size:,}" for size in sizes]
    growth = [f"x{b / a:,.3g}" for a, b in pairwise(sizes)]
    lines = [f"| command | {' | '.join([*columns, *(f'CPU {g}' for g in growth), *(f'memory {g}' for g in growth)])} |"]
    lines.append("|" + "---|" * (1 + len(columns) + 2 * len(growth)))
    for name in results[0]:
        row = [found.get(name) for found in results]
        cells = ["" if m is None else f"{m.cpu:,.0f} s ({m.wall:,.0f}), {m.mib:,.0f} MiB" for m in row]
        pairs = list(pairwise(row))
        cells += ["" if a is None or b is None else f"{b.cpu / a.cpu:.1f}" for a, b in pairs]
        cells += ["" if a is None or b is None else f"{b.mib / a.mib:.1f}" for a, b in pairs]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run all sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--commands", nargs="+", default=[], help="measure these, again where they were measured")
    parser.add_argument(
        "--every", type=int, default=EVERY, help="every so manieth question is annotated, by three people"
    )
    parser.add_argument("--keep-not", action="store_true", help="remove a size's files when it is done")
    arguments = parser.parse_args()
    results = []
    for size in arguments.sizes:
        results.append(run_size(arguments.out, size, arguments.every, arguments.commands))
        if arguments.keep_not:
            folder = folder_of(arguments.out, size, arguments.every)
            for name in ("data", "ws", "dataset", "cache"):
                shutil.rmtree(folder / name, ignore_errors=True)
    print()
    print(table(arguments.sizes, results))


if __name__ == "__main__":
    main()
