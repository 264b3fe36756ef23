"""`pinpoint.json`: what a published folder holds. The card, the Croissant file and the version are made from it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import TypeAdapter

from pinpoint_data.errors import DatasetError, Outcome, UsageError
from pinpoint_data.small_files import read_small_text

MANIFEST = "pinpoint.json"
CARD = "README.md"
CROISSANT = "croissant.json"
FORMAT_VERSION = 1

ConfigKind = Literal["questions", "pages", "annotations", "windows"]

# What the card tells of a config's settings.
_TOLD: dict[str, dict[str, type]] = {
    "questions": {"reader": str},
    "windows": {"width": int, "height": int, "stride": int, "left_out": dict},
}

# Both are names of folders and files, in a manifest that may come from a stranger.
_CONFIG_NAME, _SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), re.compile(r"[a-z]+")


@dataclass(frozen=True)
class FileInfo:
    """One Parquet file.

    Attributes:
        path: Relative to the dataset folder.
        size: Bytes.
        sha256: Of the file.
    """

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, root: Path) -> FileInfo:
        """Measure and hash a file."""
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        return cls(path.relative_to(root).as_posix(), path.stat().st_size, digest)


@dataclass(frozen=True)
class SplitInfo:
    """One split of a config.

    Attributes:
        rows: Number of rows.
        content_sha256: Hash of the rows themselves (see `RowHash`), whatever the bytes of the files.
        files: The shards in order.
        facts: Counts for the card, for example `{"status": {"evidence": 10}}`.
    """

    rows: int
    content_sha256: str
    files: tuple[FileInfo, ...]
    facts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class ConfigInfo:
    """One config, which has at least one split.

    Attributes:
        name: As `load_dataset` knows it.
        kind: What a row is.
        features: The columns, as `datasets.Features.to_dict` writes them.
        splits: By name.
        settings: What the config was made with (reader of the source, grid and windows, ...).
    """

    name: str
    kind: ConfigKind
    features: dict[str, Any]
    splits: dict[str, SplitInfo]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())

    def fact(self, name: str) -> dict[str, int]:
        """One fact, summed over the splits."""
        total: dict[str, int] = {}
        for split in self.splits.values():
            for key, count in split.facts.get(name, {}).items():
                total[key] = total.get(key, 0) + count
        return dict(sorted(total.items()))


@dataclass(frozen=True)
class Manifest:
    """A published dataset.

    Attributes:
        title: Of the card.
        license: Of the annotations, as given; None where nobody said.
        images: `none`, `pages` or `inline`.
        rendered_pages: Pages whose image was rendered from a PDF.
        generator: Program and version.
        configs: The first of kind `questions` is the default config.
    """

    title: str
    license: str | None
    images: str
    rendered_pages: int
    generator: str
    configs: tuple[ConfigInfo, ...]

    @property
    def version(self) -> str:
        """`x.y.z` from the content of every split.

        `datasets` caches a local folder under its name and this version, not its content: were the version to
        stay while the content changes, a republished folder would be served stale.
        """
        content = {
            c.name: [c.features, {name: split.content_sha256 for name, split in c.splits.items()}] for c in self.configs
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
        return f"{FORMAT_VERSION}.{int.from_bytes(digest[:4])}.{int.from_bytes(digest[4:8])}"

    @property
    def default(self) -> str:
        """The config that `load_dataset` takes when none is named."""
        return self.of_kind("questions")[0].name

    def of_kind(self, kind: ConfigKind) -> list[ConfigInfo]:
        """The configs of a kind."""
        return [config for config in self.configs if config.kind == kind]

    def with_config(self, config: ConfigInfo) -> Manifest:
        """This manifest with a config added at the end, or replaced in its place."""
        if all(c.name != config.name for c in self.configs):
            return replace(self, configs=(*self.configs, config))
        return replace(self, configs=tuple(config if c.name == config.name else c for c in self.configs))

    def config(self, name: str) -> ConfigInfo:
        """One config.

        Raises:
            UsageError: There is none of this name.
        """
        for config in self.configs:
            if config.name == name:
                return config
        raise UsageError(f"no config {name!r}", remedy=f"configs: {', '.join(c.name for c in self.configs)}")

    def files(self) -> set[str]:
        """Every file of the folder, relative to it."""
        shards = {f.path for c in self.configs for s in c.splits.values() for f in s.files}
        return shards | {MANIFEST, CARD, CROISSANT}

    def to_json(self) -> dict[str, Any]:
        """As written to `pinpoint.json`."""
        return {"format_version": FORMAT_VERSION, "version": self.version, **asdict(self)}


@dataclass(frozen=True)
class Publication:
    """A dataset folder that was written.

    Attributes:
        path: The folder, absolute.
        manifest: What it holds.
        outcome: What was counted, and what was left out and why.
        dropped: Window configs that went with the dataset that stood there before.
    """

    path: Path
    manifest: Manifest
    outcome: Outcome
    dropped: tuple[str, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a published folder.

    Raises:
        DatasetError: The folder is no published dataset, is damaged, or was made by a newer version.
    """
    file = folder / MANIFEST
    try:
        found = json.loads(read_small_text(file))
        version = int(found.pop("format_version"))
        if version > FORMAT_VERSION:
            raise DatasetError(
                f"format version {version} is newer than this program's {FORMAT_VERSION}",
                file=file,
                remedy="upgrade pinpoint-data",
            )
        found.pop("version")
        if unknown := found.keys() - {field.name for field in fields(Manifest)}:
            raise ValueError(f"unknown {', '.join(sorted(unknown))}")
        # As JSON again: strict JSON takes a list for a tuple, and nothing else for anything.
        manifest = _MANIFEST.validate_json(json.dumps(found), strict=True)
        _check(manifest)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(
            f"is not a published dataset: it has no {MANIFEST}", file=folder, remedy="make one with `pinpoint publish`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DatasetError(f"is damaged: {error}", file=file, remedy="publish the dataset again") from error
    return manifest


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def _check(manifest: Manifest) -> None:
    """Refuse what types alone do not."""
    if not manifest.of_kind("questions"):
        raise ValueError("no config of questions")
    if len({config.name for config in manifest.configs}) < len(manifest.configs):
        raise ValueError("two configs have one name")
    for config in manifest.configs:
        if not _CONFIG_NAME.fullmatch(config.name) or not all(map(_SPLIT_NAME.fullmatch, config.splits)):
            raise ValueError(f"{config.name!r} with splits {list(config.splits)} are no names of a config and splits")
        for split in config.splits.values():
            for one in split.files:
                path = PurePosixPath(one.path)
                if path.parts != (config.name, path.name) or path.suffix != ".parquet":
                    raise ValueError(f"{one.path!r} is no Parquet file of config {config.name!r}")
            if split.rows < 1 or not split.files:
                raise ValueError(f"config {config.name!r} has a split without rows or files")
        for name, kind in config.features.items():
            _check_feature(f"{config.name}.{name}", kind)
        for name, of in _TOLD.get(config.kind, {}).items():
            if not isinstance(config.settings.get(name), of):
                raise ValueError(f"config {config.name!r} has no {name} in its settings")
        if not all(isinstance(count, int) for count in config.settings.get("left_out", {}).values()):
            raise ValueError(f"config {config.name!r} has no counts of what was left out")


def _check_feature(name: str, kind: Any, depth: int = 0) -> None:
    """Refuse what `datasets.Features.to_dict` does not write: a value, an image, a list, or a dict of such."""
    of = kind.get("_type") if isinstance(kind, dict) else None
    if of == "List" and depth < 8:
        _check_feature(name, kind.get("feature"), depth + 1)
    elif of is None and isinstance(kind, dict) and depth < 8:
        for inner, part in kind.items():
            _check_feature(f"{name}.{inner}", part, depth + 1)
    elif of != "Image" and not (of == "Value" and isinstance(kind.get("dtype"), str)):
        raise ValueError(f"column {name} is of no known type")
