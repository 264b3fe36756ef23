"""The ranker against every baseline and its own ablations, on documents that it was never trained on.

    python benchmarks/ranker_table.py DATA OUT [--seeds 3] [--folds 5] [--variants ranker boosted-trees bm25]

DATA holds mmlongbench/ (MMDocIR) and funsd/ in their official layouts; OUT gets a workspace, a published dataset and,
in the end, ranker-table.json and ranker-table.md. With --workspace and --dataset a published dataset is used as it is,
whatever its sources, and DATA is not needed.

Every seed deals the documents into folds, and each variant is trained once a fold on the documents of the others, so
that every question is scored by models that never saw its document. A question's score is its mean over the seeds;
intervals resample groups of documents that share pages. A run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranker_cells import BUDGETS, REFERENCE, ROWS, SEEDED, TRAINED, WHOLE_DOCUMENTS, Bench, Cell
from benchmarks.ratios import hand_over_recalls
from loaders.manifest import MANIFEST
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.demo import Runner
from pinpoint_data.errors import PinpointError
from pinpoint_data.workspace import Workspace
from training.evaluation.comparison import COVERAGES
from training.evaluation.intervals import RESAMPLES, FloatArray, bootstrap_facts, columns_of, differences, intervals
from training.evaluation.question_scores import share_name
from training.evaluation.summary import over_their_questions
from training.evaluation.tables import ScoreTable, markdown_report, score_table, short_number, terminal

SOURCES = {
    "mmdocir": ("mmdocir", "mmlongbench"),
    f"mmdocir{WHOLE_DOCUMENTS}": ("mmdocir", "mmlongbench", "--pages", "document"),
    "funsd": ("funsd", "funsd"),
}
TABLE_VERSION = 1
RECALL = [f"evidence_recall@{share_name(budget)}" for budget in BUDGETS]
PAGES = [f"page_recall@{share_name(budget)}" for budget in BUDGETS]
AT = [f"@{share_name(budget)}" for budget in BUDGETS]

Summary = Mapping[str, Any]


def prepare(data: Path, out: Path) -> tuple[Path, Path]:
    """Workspace and dataset of the real pages, made by the commands of ours; what is done stays."""
    runner, workspace, dataset = Runner(), out / "workspace", out / "dataset"
    if (dataset / MANIFEST).is_file():
        return workspace, dataset
    known = Workspace.open(workspace).sources if workspace.is_dir() else {}
    for name, (reader, folder, *options) in SOURCES.items():
        if name not in known:
            arguments = ("ingest", reader, data / folder, "--workspace", workspace, "--name", name, *options)
            runner.pinpoint(f"Read {name}", *arguments)
    runner.pinpoint("Words", "words", workspace)
    runner.pinpoint("Publish", "publish", workspace, dataset)
    return workspace, dataset


def measure(bench: Bench, rows: Sequence[str], seeds: int) -> dict[str, list[list[Cell]]]:
    """For each row and seed its cells: a fold each where it was trained, one where it was not."""
    trained = [name for name in rows if name in TRAINED]
    found: dict[str, list[list[Cell]]] = {name: [] for name in rows}
    for seed in range(seeds):
        for name, cells in bench.trained(seed, trained).items():
            found[name].append(cells)
        for name in (name for name in rows if name not in TRAINED):
            found[name].append([bench.untrained(seed, name)])
    return found


def summarise(bench: Bench, cells: Mapping[str, list[list[Cell]]]) -> dict[str, Any]:
    """Means over questions with 95 % intervals, by source, and paired differences of the ranker to every other row.

    Returns:
        `sources[source]`: `scores[row][score]`, `by_seed[row]` with the plain means of each seed, and
        `differences[row][score]`: the ranker minus the row, with `excludes_zero`.
    """
    merged = {
        name: [{question: own for cell in folds for question, own in cell["scores"].items()} for folds in by_seed]
        for name, by_seed in cells.items()
    }
    everywhere = set.intersection(*(set(scores) for by_seed in merged.values() for scores in by_seed))
    samples = [sample for sample in bench.samples if sample.question_id in everywhere]
    ids = [sample.question_id for sample in samples]
    groups = np.array([bench.groups[sample.doc_id] for sample in samples])
    sources = np.array([sample.source for sample in samples])
    by_seed = {
        name: [over_their_questions({name: columns_of([own[i] for i in ids])}, samples)[name] for own in seeds]
        for name, seeds in merged.items()
    }
    columns = {name: _mean(seeds) for name, seeds in by_seed.items()}
    facts = {
        "schema": "pinpoint-ranker-table",
        "version": TABLE_VERSION,
        "program": f"pinpoint-data {__version__}",
        "dataset": bench.version,
        "seeds": len(by_seed[next(iter(by_seed))]),
        "folds": bench.folds,
        "budgets": list(BUDGETS),
        "coverages": list(COVERAGES),
        "bootstrap": bootstrap_facts(RESAMPLES, 0) | {"unit": "group of documents that share pages"},
        "fit_seconds": {name: _fit_seconds(own) for name, own in cells.items()},
        "refused": len(bench.samples) - len(samples),
    }
    found: dict[str, Any] = {}
    for source in sorted(set(sources.tolist())):
        chosen = sources == source
        found[source] = {
            "questions": int(chosen.sum()),
            "documents": len(set(groups[chosen].tolist())),
            "scores": {name: intervals(own, chosen, groups) for name, own in columns.items()},
            "by_seed": {name: [_plain(own, chosen) for own in seeds] for name, seeds in by_seed.items()},
            "differences": _gaps(columns, chosen, groups),
        }
    return facts | {"sources": found}


def _mean(seeds: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Each question's mean over the seeds."""
    return {name: np.mean([own[name] for own in seeds], axis=0) for name in seeds[0]}


