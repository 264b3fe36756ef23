"""Answers from the tokens that selectors keep: what evidence recall is worth, measured.

A model answers every question from all tokens, and from those that each selector keeps at each budget, as they were
encoded and at their original positions. Selectors that work inside the decoder are answered for in the same way, from
what they keep in the end, so that all are compared at the same number of grid tokens in every layer. What is no grid
token stays with kept ones: LLaVA-NeXT's view of a whole page with any token of that page, a row's end with any of that
row. A page of which nothing is kept is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loaders.samples import Sample
from pinpoint_data.errors import TrainingError
from pinpoint_data.ranking import BoolArray, token_budget
from training.answer_evaluation.collect import AnswerEvaluation, answer_scores, collect_answers
from training.answer_evaluation.log import AnswerLog
from training.answer_evaluation.run import ANSWERS_FILE, load_weights, model_identity, reading_warnings
from training.answer_evaluation.summary import REFERENCE
from training.answering.base import Answer, Answerer, check_asked
from training.answering.cost import new_tokens, patches_of
from training.answering.shown import show_kept
from training.answering.stages import enough_memory
from training.answering.vanilla import VanillaAnswerer
from training.benchmark.correlation import correlate
from training.benchmark.data import BenchmarkData
from training.evaluation.pages import PageViews
from training.evaluation.question_scores import share_name
from training.flops import ModelShape, vanilla
from training.pages.input import PageInput
from training.selectors import EncodedSample, ModelSource, Selector, checked_select


class KeptTokens:
    """What selectors keep of the question asked last, for all budgets at once.

    Args:
        source: Makes tokens and signals.
        views: Makes the pages' grids, windows and words.
        samples: The questions.
        budgets: Shares of tokens.
    """

    def __init__(
        self, source: ModelSource, views: PageViews, samples: Sequence[Sample], budgets: Sequence[float]
    ) -> None:
        self.source, self.budgets = source, tuple(budgets)
        self._views, self._samples = views, {sample.question_id: sample for sample in samples}
        self._asked: EncodedSample | None = None
        self._masks: dict[str, list[BoolArray]] = {}

    def sample(self, question_id: str) -> EncodedSample:
        """The question."""
        if self._asked is None or self._asked.question_id != question_id:
            self._asked, self._masks = self.source.sample(self._views.of(self._samples[question_id])), {}
        return self._asked

    def of(self, selector: Selector, budget: float, question_id: str) -> BoolArray:
        """(N,) what a selector keeps of a question at a budget.

        Raises:
            TrainingError: It failed, or keeps nothing.
        """
        sample = self.sample(question_id)
        if selector.name not in self._masks:
            tokens = [token_budget(share, sample.n_tokens) for share in self.budgets]
            self._masks[selector.name] = [own.mask for own in checked_select(selector, sample, tokens)]
        mask = self._masks[selector.name][self.budgets.index(budget)]
        if not mask.any():
            raise TrainingError(f"selector {selector.name!r} keeps no token to answer from at {share_name(budget)}")
        return mask


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
        """The answer from the kept tokens. Its seconds are the language model's: what selecting takes is in the rows.

        Raises:
            UsageError: The question is empty, or there is no page.
            TrainingError: The GPU's memory is full, or the selector failed or kept nothing.
        """
        check_asked(question, pages)
        model = self.kept.source.model
        with enough_memory(question_id):
            sample = self.kept.sample(question_id)
            mask = self.kept.of(self.selector, self.budget, question_id)
            seen = self.kept.source.shown(sample.pages)
            layouts, visual = [page.layout for page in seen], [page.visual for page in seen]
            masks = [
                mask[own].reshape(page.grid.rows, page.grid.cols)
                for own, page in zip(sample.slices, sample.pages, strict=True)
            ]
            shown = show_kept(model, question, layouts, visual, masks, global_view=True)
            made = model.generate(shown.sequence, shown.visual, self.max_new_tokens)
        shape = ModelShape.of(model.config)
        patches, new = patches_of(shape, layouts), new_tokens(made, self.max_new_tokens)
        tokens, text = sum(layout.n_tokens for layout in layouts), sum(map(len, model.prompt(question, len(pages))))
        return Answer(
            text=made.text,
            visual_tokens=len(shown.visual),
            vanilla_tokens=tokens,
            budget_used=float(mask.mean()),
            flops=vanilla(shape, patches, len(shown.sequence), new),
            vanilla_flops=vanilla(shape, patches, text + tokens, new).total,
            seconds={"prefill": made.seconds_prefill, "decode": made.seconds_decode},
            regions=shown.regions,
        )


def answerer_name(selector: str, budget: float) -> str:
    """`fastv@0.25`."""
    return f"{selector}@{share_name(budget)}"


def benchmark_answers(
    samples: Sequence[Sample],
    views: PageViews,
    source: ModelSource,
    selectors: Sequence[Selector],
    identities: Mapping[str, Mapping[str, Any]],
    budgets: Sequence[float],
    log: AnswerLog,
    *,
    device: str,
    max_new_tokens: int,
) -> AnswerEvaluation:
    """Answer every question from all tokens, and from what each selector keeps at each budget.

    Args:
        samples: The questions.
        views: Their pages.
        source: With its language model.
        selectors: Those that keep nothing in the end (`keeps_tokens`) are not answered for.
        identities: For each selector, JSON-ready, what its choices depend on besides the question, its pages, their
            windows and words, and its gold boxes.
        budgets: Shares of tokens.
        log: Answers given before, and where new ones are written as they come.
        device: For the record.
        max_new_tokens: The longest answer.
    """
    kept = KeptTokens(source, views, samples, budgets)
    whole = {"model": model_identity(source.model), "max_new_tokens": max_new_tokens}
    answerers: list[Answerer] = [VanillaAnswerer(source.model, max_new_tokens=max_new_tokens)]
    depend: dict[str, Mapping[str, Any]] = {REFERENCE: whole}
    oracles = set()
    for selector in selectors:
        for budget in budgets if selector.keeps_tokens else ():
            made = KeptAnswerer(selector, budget, kept, max_new_tokens=max_new_tokens)
            answerers.append(made)
            own = {"selection": identities[selector.name], "budget": budget, "windows": asdict(views.spec)}
            depend[made.name] = whole | own | {"reads_words": "words" in selector.needs}
            if "evidence" in selector.needs:
                oracles.add(made.name)

    def of_question(name: str, sample: Sample) -> dict[str, Any]:
        if name == REFERENCE:
            return {}
        # The id seeds what is random, and is what a localiser's boxes are found by.
        own: dict[str, Any] = {"question_id": sample.question_id}
        boxes = [[box.page_index, *box.xyxy, box.role] for box in sample.evidence]
        return own | {"boxes": boxes} if name in oracles else own

    load = partial(load_weights, source.model)
    return collect_answers(
        samples, views.store, answerers, depend, log, device=device, prepare=load, of_question=of_question
    )


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
        np.array([sample.doc_id for sample in found.samples], dtype=np.str_),
        resamples=resamples,
        seed=seed,
    )


def answer_and_correlate(
    data: BenchmarkData,
    views: PageViews,
    source: ModelSource,
    selectors: Sequence[Selector],
    identities: Mapping[str, Mapping[str, Any]],
    budgets: Sequence[float],
    out: Path,
    *,
    device: str,
    max_new_tokens: int,
    resamples: int,
    seed: int,
) -> tuple[dict[str, Any], list[str]]:
    """Answer the questions that were scored, with `out/answers.jsonl` as the log, and correlate.

    Questions that cannot be answered are refused in `data.outcome`.

    Returns:
        The correlation, JSON-ready, and what a reader must know of the answers.
    """
    with AnswerLog(out / ANSWERS_FILE) as log:
        found = benchmark_answers(
            data.samples,
            views,
            source,
            selectors,
            identities,
            budgets,
            log,
            device=device,
            max_new_tokens=max_new_tokens,
        )
        unreadable = log.unreadable
    data.outcome.merge(found.outcome.to_json())
    names = [selector.name for selector in selectors if selector.keeps_tokens]
    correlation = answer_correlation(data, found, names, budgets, resamples=resamples, seed=seed)
    return correlation, reading_warnings(found, source.model, unreadable)
