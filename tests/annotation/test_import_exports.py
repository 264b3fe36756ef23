"""The stream of tasks out of an exported file: whole or damaged, ours or another format."""

from __future__ import annotations

import json
import random
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.label_studio.exports import iter_tasks
from annotation.label_studio.importing import import_tasks
from annotation.label_studio.task_text import Annotation, Entry, decode_task, json_text, text_without_result
from annotation.label_studio.task_view import Catalog
from pinpoint_data.errors import Problem, SourceError
from tests.annotation import export_build as build
from tests.annotation.export_build import exported, prefill, status, submitted

Json = dict[str, Any]


def simple(number: int, **changes: Any) -> Json:
    return {
        "id": number,
        "annotations": [{"id": number, "result": [{"id": "r", "value": {"x": 1.5}}]}],
        "data": {},
    } | changes


def read(path: Path, content: bytes) -> list[Any]:
    path = path / "export.json"
    path.write_bytes(content)
    return list(iter_tasks(path))


def ids(items: list[Any]) -> list[Any]:
    return [item["id"] if isinstance(item, dict) else item.code for item in items]


# Decoding


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(st.sampled_from(["id", "result", "user", "ä\n"]), JSON, max_size=4)
TASKS = st.fixed_dictionaries(
    {}, optional={"annotations": st.lists(RECORDS | JSON, max_size=3), "drafts": JSON, "data": JSON}
)


@given(TASKS, st.sampled_from([None, 1]), st.booleans())
def test_decoding_gives_what_json_gives(task: Json, indent: int | None, plain: bool) -> None:
    text = json.dumps(task, indent=indent, ensure_ascii=plain)
    value, end = decode_task(f"[ {text} ]", 2)
    assert value == task and end == 2 + len(text)
    for record in task.get("annotations", ()):
        found = value["annotations"][task["annotations"].index(record)]
        if isinstance(found, Annotation):
            rest = {key: item for key, item in record.items() if key != "result"}
            assert json.loads(text_without_result(found)) == rest
        if isinstance(record, dict) and isinstance(record.get("result"), list):
            for entry in found["result"]:
                assert json.loads(json_text(entry)) == entry
                assert not isinstance(entry, Entry) or entry.text in text


def test_text_is_kept_as_it_stood() -> None:
    text = '{"annotations": [{"a": 1 , "result":[{"y" :10, "x":1e2}] ,"b":[]}, {"result": [ ]}], "id": 1}'
    first, second = decode_task(text, 0)[0]["annotations"]
    assert first["result"][0].text == '{"y" :10, "x":1e2}'
    assert text_without_result(first) == '{"a": 1 , "b":[]}' and json.loads(text_without_result(second)) == {}


def test_what_json_does_not_have_becomes_text() -> None:
    value, _ = decode_task('{"annotations":[{"result":[{"x":NaN,"y":-Infinity,"z":1e999,"t":"\\ud800"}]}]}', 0)
    text = json_text(value["annotations"][0]["result"][0])
    assert json.loads(text)["x"] == "nan" and json.loads(text)["z"] == "inf"
    assert json_text({"t": "\ud800ä"}) == '{"t":"\\ud800\\u00e4"}'


# Whole files


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
def test_whole_files(tmp_path: Path, before: bytes, indent: int | None) -> None:
    tasks = [simple(n, data={"question": "é😀\u2028" * 9}) for n in range(50)]
    for plain in (True, False):
        content = json.dumps(tasks, indent=indent, ensure_ascii=plain).encode()
        assert read(tmp_path, before + content + b"\n") == tasks
    assert read(tmp_path, before + json.dumps(tasks[0], indent=indent).encode()) == tasks[:1]
    assert read(tmp_path, before + b"[ ]\n") == []


def test_tasks_longer_than_a_chunk(tmp_path: Path) -> None:
    tasks = [simple(n, data={"page": "x" * (700_000 * n)}) for n in range(6)]
    assert read(tmp_path, json.dumps(tasks).encode()) == tasks