def _plain(columns: Mapping[str, FloatArray], chosen: np.ndarray) -> dict[str, float]:
    return {name: float(columns[name][chosen].mean()) for name in (*RECALL, "top1_accuracy")}


def _fit_seconds(by_seed: Sequence[Sequence[Cell]]) -> float:
    return float(np.mean([cell["fit_seconds"] for cells in by_seed for cell in cells]))


def _gaps(columns: Mapping[str, Mapping[str, FloatArray]], chosen: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    if REFERENCE not in columns:
        return {}
    gaps: dict[str, Any] = {}
    for name, theirs in columns.items():
        if name != REFERENCE:
            paired = differences(columns[REFERENCE], {score: theirs[score] for score in (*RECALL, *PAGES)})
            gaps[name] = {
                score: gap | {"excludes_zero": _sign(gap) != 0}
                for score, gap in intervals(paired, chosen, groups).items()
            }
    return gaps


def _sign(gap: Mapping[str, Any]) -> int:
    """1 or -1 where the whole interval is above or below zero; 0 where it is not, or there is none."""
    if gap["low"] is None:
        return 0
    return int(gap["low"] > 0) - int(gap["high"] < 0)


def head_lines(summary: Summary) -> list[str]:
    """How the figures were made."""
    resamples = summary["bootstrap"]["resamples"]
    lines = [
        f"{summary['folds']} folds by document, {summary['seeds']} seeds; no model saw a document that it is scored on",
        f"mean over questions [95 % interval over {resamples:,} resamples of documents, which are one where they share "
        "pages]",
    ]
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in summary["fit_seconds"].items() if value >= 0.5)
    if seconds:
        lines.append(f"seconds a training: {seconds}")
    if summary["refused"]:
        lines.append(f"WARNING: {summary['refused']:,} questions were refused, as a page of theirs cannot be used")
    return lines


