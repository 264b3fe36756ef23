"""From a workspace to the report file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from annotation.agreement import Agreement, QuestionAgreement, measure_agreement
from annotation.judgements import check_annotators
from annotation.report.agreement import agreement_json, is_disputed, question_json
from annotation.report.campaign import Campaign, Row, load_campaign
from annotation.report.findings import findings_json
from annotation.report.listed import Listed, read_listed
from annotation.report.page import render
from annotation.report.pictures import pictures
from annotation.report.progress import progress_json
from annotation.report.questions import Cell, QuestionRows, enums_json, layers_json
from annotation.report.statistics import Statistics
from annotation.report.text import shown
from annotation.report.verdicts import adjudication_json
from pinpoint_data.atomic import write_text
from pinpoint_data.errors import Problem
from pinpoint_data.validation.run import Report, validate
from pinpoint_data.workspace import Workspace

LISTED_QUESTIONS = 5000
"""Questions listed by default: about 3 MB, and a fraction of a second in a browser."""

PAGES_PICTURED = 4
"""Pages of one question that get a picture at most: those with most boxes."""


@dataclass(frozen=True)
class ReportOptions:
    """Choices of a report.

    Attributes:
        annotators: Names or patterns of those who are compared; by default everybody but gold and proposals.
        questions: How many questions are listed, the most disputed first; None lists all. Figures are always over all.
            A page with many more than the default is slow to open.
        thumbnails: For how many of the most disputed questions the pages' pictures are put into the file.
    """

    annotators: tuple[str, ...] = ()
    questions: int | None = LISTED_QUESTIONS
    thumbnails: int = 50


@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
        path: The file.
        size: Its bytes.
        questions: Questions of the workspace.
        listed: Questions in the list.
        disputed: Disputed questions among those listed.
        pictures: Pictures of pages in the file.
        problems: Regions and pictures that are not in it, and why.
    """

    path: Path
    size: int
    questions: int
    listed: int
    disputed: int
    pictures: int
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """1 if something had to be left out, else 0."""
        return int(bool(self.problems))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"path": str(self.path), "problems": [asdict(problem) for problem in self.problems]}

    def text(self, shown_problems: int = 10) -> str:
        """For people."""
        lines = [
            f"{self.path}: {self.size / 1e6:,.1f} MB, {self.listed:,} of {self.questions:,} questions, "
            f"{self.disputed:,} disputed, {self.pictures:,} pictures"
        ]
        if self.problems:
            counts = Counter(problem.code for problem in self.problems)
            kinds = ", ".join(f"{count:,} {code}" for code, count in sorted(counts.items()))
            lines += [f"left out {len(self.problems):,}: {kinds}", *(f"  {p}" for p in self.problems[:shown_problems])]
            if len(self.problems) > shown_problems:
                lines.append(f"  ... and {len(self.problems) - shown_problems:,} more (--json lists all)")
        return "\n".join(lines)


def write_report(workspace: Workspace, out: Path, options: ReportOptions | None = None) -> ReportResult:
    """Write the report of a workspace as one HTML file, atomically; the same workspace gives the same bytes.

    Raises:
        UsageError: An annotator pattern fits nobody.
        WorkspaceError: A table is damaged.
    """
    options = options or ReportOptions()
    everybody = check_annotators(workspace, options.annotators)
    # Before the rest is in memory: validation looks at everything at once.
    checked = validate(workspace)
    campaign = load_campaign(workspace, everybody, options.annotators)
    agreement = measure_agreement(workspace, campaign.people)
    compared = {question.question_id: question for question in agreement.questions}
    order = _order(campaign, compared, options.questions)
    statistics = Statistics(campaign.questions)
    for judgement in campaign.judgements():
        statistics.add_judgement(judgement, reference=False)
    listed = read_listed(campaign, order, statistics)
    rows = QuestionRows(campaign, listed)
    questions = _questions(order, compared, listed, rows)
    findings = _add_findings(checked, questions, listed)
    data = _data(campaign, agreement, listed, questions, rows) | {
        "findings": findings,
        "disputed": sum(map(is_disputed, compared.values())),
        "statistics": statistics.to_json(),
    }
    made, problems = pictures(workspace, listed.pages, _pictured(campaign, listed, options.thumbnails))
    numbered = {rows.pages.place(page_id): uri for page_id, uri in made.items()}
    title = workspace.path.resolve().name
    html = render(title, data | {"pictured": sorted(numbered)}, dict(sorted(numbered.items())))
    write_text(out, html)
    disputed = sum(question["disputed"] for question in questions)
    left_out = (*campaign.people.problems, *listed.problems, *problems)
    return ReportResult(out, out.stat().st_size, len(campaign.questions), len(order), disputed, len(numbered), left_out)


