"""An evaluation as tables: on a terminal of 100 columns, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pinpoint_data.schema import ROLES
from training.evaluation.question_scores import share_name
from training.evaluation.tables import ScoreTable, markdown_report, score_table, short_score, terminal
from training.window_scorers.simple import OracleScorer

Summary = Mapping[str, Any]
FEW_DOCUMENTS = 10


def terminal_text(summary: Summary) -> str:
    """Head, warnings and the main tables, plain text of at most 100 columns."""
    return terminal(head_lines(summary), _main_tables(summary))


def markdown(summary: Summary) -> str:
    """The whole report: the main tables, then hits, roles and every source."""
    return markdown_report("Evaluation", head_lines(summary), (*_main_tables(summary), *_more_tables(summary)))


def head_lines(summary: Summary) -> list[str]:
    """What was scored, what was left out, what to be careful about."""
    clipping = summary["clipping"]
    scored, *left_out = counts_lines(summary)
    lines = [scored]
    if summary.get("grid"):
        lines += _grid_lines(summary)
    if ranker := summary.get("ranker"):
        lines.append(f"ranker {ranker['name']}, fingerprint {ranker['fingerprint'][:12]}")
    lines += left_out
    lost = f"{clipping['mean_share_lost']:.2%} on average, in {clipping['questions']:,} questions"
    lines.append(f"evidence outside the grid: {lost}")
    lines += [*interval_lines(summary), "ties between windows are broken at random"]
    return lines + warning_lines(summary)


def _grid_lines(summary: Summary) -> list[str]:
    """The grid and the windows, of each scorer where they differ."""
    scorers_of: dict[str, list[str]] = {}
    for scorer, spec in summary["windows"].items():
        size = f"windows of {spec['width']} x {spec['height']} tokens, stride {spec['stride']}"
        scorers_of.setdefault(size, []).append(scorer)
    if len(scorers_of) == 1:
        return [f"grid {summary['grid']}, {next(iter(scorers_of))}"]
    lines = [f"grid {summary['grid']}"]
    lines += [f"{size}: {', '.join(scorers)}" for size, scorers in scorers_of.items()]
    lines.append("scores at an exact budget compare all scorers, those of whole windows only scorers of equal windows")
    if OracleScorer.name in summary["windows"]:
        lines.append("the oracle is the ceiling of its own windows: a scorer of smaller ones may beat it")
    return lines


def counts_lines(summary: Summary) -> list[str]:
    """How many questions were scored, and how many were not and why."""
    counts = summary["questions"]
    sources = ", ".join(f"{name} {number:,}" for name, number in counts["by_source"].items())
    scored, documents = counts["scored"], counts["documents"]
    questions = (
        f"{scored:,} question{'s' if scored != 1 else ''} of {documents:,} document{'s' if documents != 1 else ''}"
    )
    lines = [f"{questions} ({sources})"]
    left = [f"{number:,} {reason}" for reason, number in counts["left_out"].items()]
    refused = [f"{number:,} refused: {code}" for code, number in counts["refused"].items()]
    if left or refused:
        lines.append("left out: " + "; ".join([*left, *refused]))
    return lines


def interval_lines(summary: Summary) -> list[str]:
    """What the brackets mean, and whether to trust them."""
    documents = summary["questions"]["documents"]
    if documents == 1:
        return ["means without intervals: these resample documents, and there is one"]
    lines = [f"mean [95 % interval over {summary['bootstrap']['resamples']:,} resamples of documents]"]
    if documents < FEW_DOCUMENTS:
        lines.append(f"few documents ({documents}): the intervals are rough")
    return lines


def warning_lines(summary: Summary) -> list[str]:
    """What a reader of the figures must know."""
    return [f"WARNING: {warning}" for warning in summary.get("warnings", ())]


def _main_tables(summary: Summary) -> Iterator[ScoreTable]:
    at = [f"@{share_name(share)}" for share in summary["budgets"]]
    r = [f"@{share_name(share)}" for share in summary["coverages"]]
    everyone = summary["scores"]["all"]
    recall = [f"evidence_recall{share}" for share in at]
    yield _table("Evidence recall at an exact budget of tokens", everyone, recall, at)
    names = [*(f"region_accuracy{share}" for share in r), "top1_accuracy", "full_coverage_budget"]
    titles = [*(f"r {share}" for share in r), "top-1", "full budget"]
    yield _table(
        "Region accuracy at coverage r, top-1 accuracy, full-coverage budget (less is better)", everyone, names, titles
    )
    if differences := summary["differences"].get("all"):
        yield _table(f"Evidence recall of {summary['reference']} minus that of ..., paired", differences, recall, at)
    if len(summary["scores"]) > 1:
        yield _by_source(summary, recall, at)


def _by_source(summary: Summary, names: Sequence[str], titles: Sequence[str]) -> ScoreTable:
    rows = []
    for group, scorers in summary["scores"].items():
        if group != "all":
            n = summary["questions"]["by_source"][group]
            rows += [
                (f"{group} ({n:,})", scorer, *(short_score(found.get(name)) for name in names))
                for scorer, found in scorers.items()
            ]
    return ScoreTable("Evidence recall by source", ("source", "scorer", *titles), tuple(rows))


def _more_tables(summary: Summary) -> Iterator[ScoreTable]:
    at = [f"@{share_name(share)}" for share in summary["budgets"]]
    for group, scorers in summary["scores"].items():
        of = "" if group == "all" else f", {group}"
        families = [
            ("All boxes hit", "all_hit"),
            ("Any box hit", "any_hit"),
            ("Page recall, questions of several pages", "page_recall"),
            *((f"Evidence recall, {role} boxes", f"evidence_recall_{role}") for role in ROLES),
            *((f"All {role} boxes hit", f"all_hit_{role}") for role in ROLES),
        ]
        for title, name in families:
            names = [f"{name}{share}" for share in at]
            if any(names[0] in found for found in scorers.values()):
                yield _table(title + of, scorers, names, at)
        if group != "all":
            yield _table(f"Evidence recall{of}", scorers, [f"evidence_recall{share}" for share in at], at)
    yield _table("Budget as realised", summary["scores"]["all"], [f"budget{share}" for share in at], at)


def _table(title: str, scorers: Mapping[str, Any], names: Sequence[str], titles: Sequence[str]) -> ScoreTable:
    return score_table(title, "scorer", scorers, names, titles)
