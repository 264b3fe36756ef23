"""A summary as text: what is in which table, widths, and names that try to leave their place."""

from __future__ import annotations

import csv
import io
from copy import deepcopy

import pytest

from tests.training.benchmark.measured import SELECTORS, measured, whole_summary
from training.benchmark.families import by_recall
from training.benchmark.long_form import COLUMNS
from training.benchmark.tables import (
    PLUMBING,
    benchmark_csv,
    benchmark_markdown,
    benchmark_terminal,
    reference_of,
)

HOSTILE = "=1+1|<b>[red]\x1b[31m\n"


@pytest.fixture(scope="module")
def summary() -> dict:
    return whole_summary()


def _sections(markdown: str) -> dict[str, list[list[str]]]:
    """Rows of cells by title, the heading first."""
    found: dict[str, list[list[str]]] = {}
    for part in markdown.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        found[title] = [rows[0], *rows[2:]]
    return found


def test_selectors_stand_in_order_of_their_recall(summary: dict) -> None:
    order = by_recall(summary)
    means = [summary["scores"][name]["evidence_recall@0.25"]["mean"] for name in order]
    assert means == sorted(means, reverse=True)
    sections = _sections(benchmark_markdown(summary))
    assert [row[0] for row in sections["Evidence recall"][1:]] == order
    lines = [line.strip() for line in benchmark_terminal(summary).splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("selector"))
    assert [line.split()[0] for line in lines[first + 2 : first + 2 + len(order)]] == order


def test_the_terminal_has_means_and_an_interval(summary: dict) -> None:
    for name in ("random", "fastv"):
        score = deepcopy(summary)["scores"][name]
        score["evidence_recall@0.10"] = {"mean": 0.1234, "low": 0.1, "high": 0.2, "n": 24}
        score["evidence_recall@0.25"] = {"mean": 1.0, "low": 0.256, "high": 1.0, "n": 24}
        text = benchmark_terminal(summary | {"scores": summary["scores"] | {name: score}})
        row = next(own for line in text.splitlines() if (own := line.split())[:1] == [name])
        assert (row[1], row[2], row[-1]) == (".123", "1.00", "[.26,1.0]")


@pytest.mark.parametrize("name", ["short", "n" * 80, "文" * 60])
def test_never_wider_than_100_columns(name: str) -> None:
    text = benchmark_terminal(whole_summary(measured(selectors=["random", "uniform", name])))
    assert max(map(len, text.splitlines())) <= 100


def test_twenty_budgets_are_thinned_on_a_terminal(summary: dict) -> None:
    budgets = [round(0.05 * place, 2) for place in range(1, 21)]
    text = benchmark_terminal(summary | {"budgets": budgets})
    heading = next(own for line in text.splitlines() if (own := line.split())[:1] == ["selector"])
    assert heading[1:8] == ["@0.05", "@0.20", "@0.35", "@0.55", "@0.70", "@0.85", "@1.00"]


def test_every_figure_has_its_table(summary: dict) -> None:
    sections = _sections(benchmark_markdown(summary))
    titles = "\n".join(sections)
    for title in (
        "All boxes hit",
        "Any box hit",
        "Precision",
        "Page recall",
        "Evidence recall, support boxes",
        "Lift over random",
        "Lift over uniform",
        "Full-coverage budget",
        "merged into kept",
        "by role of the boxes",
        "by share of the page",
        "by number of boxes",
        "by height of a box's centre",
        "by number of pages",
        "by source",
        "Milliseconds a question",
        "GFLOPs a question",
        "ANLS change",
        "cannot run here",
    ):
        assert title in titles
    agreement = next(rows for title, rows in sections.items() if title.startswith("Agreement"))
    assert [row[0] for row in agreement[1:]] == ["sparsevlm-unpruned"]
    layered = next(rows for title, rows in sections.items() if title.startswith("Layer-averaged budget"))
    assert [row[0] for row in layered[1:]] == ["fastv"]
    assert sections["Full-coverage budget (less is better)"][1][0] == "random"
    assert sections["Selectors that cannot run here"][1] == ["btp", summary["unavailable"]["btp"]]


def test_differences_are_the_reference_minus_the_others(summary: dict) -> None:
    reference = reference_of(summary)
    assert reference == next(name for name in by_recall(summary) if name != "oracle-token")
    rows = {
        row[0]: row[1:]
        for row in _sections(benchmark_markdown(summary))[f"{reference} minus ..., paired: evidence recall"]
    }
    scores = summary["scores"]
    for other in (name for name in SELECTORS if name != reference):
        gap = scores[reference]["evidence_recall@0.25"]["mean"] - scores[other]["evidence_recall@0.25"]["mean"]
        mean, ends = rows[other][1].split(" ")
        assert float(mean) == pytest.approx(gap, abs=6e-4)
        low, high = map(float, ends.strip("[]").split(","))
        assert low - 0.006 <= gap <= high + 0.006
    with_pinpoint = whole_summary(measured(selectors=["random", "oracle-token", "pinpoint"]))
    assert reference_of(with_pinpoint) == "pinpoint"
    assert reference_of(whole_summary(measured(selectors=["oracle-token"]))) is None


