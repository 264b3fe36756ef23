"""What an ablation shows: scores of every variant on the same questions, and differences to the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pinpoint_data import __version__
from training.ablation.run import BASE, BUDGETS, COVERAGES, Ablation, VariantRun
from training.evaluation.intervals import RESAMPLES, FloatArray, bootstrap_facts, differences, intervals
from training.evaluation.question_scores import share_name
from training.evaluation.report import interval_lines
from training.evaluation.summary import comparable
from training.evaluation.tables import ScoreTable, markdown_report, score_rows, score_table, terminal

ABLATION_VERSION = 1

Summary = Mapping[str, Any]


def summarise_ablation(ablation: Ablation, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Means with document-bootstrap 95 % intervals over the questions that every run held out, and differences.

    A variant of several seeds has, for each question, the mean of its seeds. Region accuracy and top-1 accuracy depend
    on the windows, so a variant with other windows has no difference to the base there; the scores at exact budgets of
    tokens compare all.

    Args:
        ablation: What `run_ablation` gave.
        resamples: Bootstrap resamples of documents.
        seed: Of the resamples.

    Returns:
        `variants[name]`: seeds, seconds and parameters of a training, `scores` and, beside `base`, `differences`
        (the variant minus the base, paired), each `{"mean", "low", "high", "n"}`, and `by_seed`: the mean of each.
    """
    by_name: dict[str, list[VariantRun]] = {}
    for run in ablation.runs:
        by_name.setdefault(run.variant, []).append(run)
    questions = _common_questions(ablation.runs)
    docs = np.array([_doc_ids(ablation.runs[0])[question] for question in questions]) if questions else np.array([])
    chosen = np.ones(len(questions), dtype=np.bool_)
    columns = {name: _mean_columns(runs, questions) for name, runs in by_name.items()}
    variants: dict[str, Any] = {}
    for name, runs in by_name.items():
        variants[name] = _facts(runs) | {
            "scores": intervals(columns[name], chosen, docs, resamples, seed),
            "by_seed": [_plain_means(_mean_columns([run], questions)) for run in runs],
        }
        if name != BASE and BASE in columns:
            same = runs[0].config.windows == by_name[BASE][0].config.windows
            gaps = differences(comparable(columns[name], same), columns[BASE])
            variants[name]["differences"] = intervals(gaps, chosen, docs, resamples, seed)
    return {
        "schema": "pinpoint-ablation",
        "version": ABLATION_VERSION,
        "program": f"pinpoint-data {__version__}",
        "questions": {"scored": len(questions), "documents": len(set(docs.tolist()))},
        "bootstrap": bootstrap_facts(resamples, seed),
        "budgets": list(BUDGETS),
        "coverages": list(COVERAGES),
        "order": list(variants),
        "variants": variants,
        "failed": [{"run": problem.record, "why": problem.message} for problem in ablation.outcome.problems],
    }


def ablation_terminal(summary: Summary) -> str:
    """The main tables, plain text of at most 100 columns."""
    return terminal(_head(summary), _tables(summary))


def ablation_markdown(summary: Summary) -> str:
    """All tables."""
    return markdown_report("Ablation", _head(summary), (*_tables(summary), *_more_tables(summary)))


def _common_questions(runs: Sequence[VariantRun]) -> list[str]:
    """Ids of the questions that every run was scored on, in the order of the first."""
    if not runs:
        return []
    common = set.intersection(*({sample.question_id for sample in run.evaluation.samples} for run in runs))
    return [sample.question_id for sample in runs[0].evaluation.samples if sample.question_id in common]


def _doc_ids(run: VariantRun) -> dict[str, str]:
    return {sample.question_id: sample.doc_id for sample in run.evaluation.samples}


def _mean_columns(runs: Sequence[VariantRun], questions: Sequence[str]) -> dict[str, FloatArray]:
    """The scores of the questions, each the mean over some runs."""
    sums: dict[str, FloatArray] = {}
    for run in runs:
        place = {sample.question_id: index for index, sample in enumerate(run.evaluation.samples)}
        rows = [place[question] for question in questions]
        (scores,) = run.evaluation.scores.values()
        for name, column in scores.items():
            sums[name] = sums.get(name, 0.0) + column[rows] / len(runs)
    return sums


def _plain_means(columns: Mapping[str, FloatArray]) -> dict[str, float]:
    return {name: float(np.nanmean(column)) for name, column in columns.items() if np.isfinite(column).any()}


def _facts(runs: Sequence[VariantRun]) -> dict[str, Any]:
    spec = runs[0].config.windows
    return {
        "seeds": len(runs),
        "reused": sum(run.reused for run in runs),
        "parameters": runs[0].parameters,
        "seconds": sum(run.seconds for run in runs) / len(runs),
        "windows": {"width": spec.width, "height": spec.height, "stride": spec.stride},
    }


def _head(summary: Summary) -> list[str]:
    questions = summary["questions"]
    lines = [f"{questions['scored']:,} held-out questions of {questions['documents']:,} documents, the same for all"]
    lines.append("the kept epoch of each run was chosen on these questions, so all scores are a little hopeful")
    lines += interval_lines(summary)
    seeds = {found["seeds"] for found in summary["variants"].values()}
    if seeds - {1}:
        lines.append(f"scores are means over {' or '.join(map(str, sorted(seeds)))} seeds")
    return lines + [f"FAILED: {failed['run']}: {failed['why']}" for failed in summary["failed"]]


def _tables(summary: Summary) -> Iterator[ScoreTable]:
    variants = summary["variants"]
    if not variants:
        return
    scores = {name: found["scores"] for name, found in variants.items()}
    recall = [f"evidence_recall@{share_name(budget)}" for budget in (0.10, 0.25, 0.60)]
    yield _table("Evidence recall at an exact budget of tokens", scores, recall)
    regions = [f"region_accuracy@{share_name(r)}" for r in summary["coverages"]]
    yield _table("Region accuracy at coverage r (whole windows)", scores, regions)
    yield ScoreTable(
        "Top-1 accuracy, full-coverage budget (less is better), size and seconds",
        ("variant", "top-1", "full budget", "parameters", "seconds"),
        tuple(
            (*row, f"{found['parameters']:,}", f"{found['seconds']:,.1f}")
            for row, found in zip(
                score_rows(scores, ["top1_accuracy", "full_coverage_budget"]), variants.values(), strict=True
            )
        ),
    )
    gaps = {name: found["differences"] for name, found in variants.items() if "differences" in found}
    if gaps:
        names = [*recall[:2], "region_accuracy@0.60", "full_coverage_budget"]
        titles = ["recall @0.10", "recall @0.25", "region r @0.60", "full budget"]
        yield score_table(f"Minus {BASE}, paired", "variant", gaps, names, titles)


def _more_tables(summary: Summary) -> Iterator[ScoreTable]:
    if not summary["variants"]:
        return
    scores = {name: found["scores"] for name, found in summary["variants"].items()}
    for title, family in (("Evidence recall", "evidence_recall"), ("All boxes hit", "all_hit")):
        names = [f"{family}@{share_name(budget)}" for budget in summary["budgets"]]
        yield _table(f"{title} at an exact budget of tokens, all budgets", scores, names)


def _table(title: str, scores: Mapping[str, Any], names: Sequence[str]) -> ScoreTable:
    return score_table(title, "variant", scores, names, ["@" + name.partition("@")[2] for name in names])
