"""What a ranker has learnt from: the documents of its folder, and its pages among those that are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loaders.samples import Sample
from training.checkpoint import DOCUMENTS_FILE, read_documents
from training.pages.store import PageStore
from training.ranker import Ranker, ranker_names


@dataclass(frozen=True)
class LearntPages:
    """How much of what is scored a ranker has seen before.

    Attributes:
        ranker: Its name.
        pages: Pages that it has learnt from.
        of_pages: Of so many.
        questions: Questions asked over some such page.
        of_questions: Of so many.
    """

    ranker: str
    pages: int
    of_pages: int
    questions: int
    of_questions: int

    @classmethod
    def among(cls, ranker: Ranker, samples: Sequence[Sample], store: PageStore) -> LearntPages:
        """Count them among the pages of some questions; a page is known by its bytes, whatever its name."""
        pages = {page.page_id for sample in samples for page in sample.pages}
        learnt = {page_id for page_id in pages if ranker.has_learnt(store.row(page_id))}
        questions = sum(any(page.page_id in learnt for page in sample.pages) for sample in samples)
        return cls(ranker.name, len(learnt), len(pages), questions, len(samples))

    @property
    def warning(self) -> str | None:
        """What a reader of the figures must know; None where it has seen none of the pages."""
        if not self.pages:
            return None
        return (
            f"ranker {self.ranker} has learnt from {self.pages:,} of the {self.of_pages:,} pages, which "
            f"{self.questions:,} of the {self.of_questions:,} questions are asked over: its scores there measure its "
            "memory and must not be reported as results"
        )


def held_out_by(ranker: str | Path) -> dict[str, list[str]] | None:
    """The documents that a ranker learnt from and held out, or None where they are not known.

    They are for a folder that `pinpoint ranker train` made, and are not for a shipped ranker or a file alone.

    Raises:
        TrainingError: The folder's list is damaged.
    """
    folder = Path(ranker)
    if ranker in ranker_names() or not (folder / DOCUMENTS_FILE).is_file():
        return None
    return read_documents(folder)
