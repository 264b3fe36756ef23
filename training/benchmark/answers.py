"""Answers from the tokens that selectors keep: what evidence recall is worth, measured.

A model answers every question from all tokens, and from those that each selector keeps at each budget, as they were
encoded and at their original positions. Selectors that work inside the decoder are answered for in the same way, from
what they keep in the end, so that all are compared at the same number of tokens in every layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from loaders.samples import Sample
from pinpoint_data.ranking import token_budget
from training.answer_evaluation.collect import AnswerEvaluation, answer_scores, collect_answers
from training.answer_evaluation.log import AnswerLog
from training.answer_evaluation.run import model_identity
from training.answer_evaluation.summary import REFERENCE
from training.answering.base import Answer, Answerer, check_asked
from training.answering.cost import new_tokens, patches_of
from training.answering.shown import show_kept
from training.answering.stages import enough_memory
from training.answering.vanilla import VanillaAnswerer
from training.backbones.base import PageInput
from training.benchmark.correlation import correlate
from training.benchmark.data import BenchmarkData
from training.evaluation.pages import PageViews
from training.evaluation.question_scores import share_name
from training.flops import ModelShape, vanilla
from training.selectors import EncodedSample, Kept, ModelSource, Selector, checked_select
from training.window_scorers.base import QuestionView

ANSWERS_FILE = "answers.jsonl"
MAX_NEW_TOKENS = 32


class KeptTokens:
    """What selectors keep of the question asked last, for all budgets at once."""

    def __init__(
        self, source: ModelSource, views: PageViews, samples: Sequence[Sample], budgets: Sequence[float]
    ) -> None:
        self.source, self.budgets = source, tuple(budgets)
        self._views, self._samples = views, {sample.question_id: sample for sample in samples}
        self._asked: EncodedSample | None = None
        self._kept: dict[str, list[Kept]] = {}

    def sample(self, question_id: str) -> EncodedSample:
        """The question."""
        if self._asked is None or self._asked.question_id != question_id:
            view: QuestionView = self._views.of(self._samples[question_id])
            self._asked, self._kept = self.source.sample(view), {}
        return self._asked

    def of(self, selector: Selector, budget: float, question_id: str) -> Kept:
        """What a selector keeps of a question at a budget."""
        sample = self.sample(question_id)
        if selector.name not in self._kept:
            tokens = [token_budget(share, sample.n_tokens) for share in self.budgets]
            self._kept[selector.name] = checked_select(selector, sample, tokens)
        return self._kept[selector.name][self.budgets.index(budget)]


class KeptAnswerer:
    """Answers from the tokens that a selector keeps at a budget.

    Args:
        selector: Keeps them.
        budget: Share of all grid tokens.
        kept: Shared by the answerers of all selectors and budgets; ask all of them one question before the next.
        max_new_tokens: The longest answer.
    """

    def __init__(self, selector: Selector, budget: float, kept: KeptTokens, *, max_new_tokens: int) -> None:
        self.selector, self.budget, self.kept, self.max_new_tokens = selector, budget, kept, max_new_tokens
        self.name = answerer_name(selector.name, budget)

    def answer(self, question: str, pages: Sequence[PageInput], question_id: str = "") -> Answer:
        """The answer from the kept tokens; LLaVA-NeXT's view of the whole, no candidate, stays with them.

        Raises:
            UsageError: The question is empty, or there is no page.
            TrainingError: The GPU's memory is full, or the selector failed.
        """
        check_asked(question, pages)
        model = self.kept.source.model
        with enough_memory(question_id):
            sample = self.kept.sample(question_id)
            seen = self.kept.source.shown(sample.pages)
            started = model.synchronised()
            mask = self.kept.of(self.selector, self.budget, question_id).mask
            selected = model.synchronised() - started
            layouts, visual = [page.layout for page in seen], [page.visual for page in seen]
            masks = [
                mask[own].reshape(page.grid.rows, page.grid.cols)
                for own, page in zip(sample.slices, sample.pages, strict=True)
            ]
            shown = show_kept(model, question, layouts, visual, masks, global_view=True)
            made = model.generate(shown.sequence, shown.visual, self.max_new_tokens)
        shape, patches = ModelShape.of(model.config), patches_of(ModelShape.of(model.config), layouts)
        new, tokens = new_tokens(made, self.max_new_tokens), sum(layout.n_tokens for layout in layouts)
        text = len(shown.sequence) - len(shown.visual)
        return Answer(
            text=made.text,
            visual_tokens=len(shown.visual),
            vanilla_tokens=tokens,
            budget_used=float(mask.mean()),
            flops=vanilla(shape, patches, len(shown.sequence), new),
            vanilla_flops=vanilla(shape, patches, text + tokens, new).total,
            seconds={"select": selected, "prefill": made.seconds_prefill, "decode": made.seconds_decode},
            regions=shown.regions,
        )


def answerer_name(selector: str, budget: float) -> str:
    """`fastv@0.25`."""
    return f"{selector}@{share_name(budget)}"


def benchmark_answers(
    samples: Sequence[Sample],
    views: PageViews,
    source: ModelSource,
    selectors: Mapping[str, Selector],
    identities: Mapping[str, Mapping[str, Any]],
    budgets: Sequence[float],
    log: AnswerLog,
    *,
    device: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> AnswerEvaluation:
    """Answer every question from all tokens, and from what each selector keeps at each budget.

    Args:
        samples: The questions.
        views: Their pages.
        source: With its language model.
        selectors: By the name they were asked for under; those that keep nothing in the end are not answered for.
        identities: What the selections of each depend on, by the same name.
        budgets: Shares of tokens.
        log: Answers given before, and where new ones are written as they come.
        device: For the record.
        max_new_tokens: The longest answer.
    """
    kept = KeptTokens(source, views, samples, budgets)
    whole = {"model": model_identity(source.model), "max_new_tokens": max_new_tokens}
    answerers: list[Answerer] = [VanillaAnswerer(source.model, max_new_tokens=max_new_tokens)]
    depend: dict[str, Mapping[str, Any]] = {REFERENCE: whole}
    for name, selector in selectors.items():
        for budget in budgets if selector.keeps_tokens else ():
            made = KeptAnswerer(selector, budget, kept, max_new_tokens=max_new_tokens)
            answerers.append(made)
            own = {"selection": identities[name], "budget": budget, "reads_words": "words" in selector.needs}
            # What an oracle keeps hangs on the gold boxes, which the key of an answer knows nothing of.
            gold = {"gold": _digest(samples)} if "evidence" in selector.needs else {}
            depend[made.name] = whole | own | gold
    return collect_answers(samples, views.store, answerers, depend, log, device=device)


def answer_correlation(
    data: BenchmarkData,
    found: AnswerEvaluation,
    selectors: Sequence[str],
    budgets: Sequence[float],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How far evidence recall foretells what an answer loses, over selectors and budgets; see `correlate`.

    Args:
        data: Scores of selections.
        found: Answers.
        selectors: Names of those that were answered for.
        budgets: Shares of tokens that were answered at.
        resamples: Bootstrap resamples of documents.
        seed: Of the resamples.
    """
    place = {sample.question_id: index for index, sample in enumerate(data.samples)}
    # Every answered question was scored, but not the other way round: some have no accepted answer.
    scored = np.array([place[sample.question_id] for sample in found.samples], dtype=np.int64)
    anls = {
        name: np.array([answer_scores(s, a)["anls"] for s, a in zip(found.samples, answers, strict=True)])
        for name, answers in found.answers.items()
    }
    points = [(selector, budget) for selector in selectors for budget in budgets]
    recall = [data.scores[selector][f"evidence_recall@{share_name(budget)}"][scored] for selector, budget in points]
    return correlate(
        points,
        np.array(recall),
        np.array([anls[answerer_name(*point)] for point in points]),
        anls[REFERENCE],
        np.array([data.samples[index].doc_id for index in scored]),
        resamples=resamples,
        seed=seed,
    )


def _digest(samples: Sequence[Sample]) -> str:
    boxes = [[sample.question_id, [asdict(box) for box in sample.evidence]] for sample in samples]
    return hashlib.sha256(json.dumps(boxes).encode()).hexdigest()