def tables(summary: Summary) -> Iterator[ScoreTable]:
    """Scores and differences, source by source."""
    r = [f"region_accuracy@{share_name(share)}" for share in COVERAGES]
    titles = [*(f"r @{share_name(share)}" for share in COVERAGES), "top-1", "full budget"]
    for source, found in summary["sources"].items():
        of = f"{source}, {_counted(found['questions'], 'question')} of {_counted(found['documents'], 'document')}"
        scores, gaps = found["scores"], found["differences"]
        yield score_table(f"{of}: evidence recall at an exact budget of tokens", "row", scores, RECALL, AT)
        if any(PAGES[0] in own for own in scores.values()):
            yield score_table(f"{of}: page recall, questions of several pages", "row", scores, PAGES, AT)
        names = [*r, "top1_accuracy", "full_coverage_budget"]
        yield score_table(f"{of}: region accuracy, top-1 (each in a row's own windows)", "row", scores, names, titles)
        if summary["seeds"] > 1:
            yield _of_seeds(f"{of}: evidence recall and top-1, from the worst seed to the best", found["by_seed"])
        for title, kind in ((f"{of}: evidence recall", RECALL), (f"{of}: page recall", PAGES)):
            if any(kind[0] in own for own in gaps.values()):
                yield score_table(f"{title} of {REFERENCE} minus that of ..., paired", "row", gaps, kind, AT)
                yield _verdicts(f"{title}: is the whole interval of the difference on one side of zero?", gaps, kind)


def _of_seeds(title: str, by_seed: Mapping[str, Sequence[Mapping[str, float]]]) -> ScoreTable:
    """How far the seeds lie apart, each a dealing into folds and a training of its own; not for what has no seed."""
    rows = []
    for name, seeds in by_seed.items():
        columns = [[own[score] for own in seeds] for score in (*RECALL, "top1_accuracy")]
        ends = [f"{short_number(min(own), 3)} to {short_number(max(own), 3)}" for own in columns]
        rows += [(name, *ends)] if name in SEEDED else []
    return ScoreTable(title, ("row", *AT, "top-1"), tuple(rows))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _verdicts(title: str, gaps: Mapping[str, Any], scores: Sequence[str]) -> ScoreTable:
    rows = []
    for name, own in gaps.items():
        sides: dict[int, list[str]] = {1: [], 0: [], -1: []}
        for score, at in zip(scores, AT, strict=True):
            sides[_sign(own[score])].append(at)
        rows.append((name, *(" ".join(side) or "-" for side in sides.values())))
    return ScoreTable(title, ("row", f"{REFERENCE} better", "not told apart", f"{REFERENCE} worse"), tuple(rows))


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare, train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="not needed with --workspace and --dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--workspace", type=Path, help="with --dataset: what it was published from")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="few documents, short trainings, 1 seed, 2 folds: a trial")
    given = parser.parse_args(argv)
    if (given.workspace is None) != (given.dataset is None) or (given.workspace or given.data) is None:
        parser.error("give DATA, or both --workspace and --dataset")
    if given.seeds < 1 or given.folds < 2:
        parser.error("--seeds must be at least 1, --folds at least 2")
    seeds, folds = (1, 2) if given.quick else (given.seeds, given.folds)
    try:
        workspace, dataset = (given.workspace, given.dataset) if given.dataset else prepare(given.data, given.out)
        bench = Bench(dataset, workspace, given.out, folds, given.quick)
        summary = summarise(bench, measure(bench, list(dict.fromkeys(given.variants)), seeds))
    except PinpointError as error:
        sys.exit(str(error))
    write_json(given.out / "ranker-table.json", summary)
    shown = list(tables(summary))
    write_text(given.out / "ranker-table.md", markdown_report("Ranker", head_lines(summary), shown))
    print(terminal(head_lines(summary), shown))
    scores = {source: own["scores"] for source, own in summary["sources"].items()}
    others = [name for name in ("bm25", "boosted-trees", "random") if name in given.variants]
    hand_over_recalls("held-out documents", scores, [REFERENCE] if REFERENCE in given.variants else [], others)


if __name__ == "__main__":
    main()
