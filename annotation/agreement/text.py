"""The figures of an `Agreement` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from annotation.agreement.results import Agreement, AnnotatorAgreement, Estimate, Measures, PairAgreement
from pinpoint_data.errors import one_line

_SHOWN = 10
_FIGURES = ("F1", "IoU", "matched", "union", "words", "status")


def agreement_text(agreement: Agreement) -> str:
    """Tables for people: overall, by source, the sweep, annotators, pairs, the most disputed questions."""
    overall = agreement.overall
    lines = [
        f"{overall.questions:,} questions with two or more finished judgements ({overall.judgements:,} judgements); "
        f"{agreement.single:,} with one, {agreement.undone:,} with none"
    ]
    if not overall.questions:
        return "\n".join([*lines, *_problems(agreement)])
    lines += ["", *_sources(agreement), "", *_sweep(overall), "", *_people(agreement)]
    if len(agreement.pairs) > 1:
        lines += ["", *_pairs(agreement.pairs)]
    if agreement.disputed:
        lines += ["", *_disputed(agreement)]
    return "\n".join([*lines, *_problems(agreement)])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    cells = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths, strict=True)] for row in cells)
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return _number(estimate.value)
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _sources(agreement: Agreement) -> list[str]:
    """One column a source, one line a measure."""
    iou = agreement.settings.iou
    slices = {"all": agreement.overall}
    if len(agreement.sources) > 1:
        slices |= agreement.sources
    measures = [(name, [_estimate(pick) for pick in picks]) for name, picks in _rows(list(slices.values()), iou)]
    count = ["questions", *(f"{found.questions:,}" for found in slices.values())]
    return table(["measure", *slices], [count, *([name, *cells] for name, cells in measures)])


def _rows(slices: list[Measures], iou: float) -> list[tuple[str, list[Estimate]]]:
    return [
        (f"alpha of boxes at IoU {iou:g}", [found.at(iou).alpha for found in slices]),
        ("alpha of words", [found.alpha_words for found in slices]),
        ("alpha of statuses", [found.alpha_status for found in slices]),
        (f"F1 at IoU {iou:g}", [found.f1 for found in slices]),
        ("pairwise IoU", [found.pairwise_iou for found in slices]),
        ("IoU of matches", [found.matched_iou for found in slices]),
        ("IoU of unions", [found.union_iou for found in slices]),
        ("Jaccard of words", [found.word_jaccard for found in slices]),
        ("same status", [found.status_share for found in slices]),
    ]


def _sweep(overall: Measures) -> list[str]:
    rows = [
        [f"{at.iou:g}", _estimate(at.alpha), _estimate(at.alpha_marked), _estimate(at.f1), f"{at.groups:,}"]
        for at in overall.sweep
    ]
    return table(["IoU", "alpha", "alpha, marked only", "F1", "groups"], rows)


def _figures(row: AnnotatorAgreement | PairAgreement) -> list[str]:
    values = (row.f1, row.pairwise_iou, row.matched_iou, row.union_iou, row.word_jaccard, row.status_share)
    return [_number(value) for value in values]


def _people(agreement: Agreement) -> list[str]:
    header = ["annotator", "done", "skipped", "boxes", *_FIGURES, "vitality", "(status)", "untouched", "median s"]
    rows = [
        [
            *(one.annotator, f"{one.done:,}", f"{one.skipped:,}", f"{one.boxes:,}"),
            *_figures(one),
            *("-" if v is None else f"{v:+.3f}" for v in (one.vitality_boxes, one.vitality_status)),
            *(_number(one.untouched), "-" if one.lead_time.median is None else f"{one.lead_time.median:.1f}"),
        ]
        for one in agreement.annotators
    ]
    return table(header, rows)


def _pairs(pairs: Sequence[PairAgreement]) -> list[str]:
    rows = [[f"{pair.first} / {pair.second}", f"{pair.questions:,}", *_figures(pair)] for pair in pairs]
    return table(["pair", "questions", *_FIGURES], rows)


def _disputed(agreement: Agreement) -> list[str]:
    rows = [
        [q.question_id, f"{q.dispute:.3f}", _number(q.union_iou), ", ".join(q.statuses), "/".join(map(str, q.boxes))]
        for q in agreement.disputed[:_SHOWN]
    ]
    lines = table(["most disputed", "dispute", "union", "statuses", "boxes"], rows)
    hidden = len(agreement.disputed) - len(rows)
    return [*lines, f"... and {hidden:,} more (--json lists them)"] if hidden else lines


def _problems(agreement: Agreement) -> list[str]:
    if not agreement.problems:
        return []
    lines = ["", f"left out {len(agreement.problems):,}:", *(f"  {p}" for p in agreement.problems[:_SHOWN])]
    hidden = len(agreement.problems) - _SHOWN
    return [*lines, f"  ... and {hidden:,} more (--json lists them)"] if hidden > 0 else lines
