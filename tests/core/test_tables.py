"""One Parquet part: deterministic, bit-exact, and refused when damaged, foreign or newer."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data import tables
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.schema import SCHEMA_VERSION, TABLES
from pinpoint_data.tables import count_rows, iter_part, part_metadata, read_part, write_part
from tests.validation.build import Row, page, question, region, verdict, word


def write(path: Path, table: str, rows: list[Row], metadata: dict[str, str] | None = None) -> Path:
    with write_part(table, path, metadata) as writer:
        writer.write_rows(rows)
    return path


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    rows = [verdict(), region((0.1, 1e-300, 1 / 3, 1e300), quad=[0.1] * 8, raw='{"a": "é\\u0000"}')]
    file = write(tmp_path / "a", "annotations", rows, {"reader": "test", "späß": "ü"})
    assert read_part("annotations", file).to_pylist() == rows
    assert part_metadata("annotations", file) == {"reader": "test", "späß": "ü"}
    assert count_rows("annotations", file) == 2
    assert read_part("annotations", file, ["y1", "question_id"]).to_pylist() == [
        {"y1": row["y1"], "question_id": row["question_id"]} for row in rows
    ]


@given(st.lists(st.tuples(*[st.floats(width=64)] * 4), max_size=30))
@settings(max_examples=30, deadline=None)
def test_every_float_is_bit_exact(boxes: list[tuple[float, ...]]) -> None:
    with TemporaryDirectory() as folder:
        file = write(Path(folder) / "a", "annotations", [region(xyxy) for xyxy in boxes])
        found = read_part("annotations", file, ["x0", "y0", "x1", "y1"]).to_pylist()
    assert [tuple(map(float.hex, row.values())) for row in found] == [tuple(map(float.hex, b)) for b in boxes]


@given(cuts=st.lists(st.integers(1, 9), max_size=12), group=st.integers(1, 10))
@settings(max_examples=15, deadline=None)
def test_bytes_do_not_depend_on_how_rows_arrive(cuts: list[int], group: int) -> None:
    rows = [page(f"toy/{i}") for i in range(sum(cuts))]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROWS_PER_GROUP", group)
        at_once = write(Path(folder) / "once", "pages", rows)
        with write_part("pages", Path(folder) / "cut") as writer:
            start = 0
            for cut in cuts:
                writer.write_rows(rows[start : start + cut])
                start += cut
        assert at_once.read_bytes() == (Path(folder) / "cut").read_bytes()
        assert read_part("pages", at_once).to_pylist() == rows
        assert pq.ParquetFile(at_once).num_row_groups == -(-len(rows) // group)
        assert writer.rows == len(rows)


def test_an_empty_part_is_a_part(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "pages", [])
    assert read_part("pages", file).schema == TABLES["pages"]
    assert list(iter_part("pages", file)) == []
    assert count_rows("pages", file) == 0


def test_reading_is_streamed_in_batches(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "words", [word(str(i), (0, 0, 1, 1)) for i in range(10)])
    batches = list(iter_part("words", file, ["text"], batch_rows=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert [text for batch in batches for text in batch["text"].to_pylist()] == [str(i) for i in range(10)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({k: v for k, v in page().items() if k != "dpi"}, "lacks \\['dpi'\\]"),
        (page() | {"colour": "red"}, "unknown \\['colour'\\]"),
        (page() | {"width": None}, "pages.width must not be null"),
        (page() | {"width": "5"}, "does not fit"),
        (page(width=2**31), "does not fit"),
        (page(width=2**80), "does not fit"),
        (page() | {"width": 1.5}, "pages.width must be a whole number, found 1.5"),
        (page() | {"width": float("nan")}, "whole number"),
        (page(dpi="144"), "does not fit"),
        (page() | {"page_id": 7}, "does not fit"),
        (page(page_id="\ud800"), "does not fit"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_the_old_part_stays(tmp_path: Path, row: Row, message: str) -> None:
    file = write(tmp_path / "a", "pages", [page("toy/old")])
    before = file.read_bytes()
    with pytest.raises(WorkspaceError, match=message):
        write(file, "pages", [page(), row])
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_whole_number_may_come_as_a_float(tmp_path: Path) -> None:
    assert read_part("pages", write(tmp_path / "a", "pages", [page() | {"width": 640.0}]))["width"].to_pylist() == [640]


def test_every_truncation_is_damage(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "questions", [question(f"toy/{i}", extra="x" * i) for i in range(40)])
    data = file.read_bytes()
    for length in [0, 1, 3, 4, 7, 8, *range(11, len(data), 211), len(data) - 1]:
        file.write_bytes(data[:length])
        for read in (read_part, count_rows, part_metadata):
            with pytest.raises(WorkspaceError, match="the table is damaged") as caught:
                read("questions", file)
            assert caught.value.file == str(file)
            assert caught.value.remedy


def test_text_that_is_no_utf8_is_damage(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "annotations", [verdict(), region((0, 0, 1, 1))])
    table = pq.read_table(file)
    place = table.column_names.index("annotator")
    bad = pa.array([b"gold", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(table.set_column(place, table.field(place), bad).cast(table.schema), file, store_schema=True)
    with pytest.raises(WorkspaceError, match=r"the table is damaged: .*UTF8"):
        next(iter_part("annotations", file))  # before anybody looks at the text


def test_metadata_that_are_no_utf8_are_damage(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "annotations", [verdict()], {"command": "adjudicate"})
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"command": b"\xff"}), file)
    with pytest.raises(WorkspaceError, match="the table is damaged"):
        part_metadata("annotations", file)


def test_flipped_bits_are_damage_or_harmless_but_never_another_exception(tmp_path: Path) -> None:
    rows = [verdict(), *(region((i, i, i + 5, i + 6), region_id=f"r{i}") for i in range(50))]
    file = write(tmp_path / "a", "annotations", rows)
    data, chosen = file.read_bytes(), random.Random(0)
    refused = 0
    for place in chosen.sample(range(len(data)), 250):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chosen.randrange(8)
        file.write_bytes(flipped)
        try:
            read_part("annotations", file)
        except WorkspaceError:
            refused += 1
    assert refused > 120


def test_a_flipped_value_is_found_by_its_checksum(tmp_path: Path) -> None:
    """Without page checksums an uncompressed page with another coordinate reads as if nothing had happened."""
    file = write(tmp_path / "a", "words", [word(str(i), (0, 0, 1, 1)) for i in range(3000)])
    data = bytearray(file.read_bytes())
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(TABLES["words"].names.index("text"))
    start = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[start] ^= 1
    file.write_bytes(data)
    with pytest.raises(WorkspaceError, match="the table is damaged"):
        read_part("words", file)


def relabel(file: Path, **labels: str) -> None:
    table = pq.read_table(file)
    changed = {**table.schema.metadata, **{f"pinpoint.{k}".encode(): v.encode() for k, v in labels.items()}}
    pq.write_table(table.replace_schema_metadata(changed), file)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"schema_version": str(SCHEMA_VERSION + 1)}, "is newer than this program's"),
        ({"schema_version": "9" * 50}, "is newer than this program's"),
        ({"schema_version": "1.5"}, "expected a part of table 'pages'"),
        ({"schema_version": ""}, "expected a part of table 'pages'"),
        ({"table": "questions"}, "expected a part of table 'pages', found 'questions'"),
    ],
)
def test_newer_and_foreign_parts_are_refused(tmp_path: Path, labels: dict[str, str], message: str) -> None:
    file = write(tmp_path / "a", "pages", [page()])
    relabel(file, **labels)
    for read in (read_part, count_rows, part_metadata):
        with pytest.raises(WorkspaceError, match=message):
            read("pages", file)


def test_a_foreign_parquet_file_is_no_part(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a")
    with pytest.raises(WorkspaceError, match="found 'a foreign Parquet file'"):
        read_part("pages", tmp_path / "a")


@pytest.mark.parametrize("change", ["drop", "add", "retype", "rename", "nullable"])
def test_other_columns_are_refused(tmp_path: Path, change: str) -> None:
    file = write(tmp_path / "a", "pages", [page()])
    table = pq.read_table(file)
    at = table.schema.get_field_index("width")
    changed = {
        "drop": lambda: table.remove_column(at),
        "add": lambda: table.append_column("more", pa.array([1])),
        "retype": lambda: table.set_column(at, pa.field("width", pa.int64(), nullable=False), pa.array([5])),
        "rename": lambda: table.rename_columns({"width": "breadth"}),
        "nullable": lambda: table.set_column(at, pa.field("width", pa.int32()), pa.array([5], pa.int32())),
    }[change]()
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)
    with pytest.raises(WorkspaceError, match="columns are not those of table 'pages' version 1"):
        read_part("pages", file)


def test_misuse_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no such table part"):
        read_part("pages", tmp_path / "none")
    file = write(tmp_path / "a", "pages", [page()])
    with pytest.raises(UsageError, match="table 'pages' has no column colour"):
        read_part("pages", file, ["width", "colour"])
    with pytest.raises(UsageError, match="no table 'colours'"):
        read_part("colours", file)


def test_words_of_many_pages_alike_take_less_than_a_byte_each_and_are_no_bomb(tmp_path: Path) -> None:
    path, pages = tmp_path / "words.parquet", 2000
    with write_part("words", path) as writer:
        for number in range(pages):
            writer.write_rows(
                [word("Total", (1.0, 9.0 * line, 20.5, 9.0 * line + 8), f"s/p{number:07d}") for line in range(60)]
            )
    assert path.stat().st_size < 60 * pages
    assert count_rows("words", path) == 60 * pages


def test_a_table_that_claims_rows_by_the_million_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    with write_part("verdicts", path, {}):
        pass
    labels = pq.read_schema(path).metadata
    columns = [pa.repeat(pa.scalar("", field.type), 3_000_000) for field in TABLES["verdicts"]]
    pq.write_table(pa.Table.from_arrays(columns, schema=TABLES["verdicts"].with_metadata(labels)), path)
    with pytest.raises(WorkspaceError, match="claims 3,000,000 rows"):
        count_rows("verdicts", path)
