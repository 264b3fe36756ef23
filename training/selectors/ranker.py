"""The ranker: tokens in which a small network over layout and matches expects most of the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinpoint_data.windows import make_windows
from training.evaluation.learnt import LearntPages
from training.ledger import Cost
from training.ranker import SHIPPED, Ranker
from training.selectors.base import Kept, Need, Selector
from training.selectors.by_windows import keep_by_windows
from training.window_scorers.ranker import RankerScorer

if TYPE_CHECKING:
    from loaders.samples import Sample
    from training.pages.store import PageStore
    from training.selectors.sample import EncodedSample


class RankerSelector(Selector):
    """Tokens by the share of the evidence that the ranker expects in them, for their area (ours; `training.ranker`).

    It reads the pages' words and pixels on a grid of patches of its own, never their visual tokens; a token of the
    sample's grid, whosever that is, has the mean of the density that is expected under it. Budgets nest. Evidence
    scores equal those of `pinpoint evaluate` at the same budgets, which asks it for single tokens too.

    Reading a page, once for all questions over it, is the signal `read`. The operations of the choice are the matrix
    products of the network over the tokens of its own grid. Reading pages and relating a question to them (matching of
    terms, filters over the maps of their matches) are no matrix products, and are counted in seconds alone.

    Args:
        ranker: A ranker, the name of a shipped one, or the folder or file of another.

    Raises:
        UsageError: There is no such ranker.
        TrainingError: The file is damaged, no ranker, or made for other features.
    """

    name = "ranker"
    needs: frozenset[Need] = frozenset({"words", "pixels"})

    def __init__(self, ranker: Ranker | str | Path = SHIPPED) -> None:
        self._scorer = RankerScorer(ranker)

    def identity(self) -> dict[str, Any]:
        """The content of its file."""
        return {"ranker": self._scorer.ranker.fingerprint}

    def warnings(self, samples: Sequence[Sample], store: PageStore) -> list[str]:
        """How many of the pages it has learnt from."""
        learnt = LearntPages.among(self._scorer.ranker, samples, store)
        return [learnt.warning] if learnt.warning is not None else []

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens with most of the expected evidence for their area."""
        scorer, asked = self._scorer, [page.page_input for page in sample.pages]
        read = sample.ledger.once(
            "read",
            lambda: [page for page, _ in scorer.read(asked)],
            lambda: Cost(sum(seconds for _, seconds in scorer.read(asked))),
        )
        tokens = [make_windows(page.grid, scorer.window_spec) for page in sample.pages]
        scores = scorer.score_read(read, tokens, sample.question)
        flops = scorer.ranker.flops_per_token * sum(page.grid.n_tokens for page in read)
        return keep_by_windows(sample, tokens, scores, budgets, flops)
