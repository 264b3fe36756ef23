"""Any annotator's boxes against the gold of a workspace: scores by source, role and number of pages, and what fails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from annotation.agreement.frame import off_page
from annotation.judgements import GOLD, PROPOSAL, Judgement, load_judgements
from annotation.proposals.failures import DESCRIPTIONS, Failure, failure_of
from annotation.proposals.pagetext import PageText
from annotation.proposals.scoring import QuestionScores, Summary, score_question, summarise
from pinpoint_data.bootstrap import Interval
from pinpoint_data.errors import Problem, UsageError
from pinpoint_data.schema import ROLES
from pinpoint_data.words import WordIndex
from pinpoint_data.workspace import Workspace

_EXAMPLES = 5
_COLUMNS = ("question_id", "source", "doc_id", "page_ids", "question", "answers")


@dataclass(frozen=True)
class Evaluation:
    """One annotator's scores.

    Attributes:
        annotator: Who.
        summaries: Name of a group of questions (`all`, `source NAME`, `one page`, `several pages`), and the same
            followed by `, answer` or `, support` -> its scores.
        failures: Source -> kind -> ids of its questions, sorted.
        without_evidence: Questions whose gold says that there is no evidence, but that got boxes.
        scores: Every question's.
    """

    annotator: str
    summaries: dict[str, Summary]
    failures: dict[str, dict[Failure, list[str]]]
    without_evidence: int
    scores: tuple[QuestionScores, ...]


def evaluate(
    workspace: Workspace,
    annotators: Sequence[str] = (f"{PROPOSAL}*",),
    *,
    gold: str = f"{GOLD}*",
    source: str | None = None,
    documents: Collection[str] | None = None,
) -> tuple[list[Evaluation], list[Problem]]:
    """Score annotators against the gold, over the questions that each of them finished.

    A proposal counts as finished where it found nothing; a person's unfinished or skipped question does not.

    Args:
        workspace: Where the annotations, questions and words are.
        annotators: Names or patterns.
        gold: Name or pattern of the gold's annotators.
        source: Only questions of this source.
        documents: Only questions of these documents.

    Returns:
        One evaluation an annotator, by name, and the regions that could not be used.

    Raises:
        UsageError: There is no gold, no such annotator, none of their questions has gold, or one has several.
    """
    truth = load_judgements(workspace, [gold])
    theirs = load_judgements(workspace, annotators, exclude=[gold])
    rows = {
        row["question_id"]: row
        for row in workspace.iter_rows("questions", columns=_COLUMNS)
        if source in (None, row["source"]) and (documents is None or row["doc_id"] in documents)
    }
    found: dict[str, list[tuple[Judgement, Judgement]]] = defaultdict(list)
    problems = dict.fromkeys((*truth.problems, *theirs.problems))
    for question_id, judgements in theirs.by_question.items():
        known = truth.by_question.get(question_id, [])
        if len(known) > 1:
            names = ", ".join(one.annotator for one in known)
            raise UsageError(f"has gold by {names}", record=question_id, remedy="name one of them with --gold")
        for judgement in judgements if known and question_id in rows else ():
            if judgement.done or judgement.annotator.startswith(PROPOSAL):
                count = len(rows[question_id]["page_ids"])
                pair = _on_pages(judgement, count, problems), _on_pages(known[0], count, problems)
                found[judgement.annotator].append(pair)
    if not found:
        raise UsageError("no question has both gold and boxes to score", file=workspace.path)
    page_texts = _page_texts(workspace)
    evaluations = [_evaluate(name, pairs, rows, page_texts) for name, pairs in sorted(found.items())]
    return evaluations, list(problems)


def _on_pages(judgement: Judgement, count: int, problems: dict[Problem, None]) -> Judgement:
    """The judgement without regions on pages that its question does not have; these become problems, each once."""
    there = judgement.page < count
    if there.all():
        return judgement
    problems |= {off_page(judgement, region): None for region in np.flatnonzero(~there).tolist()}

    def kept(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value for value, keep in zip(values, there, strict=True) if keep)

    return replace(
        judgement,
        page=judgement.page[there],
        xyxy=judgement.xyxy[there],
        roles=kept(judgement.roles),
        origins=kept(judgement.origins),
        region_ids=kept(judgement.region_ids),
    )


def _evaluate(
    annotator: str,
    pairs: Sequence[tuple[Judgement, Judgement]],
    rows: dict[str, dict[str, Any]],
    page_texts: Callable[[str], PageText],
) -> Evaluation:
    scores: list[QuestionScores] = []
    failures: dict[str, dict[Failure, list[str]]] = {}
    without_evidence = 0
    for judgement, gold in pairs:
        if not gold.marks or not len(gold.xyxy):
            without_evidence += bool(judgement.marks and len(judgement.xyxy))
            continue
        row = rows[gold.question_id]
        score = score_question(judgement, gold, source=row["source"], doc=row["doc_id"], pages=len(row["page_ids"]))
        scores.append(score)
        texts = [page_texts(page) for page in row["page_ids"]]
        if kind := failure_of(score, judgement, gold, texts, row["question"], row["answers"]):
            failures.setdefault(score.source, {}).setdefault(kind, []).append(gold.question_id)
    return Evaluation(annotator, _summaries(scores), failures, without_evidence, tuple(scores))


def _summaries(scores: Sequence[QuestionScores]) -> dict[str, Summary]:
    groups = {"all": list(scores)}
    groups |= {f"source {name}": [s for s in scores if s.source == name] for name in sorted({s.source for s in scores})}
    groups |= {"one page": [s for s in scores if s.pages == 1], "several pages": [s for s in scores if s.pages > 1]}
    found: dict[str, Summary] = {}
    for name, group in groups.items():
        if group:
            found[name] = summarise(group)
            found |= {f"{name}, {role}": summarise(group, role) for role in ROLES}
    return found


def _page_texts(workspace: Workspace) -> Callable[[str], PageText]:
    index = WordIndex(workspace)
    columns = ["page_id", "width", "height"]
    sizes = {row["page_id"]: (row["width"], row["height"]) for row in workspace.iter_rows("pages", columns=columns)}

    @lru_cache(maxsize=256)
    def text(page: str) -> PageText:
        return PageText(index.get(page), *sizes.get(page, (0, 0)))

    return text


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation, JSON-ready; intervals as {mean, low, high}."""
    kinds = sorted({kind for found in evaluation.failures.values() for kind in found})
    by_kind = {kind: [id_ for found in evaluation.failures.values() for id_ in found.get(kind, ())] for kind in kinds}
    return {
        "annotator": evaluation.annotator,
        "iou": 0.5,
        "scores": {name: _summary_json(summary) for name, summary in evaluation.summaries.items()},
        "failures": {
            kind.value: {"what": DESCRIPTIONS[kind], "questions": len(ids), "examples": sorted(ids)[:_EXAMPLES]}
            for kind, ids in by_kind.items()
        },
        "failures_by_source": {
            source: {kind.value: len(ids) for kind, ids in sorted(found.items())}
            for source, found in sorted(evaluation.failures.items())
        },
        "questions_without_evidence_with_boxes": evaluation.without_evidence,
    }


