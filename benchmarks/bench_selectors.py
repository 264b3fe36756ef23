"""Selectors on the embedded backbone: milliseconds a question, against a random order and BM25, and peak memory.

    python benchmarks/bench_selectors.py WORKSPACE DATASET [--questions 100] [--rounds 3]

Every registered selector takes part that needs nothing but `ocr-grid`; the others are listed with what they lack, and
one that cannot be imported ends the run. All budgets of the benchmark are asked for at once. Of each question every
selector has its turn, `--rounds` times, so that what else runs on the machine troubles all alike; the median of the
rounds counts. A selector that does not read the question is asked anew all the same.

choice        the selector's own work: mean over questions, and of the slowest question
signals       tokens of pages and question, made once and charged to whoever uses them
x random      choice and signals, over those of `random` in the same run; likewise `x bm25`
memory        resident memory at its peak, above what there was before the selector's turn; the largest of all turns
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from benchmarks.ratios import Ratio, hand_over
from loaders.samples import load_samples
from pinpoint_data.errors import UsageError
from pinpoint_data.ranking import token_budget
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from training.backbones import OcrGrid
from training.benchmark.run import BUDGETS
from training.evaluation.pages import PageViews
from training.evaluation.split import first_questions
from training.pages.store import PageStore
from training.selectors import EncodedSample, Selector, SignalSource, checked_select, make_selector, selector_names

BASELINES = ("random", "bm25")


@dataclass
class Turns:
    """What a selector took: seconds of each question, and bytes."""

    choice: list[float] = field(default_factory=list)
    signals: list[float] = field(default_factory=list)
    memory: int = 0

    @property
    def total(self) -> float:
        """Mean seconds a question."""
        return fmean(self.choice) + fmean(self.signals)


def servable(source: SignalSource) -> tuple[list[Selector], dict[str, str]]:
    """Selectors whose needs are met, and why each of the others takes no part.

    Raises:
        UsageError: A registered selector cannot be imported.
    """
    offers = source.offers | {"words"}
    made: list[Selector] = []
    left_out: dict[str, str] = {}
    for name in selector_names():
        try:
            selector = make_selector(name)
        except UsageError as error:
            if isinstance(error.__cause__, (ImportError, AttributeError)):
                raise
            left_out[name] = error.message
            continue
        if lacking := sorted(selector.needs - offers):
            left_out[name] = f"needs {', '.join(lacking)}"
        else:
            made.append(selector)
    return made, left_out


def turn(selector: Selector, sample: EncodedSample, budgets: Sequence[int]) -> tuple[float, float, int]:
    """Seconds of the choice and of the signals it uses, and bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = resident("VmRSS")
    _, choice, signals = sample.ledger.charged(lambda: checked_select(selector, sample, budgets))
    return choice, sum(cost.seconds for cost in signals.values()), resident("VmHWM") - before


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(
    samples: Iterable[EncodedSample], selectors: Sequence[Selector], rounds: int
) -> tuple[dict[str, Turns], list[int]]:
    """All selectors on each question; and how many tokens questions have."""
    found = {selector.name: Turns() for selector in selectors}
    tokens: list[int] = []
    for number, sample in enumerate(samples):
        budgets = [token_budget(share, sample.n_tokens) for share in BUDGETS]
        if not number:
            for selector in selectors:  # libraries are loaded, and memory that stays is taken
                turn(selector, sample, budgets)
        for selector in selectors:
            turns = [turn(selector, sample, budgets) for _ in range(rounds)]
            own = found[selector.name]
            own.choice.append(median(choice for choice, _, _ in turns))
            own.signals.append(median(signals for _, signals, _ in turns))
            own.memory = max(own.memory, *(taken for _, _, taken in turns))
        tokens.append(sample.n_tokens)
    return found, tokens


def report(found: Mapping[str, Turns], left_out: Mapping[str, str], tokens: Sequence[int]) -> None:
    print(
        f"{len(tokens)} questions of {min(tokens):,} to {max(tokens):,} tokens, median {median(tokens):,.0f}; ", end=""
    )
    print(f"{len(BUDGETS)} budgets at once; resident memory in the end {resident('VmRSS') / 2**20:,.0f} MB")
    print(f"{'':20s} choice ms  slowest ms  signals ms  {'  '.join(f'x {name:6s}' for name in BASELINES)}  memory MB")
    for name, own in sorted(found.items(), key=lambda item: item[1].total):
        ratios = "  ".join(f"{own.total / found[base].total:8,.1f}" for base in BASELINES)
        print(
            f"{name:20s} {1e3 * fmean(own.choice):9,.2f}  {1e3 * max(own.choice):10,.2f}  "
            f"{1e3 * fmean(own.signals):10,.2f}  {ratios}  {own.memory / 2**20:9,.1f}"
        )
    hand_over(
        Ratio(f"a question by {name}", "seconds", own.total, base, found[base].total)
        for name, own in found.items()
        for base in BASELINES
        if name != base
    )
    for name, reason in left_out.items():
        print(f"{name:20s} {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--questions", type=int, default=100, help="the same ones each time")
    parser.add_argument("--source", action="append", help="of the dataset; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    backbone = OcrGrid()
    store = PageStore.of_backbone(Workspace.open(arguments.workspace), backbone)
    if not store.has_words:
        sys.exit(f"{arguments.workspace}: has no words; run pinpoint words first")
    source = SignalSource(backbone)
    selectors, left_out = servable(source)
    with_gold = [sample for sample in load_samples(arguments.dataset, arguments.source) if sample.evidence]
    if not with_gold:
        sys.exit(f"{arguments.dataset}: no question has gold boxes")
    views = PageViews(store, backbone.grid, WindowSpec())
    # One at a time: a question keeps the signals that were made for it.
    asked = (source.sample(views.of(sample)) for sample in first_questions(with_gold, arguments.questions))
    found, tokens = measure(asked, selectors, arguments.rounds)
    report(found, left_out, tokens)


if __name__ == "__main__":
    main()
