"""Rows grouped by question and annotator, whatever their order on disk and however many are looked at together."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import works
from annotation.judgements import iter_judgements, load_judgements
from annotation.works import Works
from pinpoint_data.workspace import Workspace
from tests.annotation.judged import work
from tests.loaders.build import annotation, write

FOLDERS = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("works")


rows = st.tuples(st.sampled_from(["s/a", "s/b", "s/ü", "s/\U0001f600"]), st.sampled_from(["1", "2", "gold:s", "Z"]))


@settings(deadline=None, max_examples=40)  # every example writes a workspace
@given(st.lists(st.lists(rows, max_size=9), max_size=3), st.integers(1, 5))
def test_works_are_those_of_a_plain_grouping(folder: Path, parts: list[list[tuple[str, str]]], at_once: int) -> None:
    ws = Workspace.create(folder / str(next(FOLDERS)))
    expected: dict[tuple[str, str], dict[str, list[str]]] = {}
    numbers = count()
    for part, keys in enumerate(parts):
        made: list[dict[str, Any]] = []
        for question_id, annotator in keys:
            name = f"r{next(numbers)}"
            made.append(annotation(question_id, annotator, region_id=name))
            if not annotator.startswith("gold:"):
                expected.setdefault((question_id, annotator), {}).setdefault(f"p{part}", []).append(name)
        write(ws, "annotations", f"p{part}", made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(works, "_ROWS_AT_ONCE", at_once)
        found = Works(ws, lambda name: not name.startswith("gold:"))
        grouped = [(q, who, {part: [r["region_id"] for r in rs] for part, rs in ps.items()}) for q, who, ps in found]
    assert grouped == [(*key, expected[key]) for key in sorted(expected)]
    assert found.seen == {who: not who.startswith("gold:") for keys in parts for _, who in keys}


def test_judgements_one_by_one_are_those_that_are_loaded(folder: Path) -> None:
    ws = Workspace.create(folder / "one-by-one")
    box = [(0, (1.0, 2.0, 30.0, 40.0), "answer")]
    made = [row for q in ("s/b", "s/a") for who in ("ben", "anna") for row in work(q, who, box)]
    write(ws, "annotations", "people", [*made, annotation("s/a", "ben", region_id="bad", page_index=0)])
    loaded, problems = load_judgements(ws), []
    streamed = list(iter_judgements(ws, ["*"], problems))
    assert [(j.question_id, j.annotator) for j in streamed] == [
        (q, who) for q in ("s/a", "s/b") for who in ("anna", "ben")
    ]
    assert [j for found in loaded.by_question.values() for j in found] != streamed  # objects of their own
    assert [(p.code, p.record) for p in problems] == [(p.code, p.record) for p in loaded.problems]
    assert [p.record for p in problems] == ["s/a by ben"]
