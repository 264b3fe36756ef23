"""A question over one page whose words are known: processor time of the ranker, against BM25's.

    OMP_NUM_THREADS=1 python benchmarks/bench_ranker.py WORKSPACE DATASET [--source NAME] [--questions 200]

read      words, blocks and pixels into the page's features: once a page; decoding the page's file is no part of it
score     the question's relations to the page, and the networks
order     the tokens in the order in which any budget takes them
first     all three: the first question over a page; `next`, without reading, is every further one
x bm25    of BM25 over windows of 10 x 10 tokens, whose words were sorted into windows before, in the same run

Each step is done `--rounds` times a question and the least counts, as the rest is what else the machine did. The size
of the rankers' files is printed as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from benchmarks.ratios import Ratio, hand_over
from loaders.samples import Sample, load_samples
from pinpoint_data.errors import PinpointError
from pinpoint_data.grids import patch_grid
from pinpoint_data.progress import track
from pinpoint_data.ranking import TokenRanking
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from training.evaluation.pages import PageViews
from training.pages.store import PageStore
from training.ranker.model import SHIPPED, SUFFIX, ranker_names
from training.ranker.page import read_page
from training.window_scorers import BM25Scorer, QuestionView, RankerScorer
from training.window_scorers.base import Scores

STEPS = ("read", "score", "order")


def seconds(work: Callable[[], object]) -> float:
    """Of processor time: what one core takes when nothing else runs on it."""
    started = time.process_time()
    work()
    return time.process_time() - started


def order(scores: Scores, view: QuestionView) -> None:
    """The tokens of all pages, best first."""
    ranked = np.argsort(-np.concatenate(scores), kind="stable")
    _ = TokenRanking.of(ranked, [page.windows for page in view.pages]).order


def time_question(ranker: RankerScorer, tokens: QuestionView, windows: QuestionView, rounds: int) -> dict[str, float]:
    """Least seconds of each step over one page, and of BM25."""
    (page,) = tokens.pages
    asked = page.page_input
    grid, words, image = patch_grid(asked.width, asked.height), asked.words, asked.load_image()
    read, bm25 = read_page(grid, words, image), BM25Scorer()
    bm25.score(windows)  # sorts the words into windows, which is kept
    scores = ranker.score_read([read], [page.windows], tokens.question)
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: read_page(grid, words, image),
        "score": lambda: ranker.score_read([read], [page.windows], tokens.question),
        "order": lambda: order(scores, tokens),
        "bm25": lambda: order(bm25.score(windows), windows),
    }
    return {name: min(seconds(work) for _ in range(rounds)) for name, work in steps.items()}


def measure(
    samples: Sequence[Sample], store: PageStore, ranker: RankerScorer, rounds: int
) -> tuple[dict[str, np.ndarray], float]:
    """Milliseconds by step, one a question, and the mean tokens of a page."""
    views = PageViews(store, patch_grid, WindowSpec())
    timed, tokens = [], []
    for sample in track(samples, "questions"):
        view = views.of(sample, ranker.window_spec)
        timed.append(time_question(ranker, view, views.of(sample), rounds))
        tokens.append(view.pages[0].grid.n_tokens)
    return {step: 1e3 * np.array([own[step] for own in timed]) for step in timed[0]}, float(np.mean(tokens))


def report(name: str, timed: dict[str, np.ndarray], tokens: float) -> list[str]:
    """A line a step: median and 95th percentile in milliseconds, and the median as a ratio to BM25's."""
    totals = {"first": sum(timed[step] for step in STEPS), "next": timed["score"] + timed["order"]}
    bm25 = np.median(timed["bm25"])
    lines = [f"{name}: {len(timed['bm25'])} questions, {tokens:,.0f} tokens a page"]
    for step, values in {**timed, **totals}.items():
        middle, high = np.percentile(values, (50, 95))
        if step in totals:
            hand_over([Ratio(f"{name}: a question, {step}", "milliseconds", middle, "bm25", bm25)])
        lines.append(f"  {step:6} {middle:6.1f} ms   95 % below {high:6.1f} ms   {middle / bm25:5.1f} x bm25")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--source", action="append", help="of the dataset; may be repeated")
    parser.add_argument("--questions", type=int, default=200, help="of each source, spread over all of its own")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    try:
        store, ranker = PageStore(Workspace.open(given.workspace)), RankerScorer()
        by_source: dict[str, list[Sample]] = {}
        for sample in load_samples(given.dataset, given.source):
            if len(sample.pages) == 1:
                by_source.setdefault(sample.source, []).append(sample)
        for name, samples in by_source.items():
            chosen = samples[:: max(1, len(samples) // given.questions)][: given.questions]
            print("\n".join(report(name, *measure(chosen, store, ranker, given.rounds))))
    except PinpointError as error:
        sys.exit(str(error))
    for name in ranker_names():
        file = files("training.ranker") / "weights" / f"{name}{SUFFIX}"
        print(f"{name}{' (default)' if name == SHIPPED else ''}: {len(file.read_bytes()):,} bytes")


if __name__ == "__main__":
    main()
