"""Typed samples of a published dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loaders
from loaders import load_samples
from loaders.samples import EvidenceBox, PageRef
from pinpoint_data.errors import DatasetError, UsageError


def test_a_sample(published: Path) -> None:
    sample = next(load_samples(published, configs=["docs"]))
    assert (sample.question_id, sample.answers, sample.status) == ("docs/train-0", ("42", "forty-two"), "evidence")
    assert sample.evidence == (EvidenceBox(1, (3.0, 4.0, 50.0, 44.0), "answer"),)
    assert sample.pages[2] == PageRef("docs/p2", 2, 120, 80, sample.pages[2].sha256)


def test_all_sources_and_splits_in_published_order(published: Path) -> None:
    found = [sample.question_id for sample in load_samples(published)]
    expected = [f"docs/train-{i}" for i in range(2)]
    expected += [f"infovqa/{split}-{i}" for split in ("train", "validation") for i in range(3)]
    assert found == expected


def test_a_source_without_the_split_is_passed_over(published: Path) -> None:
    found = {sample.source for sample in load_samples(str(published), splits=["validation"])}
    assert found == {"infovqa"}


def test_no_such_source_split_or_dataset(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no source 'nope'.*docs, infovqa"):
        load_samples(published, configs=["nope"])
    with pytest.raises(UsageError, match="no split 'test'"):
        load_samples(published, splits=["test"])
    with pytest.raises(DatasetError, match="not a published dataset"):
        load_samples(tmp_path)


def test_a_damaged_file_is_named(dataset: Path) -> None:
    file = dataset / "docs" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="docs/train"):
        list(load_samples(dataset, configs=["docs"]))


def test_what_another_engine_wrote_with_types_of_its_own(dataset: Path) -> None:
    file = dataset / "docs" / "train-00000-of-00001.parquet"
    before = list(load_samples(dataset, configs=["docs"]))
    polars = pytest.importorskip("polars")
    polars.read_parquet(file).write_parquet(file)  # large_string, large_list
    assert pa.types.is_large_string(pq.read_schema(file).field("question").type)
    assert list(load_samples(dataset, configs=["docs"])) == before


@pytest.mark.parametrize(
    ("column", "message"), [("status", "has no column status of type"), ("evidence", "row 0: a value is missing: xyxy")]
)
def test_what_cannot_be_read_as_its_type_is_named(dataset: Path, column: str, message: str) -> None:
    file = dataset / "docs" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array([[{"a": 1}]] * len(table))), file)
    with pytest.raises(DatasetError, match=f"docs/train.*{message}"):
        list(load_samples(dataset, configs=["docs"]))


def test_what_the_package_offers() -> None:
    assert loaders.__all__ == sorted(loaders._HOME)
    assert all(getattr(loaders, name).__module__.startswith("loaders.") for name in loaders.__all__)
    with pytest.raises(AttributeError):
        _ = loaders.no_such_thing  # type: ignore[attr-defined]
