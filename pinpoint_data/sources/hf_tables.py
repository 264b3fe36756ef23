"""Rows of a Hugging Face dataset that is on this machine: Parquet files, a saved dataset, or one in memory.

Images come as `{"bytes": .., "path": ..}`, never decoded, so that the original bytes reach the workspace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pinpoint_data.errors import SourceError
from pinpoint_data.small_files import refuse_row_bomb, refuse_special
from pinpoint_data.sources.splits import normal_split

_ROWS_AT_ONCE = 16
_SPLIT_FILE = re.compile(r"(?P<split>train|training|validation|valid|val|dev|test|testing)(?![a-zA-Z])")
_SAVED = ("dataset_dict.json", "state.json")


@dataclass(frozen=True)
class HFTable:
    """One table of a dataset.

    Attributes:
        file: Where it comes from, for people and for the workspace's memory.
        split: The split that its name says, if any.
        rows: Starts reading, lazily; rows are plain Python values.
        trusted: The caller opened the dataset, so paths of images in it may be followed.
    """

    file: str
    split: str | None
    rows: Callable[[], Iterator[dict[str, Any]]]
    trusted: bool = False


def find_tables(data: Any) -> list[HFTable]:
    """The tables of a file, a folder, or a dataset in memory.

    Raises:
        SourceError: There is none, or the folder holds several datasets.
    """
    if not isinstance(data, Path):
        return _in_memory(data, "datasets")
    if data.is_file():
        return [_parquet(data, _label(data), _split_of(data.stem))]
    if any((data / name).is_file() for name in _SAVED):
        return _saved(data)
    # A folder that `hf download` made keeps its bookkeeping in hidden folders.
    paths = [
        p for p in sorted(data.rglob("*.parquet")) if not any(part[0] == "." for part in p.relative_to(data).parts)
    ]
    if not paths:
        raise SourceError("has no Parquet file and no saved dataset", file=data, remedy="download the dataset first")
    groups = {_group(path) for path in paths}
    if len(groups) > 1:
        names = ", ".join(sorted(group.relative_to(data).as_posix() for group in groups))
        raise SourceError(f"holds several datasets: {names}", file=data, remedy="name the folder of one of them")
    return [_parquet(path, _label(path), _split_of(path.stem) or normal_split(path.parent.name)) for path in paths]


def _label(path: Path) -> str:
    """A file's name below its dataset's: two mirrors have files of the same names, often in a folder `data`."""
    path = Path(os.path.realpath(path))  # `Path.resolve` fails where links go in a circle
    base = _group(path)
    base = base.parent if base.name == "data" else base
    return path.relative_to(base.parent).as_posix()


def _group(path: Path) -> Path:
    """The folder of a dataset: of the file, or above it where that is named like a split."""
    return path.parent.parent if normal_split(path.parent.name) else path.parent


def _split_of(stem: str) -> str | None:
    match = _SPLIT_FILE.match(stem)
    return normal_split(match["split"]) if match else None


def _parquet(path: Path, label: str, split: str | None) -> HFTable:
    def rows() -> Iterator[dict[str, Any]]:
        try:
            refuse_special(path)
            with pq.ParquetFile(path) as file:
                refuse_row_bomb(path, file.metadata.num_rows)
                for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"is no readable Parquet file: {error}", file=path, remedy="download it again") from error

    return HFTable(label, split, rows)


def _saved(path: Path) -> list[HFTable]:
    from datasets import load_from_disk

    try:
        for file in path.rglob("*"):
            with suppress(FileNotFoundError):  # a link that leads nowhere; the loader says so where it needs the file
                refuse_special(file)
        dataset = load_from_disk(path)
        for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
            # Arrow believes the offsets in a file, and a damaged one would end the process.
            part.data.table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"is no readable saved dataset: {error}", file=path, remedy="save it again") from error
    # `save_to_disk` puts the images' bytes into the files: a path that stands there instead is not ours to follow.
    return [replace(table, trusted=False) for table in _in_memory(dataset, path.resolve().name)]


def _in_memory(data: Any, label: str) -> list[HFTable]:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(data, DatasetDict | IterableDatasetDict):
        return [HFTable(f"{label}/{name}", normal_split(str(name)), _rows(part), True) for name, part in data.items()]
    if isinstance(data, Dataset | IterableDataset):
        split = normal_split(str(data.split)) if data.split is not None else None
        return [HFTable(f"{label}/{data.split or 'rows'}", split, _rows(data), True)]
    raise SourceError(f"huggingface reads a folder, a Parquet file or a dataset, not a {type(data).__name__}")


def _rows(dataset: Iterable[dict[str, Any]]) -> Callable[[], Iterator[dict[str, Any]]]:
    def rows() -> Iterator[dict[str, Any]]:
        from datasets import Image

        found: Any = dataset
        for name, feature in (found.features or {}).items():
            if isinstance(feature, Image):
                found = found.cast_column(name, Image(decode=False))
        yield from found

    return rows
