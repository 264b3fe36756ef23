"""Tasks from a workspace: what an annotator sees, where the boxes are, what is left out."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.label_studio.geometry import Cutting, Item, PageBox, item_to_page
from annotation.label_studio.interface import config_xml
from annotation.label_studio.prelabels import Region, results, task_regions
from annotation.label_studio.tasks import Task, clean
from pinpoint_data.boxes import rotated_rectangle
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation.tasks_build import PRELABEL, TALL, Names, findings, local, prelabel, tasks, zoo
from tests.loaders import build


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return zoo(tmp_path)


def items_of(task: Task) -> list[Item]:
    return [Item.from_json(entry) for entry in task.data["items"]]


def test_a_question_becomes_a_task(ws: Workspace) -> None:
    found, problems = tasks(ws)
    assert not problems
    assert len(found) == ws.count("questions")
    task = found["zoo/plain.png"]
    data = dict(task.data)
    assert re.fullmatch(r"[0-9a-f]{64}", data.pop("fingerprint"))
    assert re.fullmatch(r"https://host/[0-9a-f]{40}\.png", data.pop("pages")[0])
    assert data == {
        "pinpoint_id": "zoo/plain.png",
        "kind": "annotation",
        "schema_version": 1,
        "question_id": "zoo/plain.png",
        "source": "zoo",
        "split": "train",
        "doc_id": "zoo/doc",
        "question": "What is zoo/plain.png?",
        "answers": "42 | forty-two",
        "items": [
            {
                "page_index": 0,
                "page_id": "zoo/plain.png",
                "x0": 0,
                "y0": 0,
                "width": 120,
                "height": 80,
                "page_width": 120,
                "page_height": 80,
            }
        ],
        "prelabel": None,
    }
    assert task.payload() == {"data": task.data}


def test_pages_stand_in_order_and_tall_ones_in_parts(ws: Workspace) -> None:
    items = items_of(tasks(ws)[0]["zoo/all"])
    pages = [row["page_id"] for row in ws.iter_rows("pages")]
    assert list(dict.fromkeys(item.page_id for item in items)) == pages
    assert all(pages[item.page_index] == item.page_id for item in items)
    tall = [item for item in items if item.page_id == "zoo/tall.png"]
    assert [(0, item.y0, item.width, item.height) for item in tall] == Cutting().parts(*TALL)
    assert all(item.whole for item in items if item.page_id != "zoo/tall.png")


def test_sizes_are_upright(ws: Workspace) -> None:
    found, _ = tasks(ws)
    (photo,) = items_of(found["zoo/photo.jpg"])
    assert (photo.width, photo.height) == (99, 128)


def test_boxes_are_drawn_where_they_are(ws: Workspace) -> None:
    boxes = [(1.5, 2.25, 30.125, 20.0), (40.0, 50.0, 119.999, 80.0)]
    prelabel(ws, build.regions("zoo/plain.png", boxes, annotator=PRELABEL, role="support"))
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/plain.png"]
    (prediction,) = task.predictions
    assert prediction["model_version"] == PRELABEL
    assert "score" not in prediction
    assert [region["id"] for region in prediction["result"]] == ["p0", "p1"]
    region = prediction["result"][0]
    assert {k: v for k, v in region.items() if k not in ("id", "value")} == {
        "from_name": "evidence",
        "to_name": "pages",
        "type": "rectanglelabels",
        "item_index": 0,
        "original_width": 120,
        "original_height": 80,
        "image_rotation": 0,
    }
    assert region["value"] == {
        "x": 1.25,
        "y": 2.8125,
        "rotation": 0,
        "rectanglelabels": ["support"],
        "width": pytest.approx(28.625 / 1.2),
        "height": 22.1875,
    }
    remembered = task.data["prelabel"]
    assert remembered["annotator"] == PRELABEL
    assert remembered["regions"]["p0"] == {
        "region_id": "r0",
        "item_index": 0,
        "page_index": 0,
        "role": "support",
        "xyxy": list(boxes[0]),
        "rotation": None,
        "quad": None,
    }


def test_a_task_is_as_pure_json_as_its_numbers(ws: Workspace) -> None:
    prelabel(ws, build.regions("zoo/tall.png", [(0.1, 599.7, 399.9, 3000.3)], annotator=PRELABEL))
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/tall.png"]
    assert json.loads(json.dumps(task.payload(), allow_nan=False)) == task.payload()


def test_a_box_goes_to_the_part_with_most_room_around_it(ws: Workspace) -> None:
    # Parts begin at 0, 538, 1077: both of the first two hold it whole, the second with more room.
    prelabel(ws, build.regions("zoo/tall.png", [(10.0, 590.0, 90.0, 605.0)], annotator=PRELABEL))
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/tall.png"]
    (region,) = task.predictions[0]["result"]
    assert region["item_index"] == 1
    item = items_of(task)[1]
    assert item_to_page(region["value"], item).xyxy == pytest.approx((10, 590, 90, 605), rel=1e-12)


def test_a_box_taller_than_a_part_comes_in_few_pieces(ws: Workspace) -> None:
    box = (10.0, 100.0, 90.0, 1500.0)
    prelabel(ws, build.regions("zoo/tall.png", [box], annotator=PRELABEL))
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/tall.png"]
    regions = task.predictions[0]["result"]
    assert [region["id"] for region in regions] == ["p0~0", "p0~1", "p0~2"]
    items = items_of(task)
    pieces = [item_to_page(r["value"], items[r["item_index"]]).xyxy for r in regions]
    assert pieces[0][1] == pytest.approx(100)
    assert pieces[-1][3] == pytest.approx(1500)
    assert all(b[1] <= a[3] for a, b in itertools.pairwise(pieces))
    remembered = task.data["prelabel"]["regions"]
    assert {tuple(entry["xyxy"]) for entry in remembered.values()} == {box}
    assert {entry["region_id"] for entry in remembered.values()} == {"r0"}


@given(st.integers(1, 500), st.integers(1, 8000), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_pieces_cover_every_box_exactly_once_or_together(width: int, height: int, shares: list[float]) -> None:
    xs, ys = sorted(s * width for s in shares[:2]), sorted(s * height for s in shares[2:])
    if xs[1] - xs[0] < 0.01 or ys[1] - ys[0] < 0.01:
        return
    items = [Item(0, "s/p", *rect, width, height) for rect in Cutting().parts(width, height)]
    region = Region("r", 0, PageBox((xs[0], ys[0], xs[1], ys[1])), "answer")
    placed = task_regions([region], items)
    drawn = [item_to_page(r["value"], items[r["item_index"]]).xyxy for r in results(placed, items)]
    assert len(drawn) == len(placed) == len({one.item_index for one in placed})
    x0, y0, x1, y1 = zip(*drawn, strict=True)
    assert (min(x0), min(y0), max(x1), max(y1)) == pytest.approx(region.box.xyxy, rel=1e-9, abs=1e-7)
    along = 1 if height >= width else 0
    for before, after in itertools.pairwise(drawn):
        assert after[along] <= before[along + 2] + 1e-6


def test_turned_boxes_keep_their_turn(ws: Workspace) -> None:
    quad = rotated_rectangle(20, 10, 50, 20, 15)
    box = (*quad.min(0).tolist(), *quad.max(0).tolist())
    rows = build.regions("zoo/plain.png", [box], annotator=PRELABEL)
    rows[0] |= {"rotation": 15.0, "quad": quad.ravel().tolist()}
    prelabel(ws, rows)
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/plain.png"]
    value = task.predictions[0]["result"][0]["value"]
    assert value["rotation"] == 15
    assert (value["x"], value["y"]) == pytest.approx((100 * 20 / 120, 100 * 10 / 80))
    assert (value["width"], value["height"]) == pytest.approx((100 * 50 / 120, 100 * 20 / 80))
    assert task.data["prelabel"]["regions"]["p0"]["quad"] == quad.ravel().tolist()


def test_the_score_is_the_mean_of_the_rows_scores(ws: Workspace) -> None:
    rows = build.regions("zoo/plain.png", [(1.0, 1.0, 9.0, 9.0)] * 3, annotator=PRELABEL)
    for row, score in zip(rows, ("0.5", "7", "NaN"), strict=False):
        row["raw"] = f'{{"score": {score}}}'
    prelabel(ws, rows)
    assert tasks(ws, prelabel=PRELABEL)[0]["zoo/plain.png"].predictions[0]["score"] == 0.75


def test_bad_boxes_are_named_and_the_others_drawn(ws: Workspace) -> None:
    boxes = [(5.0, 5.0, 5.0, 9.0), (500.0, 5.0, 510.0, 9.0), (-3.0, 70.0, 20.0, 99.0), (1.0, 1.0, 9.0, 9.0)]
    rows = build.regions("zoo/plain.png", boxes, annotator=PRELABEL)
    rows += build.regions("zoo/plain.png", [(1.0, 1.0, 2.0, 2.0)], annotator=PRELABEL, page_index=3, status=None)
    rows[0]["x1"] = float("nan")
    prelabel(ws, rows)
    found, problems = tasks(ws, prelabel=PRELABEL)
    assert [p.code for p in problems] == ["bad-prelabel"] * 4
    said = " ".join(p.message for p in problems)
    assert all(text in said for text in ("no area", "outside its page", "was cut", "page 3 of 1"))
    regions = found["zoo/plain.png"].data["prelabel"]["regions"]
    assert [entry["xyxy"] for entry in regions.values()] == [[0, 70, 20, 80], [1, 1, 9, 9]]


def test_a_verdict_without_evidence_draws_nothing(ws: Workspace) -> None:
    prelabel(ws, build.regions("zoo/plain.png", [(1.0, 1.0, 9.0, 9.0)], annotator=PRELABEL, status="no_evidence"))
    task = tasks(ws, prelabel=PRELABEL)[0]["zoo/plain.png"]
    assert (task.predictions, task.data["prelabel"]) == ([], None)


def test_of_several_versions_the_newest_is_drawn(ws: Workspace) -> None:
    rows = []
    for version in (2, 10, 9):
        box = (float(version), 1.0, 50.0, 9.0)
        rows += build.regions("zoo/plain.png", [box], annotator=f"proposal:lexical@{version}")
    prelabel(ws, rows)
    task = tasks(ws, prelabel="proposal:*")[0]["zoo/plain.png"]
    assert task.predictions[0]["model_version"] == "proposal:lexical@10"


def test_of_somebody_in_two_projects_the_newest_work_is_drawn(ws: Workspace) -> None:
    for part, day, x in (("label-studio.a", "2025-02-02", 7.0), ("label-studio.b", "2025-01-01", 3.0)):
        rows = build.regions("zoo/plain.png", [(x, 1.0, 50.0, 9.0)], annotator="label-studio:3")
        for row in rows:
            row["created_at"] = day
        prelabel(ws, rows, part)
    task = tasks(ws, prelabel="label-studio:3")[0]["zoo/plain.png"]
    assert task.data["prelabel"]["regions"]["p0"]["xyxy"][0] == 7.0


def test_a_review_shows_everybodys_boxes_on_every_part(ws: Workspace) -> None:
    people = ("label-studio:3", "label-studio:4")
    rows = [row for who in people for row in build.regions("zoo/tall.png", [(10.0, 590.0, 90.0, 605.0)], annotator=who)]
    prelabel(ws, [*rows, *build.regions("zoo/tall.png", [(1.0, 1.0, 9.0, 9.0)], annotator=PRELABEL)])
    task = tasks(ws, review=("label-studio:*",), prelabel=PRELABEL)[0]["zoo/tall.png"]
    assert (task.pinpoint_id, task.data["kind"]) == ("review:zoo/tall.png", "review")
    result = task.predictions[0]["result"]
    shown = [region for region in result if region["from_name"] == "by"]
    assert [r["value"]["rectanglelabels"] for r in shown] == [[who] for who in people for _ in range(2)]
    assert [r["item_index"] for r in shown] == [0, 1, 0, 1]
    assert list(task.data["prelabel"]["regions"]) == ["p0"]
    assert not findings([task.payload()], config_xml(people))


def test_the_fingerprint_follows_what_annotators_see(ws: Workspace, tmp_path: Path) -> None:
    before, _ = tasks(ws)
    served, _ = tasks(ws, local(tmp_path))
    assert {k: t.fingerprint for k, t in before.items()} == {k: t.fingerprint for k, t in served.items()}
    prelabel(ws, build.regions("zoo/plain.png", [(1.0, 1.0, 9.0, 9.0)], annotator=PRELABEL))
    after, _ = tasks(ws, prelabel=PRELABEL)
    assert [k for k in before if before[k].fingerprint != after[k].fingerprint] == ["zoo/plain.png"]
    assert len({task.fingerprint for task in before.values()}) == len(before)


def test_jobs_do_not_change_anything(ws: Workspace, tmp_path: Path) -> None:
    one, _ = tasks(ws, local(tmp_path / "a"))
    many, _ = tasks(ws, local(tmp_path / "b"), jobs=4)
    assert [task.payload() for task in one.values()] == [task.payload() for task in many.values()]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"sources": ("zoo",)}, 9),
        ({"splits": ("train",)}, 9),
        ({"questions": ("zoo/all", "zoo/plain.png")}, 2),
        ({"undone": True}, 8),
    ],
)
def test_only_some_questions(ws: Workspace, options: dict[str, object], count: int) -> None:
    rows = [
        *build.regions("zoo/all", [], annotator="label-studio:3", status="no_evidence"),
        *build.regions("zoo/plain.png", [], annotator="label-studio:3", status="skipped"),
        *build.regions("zoo/scan.tiff", [], annotator=PRELABEL, status="no_evidence"),
    ]
    prelabel(ws, rows)
    assert len(tasks(ws, **options)[0]) == count


@pytest.mark.parametrize(
    "options",
    [
        {"sources": ("none",)},
        {"splits": ("test",)},
        {"questions": ("zoo/none",)},
        {"prelabel": "nobody:*"},
        {"review": ("nobody",)},
    ],
)
def test_what_does_not_exist_is_refused(ws: Workspace, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        tasks(ws, **options)


def test_questions_whose_pages_cannot_be_used_are_named(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "zoo" / "plain.png").unlink()
    (tmp_path / "zoo" / "scan.tiff").write_bytes(b"no image")
    (tmp_path / "zoo" / "still.webp").write_bytes((tmp_path / "zoo" / "moving.gif").read_bytes())
    asked = [
        build.question("zoo/gone", "train", ["zoo/nowhere"]),
        build.question("zoo/bare", "train", []),
        build.question("zoo/report.pdf", "train", ["zoo/report.pdf"]),
    ]
    build.write(ws, "questions", "zoo-train2", asked)
    found, problems = tasks(ws, local(tmp_path))
    assert {p.record: p.code for p in problems} == {
        "zoo/plain.png": "missing-image",
        "zoo/scan.tiff": "wrong-type",
        "zoo/still.webp": "changed-page",
        "zoo/all": "missing-image",
        "zoo/gone": "missing-page",
        "zoo/bare": "no-pages",
        "zoo/report.pdf": "duplicate-id",
    }
    assert set(found) == {f"zoo/{name}" for name in ("photo.jpg", "turned.png", "moving.gif", "report.pdf", "tall.png")}


def test_hostile_text_is_shown_as_it_is_without_control_characters(ws: Workspace) -> None:
    text = "<img src=x onerror=alert(1)>\x00\x1b[31m $pages \u202e \U0001f600"
    build.write(
        ws, "questions", "zoo-x", [build.question("zoo/x", "train", ["zoo/plain.png"], question=text, answers=[])]
    )
    task = tasks(ws, questions=("zoo/x",))[0]["zoo/x"]
    assert task.data["question"] == "<img src=x onerror=alert(1)>\ufffd\ufffd[31m $pages \u202e \U0001f600"
    assert task.data["answers"] == "(no answer given)"
    assert not findings([task.payload()])


@given(st.text(st.characters(codec=None)))
def test_clean_text_is_text_that_utf8_holds(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", cleaned)


def test_every_task_passes_preflight(ws: Workspace, tmp_path: Path) -> None:
    rows = [
        row
        for page, box in (("plain.png", (1.0, 2.0, 120.0, 80.0)), ("tall.png", (0.0, 100.0, 400.0, 5999.0)))
        for row in build.regions(f"zoo/{page}", [box], annotator=PRELABEL)
    ]
    prelabel(ws, rows)
    found, _ = tasks(ws, Names(), prelabel=PRELABEL)
    assert findings(task.payload() for task in found.values()) == []
