"""What is in a cache folder: the union of its index parts, and everything that does not belong to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pinpoint_data.errors import Problem, TrainingError
from training.features.cache import SHARD_STEM, UNFINISHED_FILE, FeatureCache
from training.features.index import Entry, ForeignPartError, read_part

REPAIR = "drop it with pinpoint features prune, then run pinpoint features extract again"


@dataclass(frozen=True)
class Shard:
    """A shard with its index part.

    Attributes:
        path: The safetensors file.
        part: The Parquet file.
        bytes: Of the shard.
        entries: What it holds.
    """

    path: Path
    part: Path
    bytes: int
    entries: tuple[Entry, ...]


@dataclass
class Scan:
    """A cache folder at one moment.

    Attributes:
        shards: Sound as far as names and sizes tell, in the order of their names.
        entries: By key name; of several for one key, the one in the first shard.
        duplicates: The others.
        problems: Index parts that cannot be used, and shards that are missing or have another size.
        damaged: The files behind `problems` that are this program's own.
        unindexed: Shards without an index part: a writer is about to write it, or was killed.
        unfinished: Temporary files, likewise.
    """

    shards: list[Shard] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    duplicates: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    unindexed: list[Path] = field(default_factory=list)
    unfinished: list[Path] = field(default_factory=list)


def scan(cache: FeatureCache) -> Scan:
    """Read the index; tokens are not touched."""
    found = Scan()
    with os.scandir(cache.folder) as listed:
        # A folder, whatever its name, is nobody's shard: reading and pruning leave it alone.
        names = {entry.name for entry in listed if not entry.is_dir()}
    for name in sorted(names):
        path = cache.folder / name
        if name.endswith(".parquet") and not name.startswith("."):
            _add_part(cache, path, found)
        elif SHARD_STEM.fullmatch(path.stem) and path.suffix == ".safetensors":
            if f"{path.stem}.parquet" not in names:
                found.unindexed.append(path)
        elif UNFINISHED_FILE.fullmatch(name):
            found.unfinished.append(path)
    return found


def _add_part(cache: FeatureCache, part: Path, found: Scan) -> None:
    shard = part.with_suffix(".safetensors")
    try:
        entries, expected = read_part(cache, part)
        size = shard.stat().st_size if shard.exists() else None
    except FileNotFoundError:
        return  # pruned since the folder was listed
    except TrainingError as error:
        foreign = isinstance(error, ForeignPartError) or not SHARD_STEM.fullmatch(part.stem)
        code = "foreign-index" if foreign else "damaged-index"
        found.problems.append(Problem(code, str(part), part.stem, error.message, error.remedy or REPAIR))
        if not foreign:
            found.damaged += [path for path in (part, shard) if path.exists()]
        return
    if size == expected:
        found.shards.append(Shard(shard, part, expected, tuple(entries)))
        for entry in entries:
            if found.entries.setdefault(entry.tensor, entry) is not entry:
                found.duplicates.append(entry)
    elif part.exists():  # else pruned meanwhile
        code, message = (
            ("missing-shard", f"the shard of {len(entries):,} pages is missing")
            if size is None
            else ("truncated-shard", f"has {size:,} bytes, its index part says {expected:,}")
        )
        found.problems.append(Problem(code, str(shard), part.stem, message, REPAIR))
        found.damaged += [path for path in (part, shard) if path.exists()]