def test_costs_together_count_every_question_once() -> None:
    data = measured()
    data.seconds["fastv"] = {"choice": data.seconds["fastv"]["choice"] * 0 + 0.002}
    data.seconds["fastv"]["decoder"] = data.seconds["fastv"]["choice"] + 2.498
    data.seconds["fastv"]["decoder"][:12] = float("nan")
    rows = _sections(benchmark_markdown(whole_summary(data)))
    costs = next(own for title, own in rows.items() if title.startswith("Milliseconds a question, to select @0.25"))
    found = dict(zip(costs[0], next(row for row in costs if row[0] == "fastv"), strict=True))
    # 2,500 ms in every second question, and 2 in all.
    assert (found["choice"], found["decoder"], found["encode"], found["together"]) == ("2", "2,500", "-", "1,252")


def test_plumbing_is_said_on_top_and_in_every_title() -> None:
    summary = whole_summary(plumbing=True)
    markdown = benchmark_markdown(summary)
    assert all(title.startswith(PLUMBING) for title in _sections(markdown))
    assert markdown.splitlines()[2].startswith("PLUMBING")
    text = benchmark_terminal(summary)
    assert text.startswith("PLUMBING")
    assert text.count(PLUMBING) == 3
    assert "lumbing" not in benchmark_markdown(whole_summary())


def test_a_summary_without_what_a_run_adds() -> None:
    from training.benchmark.summary import summarise_benchmark

    bare = summarise_benchmark(measured(2), resamples=20)
    assert "Evidence recall" in benchmark_terminal(bare)
    assert "2 questions of 1 document (" in benchmark_markdown(bare)
    assert "means without intervals: these resample documents, and there is one" in benchmark_markdown(bare)


def test_csv_has_every_figure_once(summary: dict) -> None:
    rows = list(csv.DictReader(io.StringIO(benchmark_csv(summary))))
    assert tuple(rows[0]) == COLUMNS
    keys = [tuple(row[column] for column in COLUMNS[:5]) for row in rows]
    assert len(set(keys)) == len(keys)
    found = dict(zip(keys, rows, strict=True))
    recall = summary["scores"]["fastv"]["evidence_recall@0.25"]
    row = found["all", "", "fastv", "evidence_recall", "0.25"]
    assert (float(row["mean"]), float(row["low"]), int(row["n"])) == (recall["mean"], recall["low"], recall["n"])
    assert found["all", "", "random", "full_coverage_budget", ""]["n"] == "24"
    gap = summary["differences"]["random"]["fastv"]["all_hit@0.60"]
    # Numbers are no formulas, also below 0.
    assert float(found["difference", "fastv", "random", "all_hit", "0.60"]["mean"]) == gap["mean"]
    assert ("lift", "uniform", "fastv", "evidence_recall", "0.10") in found
    assert ("position", "0-20 %", "fastv", "evidence_recall", "0.10") in found
    assert ("boxes", "3 to 5", "fastv", "all_hit", "0.10") in found
    assert found["seconds_median", "encode", "fastv", "seconds", "0.25"]["low"] == ""
    assert ("flops", "choice", "fastv", "flops", "0.25") in found
    assert {row["group"] for row in rows} >= {"role", "box_size", "pages", "source"}


def test_the_head_names_the_model_and_the_run() -> None:
    changed = {"settings": whole_summary()["settings"] | {"model": "Qwen/Qwen2-VL-7B-Instruct"}, "run": "run-7"}
    said = "pages, split all; backbone ocr-grid, model Qwen/Qwen2-VL-7B-Instruct, run run-7"
    assert said in benchmark_terminal(whole_summary(**changed))
    assert "model" not in benchmark_terminal(whole_summary()).splitlines()[0]


def test_csv_has_what_answers_say(summary: dict) -> None:
    rows = {tuple(row[c] for c in COLUMNS[:5]): row for row in csv.DictReader(io.StringIO(benchmark_csv(summary)))}
    correlation = summary["correlation"]
    point = correlation["points"][3]
    row = rows["answers", "", point["selector"], "anls_change", f"{point['budget']:.2f}"]
    assert (float(row["mean"]), int(row["n"])) == (point["anls_change"], correlation["questions"])
    for at, own in (("", correlation["over_points"]), ("0.25", correlation["by_budget"]["0.25"])):
        row = rows["correlation", "", "", "spearman", at]
        assert [float(row[c]) for c in ("mean", "low", "high")] == [
            own["spearman"][c] for c in ("value", "low", "high")
        ]
        assert int(row["n"]) == own["points"]
    own = correlation["by_question"][3]
    row = rows["correlation_over_questions", "", own["selector"], "pearson", f"{own['budget']:.2f}"]
    assert float(row["mean"]) == own["pearson"]["value"]
    without = csv.DictReader(io.StringIO(benchmark_csv(whole_summary(answers=False))))
    assert not {row["group"] for row in without} & {"answers", "correlation", "correlation_over_questions"}


@pytest.mark.parametrize("name", [HOSTILE, "=1+1", "+1", "-1", "@SUM(A1)", " \t=1", "＝1", 'a,"b"\r\n=2'])
def test_no_cell_of_the_csv_is_a_formula_or_leaves_its_place(name: str) -> None:
    summary = whole_summary(measured(selectors=["random", name, "b"]))
    text = benchmark_csv(summary)
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == text.count("\n")
    assert all(len(row) == len(COLUMNS) for row in rows)
    for row in rows:
        for cell in row[:4]:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))


def test_names_are_no_markup() -> None:
    summary = whole_summary(measured(selectors=["random", HOSTILE]))
    text, markdown = benchmark_terminal(summary), benchmark_markdown(summary)
    assert "\x1b" not in text + markdown
    assert "[red]" in text
    assert "<b>" not in markdown
    for rows in _sections(markdown.replace("\\|", "/")).values():
        assert len({len(row) for row in rows}) == 1
