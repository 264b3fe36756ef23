"""Every benchmark with a named alternative, several times over, in one table.

    python benchmarks/run_all.py OUT                      # what needs nothing but this checkout
    python benchmarks/run_all.py OUT --data DATA --long   # and real pages, and what trains for an hour
    python benchmarks/run_all.py OUT --only startup aligner

Each benchmark is its own script, run in a process of its own `--runs` times, one after the other and in turns, so that
what else the machine does troubles all alike. Ours, theirs and their ratio are medians over the runs, with the least
and the largest ratio beside; what gives the same figures every time (scores, counted operations) runs once. A run that
is done stays in OUT/runs and is not done again. A benchmark that lacks something is listed with what it needs, one
that fails with its log, and the rest goes on. OUT/bench.md and OUT/bench.json hold what is printed.

DATA holds mmlongbench/ (MMDocIR), funsd/, sroie/, infovqa/, spdocvqa/ and mpdocvqa/ in their official layouts.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranker_table import prepare
from benchmarks.ratios import RATIOS_FILE, Ratio, taken
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.demo import Runner
from pinpoint_data.errors import PinpointError
from tests.annotation.server import find_label_studio

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Bench:
    """A benchmark and its command.

    Attributes:
        name: Unique; what `--only` takes.
        command: Script or module, and arguments; `{data}`, `{workspace}`, `{dataset}`, `{sdk_python}`, `{out}` (kept)
            and `{fresh}` (a folder that does not exist) are filled in.
        exact: Gives the same figures in every run, so that one will do.
        long: Runs for an hour, so only when it is asked for.
    """

    name: str
    command: str
    exact: bool = False
    long: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


ONE_THREAD = {"OMP_NUM_THREADS": "1"}
BENCHES = (
    Bench("startup", "bench_startup.py"),
    Bench("window-labels", "bench_window_labels.py"),
    Bench("aligner", "bench_aligner.py --rounds 1"),
    Bench("aligner-llava-next", "bench_aligner.py --size llava-next --pages 3 --rounds 1"),
    Bench("aligner-qwen2-vl", "bench_aligner.py --size qwen2-vl --pages 2 --rounds 1"),
    Bench("aligner-qwen2-vl-large", "bench_aligner.py --size qwen2-vl-large --pages 1 --rounds 1"),
    Bench("features", "bench_features.py"),
    Bench("tall-page-ocr", "bench_tall_page_ocr.py"),
    Bench("prefill-llava-next", "bench_prefill.py --model llava-next-7b --page 1700x2200"),
    Bench("prefill-qwen2-vl", "bench_prefill.py --model qwen2-vl-7b --page 1700x2200"),
    Bench("flops", "bench_flops.py", exact=True),
    Bench("label-studio-import", "bench_label_studio_import.py --sdk-python {sdk_python}"),
    Bench("campaign", "-m tests.e2e.campaign {fresh} --tasks 500", exact=True),
    Bench("ranker", "bench_ranker.py {workspace} {dataset}", environment=ONE_THREAD),
    Bench("selectors", "bench_selectors.py {workspace} {dataset} --questions 40 --rounds 1", environment=ONE_THREAD),
    Bench("proposals", "bench_proposals.py {data}", exact=True),
    Bench("ranker-table", "ranker_table.py {data} {out}/ranker-table", exact=True, long=True),
    Bench("real-pages", "real_pages.py {data} {fresh} --set validation_fraction=0.25", exact=True, long=True),
)


@dataclass(frozen=True)
class Row:
    """Medians of one ratio over the runs."""

    bench: str
    what: str
    quantity: str
    ours: float
    alternative: str
    theirs: float
    times_better: float
    least: float
    largest: float
    runs: int


@dataclass
class Places:
    """What the commands are filled in with; None where it is not there."""

    out: Path
    data: Path | None
    label_studio: Path | None

    def missing(self, command: str) -> str | None:
        """What a command needs that there is none of, in a user's words."""
        if "{data}" in command and self.data is None:
            return "--data, a folder of real pages"
        if ("{sdk_python}" in command or "e2e.campaign" in command) and self.label_studio is None:
            return "a Label Studio: make label-studio, or set PINPOINT_LABEL_STUDIO"
        return None

    def fill(self, bench: Bench) -> list[str]:
        """The words of its command; pages to work on are made when the first one needs them."""
        command, fresh = bench.command, self.out / "fresh" / bench.name
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        pages = self.pages() if "{workspace}" in command else ("", "")
        sdk = self.label_studio.parent / "python" if self.label_studio else ""
        names = {"data": self.data, "out": self.out, "fresh": fresh, "sdk_python": sdk}
        names |= {"workspace": pages[0], "dataset": pages[1]}
        words = shlex.split(command)
        first = words[:1] if words[0] == "-m" else [str(HERE / words[0])]
        return [*first, *(word.format(**names) for word in words[1:])]

    def pages(self) -> tuple[Path, Path]:
        """Workspace and dataset of real pages where there are some, else of drawn ones; made once."""
        if self.data:
            return prepare(self.data, self.out / "pages")
        workspace, dataset = self.out / "drawn" / "workspace", self.out / "drawn" / "dataset"
        if not dataset.exists():
            runner, drawn = Runner(), self.out / "drawn" / "files"
            runner.pinpoint("Draw documents", "generate", drawn, "--layout", "infovqa", "--documents", 40, "--seed", 1)
            gold = ("--evidence", drawn / "infovqa" / "gold_evidence.jsonl")
            runner.pinpoint("Read them", "ingest", "infovqa", drawn / "infovqa", "--workspace", workspace, *gold)
            runner.pinpoint("Words", "words", workspace)
            runner.pinpoint("Publish", "publish", workspace, dataset)
        return workspace, dataset