def test_items_that_are_no_tasks_come_through(tmp_path: Path) -> None:
    items = [simple(1), 5, "text", None, [1, [2]], {"other": 1}, -1.5e10]
    assert read(tmp_path, json.dumps(items).encode()) == items


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'id,annotator,evidence\n1,4,"[{""x"": 1}]"\n', "no list"),
        (b'{"images": [], "categories": [], "annotations": []}', "no list"),
        (b"PK\x03\x04\x14\x00", "no list"),
        (b"0 0.5 0.5 0.1 0.1\n", "no list"),
        (b"<html><body>Sign in</body></html>", "no list"),
        (b'{"id": 1, "detail": "Not found."}', "no Label Studio task"),
        (b'[{"question": "q", "id": 1, "annotator": 4, "annotation_id": 3, "lead_time": 5.0}]', "JSON_MIN"),
        (b'[{"question": "q", "id": 1, "annotator": null}]', "JSON_MIN"),
        (b"\xff\xfe[\x00", "UTF-16"),
        (b"\x80\x04\x95", "pickle"),
    ],
)
def test_other_formats_are_refused_with_a_remedy(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, content)
    assert caught.value.file and (caught.value.remedy or said == "pickle")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SourceError):
            list(iter_tasks(path))


# Damaged files


def joined(*texts: str) -> bytes:
    return "".join(texts).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("middle", "left"),
    [
        ('{"id": 2, "annotations": [}', [1, "damaged-export", 3]),
        ('{"id": 2, "annotations": [{"id": 9, "result": [', [1, "damaged-export", 3]),
        ('{"id": 2, "id": 3, "annotations": [], "data": {}}', [1, "damaged-export", 3]),
        ("garbage", [1, "damaged-export", 3]),
        ("", [1, "damaged-export", 3]),
        ("[" * 5000 + "]" * 5000, [1, "damaged-export", 3]),
        ('{"id": ' + "9" * 5000 + "}", [1, "damaged-export", 3]),
        ('{"id": 2, "annotations": [], "data": {"q": "\x01"}}', [1, "damaged-export", 3]),
        ('{"id": 2, "annotations": [], "data": {"q": "\udcff"}}', [1, 2, 3]),
    ],
)
def test_the_tasks_around_damage_are_read(tmp_path: Path, middle: str, left: list[Any]) -> None:
    content = joined("[", json.dumps(simple(1)), ",", middle, ",", json.dumps(simple(3)), "]")
    assert ids(read(tmp_path, content)) == left


def test_damage_names_its_bytes(tmp_path: Path) -> None:
    first = json.dumps(simple(1, data={"q": "ß"}), ensure_ascii=False)
    content = joined("[", first, ", {oops}, ", json.dumps(simple(3)), "]")
    problem = read(tmp_path, content)[1]
    begin = 1 + len(first.encode()) + 2
    assert isinstance(problem, Problem) and problem.record == f"bytes {begin:,} to {begin + 8:,}"
    assert content[begin : begin + 6] == b"{oops}" and content[begin + 8 : begin + 9] == b"{"


@pytest.mark.parametrize("chunk", [3, 1024 * 1024])
def test_a_file_cut_anywhere_gives_the_tasks_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("annotation.label_studio.exports._CHUNK", chunk)
    texts = [json.dumps(simple(n, data={"q": "é"}), ensure_ascii=False).encode() for n in range(3)]
    content = b"[" + b",".join(texts) + b"]"
    ends = [1 + sum(map(len, texts[: n + 1])) + n for n in range(3)]
    for size in range(1, len(content)):
        found = read(tmp_path, content[:size])
        whole = sum(end <= size for end in ends)
        assert ids(found) == [*range(whole), "damaged-export"], size


def test_two_exports_in_one_file(tmp_path: Path) -> None:
    content = joined(json.dumps([simple(1)]), "\n", json.dumps([simple(2), simple(3)]))
    assert ids(read(tmp_path, content)) == [1, "damaged-export", 2, 3]


