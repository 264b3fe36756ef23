"""`python -m tests.campaigns.hostile OUT`: the whole campaign, or one case of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.campaigns.hostile import campaign, forks
from tests.campaigns.hostile.cases import Kind
from tests.campaigns.hostile.kinds import KINDS

_PACKAGES = ("pinpoint_data", "annotation", "loaders")


def main() -> int:
    """Exit code 0 where nothing fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.hostile", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="KIND", choices=list(KINDS), help=", ".join(KINDS))
    parser.add_argument("--case", type=int, metavar="N", help="this case of --only KIND alone")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="kinds run side by side; the same cases")
    options = parser.parse_args()
    out = options.out.resolve()
    results = out / ("kinds" if options.case is None else "case")
    for folder in ("bases", "cases", "case", *(() if options.only else ("kinds", "faults"))):
        shutil.rmtree(out / folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    counts = campaign.shares(list(KINDS.values()), options.cases)
    chosen = [kind for name, kind in KINDS.items() if not options.only or name in options.only]
    began = time.perf_counter()
    # What needs torch comes last: a process with torch in it takes longer to fork.
    for heavy in (False, True):
        kinds = [kind for kind in chosen if kind.heavy == heavy]
        if not kinds:
            continue
        forks.warm_up((*_PACKAGES, "training") if heavy else _PACKAGES)
        bases = campaign.make_bases(kinds, out)

        def run(kind: Kind, bases: Mapping[str, Path] = bases) -> None:
            numbers = range(counts[kind.name]) if options.case is None else [options.case]
            start = time.perf_counter()
            tally = campaign.run_kind(kind, bases[kind.name], out, options.seed, numbers, _say)
            rate = tally.cases / (time.perf_counter() - start)
            _say(f"{kind.name}: {tally.cases} cases, {len(tally.faults)} faults, {rate:.0f} cases/s")
            tally.save(results)

        campaign.run_kinds(kinds, options.jobs, run)
    _say(f"{time.perf_counter() - began:,.0f} s")
    tallies = campaign.Tally.load_all(results)
    lines = list(campaign.table(tallies))
    if options.case is None:
        (out / "hostile.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if any(tally.faults for tally in tallies if tally.kind in {kind.name for kind in chosen}) else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line.encode('utf-8', 'backslashreplace').decode()}\n")
    sys.stderr.flush()


sys.exit(main())
