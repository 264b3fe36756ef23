"""Parquet tables of another shape, with other values, another schema or other metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.campaigns.hostile import byte_mutations, values

_TYPES = (
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.int8(),
    pa.int64(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.null(),
    pa.timestamp("us", tz="UTC"),
    pa.list_(pa.string()),
    pa.struct([("x", pa.float64())]),
    pa.map_(pa.string(), pa.int64()),
    pa.dictionary(pa.int32(), pa.string()),
)


def mutate_table(random: Random, data: bytes) -> bytes:
    """One Parquet file."""
    if random.random() < 0.25:
        return byte_mutations.mutate_bytes(random, data)
    table = pq.read_table(io.BytesIO(data))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        table = random.choice(_EDITS)(random, table)
    return _written(random, table)


def _written(random: Random, table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    codec = random.choice(("zstd", "zstd", "snappy", "none", "gzip"))
    pq.write_table(
        table,
        buffer,
        compression=codec,
        row_group_size=random.choice((1, 2, 20_000, 20_000)),
        use_dictionary=random.random() < 0.8,
        data_page_version=random.choice(("1.0", "2.0")),
        store_schema=random.random() < 0.95,
    )
    return buffer.getvalue()


def _column(random: Random, table: pa.Table) -> int:
    return random.randrange(table.num_columns)


def _typed(table: pa.Table, place: int, cells: list[Any]) -> pa.Table:
    """The table with other cells of the same type; as text where they do not fit it."""
    field = table.schema.field(place)
    try:
        column = pa.array(cells, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return table
    return table.set_column(place, field.with_nullable(True) if column.null_count else field, column)


def _cell(random: Random, value: Any) -> Any:
    if isinstance(value, list):
        choices = ([], value * 50, value[:-1], [None], [*value, _cell(random, value[0] if value else "")])
        return random.choice(choices)
    if isinstance(value, dict):
        key = random.choice(list(value))
        return value | {key: _cell(random, value[key])}
    if isinstance(value, bytes):
        return random.choice((b"", byte_mutations.mutate_bytes(random, value or b"x"), random.randbytes(30)))
    if value is None:
        return random.choice((values.number(random), values.text(random)))
    return values.near(random, value)


def _values(random: Random, table: pa.Table) -> pa.Table:
    """Other values, or nulls, in one or all rows of a column."""
    place = _column(random, table)
    cells = table.column(place).to_pylist()
    rows = range(len(cells)) if random.random() < 0.3 else random.sample(range(len(cells)), min(1, len(cells)))
    for row in rows:
        cells[row] = None if random.random() < 0.15 else _cell(random, cells[row])
    return _typed(table, place, _clean(cells))


def _clean(cells: Any) -> Any:
    """Lone surrogates replaced: Arrow's own strings cannot hold them."""
    if isinstance(cells, list):
        return [_clean(cell) for cell in cells]
    if isinstance(cells, dict):
        return {key: _clean(cell) for key, cell in cells.items()}
    return cells.encode("utf-8", "replace").decode() if isinstance(cells, str) else cells


def _type(random: Random, table: pa.Table) -> pa.Table:
    place, kind = _column(random, table), random.choice(_TYPES)
    field = table.schema.field(place)
    try:
        column = table.column(place).cast(kind)
    except (pa.ArrowException, NotImplementedError):
        column = pa.nulls(table.num_rows, kind)
    return table.set_column(place, pa.field(field.name, kind), column)


def _drop(random: Random, table: pa.Table) -> pa.Table:
    return table.remove_column(_column(random, table)) if table.num_columns > 1 else table


def _rename(random: Random, table: pa.Table) -> pa.Table:
    names = table.column_names
    other = random.choice((*names, _clean(values.text(random))[:1000]))
    names[_column(random, table)] = other
    return table.rename_columns(names)


def _shuffle(random: Random, table: pa.Table) -> pa.Table:
    names = list(range(table.num_columns))
    random.shuffle(names)
    return table.select(names)


def _rows(random: Random, table: pa.Table) -> pa.Table:
    """No row, the same rows again, or a row many times."""
    if not table.num_rows:
        return table
    one = table.slice(random.randrange(table.num_rows), 1)
    choices = (table.slice(0, 0), pa.concat_tables([table, table]), pa.concat_tables([one] * 500), one)
    return random.choice(choices)


def _metadata(random: Random, table: pa.Table) -> pa.Table:
    found = dict(table.schema.metadata or {})
    if not found or random.random() < 0.2:
        return table.replace_schema_metadata({} if random.random() < 0.5 else {"huggingface": "{"})
    key = random.choice(list(found))
    text = found[key].decode("utf-8", "replace")
    changed = (b"", b"999", b"-1", b"\xff\xfe", b"words", b"{}", b"[]", b"null", b"1.5", _json(random, text))
    if random.random() < 0.2:
        found.pop(key)
    else:
        found[key] = random.choice(changed)
    return table.replace_schema_metadata(found)


def _json(random: Random, text: str) -> bytes:
    from tests.campaigns.hostile.json_mutations import mutate_json

    try:
        json.loads(text)
    except ValueError:
        return values.text(random).encode("utf-8", "replace")
    return mutate_json(random, text.encode())[:1_000_000]


def _nullable(random: Random, table: pa.Table) -> pa.Table:
    place = _column(random, table)
    field = table.schema.field(place)
    cells = table.column(place)
    return table.set_column(place, field.with_nullable(not field.nullable or bool(cells.null_count)), cells)


_EDITS: tuple[Callable[[Random, pa.Table], pa.Table], ...] = (
    _values,
    _values,
    _values,
    _values,
    _type,
    _drop,
    _rename,
    _shuffle,
    _rows,
    _metadata,
    _nullable,
)
