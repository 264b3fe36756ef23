"""Training a ranker on a published dataset: what is held out, what is recorded, what is written.

OUT/ranker.safetensors   the ranker, with all facts of its training
OUT/documents.json       which documents were learnt from and which were held out
OUT/README.md            its card
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from loaders.samples import Sample, load_samples
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.errors import Outcome, TrainingError, UsageError
from pinpoint_data.progress import track
from pinpoint_data.workspace import Workspace
from training.checkpoint import refuse_overwriting
from training.evaluation.pages import check_pages
from training.pages.store import PageStore
from training.ranker.card import card_text
from training.ranker.examples import Example, collect_examples
from training.ranker.fit import FitSettings, fit_ranker
from training.ranker.groups import document_groups, fold_of
from training.ranker.model import RANKER_FILE, Ranker, page_key

FOLDS = 5
DOCUMENTS_FILE, CARD_FILE = "documents.json", "README.md"


def train_ranker(
    out: Path,
    dataset: Path,
    workspace: Path,
    *,
    sources: Sequence[str] | None = None,
    folds: int = FOLDS,
    settings: FitSettings | None = None,
    licence: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Ranker, Outcome]:
    """Train a ranker on all documents but the first of `folds` parts, and write it to the new folder `out`.

    Args:
        out: A folder that does not exist yet, or is empty.
        dataset: The dataset folder.
        workspace: The workspace it was published from.
        sources: Sources of the dataset, all by default.
        folds: Parts that documents are dealt into, by source; the first one is held out. 1 holds nothing out.
        settings: See `FitSettings`.
        licence: What the weights may be used for, for the card.
        report: Told what is done.

    Returns:
        The ranker, and the questions whose pages could not be used.

    Raises:
        UsageError: `out` is not empty.
        TrainingError: There is nothing to learn from, or the workspace does not fit the dataset.
    """
    refuse_overwriting(out)
    if folds < 1:
        raise UsageError(f"folds must be 1 or more, got {folds}")
    samples = list(load_samples(dataset, sources))
    store = PageStore(Workspace.open(workspace))
    check_pages(store, samples)
    fold = document_folds(samples, store, folds, (settings or FitSettings()).seed)
    learnt = [sample for sample in samples if folds == 1 or fold[sample.doc_id] != 0]
    if samples and not learnt:
        raise TrainingError(
            f"all of its documents are in the first of {folds} parts, which is held out",
            file=dataset,
            remedy="hold nothing out with --folds 1, or publish more documents",
        )
    left_out: Counter[str] = Counter()
    outcome = Outcome()
    examples = list(collect_examples(track(learnt, "pages"), store, left_out, outcome))
    if not examples:
        reasons = ", ".join(f"{why} ({count:,})" for why, count in sorted(left_out.items()))
        raise TrainingError(
            f"no question to learn from has gold boxes ({reasons or 'the dataset is empty'})", file=dataset
        )
    documents = {
        "train": sorted({example.doc_id for example in examples}),
        "validation": sorted({sample.doc_id for sample in samples} - {sample.doc_id for sample in learnt}),
    }
    facts = {
        "program": f"pinpoint-data {__version__}",
        "torch": torch.__version__,
        "licence": licence,
        "folds": folds,
        "questions": dict(sorted(Counter(example.source for example in examples).items())),
        "documents": {side: len(names) for side, names in documents.items()},
        "left_out": dict(sorted(left_out.items())),
        "pages": _pages(learnt, examples, store),
    }
    ranker = fit_ranker(examples, settings, name=out.resolve().name, facts=facts, report=report)
    ranker.save(out / RANKER_FILE)
    write_json(out / DOCUMENTS_FILE, documents)
    write_text(out / CARD_FILE, card_text(ranker))
    return ranker, outcome


def document_folds(samples: Sequence[Sample], store: PageStore, folds: int, seed: int) -> dict[str, int]:
    """The part of each document; documents that share a page file are in one part."""
    groups = document_groups(samples, store)
    sources = {sample.doc_id: sample.source for sample in samples}
    return fold_of(groups, sources, folds, seed)


def _pages(samples: Sequence[Sample], examples: Sequence[Example], store: PageStore) -> list[str]:
    used = {example.question_id for example in examples}
    ids = {page.page_id for sample in samples if sample.question_id in used for page in sample.pages}
    return sorted({page_key(store.row(page_id)) for page_id in ids})


def facts_line(facts: dict[str, Any]) -> str:
    """One line about what a ranker learnt from."""
    sources = ", ".join(f"{count:,} of {name}" for name, count in facts["questions"].items())
    documents = facts["documents"]
    return f"{sources}; {documents['train']:,} documents learnt from, {documents['validation']:,} held out"