def _order(campaign: Campaign, compared: Mapping[str, QuestionAgreement], most: int | None) -> list[int]:
    """Places of the questions, the most disputed first, those that cannot be compared last in table order."""
    ids = campaign.questions.ids

    def key(place: int) -> tuple[float, float, int]:
        question = compared[ids[place]]
        return -question.dispute, 0.0 if question.union_iou is None else question.union_iou, place

    first = sorted((place for place, id_ in enumerate(ids) if id_ in compared), key=key)
    others = (place for place, id_ in enumerate(ids) if id_ not in compared)
    return [*islice(chain(first, others), most)]


def _questions(
    order: Sequence[int], compared: Mapping[str, QuestionAgreement], listed: Listed, rows: QuestionRows
) -> list[Cell]:
    return [
        rows.row(row)
        | {
            "place": place,
            "agreement": question_json(compared.get(row["question_id"])),
            "disputed": is_disputed(compared.get(row["question_id"])),
        }
        for place, row in zip(order, listed.rows, strict=True)
    ]


def _add_findings(checked: Report, questions: Sequence[Cell], listed: Listed) -> Cell:
    """The section of findings; each question gets the codes of its own."""
    ids = [row["question_id"] for row in listed.rows]
    findings, codes_of = findings_json(checked, {id_: at for at, id_ in enumerate(ids)})
    for question, id_ in zip(questions, ids, strict=True):
        question["findings"] = codes_of.get(id_, [])
    return findings


def _data(
    campaign: Campaign, agreement: Agreement, listed: Listed, questions: Sequence[Cell], rows: QuestionRows
) -> Cell:
    progress = progress_json(campaign)
    for source in progress["sources"]:  # sources without a listed question too
        rows.sources.place(source["source"])
        rows.splits.place(source["split"])
    layers = {name: number for number, name in enumerate(campaign.people.annotators)}
    verdicts = [verdict for id_, verdict in campaign.verdicts.items() if id_ in campaign.questions]
    deciders = {q["verdict"]["by"] for q in questions if q["verdict"] and q["verdict"]["open"] is None}
    return enums_json() | {
        "layers": layers_json(campaign),
        "progress": progress,
        "adjudication": adjudication_json(verdicts, listed.votes),
        "agreement": agreement_json(agreement, layers),
        "questions": questions,
        "pages": rows.pages_json(),
        "sources": [shown(name) for name in rows.sources],
        "splits": [shown(name) for name in rows.splits],
        "docs": [shown(name) for name in rows.docs],
        "deciders": sorted(deciders),
    }


def _pictured(campaign: Campaign, listed: Listed, most: int) -> list[str]:
    """Page ids of the first `most` questions that carry a box of anybody."""
    wanted: list[str] = []
    left = most
    for row in listed.rows:
        pages = _busiest(campaign, listed, row) if left else []
        left -= bool(pages)
        wanted += pages
    return wanted


def _busiest(campaign: Campaign, listed: Listed, row: Row) -> list[str]:
    """The pages of a question with most boxes, adjudicated and gold ones included; the first page wins ties."""
    question_id, page_ids = row["question_id"], row["page_ids"]
    counts: Counter[int] = Counter()
    for judgements in (campaign.people.by_question, listed.references):
        for judgement in judgements.get(question_id, ()):
            counts.update(judgement.page.tolist())
    counts.update(box["page_index"] for box in listed.evidence.get(question_id, ()))
    pages = sorted((page for page in counts if page < len(page_ids)), key=lambda page: (-counts[page], page))
    return [page_ids[page] for page in pages[:PAGES_PICTURED]]
