"""A small campaign with everything a report has to show, and strangers' text that tries to get out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinpoint_data.workspace import Workspace
from tests.loaders.build import Box, annotation, page, picture, question, regions, write

ANNA = "label-studio:1"
MARK = '<img src=x onerror="alert(1)">'
RTL = "eve\u202e\u2066</script><script>alert(2)</script>"
PEOPLE = (MARK, RTL, ANNA)
"""In the order of their names: letters A, B and C."""

HOSTILE = (
    "</script><script>alert(3)</script><!--<script>",
    "<svg onload=\"document.title='owned'\"></svg>&lt;b&gt;",
    "line\u2028separator \u202e txet \u200f { constructor } ${alert(4)} \\u003cb\\u003e",
    'javascript:alert(5) " onmouseover="alert(6)" \' `',
)
A, B = (40.0, 30.0, 140.0, 60.0), (200.0, 150.0, 300.0, 240.0)


def said(question_id: str, who: str, boxes: Sequence[Box] = (), status: str = "evidence", **more: Any) -> list[Any]:
    """One annotator's rows on a question; `page_index`, `origins` and `lead` are by keyword."""
    rows = regions(question_id, boxes, annotator=who, page_index=more.get("page_index", 0), status=None)
    for row, origin in zip(rows, more.get("origins", ["new"] * len(rows)), strict=True):
        row["origin"] = origin
    day = f"2025-03-0{1 + PEOPLE.index(who)}T12:00:00Z" if who in PEOPLE else None
    return [*rows, annotation(question_id, who, status=status, lead_time_s=more.get("lead"), created_at=day)]


def campaign(folder: Path) -> Workspace:
    """Eight questions of two sources.

    toy/agree        three equal judgements, gold, adjudicated
    toy/pages        three pages; boxes on different pages; adjudicated otherwise
    toy/tall         a page of 200 x 2000; a rotated region
    toy/status       evidence against wrong_answer; in conflict
    toy/open         skipped, unfinished; held back by a person
    toy/single       done by one
    toy/hostile      text that tries to get out, judged by two
    other/nobody     nobody judged it; its page has no file
    """
    ws = Workspace.create(folder / "ws")
    for source in ("toy", "other"):
        ws.register_source(source, "records", folder)
    sizes = {"toy/wide": (400, 300), "toy/p0": (300, 400), "toy/p1": (300, 400), "toy/p2": (300, 400)}
    sizes |= {"toy/tall": (200, 2000), "other/gone": (100, 100)}
    rows = []
    for shade, (page_id, (width, height)) in enumerate(sizes.items()):
        name = f"{page_id.replace('/', '-')}.png"
        if page_id != "other/gone":
            (folder / name).write_bytes(picture(width, height, 120 + 20 * shade))
        rows.append(page(page_id, name, width=width, height=height))
    write(ws, "pages", "toy-train", rows[:-1])
    write(ws, "pages", "other-test", rows[-1:])
    asked = {
        "toy/agree": ["toy/wide"],
        "toy/pages": ["toy/p0", "toy/p1", "toy/p2"],
        "toy/tall": ["toy/tall"],
        "toy/status": ["toy/wide"],
        "toy/open": ["toy/wide"],
        "toy/single": ["toy/wide"],
    }
    questions = [question(id_, "train", pages, answer_page_index=None) for id_, pages in asked.items()]
    questions.append(question("toy/hostile", "train", ["toy/wide"], question=" ".join(HOSTILE), answers=list(HOSTILE)))
    write(ws, "questions", "toy-train", questions)
    nobody = question("other/nobody", "test", ["other/gone"], question="Où est le café ?", answers=["Ａ１２"])
    write(ws, "questions", "other-test", [nobody])
    write(ws, "annotations", "toy-train.gold", regions("toy/agree", [A]))
    write(ws, "annotations", "toy-train.people", _judged())
    _adjudicate(ws)
    return ws


def _judged() -> list[Any]:
    rows = [row for who in PEOPLE for row in said("toy/agree", who, [A], origins=["accepted"], lead=20.0)]
    rows += said("toy/pages", MARK, [A], page_index=1, lead=10.0, origins=["moved"])
    rows += said("toy/pages", RTL, [A, B], page_index=2, lead=30.0)
    rows += said("toy/tall", ANNA, [(20.0, 1500.0, 120.0, 1540.0)], lead=95.0)
    rows += said("toy/tall", MARK, [(20.0, 1500.0, 120.0, 1545.0)])
    turned = next(row for row in rows if row["question_id"] == "toy/tall" and row["annotator"] == MARK)
    turned |= {"rotation": 10.0, "quad": [28.0, 1500.0, 120.0, 1515.0, 112.0, 1545.0, 20.0, 1530.0]}
    rows += said("toy/status", ANNA, [A, B])
    rows += said("toy/status", RTL, status="wrong_answer")
    rows += said("toy/open", ANNA, status="skipped")
    rows += said("toy/open", MARK, [B], status="unfinished")
    rows += said("toy/single", ANNA, [(350.0, 250.0, 450.0, 290.0)])
    return rows + said("toy/hostile", ANNA, [A]) + said("toy/hostile", MARK, [A])


def _adjudicate(ws: Workspace) -> None:
    box = dict(zip(("x0", "y0", "x1", "y1"), A, strict=True))
    evidence = {"question_id": "toy/agree", "evidence_id": "e0", "page_index": 0, **box, "role": "answer"}
    evidence |= {"text": None, "votes": 3, "annotators": list(PEOPLE), "score": None, "policy": "quorum=2"}
    write(ws, "evidence", "toy-train", [evidence])
    decided = {"status": "evidence", "agreement": None, "policy": "quorum=2", "decided_by": "policy"}
    other = decided | {"question_id": "toy/pages", "status": "unanswerable", "decided_by": f"review:{MARK}"}
    conflict = {"status": "unfinished", "agreement": '{"conflict": "status-conflict"}', "decided_by": "vote"}
    rows = [decided | {"question_id": "toy/agree"}, other, decided | conflict | {"question_id": "toy/status"}]
    held = {"status": "unfinished", "agreement": "no JSON", "policy": "overlay", "question_id": "toy/open"}
    write(ws, "verdicts", "toy-train", [*rows, decided | held])
