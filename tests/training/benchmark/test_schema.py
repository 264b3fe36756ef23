"""The published schema is the one in force, and summaries keep to it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from pydantic import ValidationError

from tests.conftest import REPO
from tests.training.benchmark.measured import measured, whole_summary
from training.benchmark.schema import BenchmarkSummary, json_schema

SCHEMA_FILE = REPO / "docs" / "benchmark.schema.json"


def test_the_published_schema_is_the_one_in_force() -> None:
    text = json.dumps(json_schema(), indent=2) + "\n"
    if os.environ.get("PINPOINT_UPDATE_GOLDEN") == "1":
        SCHEMA_FILE.write_text(text, encoding="utf-8")
    assert SCHEMA_FILE.read_text(encoding="utf-8") == text, "set PINPOINT_UPDATE_GOLDEN=1 to write it anew"


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("questions", [24, 2])
def test_summaries_keep_to_it(answers: bool, questions: int) -> None:
    written = json.loads(json.dumps(whole_summary(measured(questions), answers=answers), allow_nan=False))
    assert BenchmarkSummary.model_validate(written).model_dump(by_alias=True) == written


def test_the_published_schema_accepts_and_refuses_the_same() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    validator.check_schema(validator.schema)
    written = json.loads(json.dumps(whole_summary(measured(6, selectors=["random", "fastv"]))))
    validator.validate(written)
    for wrong in _wrong(written):
        assert list(validator.iter_errors(wrong))


def test_what_is_no_summary_is_refused() -> None:
    for wrong in _wrong(json.loads(json.dumps(whole_summary()))):
        with pytest.raises(ValidationError):
            BenchmarkSummary.model_validate(wrong)


def _wrong(written: dict[str, Any]) -> list[dict[str, Any]]:
    without_n = {"random": {"evidence_recall@0.10": {"mean": 0.5, "low": None, "high": None}}}
    return [
        written | {"version": 2},
        written | {"schema": "pinpoint-evaluation"},
        written | {"unheard": 1},
        written | {"scores": without_n},
        written | {"budgets": [1.5]},
        {key: value for key, value in written.items() if key != "plumbing"},
    ]
