"""Splits written as Parquet shards: streamed, of bounded memory, the same bytes for the same rows."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from loaders.features import image_columns
from loaders.manifest import FileInfo, SplitInfo
from pinpoint_data.errors import DatasetError
from pinpoint_data.small_files import refuse_row_bomb, refuse_special

# A reader holds one row group at a time: few rows where they carry images.
ROWS_PER_GROUP = 1_000
IMAGE_BYTES_PER_GROUP = 32_000_000

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True)
class ShardSize:
    """A shard ends with the row group that reaches either limit.

    Attributes:
        rows: Rows of a shard.
        size: Bytes of a shard's file.
    """

    rows: int = 100_000
    size: int = 500_000_000


class RowHash:
    """SHA-256 over rows as canonical JSON, one a line; an image counts by the SHA-256 of its bytes."""

    def __init__(self, images: Iterable[str] = ()) -> None:
        self._images = frozenset(images)
        self._digest = hashlib.sha256()
        self.rows = 0

    def update(self, row: Mapping[str, Any]) -> None:
        """Add one row. Floats enter with all their digits, so a box that lost one bit changes the hash."""
        plain = {name: _image_names(value) if name in self._images else value for name, value in row.items()}
        self._digest.update(_CANONICAL.encode(plain).encode("ascii") + b"\n")
        self.rows += 1

    def hexdigest(self) -> str:
        """The hash so far."""
        return self._digest.hexdigest()


def _image_names(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_image_names(item) for item in value]
    return {"path": value["path"], "sha256": hashlib.sha256(value["bytes"]).hexdigest()}


def _image_weight(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, list):
        return sum(_image_weight(item) for item in value)
    return len(value["bytes"])


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path


def iter_split(
    folder: Path, split: SplitInfo, features: Features, columns: Sequence[str] | None = None, batch_rows: int = 100
) -> Iterator[dict[str, Any]]:
    """Rows of a published split as dicts, streamed from its files.

    Args:
        folder: The dataset folder.
        split: The split.
        features: The columns that its files must have, at least. Another engine may have written them as wider or
            narrower types (`large_string`, `int32`); what does not fit without loss is an error.
        columns: Names of those that are read, all by default.
        batch_rows: Rows read at once.

    Raises:
        DatasetError: A file is missing or damaged, or has other columns.
    """
    expected = features.arrow_schema
    wanted = pa.schema([expected.field(name) for name in columns or expected.names])
    for file in split.files:
        path = folder / file.path
        try:
            refuse_special(path)
            with pq.ParquetFile(path, page_checksum_verification=True) as opened:
                refuse_row_bomb(path, opened.metadata.num_rows)
                names = set(opened.schema_arrow.names)
                if missing := [name for name in wanted.names if name not in names]:
                    raise _damaged(path, f"has no column {missing[0]} of type {wanted.field(missing[0]).type}")
                for batch in opened.iter_batches(batch_rows, columns=wanted.names):
                    yield from _as_typed(path, batch, wanted).to_pylist()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(path, f"cannot be read: {error}") from error


def _as_typed(path: Path, batch: pa.RecordBatch, wanted: pa.Schema) -> pa.Table:
    columns = []
    for field in wanted:
        try:
            columns.append(batch.column(field.name).cast(field.type))
        except pa.ArrowException as error:
            raise _damaged(path, f"has no column {field.name} of type {field.type}: {error}") from error
    return pa.table(columns, schema=wanted)


def _damaged(path: Path, message: str) -> DatasetError:
    return DatasetError(message, file=path, remedy="publish the dataset again")


class _Sink(io.RawIOBase):
    """A file whose errors wait for `check`: Arrow's content-defined chunking ends the process on a full disk."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("wb")
        self._error: OSError | None = None
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        self._size += size
        return size

    def tell(self) -> int:
        return self._size

    def check(self) -> None:
        """Raise what went wrong.

        Raises:
            OSError: The disk is full, say; it names the file.
        """
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror, str(self._path)) from self._error

    def close(self) -> None:
        if not self.closed:
            try:
                self._file.close()  # which writes what is left
            except OSError as error:
                self._error = self._error or error
            super().close()


class SplitWriter:
    """Writes `FOLDER/<config>/<split>-00000-of-0000N.parquet`. Row groups do not depend on how rows arrive."""

    def __init__(self, folder: Path, config: str, split: str, features: Features, shards: ShardSize) -> None:
        self._root, self._place, self._split = folder, folder / config, split
        self._schema: pa.Schema = features.arrow_schema
        self._names = frozenset(features)
        self._images = image_columns(features)
        self._shards = shards
        self._hash = RowHash(self._images)
        self._pending: list[Mapping[str, Any]] = []
        self._pending_bytes = 0
        self._files: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._shard_rows = 0

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._hash.rows

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row, which must have exactly the declared columns.

        Raises:
            DatasetError: It has other columns, or a value that does not fit its column.
        """
        if row.keys() != self._names:
            raise DatasetError(
                f"a row has columns {sorted(row)}, expected {sorted(self._names)}", file=self._place, record=self._split
            )
        self._hash.update(row)
        self._pending.append(row)
        self._pending_bytes += sum(_image_weight(row[name]) for name in self._images)
        if len(self._pending) >= ROWS_PER_GROUP or self._pending_bytes >= IMAGE_BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._open()
        assert self._writer is not None
        try:
            group = pa.Table.from_pylist(self._pending, schema=self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
            raise DatasetError(f"a row does not fit its columns: {error}", file=self._files[-1]) from error
        self._writer.write_table(group, row_group_size=len(self._pending))
        self._sink.check()
        self._shard_rows += len(self._pending)
        self._pending, self._pending_bytes = [], 0
        if self._shard_rows >= self._shards.rows or self._sink.tell() >= self._shards.size:
            self._close()

    def _open(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._place / f"{self._split}-{len(self._files):05d}.parquet"
        self._files.append(path)
        self._sink = _Sink(path)
        # Image bytes are compressed already, and never repeat: a dictionary of them only costs memory.
        plain = [f for f in self._schema if f.name not in self._images]
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            use_dictionary=[leaf for field in plain for leaf in _leaves(field.name, field.type)],
            # Cut pages where the content says so: an upload of the next version sends only what changed.
            use_content_defined_chunking=True,
            write_page_index=True,
            write_page_checksum=True,
        )
        self._shard_rows = 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._sink.close()
            self._sink.check()

    def finish(self, facts: Mapping[str, Mapping[str, int]] | None = None) -> SplitInfo | None:
        """Write what is left and give the shards their final names; None (and no file) for a split without rows.

        An empty split must not exist: `datasets` cannot load a config that has one.
        """
        if self._pending:
            self._flush()
        self._close()
        count = len(self._files)
        if not count:
            return None
        files = []
        for index, path in enumerate(self._files):
            final = path.with_name(f"{self._split}-{index:05d}-of-{count:05d}.parquet")
            path.rename(final)
            files.append(FileInfo.of(final, self._root))
        counts = {name: dict(sorted(values.items())) for name, values in (facts or {}).items()}
        return SplitInfo(self.rows, self._hash.hexdigest(), tuple(files), counts)

    def abandon(self) -> None:
        """Release the file of an unfinished shard."""
        with suppress(OSError):
            self._close()
