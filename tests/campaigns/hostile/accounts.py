"""Whether a command's summary covers every record of the file it was given, counted here by other means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.campaigns.hostile.forks import Done


def summary(done: Done) -> dict[str, Any] | None:
    """What `--json` printed; None where the command ended with an error line instead."""
    text = done.stdout.decode("utf-8")
    return json.loads(text, parse_constant=_refuse) if text.strip() else None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _taken(found: dict[str, Any]) -> int:
    return int(found["counts"].get("questions", 0) + found["problems_total"])


def _differ(expected: int, counted: int, what: str) -> str | None:
    return None if expected == counted else f"{expected} {what}, the summary has {counted}"


def _only(folder: Path, pattern: str) -> Path | None:
    """The file of a pattern; None where nothing, or something else, stands in its place."""
    return next((file for file in folder.glob(pattern) if file.is_file()), None)


def array(pattern: str, key: str | None) -> Callable[[Path, Done], str | None]:
    """Records of one JSON list: each was taken or refused."""

    def check(folder: Path, done: Done) -> str | None:
        found, file = summary(done), _only(folder, pattern)
        if found is None or file is None:
            return None
        document = json.loads(file.read_text("utf-8-sig", "surrogatepass"))
        given = document if key is None else document[key]
        return _differ(len(given), _taken(found), "records")

    return check


def lines(pattern: str) -> Callable[[Path, Done], str | None]:
    """Records of a JSONL file: each line that is not blank was taken or refused."""

    def check(folder: Path, done: Done) -> str | None:
        found, file = summary(done), _only(folder, pattern)
        if found is None or file is None:
            return None
        return _differ(_filled(file), _taken(found), "lines")

    return check


def _filled(file: Path) -> int:
    data = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return sum(bool(line.strip()) for line in data.split(b"\n"))


def evidence(folder: Path, done: Done) -> str | None:
    """Lines of the evidence file: each became a verdict or was refused."""
    found, file = summary(done), _only(folder, "gold.jsonl")
    if found is None or file is None:
        return None
    counted = found["counts"].get("verdicts", 0) + found["problems_total"]
    return _differ(_filled(file), counted, "lines")


def reports(folder: Path, done: Done) -> str | None:
    """Questions of the documents that are objects with a list of them; any other line is one refusal."""
    found, file = summary(done), _only(folder, "root/annotations.jsonl")
    if found is None or file is None:
        return None
    given = 0
    for line in file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            given += 1
            continue
        questions = value.get("questions") if isinstance(value, dict) else None
        name = value.get("doc_name") if isinstance(value, dict) else None
        given += len(questions) if isinstance(questions, list) and isinstance(name, str) else 1
    refused = Counter(problem["code"] for problem in found["problems"])
    # A document whose PDF has no proper name is refused once, however many questions it has.
    return None if refused["path-escapes-root"] else _differ(given, _taken(found), "questions")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def forms(folder: Path, done: Done) -> str | None:
    """Every form gave a question or a page, or was refused."""
    found = summary(done)
    if found is None:
        return None
    refused = {problem["record"].partition("/")[0] for problem in found["problems"]}
    table = folder / "ws" / "pages" / "funsd-train.parquet"
    taken = {name.split("/")[1] for name in _column(table, "doc_id")} if table.exists() else set()
    given = {path.stem for path in (folder / "root" / "training_data" / "annotations").glob("*.json")}
    return None if given <= refused | taken else f"forms without a word: {given - refused - taken}"


def _column(table: Path, name: str) -> list[Any]:
    return list(pq.read_table(table, columns=[name])[name].to_pylist())


def rows(folder: Path, done: Done) -> str | None:
    """Rows of a Hugging Face table: each was taken or refused."""
    found, file = summary(done), _only(folder, "root/*.parquet")
    if found is None or file is None:
        return None
    return _differ(pq.ParquetFile(file).metadata.num_rows, _taken(found), "rows")


def words(folder: Path, done: Done) -> str | None:
    """Pages of the workspace: each gave words, offered none, or failed."""
    found = summary(done)
    if found is None:
        return None
    pages = sum(pq.ParquetFile(file).metadata.num_rows for file in (folder / "ws" / "pages").glob("*.parquet"))
    if (counted := found["counts"]["pages"]) != pages:
        return f"{pages} pages, the summary has {counted}"
    table = folder / "ws" / "words"
    made = sum(pq.ParquetFile(file).metadata.num_rows for file in table.glob("*.parquet"))
    return _differ(made, found["counts"]["words"], "words in the table")


def tasks(folder: Path, done: Done) -> str | None:
    """Tasks of an export: read is the sum of imported, unannotated, reviewed and refused; and each was read."""
    found = summary(done)
    if found is None:
        return None
    counts = dict(found["tasks"])
    read = counts.pop("read")
    if read != sum(counts.values()):
        return f"{read} tasks read, but {counts}"
    try:
        given = json.loads((folder / "export.json").read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    expected = len(given) if isinstance(given, list) else 1
    # A damaged stretch is one problem, however many tasks stood in it.
    return None if found["refused"].get("damaged-export") and read <= expected else _differ(expected, read, "tasks")


def looked_at(folder: Path, done: Done) -> str | None:
    """Tasks of a file that is looked at before it is imported: all of them."""
    found = summary(done)
    try:
        given = json.loads((folder / "tasks.json").read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if found is None or not isinstance(given, list):
        return None
    return _differ(len(given), found["tasks"], "tasks")


def decisions(folder: Path, done: Done) -> str | None:
    """Verdicts are about questions of the workspace alone."""
    if summary(done) is None:
        return None
    asked = {name for file in _parts(folder, "questions") for name in _column(file, "question_id")}
    decided = {name for file in _parts(folder, "verdicts") for name in _column(file, "question_id")}
    return None if decided <= asked else f"verdicts about {decided - asked}"


def _parts(folder: Path, table: str) -> list[Path]:
    return sorted((folder / "ws" / table).glob("[a-z0-9]*.parquet"))
