"""A whole evaluation: dataset, workspace and run in, summary and files out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from loaders.samples import load_samples
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.grids import GRID_NAMES, make_grid
from pinpoint_data.windows import LabelRule, WindowSpec
from pinpoint_data.workspace import Workspace
from training.checkpoint import Run
from training.evaluation.comparison import BUDGETS, COVERAGES, Evaluation, evaluate
from training.evaluation.intervals import RESAMPLES
from training.evaluation.learnt import LearntPages, held_out_by
from training.evaluation.pages import PageViews, check_pages
from training.evaluation.report import markdown
from training.evaluation.split import choose_questions, listed
from training.evaluation.summary import summarise
from training.features import open_features
from training.pages.store import PageStore
from training.ranker import SHIPPED, Ranker
from training.window_scorers import PinpointScorer, RankerScorer, WindowScorer, make_scorer

BASELINES = ("random", "text-density", "bm25")
CEILING = "oracle"
DEFAULT_GRID = "patches"


def evaluate_dataset(
    dataset: Path,
    workspace: Path,
    run: Run | None = None,
    *,
    split: str | None = None,
    sources: Sequence[str] | None = None,
    ranker: str | Path | None = SHIPPED,
    scorers: Sequence[str] = (),
    baselines: bool = True,
    with_run: bool = True,
    grid: str = DEFAULT_GRID,
    budgets: Sequence[float] = BUDGETS,
    coverages: Sequence[float] = COVERAGES,
    cache: Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Evaluation, dict[str, Any]]:
    """Score a run and a ranker beside random, text density, BM25 and the window oracle on a published dataset.

    Args:
        dataset: The dataset folder.
        workspace: The workspace it was published from.
        run: A trained run; its grid, windows, label rule and held-out documents are used.
        split: See `choose_questions`; without a run, a ranker's folder knows the documents that it held out.
        sources: Sources of the dataset, all by default.
        ranker: The ranker to score on windows of its own, as `Ranker.load` takes it. None leaves it out.
        scorers: Names of further scorers, or `package.module:attribute`.
        baselines: False leaves random, text density, BM25 and the oracle out.
        with_run: False leaves the run's own scores out.
        grid: Name of the grid where there is no run.
        budgets: Exact shares of tokens.
        coverages: Shares r of region accuracy.
        cache: Feature cache that the run's visual tokens are read from; None: pages are encoded.
        resamples: Bootstrap resamples.
        seed: Of the bootstrap and the random scorer.

    Returns:
        Every score, and the JSON-ready summary.

    Raises:
        UsageError: A budget is outside (0, 1], or a scorer, ranker or grid is unknown.
        TrainingError: There is nothing to score, the workspace does not fit the dataset, or the cache not the run.
    """
    check_shares("budgets", budgets)
    check_shares("coverages", coverages)
    if grid not in GRID_NAMES:
        raise UsageError(f"no grid {grid!r}; expected one of {', '.join(GRID_NAMES)}")
    made = [make_scorer(name, **({"seed": seed} if name == "random" else {})) for name in BASELINES if baselines]
    made += [RankerScorer(Ranker.load(ranker))] if ranker is not None else []
    made += [make_scorer(name) for name in scorers]
    # However it was asked for: `--scorer ranker` must warn of what it has learnt, too.
    known = next((scorer.ranker for scorer in made if isinstance(scorer, RankerScorer)), None)
    documents, learner = _documents(run, ranker)
    chosen = choose_questions(load_samples(dataset, sources), split, documents, learner)
    store = PageStore(Workspace.open(workspace))
    check_pages(store, chosen.samples)
    views = _views(store, run, grid)
    rule = run.config.labels.rule() if run is not None else LabelRule()
    with ExitStack() as opened:
        tokens = None
        if run is not None and with_run:
            tokens = opened.enter_context(open_features(cache, run.backbone, store)) if cache is not None else None
            made.append(PinpointScorer(run, tokens))
        made += [make_scorer(CEILING)] if baselines else []
        found = evaluate(chosen.samples, made, views, rule, budgets=budgets, coverages=coverages, tokens=tokens)
    found.left_out += chosen.left_out
    if not found.samples and not found.outcome.refused:
        raise TrainingError(f"no question to score has gold boxes ({listed(found.left_out)})", file=dataset)
    summary = summarise(found, reference=_reference(made), resamples=resamples, seed=seed)
    learnt = LearntPages.among(known, found.samples, store) if known is not None else None
    facts = {
        "program": f"pinpoint-data {__version__}",
        "dataset": dataset.resolve().name,
        "run": run.path.resolve().name if run is not None else None,
        "ranker": {"name": known.name, "fingerprint": known.fingerprint} if known is not None else None,
        "split": split or ("validation" if documents is not None else "all"),
        "grid": run.backbone.name if run is not None else grid,
    }
    warnings = [chosen.warning, learnt.warning if learnt is not None else None]
    return found, summary | facts | _of_pages(found, views, [line for line in warnings if line])


def _documents(run: Run | None, ranker: str | Path | None) -> tuple[Mapping[str, Sequence[str]] | None, str]:
    """The documents that whatever is scored learnt from and held out, and what to call it."""
    if run is not None:
        return run.documents, "run"
    return None if ranker is None else held_out_by(ranker), "ranker"


def _views(store: PageStore, run: Run | None, grid: str) -> PageViews:
    if run is None:
        return PageViews(store, partial(make_grid, grid), WindowSpec())
    return PageViews(store, run.backbone.grid, run.window_spec)


def _reference(scorers: Sequence[WindowScorer]) -> str | None:
    """Whose differences to the others are shown: the run's, or else the ranker's."""
    names = {scorer.name for scorer in scorers}
    return next((name for name in (PinpointScorer.name, RankerScorer.name) if name in names), None)


def _of_pages(found: Evaluation, views: PageViews, warnings: list[str]) -> dict[str, Any]:
    """What the summary says of pages and their words."""
    pages = {page.page_id for sample in found.samples for page in sample.pages}
    bare = len(views.without_words & pages)
    if bare:
        remedy = "`pinpoint words --fallback rapidocr` reads their pixels"
        warnings = [*warnings, f"{bare:,} of {len(pages):,} pages have no words; {remedy}"]
    return {"pages": {"distinct": len(pages), "without_words": bare}, "warnings": warnings}


def write_evaluation(folder: Path, evaluation: Evaluation, summary: dict[str, Any]) -> None:
    """Write `evaluation.json`, `evaluation.md`, and `questions.jsonl`: a row a question and scorer."""
    write_text(folder / "questions.jsonl", "".join(json.dumps(row) + "\n" for row in evaluation.rows()))
    write_text(folder / "evaluation.md", markdown(summary))
    write_json(folder / "evaluation.json", summary)


def check_shares(name: str, shares: Sequence[float]) -> None:
    """Refuse what is no list of different shares.

    Raises:
        UsageError: None is given, two are equal, or one is outside (0, 1].
    """
    if not shares or len(set(shares)) < len(shares) or not all(0 < share <= 1 for share in shares):
        given = ", ".join(f"{share:g}" for share in shares) or "none"
        raise UsageError(f"{name} must be different shares in (0, 1], got {given}")
