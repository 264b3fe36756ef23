"""Every preflight code: provoked by damaging a good task, silent on good ones."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.label_studio.interface import config_xml
from annotation.label_studio.preflight import Code, codes_table, preflight, title_finding
from pinpoint_data.boxes import rotated_rectangle
from tests.annotation.tasks_build import PRELABEL, findings, prelabel, tasks, zoo
from tests.conftest import REPO
from tests.loaders import build

JsonTask = dict[str, Any]
CODES_FILE = REPO / "docs" / "label-studio-preflight.md"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> JsonTask:
    """A task over a plain page and the parts of a tall one, with boxes on both, one of them turned."""
    ws = zoo(tmp_path_factory.mktemp("good"))
    ids = ["zoo/plain.png", "zoo/tall.png"]
    build.write(ws, "questions", "zoo-good", [build.question("zoo/good", "train", ids)])
    rows = build.regions("zoo/good", [(1.0, 2.0, 30.0, 40.0), (50.0, 10.0, 120.0, 80.0)], annotator=PRELABEL)
    quad = rotated_rectangle(20, 3000, 100, 40, 30)
    turned = build.regions(
        "zoo/good", [(*quad.min(0).tolist(), *quad.max(0).tolist())], annotator=PRELABEL, page_index=1, status=None
    )
    turned[0] |= {"region_id": "turned", "rotation": 30.0, "quad": quad.ravel().tolist()}
    prelabel(ws, [*turned, *rows])
    found, problems = tasks(ws, prelabel=PRELABEL, questions=("zoo/good",))
    assert not problems
    payload: JsonTask = json.loads(json.dumps(found["zoo/good"].payload()))
    assert [region["id"] for region in payload["predictions"][0]["result"]] == ["p0", "p1", "p2"]
    return payload


def region(task: JsonTask, place: int = 1) -> JsonTask:
    found: JsonTask = task["predictions"][0]["result"][place]
    return found


def put(task: JsonTask, path: str, value: Any) -> None:
    """Set the value at a path like `data.pages`; DROP removes it."""
    *steps, last = path.split(".")
    for step in steps:
        task = task[int(step)] if isinstance(task, list) else task[step]
    if value is DROP:
        del task[last]
    else:
        task[int(last) if isinstance(task, list) else last] = value


DROP = object()
R1, V1 = "predictions.0.result.1", "predictions.0.result.1.value"
DAMAGE: list[tuple[Code, str, Any]] = [
    (Code.NO_TASK, "data", DROP),
    (Code.NO_TASK, "data", ["question"]),
    (Code.FED_BACK, "predictions", [14]),
    (Code.FED_BACK, "annotations", [{"result": []}]),
    (Code.DATA_KEY, "data.question", DROP),
    (Code.DATA_KEY, "data.question", None),
    (Code.DATA_KEY, "data.answers", ["a"]),
    (Code.NO_PAGES, "data.pages", DROP),
    (Code.NO_PAGES, "data.pages", []),
    (Code.PAGES_NO_LIST, "data.pages", "https://host/page.png"),
    (Code.PAGES_NO_LIST, "data.pages", {"0": "https://host/page.png"}),
    (Code.BAD_ITEMS, "data.items", DROP),
    (Code.BAD_ITEMS, "data.items", []),
    (Code.BAD_ITEMS, "data.items.0.width", 0),
    (Code.BAD_ITEMS, "data.items.0.page_index", "0"),
    (Code.PINPOINT_ID, "data.pinpoint_id", DROP),
    (Code.PINPOINT_ID, "data.pinpoint_id", 7),
    (Code.SCHEMA, "data.schema_version", DROP),
    (Code.SCHEMA, "data.schema_version", 2),
    (Code.SCHEMA, "data.schema_version", "1"),
    (Code.SURROGATE, "data.question", "broken \ud800 text"),
    (Code.SURROGATE, "data.other", {"deep": ["\udfff"]}),
    (Code.NOT_FINITE, "data.other", math.nan),
    (Code.NOT_FINITE, f"{V1}.x", -math.inf),
    (Code.CONTROL, "data.question", "a\x00b"),
    (Code.BAD_PREDICTION, "predictions", "none"),
    (Code.BAD_PREDICTION, "predictions", [True]),
    (Code.BAD_PREDICTION, "predictions.0.result", {}),
    (Code.BAD_PREDICTION, "predictions.0.result", DROP),
    (Code.MODEL_VERSION, "predictions.0.model_version", DROP),
    (Code.MODEL_VERSION, "predictions.0.model_version", ""),
    (Code.SCORE, "predictions.0.score", 2),
    (Code.SCORE, "predictions.0.score", -0.1),
    (Code.SCORE, "predictions.0.score", "0.5"),
    (Code.PRELABEL, "data.prelabel", None),
    (Code.PRELABEL, "data.prelabel.regions.p9", {}),
    (Code.BAD_REGION, R1, "box"),
    (Code.BAD_REGION, V1, DROP),
    (Code.REGION_ID, f"{R1}.id", DROP),
    (Code.REGION_ID, f"{R1}.id", 7),
    (Code.DUPLICATE_REGION, f"{R1}.id", "p0"),
    (Code.CONTROL_NAME, f"{R1}.from_name", "label"),
    (Code.CONTROL_NAME, f"{R1}.from_name", ["evidence"]),
    (Code.CONTROL_NAME, f"{R1}.from_name", DROP),
    (Code.OBJECT_NAME, f"{R1}.to_name", "image"),
    (Code.TYPE, f"{R1}.type", "rectangle"),
    (Code.TYPE, f"{V1}.rectanglelabels", DROP),
    (Code.LABEL, f"{V1}.rectanglelabels", ["Answer"]),
    (Code.LABEL, f"{V1}.rectanglelabels", []),
    (Code.LABEL, f"{V1}.rectanglelabels", ["answer", "support"]),
    (Code.LABEL, f"{V1}.rectanglelabels", "answer"),
    (Code.LABEL, f"{V1}.rectanglelabels", [["answer"]]),
    (Code.NO_ITEM, f"{R1}.item_index", DROP),
    (Code.ITEM_TYPE, f"{R1}.item_index", "1"),
    (Code.ITEM_TYPE, f"{R1}.item_index", 1.0),
    (Code.ITEM_TYPE, f"{R1}.item_index", True),
    (Code.ITEM_RANGE, f"{R1}.item_index", 12),
    (Code.ITEM_RANGE, f"{R1}.item_index", -1),
    (Code.NO_SIZE, f"{R1}.original_width", DROP),
    (Code.NO_SIZE, f"{R1}.original_height", None),
    (Code.WRONG_SIZE, f"{R1}.original_width", 121),
    (Code.WRONG_SIZE, f"{R1}.original_height", "80"),
    (Code.NUMBER, f"{V1}.x", "12.5"),
    (Code.NUMBER, f"{V1}.width", DROP),
    (Code.NUMBER, f"{V1}.y", None),
    (Code.NUMBER, f"{V1}.y", True),
    (Code.NUMBER, f"{V1}.x", 10**400),
    (Code.NUMBER, f"{V1}.rotation", "0"),
    (Code.PIXELS, f"{V1}.x", 150),
    (Code.PIXELS, f"{V1}.height", 480.5),
    (Code.PIXELS, "predictions.0.result.0.value.x", 500),
    (Code.BEYOND, f"{V1}.x", 99),
    (Code.BEYOND, f"{V1}.height", 98.5),
    (Code.NEGATIVE, f"{V1}.x", -5),
    (Code.NEGATIVE, f"{V1}.y", -0.01),
    (Code.AREA, f"{V1}.width", 0),
    (Code.AREA, f"{V1}.height", -10),
    (Code.IMAGE_ADDRESS, "data.pages.0", ""),
    (Code.IMAGE_ADDRESS, "data.pages.0", None),
    (Code.IMAGE_ADDRESS, "data.pages.0", "/home/me/page.png"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "C:\\pages\\1.png"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "file:///pages/1.png"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "javascript:alert(1)"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "http:///page.png"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "http://[::1/page.png"),
    (Code.IMAGE_ADDRESS, "data.pages.0", "/data/local-files/"),
    (Code.IMAGE_OUTSIDE, "data.pages.0", "/data/local-files/?d=../secret.png"),
    (Code.IMAGE_OUTSIDE, "data.pages.0", "/data/local-files/?d=%2Fetc%2Fpasswd"),
    (Code.IMAGE_OUTSIDE, "data.pages.0", "/data/local-files/?d=."),
]


@pytest.mark.parametrize(("code", "path", "value"), DAMAGE, ids=lambda v: v.code if isinstance(v, Code) else None)
def test_damage_is_named(good: JsonTask, code: Code, path: str, value: Any) -> None:
    task = copy.deepcopy(good)
    put(task, path, value)
    found = findings([task])
    assert code in [finding.kind for finding in found]
    for finding in found:
        assert re.fullmatch(r"[\x20-\x7e\u00a0-\U0010ffff]+", str(finding)), "one line, nothing a terminal obeys"
        str(finding).encode("utf-8", "strict")
        assert len(str(finding)) < 1000


def test_good_tasks_are_silent(good: JsonTask) -> None:
    assert findings([good]) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{V1}.x", 1),
        (f"{V1}.width", 100 - 100 / 120 + 1e-10),
        (f"{V1}.rotation", 360),
        ("predictions.0.score", 1),
        ("predictions.0.score", None),
        ("data.question", "<script>alert(1)</script>\n\t\U0001f600"),
        ("data.other", {"deep": [1.5, None]}),
        ("data.pages.0", "s3://bucket/page.png"),
        ("data.pages.0", "/data/upload/13/4bd79019-page.png"),
        ("data.pages.0", "/data/local-files/?d=pages/receipt%20%231%2050%25.png"),
        ("meta", {"mine": 1}),
        ("annotations", []),
    ],
)
def test_what_is_allowed_is_silent(good: JsonTask, path: str, value: Any) -> None:
    task = copy.deepcopy(good)
    put(task, path, value)
    assert findings([task]) == []


def test_a_turned_box_may_stick_out(good: JsonTask) -> None:
    task = copy.deepcopy(good)
    region(task, 0)["value"] |= {"x": -1.0, "y": 1.0, "width": 120.0, "height": 2.0, "rotation": 80.0}
    assert findings([task]) == []


def test_choices_and_notes_are_checked_too(good: JsonTask) -> None:
    task = copy.deepcopy(good)
    choice = {"id": "c", "from_name": "status", "to_name": "pages", "type": "choices"}
    note = {"id": "n", "from_name": "note", "to_name": "pages", "type": "textarea", "value": {"text": ["seen"]}}
    task["predictions"][0]["result"] += [choice | {"value": {"choices": ["no_evidence"]}}, note]
    assert findings([task]) == []
    task["predictions"][0]["result"][-2]["value"]["choices"] = ["maybe"]
    assert [f.kind for f in findings([task])] == [Code.CHOICE]


def test_a_task_without_predictions_is_fine(good: JsonTask) -> None:
    task = copy.deepcopy(good)
    del task["predictions"]
    task["data"]["prelabel"] = None
    assert findings([task]) == []


def test_an_id_twice_names_both_places(good: JsonTask) -> None:
    (finding,) = findings([good, good])
    assert (finding.kind, finding.task) == (Code.DUPLICATE_TASK, "zoo/good")


def test_an_empty_list(good: JsonTask) -> None:
    assert [finding.kind for finding in findings([])] == [Code.NO_TASKS]


def test_several_model_versions_are_a_warning(good: JsonTask) -> None:
    other = copy.deepcopy(good)
    other["data"]["pinpoint_id"] = "zoo/other"
    other["predictions"][0]["model_version"] = "v2"
    (finding,) = findings([good, other])
    assert (finding.kind, finding.severity) == (Code.MIXED_VERSIONS, "warning")


def test_another_interface_has_other_labels(good: JsonTask) -> None:
    xml = config_xml().replace('value="answer"', 'value="Answer"').replace("$answers", "$hint")
    kinds = [finding.kind for finding in findings([good], xml)]
    assert kinds == [Code.DATA_KEY, Code.LABEL, Code.LABEL, Code.LABEL]


def test_tasks_above_the_servers_limit(good: JsonTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.label_studio.preflight.tasks.MAX_REQUEST_BYTES", 3000)
    assert Code.TASK_SIZE in [finding.kind for finding in findings([good])]


@pytest.mark.parametrize("title", ["", "ab", "x" * 51])
def test_titles_that_label_studio_refuses(title: str) -> None:
    assert next(preflight([], title=title)).kind == Code.TITLE


@pytest.mark.parametrize("title", ["abc", "x" * 50, "\u6587\u6863\u96c6"])
def test_titles_that_it_takes(title: str) -> None:
    assert title_finding(title) is None


@pytest.mark.parametrize("junk", [None, 1, "task", [], {}, {"data": None}, {"question": "?"}, {"data": []}])
def test_junk_is_no_task(junk: Any) -> None:
    assert [finding.kind for finding in findings([junk])] == [Code.NO_TASK]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, prefix: str = "") -> list[str]:
    """Every path of a task that `put` knows."""
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = [(key, child) for key, child in value.items() if "." not in key]
    elif isinstance(value, list):
        children = [(str(place), child) for place, child in enumerate(value)]
    found = [prefix] if prefix else []
    return found + [p for key, child in children for p in paths(child, f"{prefix}.{key}" if prefix else key)]


@settings(max_examples=40)
@given(st.data())
def test_no_damage_breaks_it(good: JsonTask, data: st.DataObject) -> None:
    task = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 3))):
        put(task, data.draw(st.sampled_from(paths(task))), data.draw(JSON))
    for finding in findings([task]):
        str(finding).encode("utf-8")
        json.dumps(finding.to_json())


def test_codes_are_unique_and_every_one_is_explained() -> None:
    codes = [code.code for code in Code]
    assert len(set(codes)) == len(codes) == len(Code)
    for code in Code:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code.code)
        assert code.severity in ("error", "warning", "info")
        assert all((code.what, code.why, code.remedy))


def test_the_page_of_codes_is_made_from_them() -> None:
    assert CODES_FILE.read_text(encoding="utf-8").endswith("\n\n" + codes_table())


def test_every_code_is_provoked_by_some_test() -> None:
    here = Path(__file__).parent
    text = "".join(path.read_text() for path in here.glob("test_preflight*.py"))
    assert [code.name for code in Code if f"Code.{code.name}" not in text] == []
