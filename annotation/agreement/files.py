"""A measurement as a file: everything as JSON, or the questions as CSV or Parquet."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.agreement.results import Agreement, QuestionAgreement
from pinpoint_data.atomic import atomic_path, write_text
from pinpoint_data.errors import UsageError
from pinpoint_data.words.base import well_formed

SUFFIXES = (".json", ".csv", ".parquet")

_FIGURES = ("f1", "pairwise_iou", "matched_iou", "union_iou", "word_jaccard", "status_share", "dispute")
_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("question_id", "source", "doc_id")),
        *(pa.field(name, pa.list_(pa.string())) for name in ("annotators", "statuses")),
        pa.field("boxes", pa.list_(pa.int64())),
        *(pa.field(name, pa.float64()) for name in _FIGURES),
    ]
)


def write_agreement(agreement: Agreement, path: Path) -> None:
    """Write a measurement, atomically: `.json` holds all of it, `.csv` and `.parquet` a row a question.

    Raises:
        UsageError: The name has another suffix.
    """
    check_suffix(path)
    if path.suffix == ".json":
        write_text(path, json.dumps(agreement.to_json(questions=True), indent=2) + "\n")
    elif path.suffix == ".csv":
        _write_csv(agreement.questions, path)
    else:
        with atomic_path(path) as beside:
            rows = [_clean(asdict(question)) for question in agreement.questions]
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), beside)


def check_suffix(path: Path) -> None:
    """Refuse a file that `write_agreement` has no format for.

    Raises:
        UsageError: The name has another suffix.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"cannot tell a format from the name; expected {', '.join(SUFFIXES)}", file=path)


def _write_csv(questions: tuple[QuestionAgreement, ...], path: Path) -> None:
    names = [field.name for field in fields(QuestionAgreement)]
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(names)
        for question in questions:
            row = _clean(asdict(question))
            writer.writerow([json.dumps(v) if isinstance(v, tuple) else v for v in map(row.get, names)])


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    return {name: well_formed(value) if isinstance(value, str) else value for name, value in row.items()}
