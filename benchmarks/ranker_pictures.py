"""Real questions as pictures: what a ranker keeps of pages it never saw, beside BM25; half of them its failures.

    python benchmarks/ranker_pictures.py DATASET WORKSPACE RANKER OUT [--source mmdocir] [--count 10] [--budget 0.25]

RANKER is a folder that `pinpoint ranker train` made; asked are the questions of the documents that it held out.
Failures are those that get the least share of the evidence recall that the budget allows (the token oracle's), no
document twice while there are others; the rest are drawn by the hash of their ids among those that get nine tenths of
it. OUT gets a picture a question and pictures.md. The pages are those of the dataset, under its licence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from loaders.samples import Sample, load_samples
from pinpoint_data.atomic import write_text
from pinpoint_data.errors import PinpointError
from pinpoint_data.grids import patch_grid
from pinpoint_data.progress import track
from pinpoint_data.ranking import BoolArray, TokenRanking
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from training.benchmark.examples import choose_examples, make_example
from training.benchmark.pictures import save_figure
from training.checkpoint import read_documents
from training.evaluation.comparison import evaluate
from training.evaluation.pages import PageViews
from training.evaluation.question_scores import measured_evidence, share_name
from training.pages.store import PageStore
from training.ranker.model import Ranker
from training.window_scorers import BM25Scorer, OracleScorer, QuestionView, RankerScorer, WindowScorer
from training.window_scorers.base import checked_scores, window_places

_GOOD = 0.9


def held_out(dataset: Path, ranker: Path, sources: Sequence[str] | None) -> list[Sample]:
    """The questions with gold boxes of documents that the ranker held out."""
    documents = set(read_documents(ranker)["validation"])
    return [sample for sample in load_samples(dataset, sources) if sample.doc_id in documents and sample.evidence]


def attained(samples: Sequence[Sample], scorer: RankerScorer, store: PageStore, budget: float) -> dict[str, float]:
    """For each question that can be asked, the recall as a share of what tokens up to the budget can hold at most."""
    views = PageViews(store, patch_grid, WindowSpec(1, 1, 1))
    oracle = OracleScorer()
    found = evaluate(samples, [scorer, oracle], views, budgets=[budget], coverages=[])
    ours, most = (found.scores[name][f"evidence_recall@{share_name(budget)}"] for name in (scorer.name, oracle.name))
    return {sample.question_id: float(share) for sample, share in zip(found.samples, ours / most, strict=True)}


def failures(samples: Iterable[Sample], share: Mapping[str, float], count: int) -> list[Sample]:
    """The questions of least share; each of another document while there are others."""
    left = sorted(samples, key=lambda sample: (share[sample.question_id], sample.question_id))
    chosen: list[Sample] = []
    while left and len(chosen) < count:
        shown = {sample.doc_id for sample in chosen}
        worst = next((sample for sample in left if sample.doc_id not in shown), left[0])
        left.remove(worst)
        chosen.append(worst)
    return chosen


def kept(scorer: WindowScorer, view: QuestionView, budget: float) -> BoolArray:
    """(N,): the tokens of all pages that a scorer's first tokens up to the budget are."""
    order = np.argsort(np.concatenate(window_places(checked_scores(scorer, view), view.question_id)))
    mask: BoolArray = TokenRanking.of(order, [page.windows for page in view.pages]).top([budget])[0]
    return mask


def pictures(
    chosen: Iterable[Sample], ranker: RankerScorer, store: PageStore, budget: float, out: Path
) -> Iterator[str]:
    """Draw each; yields a line a question: file, id, recall of both."""
    views = PageViews(store, patch_grid, WindowSpec())
    for number, sample in enumerate(chosen, start=1):
        tokens, view = views.of(sample, ranker.window_spec), views.of(sample)
        masks = {"ranker": kept(ranker, tokens, budget), "bm25": kept(BM25Scorer(), view, budget)}
        masks["most that tokens can hold"] = kept(OracleScorer(), tokens, budget)
        example = make_example(view, measured_evidence(view), sample.answers, budget, masks)
        file = out / f"{number:02d}.png"
        save_figure(example, file)
        recall = ", ".join(f"{name} {value:.2f}" for name, value in example.recall.items())
        yield f"| {file.name} | {sample.question_id} | {sample.question} | {recall} |".replace("\n", " ")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("ranker", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", action="append", help="of the dataset; may be repeated")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--budget", type=float, default=0.25)
    given = parser.parse_args(argv)
    try:
        scorer = RankerScorer(Ranker.load(given.ranker))
        store = PageStore(Workspace.open(given.workspace))
        samples = held_out(given.dataset, given.ranker, given.source)
        share = attained(samples, scorer, store, given.budget)
        asked = [sample for sample in samples if sample.question_id in share]
        failed = failures((s for s in asked if share[s.question_id] < _GOOD), share, given.count // 2)
        good = [sample for sample in asked if share[sample.question_id] >= _GOOD]
        chosen = [*failed, *choose_examples(good, given.count - len(failed))]
        given.out.mkdir(parents=True, exist_ok=True)
        head = ["| picture | question | asked | evidence recall |", "|---|---|---|---|"]
        lines = [*head, *pictures(track(chosen, "pictures"), scorer, store, given.budget, given.out)]
    except PinpointError as error:
        sys.exit(str(error))
    write_text(given.out / "pictures.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
