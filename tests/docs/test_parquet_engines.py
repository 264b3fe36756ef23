"""Every block of docs/parquet-engines.md as it stands, in each engine that is installed, beside pyarrow."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders import publish
from pinpoint_data.tables import read_part
from pinpoint_data.workspace import Workspace
from tests.conftest import REPO
from tests.loaders.build import add_documents, add_source, annotation, regions, write

PACKAGES = {"duckdb": "duckdb", "polars": "polars", "spark": "pyspark"}
NAMES = ("without_evidence", "boxes_a_judgement", "words_a_page", "coverage", "boxes_by_role", "tokens_a_shard")
_BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = _BLOCK.findall((REPO / "docs" / "parquet-engines.md").read_text(encoding="utf-8"))
QUERIES = dict(reversed(BLOCKS))
WRITING_BACK = BLOCKS[-1]

Rows = list[tuple[Any, ...]]


def word(page_id: str, line: int, confidence: float | None) -> dict[str, Any]:
    corners = {"x0": 1.0, "y0": 9.0 * line, "x1": 20.5, "y1": 9.0 * line + 8}
    return {"page_id": page_id, "line": line, "text": f"w{line}", "confidence": confidence, "engine": "e"} | corners


def box(question_id: str, page_index: int, x1: float, role: str = "answer") -> dict[str, Any]:
    corners = {"x0": 1 / 3, "y0": 2.25, "x1": x1, "y1": 60.1}
    about = {"text": None, "votes": 2, "annotators": ["anna", "ben"], "score": 0.9, "policy": "vote"}
    return (
        {"question_id": question_id, "evidence_id": f"e{x1}", "page_index": page_index, "role": role} | corners | about
    )


def verdict(question_id: str, status: str) -> dict[str, Any]:
    return {"question_id": question_id, "status": status, "agreement": None, "policy": "vote", "decided_by": "vote"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """WS, DATASET and FEATURES, with everything in the way that a workspace may hold."""
    ws = Workspace.create(tmp_path / "WS")
    add_source(ws, "infovqa", tmp_path / "a", splits=("train", "validation"))
    add_documents(ws, "mpdocvqa", tmp_path / "b")
    people = [
        row for who in ("anna", "ben") for row in regions("infovqa/train-0", [(1.0, 2.0, 9.0, 9.5)], annotator=who)
    ]
    write(ws, "annotations", "label-studio.one", [*people, annotation("infovqa/train-1", "ben", status="skipped")])
    write(ws, "annotations", "label-studio.empty", [])
    words = [word("infovqa/train", line, (None, 0.4, 0.9)[line % 3]) for line in range(7)]
    write(ws, "words", "infovqa-train", words)
    write(ws, "words", "infovqa-validation", [])
    write(ws, "words", "mpdocvqa-train", [word("mpdocvqa/p1", line, 0.99) for line in range(3)])
    found = [
        box("infovqa/train-0", 0, 50.0),
        box("infovqa/train-0", 0, 70.7, "support"),
        box("infovqa/train-2", 0, 9.9),
    ]
    write(ws, "evidence", "infovqa-train", found)
    write(ws, "verdicts", "infovqa-train", [verdict(f"infovqa/train-{n}", "evidence") for n in (0, 2)])
    write(ws, "evidence", "infovqa-validation", [])
    write(ws, "verdicts", "infovqa-validation", [verdict("infovqa/validation-0", "no_evidence")])
    # The one box of a later page: an index that is off by one lands on a page of another size.
    later = ws.read("pages", ["mpdocvqa-train"]).to_pylist()
    write(ws, "pages", "mpdocvqa-train", [row | {"width": 120 + n} for n, row in enumerate(later)])
    write(ws, "evidence", "mpdocvqa-train", [box("mpdocvqa/train-1", 1, 33.3)])
    write(ws, "verdicts", "mpdocvqa-train", [verdict("mpdocvqa/train-1", "evidence")])
    killed = ws.staged("words", "infovqa-train", "fingerprint", chunks=2)
    killed.put(0, words)
    shutil.copy(ws.part_path("words", "infovqa-train"), ws.path / "words" / ".infovqa-train.parquet.tmp")
    publish(ws, tmp_path / "DATASET")
    write_features(tmp_path / "FEATURES")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_features(folder: Path) -> None:
    from training.features.index import SCHEMA

    folder.mkdir()
    for shard, sizes in (("shard-0123456789abcdef", (4, 9)), ("shard-fedcba9876543210", (25,))):
        rows = [
            {name: None if SCHEMA.field(name).nullable else f"{name}" for name in SCHEMA.names}
            | dict.fromkeys(("width", "height", "rows", "cols", "dim"), 5)
            | {"shard": f"{shard}.safetensors", "tokens": tokens, "bytes": 20 * tokens}
            for tokens in sizes
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / f"{shard}.parquet")


def expected(folder: Path) -> dict[str, Rows]:
    ws = Workspace.open(folder / "WS")
    pages, questions, words, annotations, evidence = (
        ws.read(table).to_pylist() for table in ("pages", "questions", "words", "annotations", "evidence")
    )
    judged = Counter({(row["question_id"], row["annotator"]): 0 for row in annotations})
    judged.update((row["question_id"], row["annotator"]) for row in annotations if row["region_id"] is not None)
    counted = Counter(row["page_id"] for row in words)
    page_of = {row["page_id"]: row for row in pages}
    pages_of = {row["question_id"]: row["page_ids"] for row in questions}
    coverage: Rows = []
    for row in evidence:
        page = page_of[pages_of[row["question_id"]][row["page_index"]]]
        share = (row["x1"] - row["x0"]) * (row["y1"] - row["y0"]) / (page["width"] * page["height"])
        coverage.append((row["question_id"], row["evidence_id"], share))
    decided = {row["question_id"] for row in evidence}
    published = [row for file in (folder / "DATASET" / "infovqa").iterdir() for row in pq.read_table(file).to_pylist()]
    roles = Counter((row["split"], box["role"]) for row in published for box in row["evidence"])
    features = [row for file in (folder / "FEATURES").iterdir() for row in pq.read_table(file).to_pylist()]
    tokens: Counter[str] = Counter()
    for row in features:
        tokens[row["shard"]] += row["tokens"]
    return {
        "without_evidence": list(Counter(r["source"] for r in questions if r["question_id"] not in decided).items()),
        "boxes_a_judgement": [(*key, count) for key, count in judged.items()],
        "words_a_page": [(row["page_id"], counted[row["page_id"]]) for row in pages],
        "coverage": coverage,
        "boxes_by_role": [(*key, count) for key, count in roles.items()],
        "tokens_a_shard": list(tokens.items()),
    }


def need(engine: str) -> None:
    if importlib.util.find_spec(PACKAGES[engine]) is None:
        pytest.skip(f"{PACKAGES[engine]} is not installed")
    if engine == "spark" and shutil.which("java") is None:
        pytest.skip("pyspark is installed, but there is no java to run it")


@pytest.mark.parametrize("engine", PACKAGES)
@pytest.mark.filterwarnings("default")  # an engine's own deprecations are not ours
def test_queries(engine: str, folder: Path) -> None:
    need(engine)
    found: dict[str, Any] = {}
    try:
        exec(QUERIES[engine], found)
        rows = {name: sorted(tuple(row) for row in found[name]) for name in NAMES}
    finally:
        if "spark" in found:
            found["spark"].stop()
    wanted = {name: sorted(values) for name, values in expected(folder).items()}
    assert rows == wanted
    assert wanted["words_a_page"] == [
        *(("infovqa/train", 7), ("infovqa/validation", 0)),
        *(("mpdocvqa/p0", 0), ("mpdocvqa/p1", 3), ("mpdocvqa/p2", 0)),
    ]


@pytest.mark.filterwarnings("default")
def test_writing_back(folder: Path) -> None:
    engine, code = WRITING_BACK
    need(engine)
    ws = Workspace.open(folder / "WS")
    before = {part: ws.read("words", [part]).to_pylist() for part in ws.parts("words")}
    exec(code, {})
    for part, rows in before.items():
        kept = [row for row in rows if row["confidence"] is None or row["confidence"] >= 0.5]
        assert read_part("words", ws.part_path("words", part)).to_pylist() == kept
        assert ws.metadata("words", part) == {"made by": "my script"}
    assert sum(map(len, before.values())) == 10 and ws.count("words") == 8


def test_the_page_has_a_block_of_every_engine() -> None:
    assert [engine for engine, _ in BLOCKS] == ["duckdb", "polars", "spark", "duckdb"]
    assert all(name in QUERIES[engine] for engine in PACKAGES for name in NAMES)