def run(bench: Bench, number: int, places: Places) -> str | None:
    """One run, unless it is done; why it failed, or None."""
    runs = places.out / "runs"
    done, log = runs / f"{bench.name}-{number}.jsonl", runs / f"{bench.name}-{number}.txt"
    if done.exists():
        return None
    words, part = places.fill(bench), done.with_suffix(".part")
    part.unlink(missing_ok=True)
    print(f"{bench.name}, run {number}: python {shlex.join(words)}", flush=True)
    environment = os.environ | bench.environment | {RATIOS_FILE: str(part), "PYTHONPATH": str(HERE.parent)}
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.run(
            [sys.executable, *words], stdout=output, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if code or not part.exists():
        why = f"ended with exit code {code}" if code else "handed over no ratio"
        return f"{why}, see {log}"
    part.rename(done)
    print(f"  {time.perf_counter() - started:,.0f} s", flush=True)
    return None


def rows(out: Path) -> Iterator[Row]:
    """Every ratio of the runs that are done, in the order of the list above."""
    for bench in BENCHES:
        found: dict[tuple[str, str, str], list[Ratio]] = {}
        for file in sorted((out / "runs").glob(f"{bench.name}-[0-9]*.jsonl")):
            for ratio in taken(file):
                found.setdefault((ratio.what, ratio.quantity, ratio.alternative), []).append(ratio)
        for (what, quantity, alternative), runs in found.items():
            better = [ratio.times_better for ratio in runs]
            yield Row(
                bench.name,
                what,
                quantity,
                statistics.median(ratio.ours for ratio in runs),
                alternative,
                statistics.median(ratio.theirs for ratio in runs),
                statistics.median(better),
                min(better),
                max(better),
                len(runs),
            )


def table(found: Sequence[Row], left: Mapping[str, str]) -> str:
    """Markdown: a line a ratio, then what was not run and why."""
    lines = [
        "| benchmark | what | quantity | ours | alternative | theirs | times better | least to largest | runs |",
        "|---|---|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in found:
        span = f"{short(row.least)} to {short(row.largest)}" if row.runs > 1 else ""
        cells = [row.bench, row.what, row.quantity, short(row.ours), row.alternative, short(row.theirs)]
        lines.append(f"| {' | '.join([*cells, short(row.times_better), span, str(row.runs)])} |")
    ran = {row.bench for row in found}
    commands = [f"- `{bench.name}`: `{bench.command}`" for bench in BENCHES if bench.name in ran]
    missing = [f"- `{name}` was not run: {why}" for name, why in left.items()]
    return "\n".join([*lines, "", *commands, *([""] if missing else []), *missing, ""])


def short(value: float) -> str:
    """Three digits, without an exponent; nothing for what no number says."""
    if not math.isfinite(value):
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it: null in place of what is no finite number."""
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in asdict(row).items()}


def measure(chosen: Sequence[Bench], places: Places, times: int) -> tuple[dict[str, str], dict[str, str]]:
    """Run in turns; what those that were not run need, and why some failed."""
    lacking = {bench.name: f"needs {needs}" for bench in chosen if (needs := places.missing(bench.command))}
    failed: dict[str, str] = {}
    (places.out / "runs").mkdir(parents=True, exist_ok=True)
    for number in range(1, times + 1):
        for bench in chosen:
            if bench.name in lacking or bench.name in failed or (bench.exact and number > 1):
                continue
            try:
                why = run(bench, number, places)
            except PinpointError as error:
                why = str(error)
            if why:
                failed[bench.name] = why
                print(f"{bench.name}: {why}", flush=True)
    return lacking, failed


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=Path, help="real pages in their official layouts")
    parser.add_argument("--long", action="store_true", help="also what trains for an hour")
    parser.add_argument("--only", nargs="+", choices=[bench.name for bench in BENCHES], metavar="NAME")
    given = parser.parse_args(argv)
    chosen = [bench for bench in BENCHES if (bench.name in given.only if given.only else given.long or not bench.long)]
    places = Places(given.out.resolve(), given.data and given.data.resolve(), find_label_studio())
    lacking, failed = measure(chosen, places, given.runs)
    left = lacking | failed
    left |= {bench.name: "takes an hour: --long" for bench in BENCHES if bench.long and bench not in chosen}
    found = list(rows(places.out))
    shown = table(found, left)
    write_json(given.out / "bench.json", {"ratios": [as_json(row) for row in found], "not_run": left})
    write_text(given.out / "bench.md", shown)
    print("\n" + shown)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
