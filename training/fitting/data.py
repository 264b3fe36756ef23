"""Training questions: samples of a published dataset, labelled window by window and split by document."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, TrainingError
from pinpoint_data.windows import NEGATIVE, POSITIVE, LabelRule, label_windows
from training.config import DataConfig
from training.pages.geometry import Geometries

Boxes = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Example:
    """A question with gold boxes, ready to be learnt from.

    Attributes:
        question_id: Its id.
        source: The dataset config it came from.
        split: Its published split.
        doc_id: Its document: no document is on both sides of a split.
        question: The text.
        pages: Page ids, p of them.
        sizes: Width and height of each page in pixels.
        files: Hashes of the pages' files, where they are known.
        boxes: Gold boxes (b, 4) of each page, in page pixels.
        labels: Window labels (w,) of each page: 1 positive, 0 negative, -1 ignored.
    """

    question_id: str
    source: str
    split: str
    doc_id: str
    question: str
    pages: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    files: frozenset[str]
    boxes: tuple[Boxes, ...]
    labels: tuple[Labels, ...]

    @property
    def has_positive(self) -> bool:
        """Whether any window is positive."""
        return any((labels == POSITIVE).any() for labels in self.labels)

    @property
    def has_negative(self) -> bool:
        """Whether any window is negative."""
        return any((labels == NEGATIVE).any() for labels in self.labels)


@dataclass
class TrainingData:
    """Both sides of the document-disjoint split, and what was left out.

    Attributes:
        train: Questions to learn from.
        validation: Questions to watch; none of their documents is in `train`.
        left_out: Number of questions by reason.
    """

    train: list[Example]
    validation: list[Example]
    left_out: Counter[str] = field(default_factory=Counter)

    def documents(self) -> dict[str, list[str]]:
        """Sorted document ids of each side."""
        return {
            "train": sorted({example.doc_id for example in self.train}),
            "validation": sorted({example.doc_id for example in self.validation}),
        }

    def counts(self) -> dict[str, Any]:
        """Questions of each source on each side, questions to learn from without a negative, left out by reason."""
        return {
            "train": dict(sorted(Counter(example.source for example in self.train).items())),
            "validation": dict(sorted(Counter(example.source for example in self.validation).items())),
            "without_negative": sum(not example.has_negative for example in self.train),
            "left_out": dict(sorted(self.left_out.items())),
        }

    def fingerprint(self) -> str:
        """SHA-256 over everything that training reads from the dataset, in order."""
        digest = hashlib.sha256()
        for side in (self.train, self.validation):
            digest.update(b"side")
            for e in side:
                head = [e.question_id, e.doc_id, e.question, e.pages, e.sizes]
                digest.update(json.dumps(head, ensure_ascii=True).encode())
                for labels in e.labels:
                    digest.update(labels.tobytes())
        return digest.hexdigest()


def stable_share(doc_id: str) -> float:
    """A number in [0, 1) that belongs to a document for good: the same in every process, dataset and release."""
    digest = hashlib.blake2b(doc_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def label_samples(
    samples: Iterable[Sample], geometries: Geometries, rule: LabelRule
) -> tuple[list[Example], Counter[str]]:
    """Label the windows of every sample with gold boxes.

    Returns:
        The questions with at least one positive window, and the number of others by reason.
    """
    examples, left_out = [], Counter[str]()
    for sample in samples:
        if sample.status != "evidence" or not sample.evidence:
            left_out[f"status {sample.status}" if sample.status != "evidence" else "no box"] += 1
            continue
        try:
            example = _label(sample, geometries, rule)
        except GeometryError:
            left_out["page that the backbone refuses"] += 1
            continue
        if not example.has_positive:
            left_out["no positive window"] += 1
            continue
        examples.append(example)
    return examples, left_out


def _label(sample: Sample, geometries: Geometries, rule: LabelRule) -> Example:
    boxes, labels = [], []
    for index, page in enumerate(sample.pages):
        geometry = geometries.of(page.width, page.height)
        found = np.array([b.xyxy for b in sample.evidence if b.page_index == index], dtype=np.float64).reshape(-1, 4)
        boxes.append(found)
        if len(found):
            labels.append(label_windows(geometry.windows, geometry.grid, found, rule).label.astype(np.int8))
        else:
            labels.append(geometry.all_negative)
    return Example(
        sample.question_id,
        sample.source,
        sample.split,
        sample.doc_id,
        sample.question,
        tuple(page.page_id for page in sample.pages),
        tuple((page.width, page.height) for page in sample.pages),
        frozenset(page.sha256 for page in sample.pages if page.sha256),
        tuple(boxes),
        tuple(labels),
    )


def split_by_document(examples: Iterable[Example], config: DataConfig) -> TrainingData:
    """Choose what is learnt from and what is watched.

    A source with a `train` split gives that, else all its splits but `test` (`data.splits` names others). Watched are
    the source's `validation` split where it is not learnt from and has rows, else the documents whose `stable_share`
    is below `data.validation_fraction`, at least one of a source with two. A watched document is learnt from nowhere,
    nor is a page file of it under another document's name (two sources may hold the same file).

    Raises:
        TrainingError: Nothing is left to learn from.
    """
    by_source: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        by_source[example.source][example.split].append(example)
    pool: list[Example] = []
    watched: list[Example] = []
    for _, splits in sorted(by_source.items()):
        chosen = config.splits or (["train"] if "train" in splits else [s for s in splits if s != "test"])
        own = [example for split in chosen for example in splits.get(split, [])]
        published = [] if "validation" in chosen else splits.get("validation", [])
        held_out = _held_out({e.doc_id for e in own}, config.validation_fraction)
        pool += own
        watched += published or [e for e in own if e.doc_id in held_out]
    documents = {example.doc_id for example in watched}
    files = frozenset().union(*(example.files for example in watched))
    kept = [example for example in pool if example.doc_id not in documents and not example.files & files]
    unused = Counter({"split not chosen": sum(len(rows) for s in by_source.values() for rows in s.values())})
    used = {id(example) for example in (*pool, *watched)}
    unused["split not chosen"] -= len(used)
    unused["document or page is in the validation part"] = len(used) - len(kept) - len(watched)
    if not kept:
        found = Counter(split for splits in by_source.values() for split, rows in splits.items() for _ in rows)
        known = ", ".join(f"{split} ({n:,})" for split, n in sorted(found.items())) or "none"
        raise TrainingError(
            f"no question to learn from; questions with gold boxes by split: {known}",
            remedy="name splits with --set 'data.splits=[\"test\"]'",
        )
    return TrainingData(kept, watched, +unused)


def _held_out(documents: set[str], fraction: float) -> set[str]:
    ranked = sorted(documents, key=stable_share)
    count = sum(stable_share(document) < fraction for document in ranked)
    if fraction > 0 and len(ranked) > 1:
        count = min(max(count, 1), len(ranked) - 1)
    return set(ranked[:count])
