"""A whole evaluation of answers: dataset, workspace, run and model in, summary and files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from loaders.samples import load_samples
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from training.answer_evaluation.collect import AnswerEvaluation, collect_answers
from training.answer_evaluation.log import AnswerLog
from training.answer_evaluation.report import answers_markdown
from training.answer_evaluation.summary import REFERENCE, summarise_answers
from training.answering import make_answerers
from training.answering.stages import enough_memory
from training.checkpoint import Run, run_identity
from training.devices import device_name
from training.evaluation.intervals import RESAMPLES
from training.evaluation.pages import check_pages
from training.evaluation.run import check_shares
from training.evaluation.split import choose_questions, first_questions, listed
from training.pages.store import PageStore
from training.refinement import Refinement
from training.vlm import VisionLanguageModel

MODES = ("vanilla", "pinpoint")
COVERAGES = (0.6, 0.25, 0.1)
MAX_NEW_TOKENS = 32
ANSWERS_FILE = "answers.jsonl"


def evaluate_answers(
    dataset: Path,
    workspace: Path,
    run: Run,
    model: VisionLanguageModel,
    out: Path,
    *,
    modes: Sequence[str] = MODES,
    coverages: Sequence[float] = COVERAGES,
    refinement: Refinement | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    split: str | None = None,
    sources: Sequence[str] | None = None,
    limit: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[AnswerEvaluation, dict[str, Any]]:
    """Answer a dataset's questions from whole pages and from selected regions, and score the answers.

    Every answer is written to `out/answers.jsonl` when it is given; the same call later takes from there whatever the
    same run, model, settings, question and pages have given before. Then `answers-evaluation.json` and `.md`.

    Args:
        dataset: The dataset folder.
        workspace: The workspace it was published from.
        run: Selects; its held-out documents are used.
        model: Answers; opened with its language model.
        out: Folder for the files.
        modes: `vanilla` (all tokens) and `pinpoint` (selected regions).
        coverages: Shares of tokens to select, each an answerer of its own.
        refinement: How selected tokens become what the model reads.
        max_new_tokens: The longest answer.
        split: See `choose_questions`.
        sources: Sources of the dataset, all by default.
        limit: At most so many questions: the same ones each time, and those of a smaller limit among them.
        resamples: Bootstrap resamples.
        seed: Of the bootstrap.

    Returns:
        Every answer, and the JSON-ready summary.

    Raises:
        UsageError: A mode or coverage makes no sense, or another process writes to `out`.
        TrainingError: There is no question to answer, the workspace does not fit the dataset, or the model's weights
            cannot be loaded.
    """
    _check(modes, coverages)
    settings = refinement or Refinement()
    answerers = make_answerers(
        run if "pinpoint" in modes else None,
        model=model,
        coverages=coverages if "pinpoint" in modes else (),
        vanilla="vanilla" in modes,
        max_new_tokens=max_new_tokens,
        **asdict(settings),
    )
    whole = {"model": model_identity(model), "max_new_tokens": max_new_tokens}
    selected = whole | {"run": run_identity(run), "refinement": asdict(settings)}
    selected["reads_words"] = run.backbone.reads_words
    identities = {answerer.name: whole if answerer.name == REFERENCE else selected for answerer in answerers}
    chosen = choose_questions(load_samples(dataset, sources), split, run.documents)
    asked = first_questions(chosen.samples, limit)
    store = PageStore(Workspace.open(workspace))
    check_pages(store, asked)
    with AnswerLog(out / ANSWERS_FILE) as log:
        load, device = partial(load_weights, model), device_name(model.device)
        found = collect_answers(asked, store, answerers, identities, log, device=device, prepare=load)
        unreadable = log.unreadable
    found.left_out += chosen.left_out
    if not found.samples and not found.outcome.refused:
        raise TrainingError(f"no question has an accepted answer ({listed(found.left_out)})", file=dataset)
    summary = summarise_answers(found, resamples=resamples, seed=seed) | {
        "program": f"pinpoint-data {__version__}",
        "dataset": dataset.resolve().name,
        "run": run.path.resolve().name,
        "model": model.source.name,
        "split": split or "validation",
        "limit": limit,
        "settings": {"max_new_tokens": max_new_tokens, "refinement": asdict(settings)},
        "warnings": _warnings(found, model, chosen.warning, unreadable),
    }
    write_text(out / "answers-evaluation.md", answers_markdown(summary))
    write_json(out / "answers-evaluation.json", summary)
    return found, summary


def model_identity(model: VisionLanguageModel) -> dict[str, Any]:
    """What a model's answers depend on, JSON-ready: weights, precision and processor; not where its folder is."""
    return {
        "family": model.family,
        "fingerprint": model.source.fingerprint,
        "dtype": str(model.dtype).removeprefix("torch."),
        "processor": model.settings(),
    }


def load_weights(model: VisionLanguageModel) -> None:
    """Load what answers need before the first question is asked.

    Raises:
        TrainingError: The weights are not there, or the GPU's memory does not hold them.
    """
    with enough_memory(""):
        _ = model.weights


def _check(modes: Sequence[str], coverages: Sequence[float]) -> None:
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes or len(set(modes)) < len(modes):
        raise UsageError(f"modes must be different ones of {', '.join(MODES)}, got {', '.join(modes) or 'none'}")
    if "pinpoint" in modes:
        check_shares("coverages", coverages)


def _warnings(found: AnswerEvaluation, model: VisionLanguageModel, chosen: str | None, unreadable: int) -> list[str]:
    """What a reader of the figures must know."""
    warnings = [chosen] if chosen else []
    if len(found.devices) > 1:
        devices = ", ".join(f"{name} ({number:,})" for name, number in sorted(found.devices.items()))
        warnings.append(f"seconds do not compare: answers were given on {devices}")
    return warnings + reading_warnings(found, model, unreadable)


def reading_warnings(found: AnswerEvaluation, model: VisionLanguageModel, unreadable: int) -> list[str]:
    """What a reader must know of the answers themselves: prompts beyond the model's length, lines that were lost."""
    warnings = []
    most = getattr(model.config.text_config, "max_position_embeddings", None)
    for name, answers in found.answers.items():
        beyond = sum(most is not None and answer.visual_tokens > most for answer in answers)
        if beyond:
            warnings.append(f"{name} read more tokens than the model was made for ({most:,}) in {beyond:,} questions")
    if unreadable:
        warnings.append(f"{unreadable:,} lines of {ANSWERS_FILE} cannot be read and were passed over")
    return warnings
