"""Load a dataset folder as any user would, with plain `datasets`, and compare it with its manifest."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import yaml
from datasets.exceptions import DatasetsError

from loaders.features import image_columns
from loaders.manifest import ConfigInfo, Manifest
from loaders.parquet import RowHash
from pinpoint_data.errors import DatasetError, one_line
from pinpoint_data.progress import track

_BATCH_ROWS = 100

_LOAD_ERRORS = (
    DatasetsError,
    pa.ArrowException,
    yaml.YAMLError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
)
"""What `datasets` raises over a folder that it cannot load, or whose README a stranger wrote."""


def verify_dataset(folder: Path, manifest: Manifest, configs: Collection[str] | None = None) -> None:
    """Load every config and split, map-style and streaming, in a cache of its own; compare rows and content.

    Args:
        folder: The dataset folder.
        manifest: What it must hold.
        configs: Names of the configs to load, all by default.

    Raises:
        DatasetError: A config does not load, or comes back with other rows than were written.
    """
    # Beside the dataset, not in the system's temporary folder: the cache is as large as the dataset.
    cache = folder.with_name(f"{folder.name}.cache")
    shutil.rmtree(cache, ignore_errors=True)
    chosen = [config for config in manifest.configs if configs is None or config.name in configs]
    with _quiet():
        for config in track(chosen, "loading what was written"):
            try:
                for streaming in (False, True):
                    _verify_config(folder, config, cache, streaming=streaming)
            finally:
                shutil.rmtree(cache, ignore_errors=True)
        _verify_default(folder, manifest.default, cache)


def _verify_config(folder: Path, config: ConfigInfo, cache: Path, *, streaming: bool) -> None:
    loaded = _load(folder, config.name, cache, streaming)
    if loaded.keys() != config.splits.keys():
        raise _mismatch(folder, config.name, f"splits {sorted(loaded)}, expected {sorted(config.splits)}")
    for name, split in config.splits.items():
        try:
            found = RowHash(image_columns(datasets.Features.from_dict(config.features)))
            for batch in loaded[name].with_format("arrow").iter(_BATCH_ROWS):
                for row in batch.to_pylist():
                    found.update(row)
        except _LOAD_ERRORS as error:
            raise _mismatch(folder, f"{config.name}/{name}", f"cannot be read: {error}") from error
        if found.rows != split.rows:
            raise _mismatch(folder, f"{config.name}/{name}", f"{found.rows} rows came back, {split.rows} were written")
        if found.hexdigest() != split.content_sha256:
            raise _mismatch(folder, f"{config.name}/{name}", "the rows that came back are not those that were written")


def _verify_default(folder: Path, expected: str, cache: Path) -> None:
    try:
        found = datasets.load_dataset_builder(str(folder), cache_dir=str(cache)).config.name
    except _LOAD_ERRORS as error:
        raise _mismatch(folder, "the default config", f"cannot be loaded: {error}") from error
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if found != expected:
        raise _mismatch(folder, "the default config", f"is {found!r}, expected {expected!r}")


def _load(folder: Path, name: str, cache: Path, streaming: bool) -> Any:
    try:
        return datasets.load_dataset(str(folder), name, cache_dir=str(cache), streaming=streaming)
    except _LOAD_ERRORS as error:
        raise _mismatch(folder, name, f"cannot be loaded: {type(error).__name__}: {error}") from error


def _mismatch(folder: Path, record: str, message: str) -> DatasetError:
    return DatasetError(one_line(message), file=folder, record=record, remedy="publish the dataset again")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of `datasets`, which know nothing of ours."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
