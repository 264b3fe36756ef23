"""Whose tokens a cache folder holds: `cache.json`, written once, compared whenever the folder is opened."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pinpoint_data.atomic import write_json
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.small_files import read_small
from training.backbones.base import Backbone, spec_differences

CACHE_FILE = "cache.json"
FORMAT, FORMAT_VERSION = "pinpoint-features", 1
SHARD_STEM = re.compile(r"shard-[0-9a-f]{16}")
UNFINISHED_FILE = re.compile(
    rf"\.{SHARD_STEM.pattern}\.(?:safetensors|parquet)\.tmp|\.{{1,2}}cache\.json-[0-9a-f]{{16}}(?:\.tmp)?"
)
OWN_FILE = re.compile(rf"{SHARD_STEM.pattern}\.(?:safetensors|parquet)|{UNFINISHED_FILE.pattern}|\.prune\.lock")
DTYPES = {name: getattr(torch, name) for name in ("bfloat16", "float16", "float32")}


@dataclass(frozen=True)
class FeatureCache:
    """A cache folder and the backbone it belongs to.

    Attributes:
        folder: Where it is.
        spec: `Backbone.spec()`, as JSON gives it back.
        token_dim: d_v.
        dtype: Of every tensor: `bfloat16`, `float16` or `float32`.
        reads_words: Whether tokens depend on a page's words beside its pixels.
    """

    folder: Path
    spec: dict[str, Any]
    token_dim: int
    dtype: str
    reads_words: bool

    @classmethod
    def of(cls, folder: Path, backbone: Backbone) -> FeatureCache:
        """The cache that a backbone has in a folder, which need not be there yet.

        Raises:
            TrainingError: The backbone's precision is none that a cache keeps.
        """
        spec = json.loads(json.dumps(backbone.spec()))
        # The weights, whose type this is, are not loaded yet.
        dtype = spec.get("options", {}).get("dtype", "float32")
        if dtype not in DTYPES:
            raise TrainingError(f"tokens of type {dtype!r} are not kept on disk; expected one of {', '.join(DTYPES)}")
        return cls(folder, spec, backbone.token_dim, dtype, backbone.reads_words)

    @property
    def digest(self) -> str:
        """Hash of the spec; every index part carries it, so that a shard cannot slip into another cache."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()

    @property
    def row_bytes(self) -> int:
        """Bytes of one token."""
        return self.token_dim * int(DTYPES[self.dtype].itemsize)


class _Head(BaseModel):
    model_config = ConfigDict(strict=True)

    format: Literal["pinpoint-features"]
    format_version: int = Field(ge=1)


class _Contents(_Head):
    """`cache.json`."""

    backbone: dict[str, Any]
    token_dim: int = Field(ge=1, le=2**31)
    dtype: Literal["bfloat16", "float16", "float32"]
    reads_words: bool


def read_cache(folder: Path) -> FeatureCache:
    """The cache in a folder.

    Raises:
        TrainingError: There is none, `cache.json` is damaged, or a newer version of this program made it.
    """
    file = folder / CACHE_FILE
    try:
        data = read_small(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingError(
            f"is no feature cache: it has no {CACHE_FILE}",
            file=folder,
            remedy="make one: pinpoint features extract",
        ) from error
    except OSError as error:
        raise TrainingError(f"cannot be read: {error.strerror}", file=file) from error
    try:
        version = _Head.model_validate_json(data).format_version
        if version > FORMAT_VERSION:
            raise TrainingError(
                f"cache format {version} is newer than this program's {FORMAT_VERSION}",
                file=file,
                remedy="upgrade pinpoint-data",
            )
        found = _Contents.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(file, f"{place}: {first['msg'].lower()}".removeprefix(": ")) from error
    if not isinstance(found.backbone.get("options", {}), dict):
        raise _damaged(file, "backbone.options: input should be an object")
    return FeatureCache(folder, found.backbone, found.token_dim, found.dtype, found.reads_words)


def _damaged(file: Path, why: str) -> TrainingError:
    return TrainingError(
        f"does not say whose tokens these are: {why}",
        file=file,
        remedy="remove it and run pinpoint features extract with the backbone that made the cache; its shards stay",
    )


def open_cache(folder: Path, backbone: Backbone) -> FeatureCache:
    """The cache in a folder, which must be this backbone's.

    Raises:
        TrainingError: There is none, or it belongs to another backbone; the message names the settings that differ.
    """
    found, own = read_cache(folder), FeatureCache.of(folder, backbone)
    differences = list(spec_differences(_identity(found), _identity(own)))
    if differences:
        raise TrainingError(
            f"holds tokens of another backbone: {'; '.join(differences)}",
            file=folder,
            remedy="name another folder for this backbone, or use the one that made the cache",
        )
    return found


def create_cache(folder: Path, backbone: Backbone) -> FeatureCache:
    """The backbone's cache in a folder, made where there is none. Several processes may do so at once.

    Raises:
        UsageError: The folder holds other things.
        TrainingError: It belongs to another backbone.
    """
    if not (folder / CACHE_FILE).exists():
        refuse_other_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        cache = FeatureCache.of(folder, backbone)
        described = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "backbone": cache.spec,
            "token_dim": cache.token_dim,
            "dtype": cache.dtype,
            "reads_words": cache.reads_words,
        }
        # A name of its own: two processes that make the cache at once must not write into one temporary file.
        beside = folder / f".{CACHE_FILE}-{secrets.token_hex(8)}"
        write_json(beside, described)
        beside.replace(folder / CACHE_FILE)
    return open_cache(folder, backbone)


def refuse_other_folder(folder: Path) -> None:
    """Refuse a folder without `cache.json` that holds other things; shards alone are taken up again.

    Raises:
        UsageError: It does.
    """
    if folder.exists() and (
        not folder.is_dir()
        # Another process may be making the cache at this moment.
        or any(entry.name != CACHE_FILE and not OWN_FILE.fullmatch(entry.name) for entry in folder.iterdir())
    ):
        raise UsageError(
            "is neither empty nor a feature cache", file=folder, remedy="name a new folder for the features"
        )


def _identity(cache: FeatureCache) -> dict[str, Any]:
    return cache.spec | {"token_dim": cache.token_dim, "reads_words": cache.reads_words}