def _summary_json(summary: Summary) -> dict[str, Any]:
    values = {name: getattr(summary, name) for name in asdict(summary)}
    return {name: v._asdict() if isinstance(v, Interval) else v for name, v in values.items()}


def to_text(evaluation: Evaluation) -> str:
    """A table of the scores, then the kinds of failure, with examples."""
    wide = max(map(len, evaluation.summaries), default=0)
    head = f"{'':{wide}}{'questions':>10}{'boxes':>8}{'gold':>8}  {'precision':17}{'recall':17}{'F1':17}"
    lines = [evaluation.annotator, head + f"{'evidence recall':17}area precision"]
    for name, s in evaluation.summaries.items():
        intervals = (s.precision, s.recall, s.f1, s.evidence_recall, s.area_precision)
        figures = "".join(f"{_interval(found):17}" for found in intervals)
        lines.append(f"{name:{wide}}{s.questions:>10,}{s.found:>8,}{s.gold:>8,}  {figures}".rstrip())
    lines.append("what fails (questions, the first kind that fits):")
    for kind in Failure:
        ids = sorted(id_ for found in evaluation.failures.values() for id_ in found.get(kind, ()))
        if ids:
            lines.append(f"  {len(ids):>6,} {kind.value}: {DESCRIPTIONS[kind]}; e.g. {', '.join(ids[:3])}")
    if evaluation.without_evidence:
        lines.append(f"boxes on questions without evidence: {evaluation.without_evidence:,} questions")
    return "\n".join(lines)


def _interval(found: Interval | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} {found.low:.2f}-{found.high:.2f}"
