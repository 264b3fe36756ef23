"""Which questions of a dataset a run may fairly be scored on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loaders.samples import Sample
from pinpoint_data.errors import TrainingError

EVALUATED_SPLITS = ("validation", "test", "train", "all")


@dataclass
class ChosenQuestions:
    """The questions to score.

    Attributes:
        samples: In published order.
        left_out: Others by reason.
        warning: What a reader must know about the choice, or None.
    """

    samples: list[Sample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    warning: str | None = None


def choose_questions(
    samples: Iterable[Sample],
    split: str | None,
    documents: Mapping[str, Sequence[str]] | None,
    learner: str = "run",
) -> ChosenQuestions:
    """Choose by split; where a run is scored, never a document that it has learnt from, unless asked for.

    Args:
        samples: The dataset.
        split: `validation` (default with a run): the documents that the run held out. `test`: the published test
            split. `all` (default without a run): everything. `train`: with a run the documents that it learnt from,
            which measures memory, and the choice carries a warning. The first and the last are published splits
            where no run is scored.
        documents: The run's documents under `train` and `validation`, or None where no run is scored.
        learner: What messages call the run, where it is another thing that was trained.

    Raises:
        TrainingError: No question is left.
    """
    chosen = ChosenQuestions()
    if documents is None:
        _by_published_split(samples, split, chosen)
    else:
        _by_documents(samples, split or "validation", documents, chosen, learner)
    if not chosen.samples:
        raise TrainingError(
            f"no question of the dataset is in the part to score ({listed(chosen.left_out) or 'the dataset is empty'})",
            remedy="name another with --split, for example --split all",
        )
    return chosen


def with_gold(samples: Iterable[Sample], left_out: Counter[str]) -> list[Sample]:
    """The questions that have gold boxes to be scored against; the others are counted by reason."""
    asked = []
    for sample in samples:
        if sample.status == "evidence" and sample.evidence:
            asked.append(sample)
        else:
            reason = f"status {sample.status}" if sample.status != "evidence" else "status evidence, but no box"
            left_out[reason] += 1
    return asked


def first_questions(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` questions in their order, drawn by a hash of their ids: a smaller limit gives some of a larger's.

    The first rows of a dataset would be those of its first source.
    """
    if limit is None or limit >= len(samples):
        return list(samples)
    drawn = sorted(samples, key=lambda sample: hashlib.sha256(_bytes(sample.question_id)).digest())[:limit]
    wanted = {sample.question_id for sample in drawn}
    return [sample for sample in samples if sample.question_id in wanted]


def listed(left_out: Counter[str]) -> str:
    """How many questions were left out for what reason, for a message."""
    return ", ".join(f"{number:,} {reason}" for reason, number in sorted(left_out.items()))


def _by_published_split(samples: Iterable[Sample], split: str | None, chosen: ChosenQuestions) -> None:
    for sample in samples:
        if split in (None, "all", sample.split):
            chosen.samples.append(sample)
        else:
            chosen.left_out[f"of split {sample.split}"] += 1


def _by_documents(
    samples: Iterable[Sample],
    split: str,
    documents: Mapping[str, Sequence[str]],
    chosen: ChosenQuestions,
    learner: str,
) -> None:
    learnt, held_out = frozenset(documents["train"]), frozenset(documents["validation"])
    for sample in samples:
        if split == "train":
            wanted, reason = sample.doc_id in learnt, "of documents not learnt from"
        elif sample.doc_id in learnt:
            wanted, reason = False, f"of documents that the {learner} has learnt from"
        elif split == "test":
            wanted, reason = sample.split == "test", f"of split {sample.split}"
        else:
            wanted, reason = split == "all" or sample.doc_id in held_out, f"of documents not held out by the {learner}"
        if wanted:
            chosen.samples.append(sample)
        else:
            chosen.left_out[reason] += 1
    if split == "train":
        chosen.warning = (
            f"the {learner} has learnt from these documents: the scores measure its memory and must not be reported as "
            "results"
        )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