def test_a_lost_comma_loses_no_task(tmp_path: Path) -> None:
    content = joined("[", json.dumps(simple(1)), json.dumps(simple(2)), ",", json.dumps(simple(3)), "]")
    assert ids(read(tmp_path, content)) == [1, "damaged-export", 2, 3]


# 2,000 damaged exports


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5])):
        begin = chance.randrange(len(data))
        end = min(len(data), begin + chance.choice([1, 1, 1, 4, 40, 400]))
        match chance.randrange(5):
            case 0:
                data[begin:end] = b""
            case 1:
                data[begin:end] = chance.randbytes(end - begin)
            case 2:
                data[begin:begin] = chance.choice([b"{", b"}", b"[", b"]", b",", b'"', b"\\", b"\x00", b"NaN", b"\xff"])
            case 3:
                data[begin:begin] = data[begin:end]
            case _:
                del data[max(1, begin) :]
    return bytes(data)


STRANGE: list[Any] = [None, True, 0, -1, 2**70, 1e308, float("nan"), "", "1", "\ud800", [], [[]], {}, {"id": 1}, "<b>"]


def mutated_structure(tasks: list[Any], chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 4])):
        place: Any = tasks
        while isinstance(place, dict | list) and place:
            key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and chance.random() < 0.85:
                place = inner
                continue
            # Nobody can miss a task that is not in the list, so none is taken out of it.
            match chance.randrange(4):
                case 0 if place is not tasks:
                    del place[key]
                case 1 if isinstance(place, list):
                    place.append(inner)
                case 2 if isinstance(place, dict):
                    place[f"{key}x"] = place.pop(key)
                case _:
                    place[key] = chance.choice(STRANGE)
            break
    return json.dumps(tasks).encode()


def test_two_thousand_damaged_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = build.workspace(tmp_path)
    # Neither the disk nor the same questions read 2,000 times are what this is about.
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    catalog = Catalog(ws)
    monkeypatch.setattr("annotation.label_studio.importing.Catalog", lambda workspace: catalog)
    made = build.tasks(ws)
    tasks = []
    for number, task in enumerate((made["s/q0"], made["s/q1"], made["s/plain"]), 1):
        work = submitted(number, [*prefill(task), status(), build.note("ok")])
        skipped = submitted(10 + number, prefill(task), user=5, was_cancelled=True)
        tasks.append(exported(task, number, [work, skipped], [build.draft(number, [status()])]))
    text = json.dumps(tasks)
    chance = random.Random(20260301)
    refused = 0
    for turn in range(2000):
        content = mutated_bytes(text.encode(), chance) if turn % 2 else mutated_structure(json.loads(text), chance)
        try:
            found = read(tmp_path, content)
        except SourceError as error:
            assert error.remedy
            refused += 1
            continue
        ws.remove("annotations", "label-studio.p")
        shutil.rmtree(ws.path / "files", ignore_errors=True)
        outcome = import_tasks(ws, found, "p")
        states = outcome.tasks
        assert states["read"] == sum(not isinstance(item, Problem) for item in found)
        assert states["read"] == states["imported"] + states["unannotated"] + states["reviewed"] + states["refused"]
        assert states["refused"] == outcome.refused_tasks.total()
        assert states["read"] >= 3 or outcome.refused, "a task is missing and nothing says so"
        json.dumps(outcome.to_json()), outcome.text()
    assert refused < 100


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    ws = build.workspace(tmp_path)
    task = build.tasks(ws)["s/q1"]
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as handle:
        handle.write("[")
        for number in range(800):
            one = exported(task, number, [submitted(number, [*prefill(task), status()])])
            one["data"]["filler"] = "x" * 38_000
            handle.write(("," if number else "") + json.dumps(one))
        handle.write("]")
    assert path.stat().st_size > 30_000_000
    tracemalloc.start()
    try:
        outcome = import_tasks(ws, iter_tasks(path), "p")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.tasks["imported"] == 800 and peak < 12_000_000
