"""How long `pinpoint --help` takes, against an interpreter that imports click alone.

python benchmarks/bench_startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.ratios import Ratio, hand_over

RUNS = 7
PINPOINT = [str(Path(sys.executable).with_name("pinpoint")), "--help"]
CLICK = [sys.executable, "-c", "import click"]


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    for command in (PINPOINT, CLICK):
        seconds(command)  # warm the file cache
    ours, click = ([seconds(command) for _ in range(RUNS)] for command in (PINPOINT, CLICK))
    print(f"pinpoint --help      median of {RUNS}: {statistics.median(ours):.3f} s")
    print(f"python, import click median of {RUNS}: {statistics.median(click):.3f} s")
    print(f"ratio {statistics.median(ours) / statistics.median(click):.2f}")
    times = statistics.median(ours), statistics.median(click)
    hand_over([Ratio("pinpoint --help", "seconds", times[0], "python that imports click alone", times[1])])


if __name__ == "__main__":
    main()
