"""Asking selectors about a question: what each of them keeps, what that took, and how it scores."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, PageError, PinpointError, TrainingError, UsageError
from pinpoint_data.ranking import token_budget
from training.benchmark.families import headline
from training.benchmark.log import Row
from training.benchmark.scores import score_kept
from training.evaluation.pages import PageViews
from training.evaluation.question_scores import measured_evidence
from training.pages.memory import MOST_TOKENS
from training.selectors import EncodedSample, Kept, Selector, SignalSource, checked_select

CHOICE = "choice"
"""The component of a selector's cost that is its own work."""

_APPROXIMATION = "-unpruned"


@dataclass(frozen=True, eq=False)
class _Choice:
    """What a selector keeps at each budget, and the seconds and operations of each component at one of them."""

    kept: list[Kept]
    seconds: dict[str, float]
    flops: dict[str, float]


def counterparts(names: Collection[str]) -> dict[str, str]:
    """Those of some selectors that approximate another one of them: `sparsevlm-unpruned` and `sparsevlm`."""
    exact = {name: name.removesuffix(_APPROXIMATION) for name in names if name.endswith(_APPROXIMATION)}
    return {name: other for name, other in exact.items() if other in names}


class Asking:
    """Asks selectors about one question after another.

    Those that do not read the question are asked once for all questions over the same pages, as long as these are
    remembered; each question is then charged what they took that time.

    Args:
        views: Makes the pages' grids, windows and words.
        source: Makes their tokens and signals.
        selectors: Their names must differ.
        budgets: Shares of all pages' tokens.
        device: Where that is done, for the record.
    """

    def __init__(
        self,
        views: PageViews,
        source: SignalSource,
        selectors: Sequence[Selector],
        budgets: Sequence[float],
        device: str,
    ) -> None:
        self.views, self.source, self.budgets, self.device = views, source, tuple(budgets), device
        self.selectors = {selector.name: selector for selector in selectors}
        self._pairs = counterparts(self.selectors)
        self._blind = _Blind()

    def rows(self, sample: Sample, wanted: Collection[str]) -> Iterator[tuple[str, Row]]:
        """Rows of the selectors of these names, each as soon as it is there.

        Raises:
            PageError: A page cannot be read, or the GPU's memory does not hold the question.
            GeometryError: A page has no grid.
            TrainingError: A selector failed, or a page is not in the workspace.
        """
        view = self.views.of(sample)
        evidence = measured_evidence(view)
        encoded = self.source.sample(view)
        made: dict[str, _Choice] = {}
        blind = self._blind.over(encoded)
        for name in wanted:
            choice = self._choice(name, encoded, made, blind)
            pair = self._choice(self._pairs[name], encoded, made, blind).kept if name in self._pairs else None
            scores = score_kept(evidence, self.budgets, choice.kept, pair)
            recall = evidence.box_recall(np.stack([own.mask for own in choice.kept])).T
            yield name, Row(scores, recall, choice.seconds, choice.flops, evidence.clipped_share, self.device)

    def _choice(self, name: str, sample: EncodedSample, made: dict[str, _Choice], blind: dict[str, _Choice]) -> _Choice:
        selector = self.selectors[name]
        # Gold boxes are a question's own, even for one that does not read its text.
        known = made if selector.reads_question or "evidence" in selector.needs else blind
        if name not in known:
            known[name] = _choose(selector, sample, self.budgets)
        return known[name]


class _Blind:
    """Choices of selectors that do not read the question, by name, over the pages that were met last."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], tuple[int, dict[str, _Choice]]] = OrderedDict()

    def over(self, sample: EncodedSample) -> dict[str, _Choice]:
        """Those over the pages of a question, to be added to."""
        pages = tuple(page.page_input.page_id for page in sample.pages)
        _, found = self._known.setdefault(pages, (sample.n_tokens, {}))
        self._known.move_to_end(pages)
        # As many tokens as their values are remembered of: masks and scores are small beside them.
        held = sum(n_tokens for n_tokens, _ in self._known.values())
        while held > MOST_TOKENS and len(self._known) > 1:
            held -= self._known.popitem(last=False)[1][0]
        return found


def _choose(selector: Selector, sample: EncodedSample, budgets: Sequence[float]) -> _Choice:
    tokens = [token_budget(share, sample.n_tokens) for share in budgets]
    priced = token_budget(headline(budgets), sample.n_tokens)
    where = {"record": f"question {sample.question_id}"}
    try:
        # Whoever uses a method asks for one budget. What all of them take together would say little about that: some
        # methods rank once for all budgets, others walk through the decoder anew for each.
        alone, seconds, signals = sample.ledger.charged(lambda: checked_select(selector, sample, [priced]))
        kept = checked_select(selector, sample, tokens) if len(tokens) > 1 else alone
    except torch.OutOfMemoryError as error:
        raise PageError(
            "out-of-memory",
            f"selector {selector.name!r} filled the GPU's memory",
            **where,
            remedy="take a dtype of 16 bits, another device, or leave out the selector",
        ) from error
    except GeometryError as error:
        raise GeometryError(_named(error, selector), file=error.file, remedy=error.remedy, **where) from error
    except (TrainingError, UsageError) as error:  # an option can turn out to be impossible once the model is known
        raise TrainingError(_named(error, selector), file=error.file, remedy=error.remedy, **where) from error
    flops = {CHOICE: float(alone[0].flops)} | {name: cost.flops for name, cost in signals.items()}
    if not all(map(math.isfinite, flops.values())):
        raise TrainingError(f"selector {selector.name!r} counted operations that are not finite: {flops}", **where)
    return _Choice(kept, {CHOICE: seconds} | {name: cost.seconds for name, cost in signals.items()}, flops)


def _named(error: PinpointError, selector: Selector) -> str:
    name = f"selector {selector.name!r}"
    return error.message if name in error.message else f"{name}: {error.message}"
