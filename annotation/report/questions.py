"""Every question with everybody's boxes, as compact JSON for the page's own script.

Coordinates are rounded to a tenth of a page pixel here, for drawing only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from annotation.judgements import DONE, GOLD, PROPOSAL, Judgement
from annotation.report.campaign import Campaign, Row, seconds_of
from annotation.report.listed import Listed
from annotation.report.progress import ORIGINS
from annotation.report.text import shown
from annotation.report.verdicts import OPEN, verdict_json
from pinpoint_data.schema import ROLES, STATUSES

Cell = dict[str, Any]


class Catalog:
    """Numbers for things that many questions share, in the order they are first asked for."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.places: dict[str, int] = {}
        for name in names:
            self.place(name)

    def place(self, name: str) -> int:
        """The number of `name`, which is taken up where it is new."""
        return self.places.setdefault(name, len(self.places))

    def __iter__(self) -> Any:
        return iter(self.places)


def layers_json(campaign: Campaign) -> list[Cell]:
    """Whose boxes can be shown: annotators with a letter each, then gold and proposals."""
    people = [
        {"name": shown(name), "kind": "person", "tag": letters(place)}
        for place, name in enumerate(campaign.people.annotators)
    ]
    kinds = {GOLD: ("gold", "gold"), PROPOSAL: ("proposal", "prop.")}
    references = [
        {"name": shown(name), "kind": kind, "tag": tag}
        for name in campaign.references
        for prefix, (kind, tag) in kinds.items()
        if name.startswith(prefix)
    ]
    return people + references


def letters(place: int) -> str:
    """A, B, ..., Z, AA, AB, ...: how boxes of the annotator at `place` are marked besides their colour."""
    text = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


class QuestionRows:
    """Makes the JSON of questions, and numbers the pages, sources and splits that they name."""

    def __init__(self, campaign: Campaign, listed: Listed) -> None:
        self.campaign, self.listed = campaign, listed
        self.pages, self.sources, self.splits, self.docs = Catalog(), Catalog(), Catalog(), Catalog()
        names = (*campaign.people.annotators, *campaign.references)
        self._layers = {name: place for place, name in enumerate(names)}

    def row(self, row: Row) -> Cell:
        """One question, without what agreement and validation say about it."""
        question_id = row["question_id"]
        judged = [
            *self.campaign.people.by_question.get(question_id, ()),
            *self.listed.references.get(question_id, ()),
        ]
        return {
            "id": shown(question_id),
            "source": self.sources.place(row["source"]),
            "split": self.splits.place(row["split"]),
            "doc": self.docs.place(row["doc_id"]),
            "text": shown(row["question"]),
            "answers": [shown(answer) for answer in row["answers"]],
            "kinds": [shown(kind) for kind in (*row["answer_types"], *row["evidence_types"])],
            "pages": [self.pages.place(page_id) for page_id in row["page_ids"]],
            "answer_page": row["answer_page_index"],
            "judged": [self._judgement(judgement) for judgement in judged],
            "evidence": [_evidence(box) for box in self.listed.evidence.get(question_id, ())],
            "verdict": verdict_json(self.campaign.verdicts.get(question_id)),
        }

    def pages_json(self) -> list[Cell]:
        """Id and size of each page that `row` has named; size 0 where the workspace does not know it."""
        rows = [(page_id, self.listed.pages.get(page_id)) for page_id in self.pages]
        return [
            {"id": shown(page_id), "width": row["width"] if row else 0, "height": row["height"] if row else 0}
            for page_id, row in rows
        ]

    def _judgement(self, judgement: Judgement) -> list[Any]:
        """[layer, status, lead seconds or null, regions]; numbers stand for places in `enums_json`."""
        lead = seconds_of(judgement)
        return [
            self._layers[judgement.annotator],
            STATUSES.index(judgement.status),
            None if lead is None else round(lead, 1),
            [
                self._region(judgement, place, box, page)
                for place, (box, page) in enumerate(zip(judgement.xyxy.tolist(), judgement.page.tolist(), strict=True))
            ],
        ]

    def _region(self, judgement: Judgement, place: int, box: Sequence[float], page: int) -> list[Any]:
        """[page, x0, y0, x1, y1, role, origin (-1 for others)], and 8 numbers more for a rotated one."""
        origin = judgement.origins[place]
        region_id = judgement.region_ids[place]
        quad = self.listed.quads.get((judgement.question_id, judgement.annotator, region_id), [])
        return [
            page,
            *_rounded(box),
            ROLES.index(judgement.roles[place]),
            ORIGINS.index(origin) if origin in ORIGINS else -1,
            *_rounded(quad),
        ]


def enums_json() -> Cell:
    """What the numbers of regions and verdicts stand for."""
    return {"statuses": STATUSES, "roles": ROLES, "origins": ORIGINS, "done": DONE, "open": list(OPEN.items())}


def _evidence(box: Row) -> list[Any]:
    corners = _rounded([box[name] for name in ("x0", "y0", "x1", "y1")])
    return [box["page_index"], *corners, ROLES.index(box["role"]), box["votes"]]


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 1) for number in numbers]
