"""One Parquet part of a table: written deterministically and whole, read with its schema and version checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pinpoint_data.atomic import atomic_path
from pinpoint_data.errors import UsageError, WorkspaceError
from pinpoint_data.schema import SCHEMA_VERSION, TABLES
from pinpoint_data.small_files import refuse_row_bomb, refuse_special

ROWS_PER_GROUP = 20_000
_VERSION_KEY = b"pinpoint.schema_version"
_TABLE_KEY = b"pinpoint.table"
# What pyarrow raises on flipped bits (UnicodeDecodeError: a column's name).
_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)


class PartWriter:
    """Buffers rows into row groups of a fixed size, so that the bytes do not depend on how rows arrive."""

    def __init__(self, table: str, path: Path, metadata: Mapping[str, str]) -> None:
        labels = {_TABLE_KEY: table.encode(), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
        labels |= {key.encode(): value.encode() for key, value in metadata.items()}
        self.table = table
        self.rows = 0
        self._plain = TABLES[table]
        self._names = frozenset(self._plain.names)
        self._integers = [column.name for column in self._plain if pa.types.is_integer(column.type)]
        self._schema = self._plain.with_metadata(labels)
        self._pending: list[dict[str, Any]] = []
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", write_page_checksum=True, store_schema=True
        )

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; each must have exactly the table's columns.

        Raises:
            WorkspaceError: A row has a missing, unknown, wrongly typed or null column.
        """
        for row in rows:
            if row.keys() != self._names:
                missing, unknown = sorted(self._names - row.keys()), sorted(row.keys() - self._names)
                raise WorkspaceError(f"a row of {self.table!r} lacks {missing} and has unknown {unknown}")
            self._pending.append(dict(row))
            self.rows += 1
            if len(self._pending) == ROWS_PER_GROUP:
                self._flush()

    def _flush(self) -> None:
        # Arrow would cut 1.5 to 1 without a word.
        for name in self._integers:
            for row in self._pending:
                if isinstance(row[name], float) and not row[name].is_integer():
                    raise WorkspaceError(f"{self.table}.{name} must be a whole number, found {row[name]}")
        try:
            group = pa.Table.from_pylist(self._pending, schema=self._schema)
            # The Parquet writer sees missing values, but not missing lists.
            for column in self._plain:
                if not column.nullable and group[column.name].null_count:
                    raise WorkspaceError(f"{self.table}.{column.name} must not be null")
            self._file.write_table(group, row_group_size=ROWS_PER_GROUP)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
            raise WorkspaceError(f"a row does not fit table {self.table!r}: {error}") from error
        self._pending.clear()

    def close(self) -> None:
        """Write what is buffered and the footer."""
        if self._pending:
            self._flush()
        self._file.close()

    def abandon(self) -> None:
        """Drop what is buffered and release the file."""
        self._pending.clear()
        self._file.close()


@contextmanager
def write_part(table: str, path: Path, metadata: Mapping[str, str] | None = None) -> Iterator[PartWriter]:
    """Write one part of `table` atomically: `path` holds either the old part or the whole new one."""
    with atomic_path(path) as beside:
        writer = PartWriter(table, beside, metadata or {})
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abandon()
            raise


def part_metadata(table: str, path: Path) -> dict[str, str]:
    """The key-value metadata of a part (its provenance), checked to be of `table`."""
    found = _open(table, path).schema_arrow.metadata or {}
    try:
        return {key.decode(): value.decode() for key, value in found.items() if not key.startswith(b"pinpoint.")}
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error


def count_rows(table: str, path: Path) -> int:
    """Rows of a part, from its footer."""
    return int(_open(table, path).metadata.num_rows)


def read_part(table: str, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One whole part as an Arrow table."""
    batches = list(iter_part(table, path, columns))
    return pa.Table.from_batches(batches, schema=schema_of(table, columns))


def schema_of(table: str, columns: Sequence[str] | None = None) -> pa.Schema:
    """The schema of a table, or of some of its columns in the order asked for.

    Raises:
        UsageError: There is no such table or column.
    """
    if table not in TABLES:
        raise UsageError(f"no table {table!r}; expected one of {', '.join(TABLES)}")
    schema = TABLES[table]
    if unknown := [column for column in columns or () if column not in schema.names]:
        raise UsageError(f"table {table!r} has no column {', '.join(unknown)}; it has {', '.join(schema.names)}")
    return schema if columns is None else pa.schema([schema.field(column) for column in columns])


def iter_part(
    table: str, path: Path, columns: Sequence[str] | None = None, batch_rows: int = 4096
) -> Iterator[pa.RecordBatch]:
    """Record batches of one part, in order; memory is bounded by a row group."""
    schema_of(table, columns)
    file = _open(table, path)
    rows = 0
    try:
        for batch in file.iter_batches(batch_size=batch_rows, columns=None if columns is None else list(columns)):
            batch.validate(full=True)  # text that is no UTF-8 comes to light only where somebody looks at it
            _check_items(batch)
            rows += batch.num_rows
            yield batch.replace_schema_metadata(None)
        # A column that ends early is no error to pyarrow when it is read alone.
        if rows != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"it holds {rows} rows and claims {file.metadata.num_rows}")
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    finally:
        file.close()


def _check_items(batch: pa.RecordBatch) -> None:
    """Refuse lists with nothing in a place, which the schema cannot forbid."""
    for column, field in zip(batch.columns, batch.schema, strict=True):
        if pa.types.is_list(field.type) and column.flatten().null_count:
            raise pa.ArrowInvalid(f"a list of column {field.name} has an empty place")


def _open(table: str, path: Path) -> pq.ParquetFile:
    try:
        refuse_special(path)
        file = pq.ParquetFile(path, page_checksum_verification=True)
        refuse_row_bomb(path, file.metadata.num_rows)
        schema = file.schema_arrow
    except FileNotFoundError as error:
        raise WorkspaceError("no such table part", file=path, remedy="run the command that makes it") from error
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    labels = schema.metadata or {}
    name = labels.get(_TABLE_KEY, b"").decode(errors="replace")
    version = labels.get(_VERSION_KEY, b"").decode(errors="replace")
    if name != table or not version.isdecimal():
        raise WorkspaceError(
            f"expected a part of table {table!r}, found {name or 'a foreign Parquet file'!r}",
            file=path,
            remedy="move the file out of the workspace",
        )
    if int(version) > SCHEMA_VERSION:
        raise WorkspaceError(
            f"schema version {version} is newer than this program's {SCHEMA_VERSION}",
            file=path,
            remedy="upgrade pinpoint-data",
        )
    if not schema.remove_metadata().equals(TABLES[table]):
        raise WorkspaceError(
            f"columns are not those of table {table!r} version {version}",
            file=path,
            remedy="remove the file and run the command that makes it again",
        )
    return file


def _damaged(path: Path, error: Exception) -> WorkspaceError:
    return WorkspaceError(
        f"the table is damaged: {error}",
        file=path,
        remedy="remove the file and run the command that makes it again",
    )
