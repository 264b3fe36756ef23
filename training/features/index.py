"""Index parts: which tokens a shard holds. One Parquet file beside each shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from torch import Tensor, uint8

from pinpoint_data.atomic import atomic_path
from pinpoint_data.errors import TrainingError
from pinpoint_data.small_files import refuse_special
from training.features.cache import FeatureCache
from training.features.keys import PageKey

_FORMAT_KEY, _SPEC_KEY, _BYTES_KEY = b"pinpoint.features", b"pinpoint.backbone", b"pinpoint.shard_bytes"
_FORMAT = b"1"
# What pyarrow raises on flipped bits (ValueError: a column's name that is no UTF-8).
_DAMAGE = (pa.ArrowException, OSError, ValueError)


def _column(name: str, type_: pa.DataType, nullable: bool = False) -> pa.Field:
    return pa.field(name, type_, nullable=nullable)


SCHEMA = pa.schema(
    [
        _column("sha256", pa.string()),
        _column("pdf_page", pa.int32(), nullable=True),
        _column("dpi", pa.float64(), nullable=True),
        _column("width", pa.int32()),
        _column("height", pa.int32()),
        _column("words", pa.string(), nullable=True),
        _column("page_id", pa.string()),
        _column("shard", pa.string()),
        _column("tensor", pa.string()),
        _column("rows", pa.int32()),
        _column("cols", pa.int32()),
        _column("tokens", pa.int32()),
        _column("dim", pa.int32()),
        _column("dtype", pa.string()),
        _column("bytes", pa.int64()),
        _column("checksum", pa.string()),
    ]
)
_KEY_COLUMNS = ("sha256", "pdf_page", "dpi", "width", "height", "words")


@dataclass(frozen=True, slots=True)
class Entry:
    """The tokens of one page.

    Attributes:
        key: What the page is.
        page_id: A page id that it had when it was encoded, for messages.
        shard: File name of the shard.
        tensor: Name in it.
        rows: Of the grid.
        cols: Of the grid.
        tokens: n.
        dim: d_v.
        dtype: `bfloat16`, `float16` or `float32`.
        bytes: Of the tensor.
        checksum: `checksum` of the tensor.
    """

    key: PageKey
    page_id: str
    shard: str
    tensor: str
    rows: int
    cols: int
    tokens: int
    dim: int
    dtype: str
    bytes: int
    checksum: str


class ForeignPartError(TrainingError):
    """A readable file that is no index part of this cache."""


def checksum(tensor: Tensor) -> str:
    """XXH3-128 of a contiguous tensor's bytes: guards against damage at the speed of memory, not against malice."""
    return xxhash.xxh3_128_hexdigest(tensor.reshape(-1).view(uint8).numpy().data)


def write_part(cache: FeatureCache, path: Path, entries: Sequence[Entry], shard_bytes: int) -> None:
    """Write the index part of a shard of `shard_bytes`, atomically: the shard counts from now on."""
    rows = []
    for entry in entries:
        row = asdict(entry)
        rows.append(row.pop("key") | row)
    labels = {_FORMAT_KEY: _FORMAT, _SPEC_KEY: cache.digest.encode(), _BYTES_KEY: str(shard_bytes).encode()}
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(labels))
    with atomic_path(path) as beside:
        pq.write_table(table, beside, compression="zstd", write_page_checksum=True)


def read_part(cache: FeatureCache, path: Path) -> tuple[list[Entry], int]:
    """The entries of a part, and the bytes that its shard must have.

    Raises:
        ForeignPartError: It is another program's file, of another backbone, or renamed.
        TrainingError: It is damaged.
        FileNotFoundError: It is gone.
    """
    try:
        refuse_special(path)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            labels = file.schema_arrow.metadata or {}
            ours = labels.get(_FORMAT_KEY) == _FORMAT and file.schema_arrow.remove_metadata().equals(SCHEMA)
            rows = file.read().to_pylist() if ours else []
            shard_bytes = int(labels.get(_BYTES_KEY, b"-1"))
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise TrainingError(f"the index part cannot be read: {error}", file=path) from error
    remedy = "move the file out of the folder"
    if not ours:
        raise ForeignPartError("is no index part of a feature cache", file=path, remedy=remedy)
    if labels.get(_SPEC_KEY) != cache.digest.encode():
        raise ForeignPartError("is of tokens that another backbone made", file=path, remedy=remedy)
    entries = []
    for row in rows:
        key = PageKey(**{name: row.pop(name) for name in _KEY_COLUMNS})
        entries.append(Entry(key, **row))
    if any(entry.shard != f"{path.stem}.safetensors" for entry in entries):
        raise ForeignPartError("was renamed: it is about another shard", file=path, remedy=remedy)
    return entries, shard_bytes
