"""Every answerer on every question, on the same questions for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from loaders.samples import Sample
from pinpoint_data.anls import anls
from pinpoint_data.errors import Outcome, PinpointError, Problem, UsageError
from pinpoint_data.gqa import gqa_match
from pinpoint_data.progress import track
from training.answer_evaluation.log import AnswerLog, answer_key
from training.answering.base import Answer, Answerer
from training.features.keys import page_key
from training.pages.input import PageInput
from training.pages.store import PageStore

Keys = dict[str, str]
"""What the answer of each answerer depends on, from `answer_key`."""

_NO_ANSWER = ("unanswerable", "wrong_answer")


@dataclass
class AnswerEvaluation:
    """Every answer to every question, before any mean.

    Attributes:
        answerers: Their names, in order.
        samples: The questions that all of them answered, in order.
        answers: For each answerer one answer a question.
        devices: How many answers were given on which device: seconds of different ones do not compare.
        reused: How many answers an earlier run had given.
        left_out: Questions that were not asked, by reason.
        outcome: Questions refused for all answerers because one could not answer.
    """

    answerers: tuple[str, ...]
    samples: list[Sample] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    devices: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)


def collect_answers(
    samples: Sequence[Sample],
    store: PageStore,
    answerers: Sequence[Answerer],
    identities: Mapping[str, Mapping[str, Any]],
    log: AnswerLog,
    *,
    device: str = "cpu",
    prepare: Callable[[], None] = lambda: None,
    of_question: Callable[[str, Sample], Mapping[str, Any]] = lambda _name, _sample: {},
) -> AnswerEvaluation:
    """Ask every question of every answerer, or take the answer from the log.

    A question without an accepted answer, or whose accepted answer annotators rejected, is
    left out and counted. One that some answerer cannot answer (a page that cannot be read, memory that runs out) is
    refused for all, so that all are compared on the same questions; answers given before that stay in the log.

    Args:
        samples: The questions.
        store: Their pages.
        answerers: Their names must differ.
        identities: For each answerer, JSON-ready, what its answers depend on besides question and pages; `reads_words`
            says whether the words of the pages are part of it.
        log: Answers given before, and where new ones are written as they come.
        device: Where new answers are given, for the record.
        prepare: Called before the first new answer, if there is one. What keeps every answer from being given, such as
            weights that are missing, should fail here: it then ends the evaluation instead of refusing each question.
        of_question: JSON-ready, what the answer of an answerer (by name) to a question depends on beside the text of
            the question and its pages; nothing by default: gold boxes, for one, play no part.

    Raises:
        UsageError: Two answerers have one name.
        TrainingError: A page is not in the workspace.
    """
    names = tuple(answerer.name for answerer in answerers)
    if len(set(names)) < len(names):
        raise UsageError(f"answerers must have different names, got {', '.join(names)}")
    evaluation = AnswerEvaluation(names, answers={name: [] for name in names})
    asked = [sample for sample in samples if not _left_out(sample, evaluation)]

    def identity_of(name: str, sample: Sample) -> dict[str, Any]:
        return {"answerer": name, **identities[name], **of_question(name, sample)}

    planned = _planned(asked, store, names, identity_of, evaluation)
    if any(log.get(key) is None for _, keys in planned for key in keys.values()):
        prepare()
    for sample, keys in track(planned, "answer"):
        try:
            found = _answers(sample, keys, store, answerers, log, device)
        except PinpointError as error:
            _refuse(sample, error, evaluation)
            continue
        evaluation.samples.append(sample)
        evaluation.reused += sum(map(log.was_there, keys.values()))
        for name, (answer, where) in found.items():
            evaluation.answers[name].append(answer)
            evaluation.devices[where] += 1
    return evaluation


def answer_scores(sample: Sample, answer: Answer) -> dict[str, float]:
    """Scores and costs of one answer, by the names that a report gives them."""
    flops = sum(answer.flops.values())
    return {
        "anls": anls(answer.text, sample.answers),
        "gqa_accuracy": gqa_match(answer.text, sample.answers),
        "visual_tokens": float(answer.visual_tokens),
        "budget_used": answer.budget_used,
        "tflops": flops / 1e12,
    }


def _left_out(sample: Sample, evaluation: AnswerEvaluation) -> bool:
    """Whether there is nothing to compare an answer with; it is counted then."""
    if sample.status in _NO_ANSWER:
        evaluation.left_out[f"status {sample.status}"] += 1
    elif not sample.answers:
        evaluation.left_out["without an accepted answer"] += 1
    else:
        return False
    return True


def _planned(
    samples: Sequence[Sample],
    store: PageStore,
    names: Sequence[str],
    identity_of: Callable[[str, Sample], Mapping[str, Any]],
    evaluation: AnswerEvaluation,
) -> list[tuple[Sample, Keys]]:
    """The questions with what their answers depend on; a question whose pages have no hash is refused."""
    hashed = cache(lambda page_id, words: page_key(store, page_id, reads_words=words).name)
    planned = []
    for sample in samples:
        keys: Keys = {}
        try:
            for name in names:
                identity = identity_of(name, sample)
                words = bool(identity.get("reads_words"))
                keys[name] = answer_key(
                    identity, sample.question, [hashed(page.page_id, words) for page in sample.pages]
                )
        except PinpointError as error:
            _refuse(sample, error, evaluation)
        else:
            planned.append((sample, keys))
    return planned


def _answers(
    sample: Sample, keys: Keys, store: PageStore, answerers: Sequence[Answerer], log: AnswerLog, device: str
) -> dict[str, tuple[Answer, str]]:
    """By answerer its answer and the device it was given on."""
    found = {name: known for name, key in keys.items() if (known := log.get(key)) is not None}
    missing = [answerer for answerer in answerers if answerer.name not in found]
    pages = [_decoded(store.input(page.page_id)) for page in sample.pages] if missing else []
    for answerer in missing:
        answer = answerer.answer(sample.question, pages, sample.question_id)
        log.append(keys[answerer.name], sample.question_id, answerer.name, device, answer)
        found[answerer.name] = answer, device
    return found


def _refuse(sample: Sample, error: PinpointError, evaluation: AnswerEvaluation) -> None:
    record = f"question {sample.question_id}"
    evaluation.outcome.refuse(Problem.of(error, code="no-answer", file="", record=record))


def _decoded(page: PageInput) -> PageInput:
    """The page with its pixels at hand: decoded once for all answerers, and refused before any of them starts."""
    image = page.load_image()
    return replace(page, load_image=lambda: image)
